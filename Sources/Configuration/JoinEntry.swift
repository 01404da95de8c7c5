/// One entry of `retry_join` or `start_join` (cluster.md 4.1 and 4.3), parsed and not resolved.
public enum JoinEntry: Hashable, Sendable {
  case endpoint(Endpoint)
  /// `provider=srv service=nomad proto=tcp domain=example.com`: every target and port of the SRV records of `query`,
  /// `_nomad._tcp.example.com`.
  case service(query: String)
  /// `exec=program argument ...`: its standard output is a list of addresses separated by blanks. Addresses without a
  /// port get `defaultPort`.
  case program([String], defaultPort: UInt16)
  /// `file=/path`: addresses and names in a text file, separated by blanks or lines; `#` begins a comment. Read again
  /// in each round, so that it may change.
  case file(String, defaultPort: UInt16)

  /// Reads one entry. A `name/` prefix, which announces the expected gossip name, is cut off.
  public init(_ text: String, defaultPort: UInt16) throws(EndpointError) {
    let text = text.trimmed
    if text.hasPrefix("exec=") {
      let words = text.dropFirst(5).split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
      guard !words.isEmpty else {
        throw EndpointError(description: "\"exec=\" names no program; write exec=/path/to/program and its arguments")
      }
      self = .program(words, defaultPort: defaultPort)
    } else if text.hasPrefix("file=") {
      let path = String(text.dropFirst(5))
      guard path.hasPrefix("/") else {
        throw EndpointError(description: "\(text.quoted) names no file; write file= and an absolute path")
      }
      self = .file(path, defaultPort: defaultPort)
    } else if text.hasPrefix("provider=") {
      self = .service(query: try Self.serviceQuery(text))
    } else {
      var address = text[...]
      if let slash = text.firstIndex(of: "/"), !text.contains("://") {
        address = text[text.index(after: slash)...]
      }
      self = .endpoint(try Endpoint(String(address), defaultPort: defaultPort))
    }
  }

  /// Whether a program, a file or a service has to be asked for the addresses.
  public var isDiscovered: Bool {
    if case .endpoint = self { false } else { true }
  }

  /// Names the entry among others.
  public var text: String {
    switch self {
    case .endpoint(let endpoint): endpoint.description
    case .service(let query): "provider=srv \(query)"
    case .program(let words, _): "exec=\(words.joined(separator: " "))"
    case .file(let path, _): "file=\(path)"
    }
  }

  private static func serviceQuery(_ text: String) throws(EndpointError) -> String {
    var fields: [String: String] = [:]
    for (key, value) in try pairs(text) { fields[key] = value }
    let provider = fields["provider"] ?? ""
    guard !provider.isEmpty else {
      throw EndpointError(
        description: "discover: provider: missing value; write provider=srv, or the addresses themselves")
    }
    guard provider == "srv" else {
      let known = cloudProviders.contains(provider)
      throw EndpointError(
        description: (known
          ? "the cloud provider \(provider) is not built in" : "discover: unknown provider \(provider)")
          + "; use provider=srv, exec=PROGRAM or the addresses themselves")
    }
    func label(_ key: String, default value: String?) throws(EndpointError) -> String {
      guard let found = fields[key] ?? value, !found.isEmpty,
        case .name(let name)? = try? HostText(found[...], in: found)
      else {
        throw EndpointError(
          description: "\(text.quoted) has no usable \(key); write provider=srv service=nomad domain=example.com")
      }
      return name
    }
    let service = try label("service", default: nil)
    let transport = try label("proto", default: "tcp")
    return "_\(service)._\(transport)." + (try label("domain", default: nil))
  }

  private static let cloudProviders = [
    "aliyun", "aws", "azure", "digitalocean", "gce", "k8s", "linode", "mdns", "os", "packet", "scaleway", "softlayer",
    "tencentcloud", "triton", "vsphere",
  ]

  /// `key=value key="a \"quoted\" value"`, separated by blanks.
  private static func pairs(_ text: String) throws(EndpointError) -> [(String, String)] {
    var result: [(String, String)] = []
    var rest = text[...]
    while true {
      rest = rest.drop { $0 == " " || $0 == "\t" }
      guard !rest.isEmpty else { return result }
      guard let equals = rest.firstIndex(of: "=") else {
        throw EndpointError(
          description: "found \(String(rest).quoted) in \(text.quoted), which is not key=value; correct it")
      }
      let key = String(rest[..<equals])
      rest = rest[rest.index(after: equals)...]
      var value = ""
      if rest.first == "\"" {
        rest = rest.dropFirst()
        while let next = rest.first, next != "\"" {
          rest = rest.dropFirst()
          if next == "\\", let escaped = rest.first {
            value.append(escaped)
            rest = rest.dropFirst()
          } else {
            value.append(next)
          }
        }
        guard !rest.isEmpty else {
          throw EndpointError(description: "\(text.quoted) has a quote that is not closed; close it")
        }
        rest = rest.dropFirst()
      } else {
        let word = rest.prefix { $0 != " " && $0 != "\t" }
        value = String(word)
        rest = rest.dropFirst(word.count)
      }
      result.append((key, value))
    }
  }
}

extension String {
  /// Without the blanks and line ends at both ends.
  var trimmed: String {
    let blank: (Character) -> Bool = { $0 == " " || $0 == "\t" || $0 == "\n" || $0 == "\r" || $0 == "\r\n" }
    return String(drop(while: blank).reversed().drop(while: blank).reversed())
  }
}
