import Base

/// Where something listens or is reached: an address, or a name that the shell resolves.
public enum Endpoint: Hashable, Sendable {
  case address(SocketAddress)
  case name(String, port: UInt16)

  public init(_ host: HostText, port: UInt16) {
    switch host {
    case .address(let address): self = .address(SocketAddress(address, port: port))
    case .name(let name): self = .name(name, port: port)
    }
  }

  public var port: UInt16 {
    switch self {
    case .address(let address): address.port
    case .name(_, let port): port
    }
  }

  public var host: HostText {
    switch self {
    case .address(let address): .address(address.host)
    case .name(let name, _): .name(name)
    }
  }
}

extension Endpoint: CustomStringConvertible {
  /// `10.0.0.1:4647`, `[::1]:4647` or `node1.example:4647`.
  public var description: String {
    switch self {
    case .address(let address): "\(address)"
    case .name(let name, let port): "\(name):\(port)"
    }
  }
}

/// The host part of an endpoint.
public enum HostText: Hashable, Sendable {
  case address(IPAddress)
  case name(String)
}

extension HostText: CustomStringConvertible {
  public var description: String {
    switch self {
    case .address(let address): "\(address)"
    case .name(let name): name
    }
  }
}

/// Why a text is no endpoint or join entry: what was found and the remedy, to be put after the place.
public struct EndpointError: Error, Hashable, Sendable, CustomStringConvertible {
  public var description: String
}

extension Endpoint {
  /// Reads `host`, `host:port`, an IPv4 or IPv6 address, `[IPv6]` or `[IPv6]:port`. Resolves nothing.
  public init(_ text: String, defaultPort: UInt16) throws(EndpointError) {
    let (hostText, portText) = try Self.split(text)
    let host = try HostText(hostText, in: text)
    guard let portText else {
      self.init(host, port: defaultPort)
      return
    }
    guard portText.utf8.allSatisfy(\.isDigit), let port = UInt16(portText), port > 0 else {
      throw EndpointError(
        description: "the port \(String(portText).quoted) of \(text.quoted) is not a number from 1 to 65535; correct it"
      )
    }
    self.init(host, port: port)
  }

  fileprivate static func split(_ text: String) throws(EndpointError) -> (host: Substring, port: Substring?) {
    if text.first == "[" {
      guard let end = text.firstIndex(of: "]") else {
        throw EndpointError(description: "\(text.quoted) has no closing bracket; write [address]:port")
      }
      let host = text[text.index(after: text.startIndex)..<end]
      let rest = text[text.index(after: end)...]
      guard host.contains(":"), rest.isEmpty || rest.first == ":" else {
        throw EndpointError(description: "\(text.quoted) is not an IPv6 address in brackets; write [address]:port")
      }
      return (host, rest.isEmpty ? nil : rest.dropFirst())
    }
    guard let colon = text.lastIndex(of: ":"), text.firstIndex(of: ":") == colon else {
      // No colon, or several: a bare IPv6 address has no port.
      return (text[...], nil)
    }
    return (text[..<colon], text[text.index(after: colon)...])
  }
}

extension HostText {
  /// Reads a host that stands alone: an IPv4 or IPv6 address, `[IPv6]`, or a name.
  public init(_ text: String) throws(EndpointError) {
    let (host, port) = try Endpoint.split(text)
    guard port == nil else {
      throw EndpointError(
        description: "\(text.quoted) has a port, and only an address belongs here; set the port in the block ports")
    }
    try self.init(host, in: text)
  }

  /// Longest name DNS knows.
  static let maximumNameBytes = 253

  /// `whole` is the text that the error names.
  init(_ text: Substring, in whole: String) throws(EndpointError) {
    if let address = IPAddress(text) {
      self = .address(address)
      return
    }
    func refused(_ reason: String) -> EndpointError { EndpointError(description: "\(whole.quoted) \(reason)") }
    if text.isEmpty { throw refused("names no host; write host:port or an IP address") }
    if text.contains("<") || text.contains(">") {
      throw refused("is a placeholder; put the address of a server there, such as \"10.0.0.1:4648\"")
    }
    if text.contains("://") || whole.contains("://") { throw refused("is a URL; leave out the scheme and the path") }
    if text.contains(":") { throw refused("is not an IPv6 address; write [address]:port") }
    if text.utf8.allSatisfy({ $0.isDigit || $0 == 46 }) { throw refused("is not an IPv4 address; correct it") }
    let labels = text.split(separator: ".", omittingEmptySubsequences: false)
    guard text.utf8.count <= Self.maximumNameBytes,
      text.utf8.allSatisfy({ $0.isDigit || $0 == 45 || $0 == 46 || $0 == 95 || ($0 | 0x20) >= 97 && ($0 | 0x20) <= 122 }
      ),
      labels.enumerated().allSatisfy({ (1...63).contains($1.utf8.count) || $0 > 0 && $0 == labels.count - 1 })
    else {
      throw refused("is neither an IP address nor a host name; correct it")
    }
    self = .name(String(text))
  }
}
