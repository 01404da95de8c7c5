/// Why a request target was refused; the answer is `400 Bad Request`.
public enum HTTPTargetError: Error, Hashable, Sendable {
  /// A `%` without two hexadecimal digits in the path, or a target that is neither a path nor an absolute URL.
  case malformed
}

/// A request target taken apart.
struct HTTPTarget {
  var path: String
  var query: HTTPQuery

  init(_ target: String) throws(HTTPTargetError) {
    var rest = Substring(target)
    if let fragment = rest.firstIndex(of: "#") { rest = rest[..<fragment] }
    var queryText: Substring = ""
    if let mark = rest.firstIndex(of: "?") {
      queryText = rest[rest.index(after: mark)...]
      rest = rest[..<mark]
    }
    if rest.first != "/", rest != "*" {
      // The absolute form that proxies send: scheme, authority, then the path.
      guard let scheme = rest.firstIndex(of: ":"), rest[scheme...].hasPrefix("://") else { throw .malformed }
      let authority = rest[rest.index(scheme, offsetBy: 3)...]
      rest = authority.firstIndex(of: "/").map { authority[$0...] } ?? "/"
    }
    guard let path = percentDecoded(rest, plusIsBlank: false) else { throw .malformed }
    self.path = path
    self.query = HTTPQuery(String(queryText))
  }
}

/// The decoded parameters of a query string, in order.
public struct HTTPQuery: Hashable, Sendable {
  public struct Item: Hashable, Sendable {
    public var name: String
    public var value: String
  }

  public private(set) var items: [Item] = []
  /// As sent, without the question mark.
  public let text: String

  /// Parameters beyond this number are ignored.
  static let maximumItems = 256

  /// A pair with a broken escape is dropped, as Go does.
  public init(_ text: String = "") {
    self.text = text
    for pair in text.split(separator: "&", omittingEmptySubsequences: true).prefix(Self.maximumItems) {
      let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = percentDecoded(halves[0], plusIsBlank: true),
        let value = percentDecoded(halves.count > 1 ? halves[1] : "", plusIsBlank: true)
      else { continue }
      items.append(Item(name: name, value: value))
    }
  }

  /// The first occurrence wins; empty when it has no value, `nil` when it is absent.
  public func first(_ name: String) -> String? { items.first { $0.name == name }?.value }

  /// Every occurrence, in order.
  public func all(_ name: String) -> [String] { items.filter { $0.name == name }.map(\.value) }
}

/// Undoes percent-encoding; `nil` when an escape is broken. Malformed UTF-8 becomes U+FFFD.
func percentDecoded(_ text: Substring, plusIsBlank: Bool) -> String? {
  if !text.utf8.contains(where: { $0 == 0x25 || ($0 == 0x2B && plusIsBlank) }) { return String(text) }
  var bytes: [UInt8] = []
  bytes.reserveCapacity(text.utf8.count)
  var rest = text.utf8.makeIterator()
  while let byte = rest.next() {
    switch byte {
    case 0x25:
      guard let high = rest.next().flatMap(hexadecimalValue), let low = rest.next().flatMap(hexadecimalValue)
      else { return nil }
      bytes.append(high << 4 | low)
    case 0x2B where plusIsBlank: bytes.append(0x20)
    default: bytes.append(byte)
    }
  }
  return String(decoding: bytes, as: UTF8.self)
}

func hexadecimalValue(_ digit: UInt8) -> UInt8? {
  switch digit {
  case 0x30...0x39: digit - 0x30
  case 0x41...0x46: digit - 0x37
  case 0x61...0x66: digit - 0x57
  default: nil
  }
}

extension String {
  /// Percent-encodes everything but unreserved characters (RFC 3986 section 2.3) and, in paths, `/`, `:`, `@`, `,`.
  public func percentEncoded(isPath: Bool = false) -> String {
    var bytes: [UInt8] = []
    let digits = Array("0123456789ABCDEF".utf8)
    for byte in utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: bytes.append(byte)
      case 0x2F, 0x3A, 0x40, 0x2C: if isPath { bytes.append(byte) } else { fallthrough }
      default: bytes += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The path without empty, `.` and `..` segments, the form Go's request multiplexer redirects to.
  public var cleanedPath: String {
    var kept: [Substring] = []
    let segments = split(separator: "/", omittingEmptySubsequences: true)
    for segment in segments {
      switch segment {
      case ".": continue
      case "..": _ = kept.popLast()
      default: kept.append(segment)
      }
    }
    let body = kept.joined(separator: "/")
    return body.isEmpty ? "/" : "/" + body + (hasSuffix("/") ? "/" : "")
  }
}
