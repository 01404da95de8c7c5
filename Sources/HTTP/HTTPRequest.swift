import Base

/// Request methods this server tells apart.
public enum HTTPMethod: String, Hashable, Sendable {
  case get = "GET"
  case head = "HEAD"
  case post = "POST"
  case put = "PUT"
  case delete = "DELETE"
  case options = "OPTIONS"
  case patch = "PATCH"
  case trace = "TRACE"
  case connect = "CONNECT"
  /// A method the parser knows (WebDAV and the like) and no endpoint accepts.
  case other = "OTHER"

  public init(name: String) { self = HTTPMethod(rawValue: name) ?? .other }
}

/// One header field as it stood in the message; names compare without regard to case.
public struct HTTPHeader: Hashable, Sendable {
  public var name: String
  public var value: String

  public init(_ name: String, _ value: String) {
    self.name = name
    self.value = value
  }
}

extension Array where Element == HTTPHeader {
  /// The value of the first field with this name, which must be given in lower case.
  public func first(named lowercaseName: String) -> String? {
    first { $0.name.equalsIgnoringCase(lowercaseName) }?.value
  }
}

extension String {
  /// ASCII comparison without regard to case.
  @inlinable public func equalsIgnoringCase(_ other: String) -> Bool {
    utf8.count == other.utf8.count && zip(utf8, other.utf8).allSatisfy { $0.asciiLowercased == $1.asciiLowercased }
  }
}

extension UInt8 {
  @inlinable var asciiLowercased: UInt8 { self >= 0x41 && self <= 0x5A ? self | 0x20 : self }
}

/// Names one request on one connection, for the answer.
public struct HTTPRequestID: Hashable, Comparable, Sendable {
  public let connection: ConnectionID
  /// Counts the requests of the connection from 0.
  public let sequence: UInt64

  public init(connection: ConnectionID, sequence: UInt64) {
    self.connection = connection
    self.sequence = sequence
  }

  public static func < (a: HTTPRequestID, b: HTTPRequestID) -> Bool {
    (a.connection, a.sequence) < (b.connection, b.sequence)
  }
}

/// A complete request: head and body.
public struct HTTPRequest: Hashable, Sendable {
  public var method: HTTPMethod
  /// The request target as sent, for the access log: `/v1/nodes?prefix=ab`.
  public var target: String
  /// Decoded path, always starting with `/` (or `*` for `OPTIONS *`).
  public var path: String
  public var query: HTTPQuery
  public var headers: [HTTPHeader]
  public var body: [UInt8]
  public var remote: SocketAddress

  public init(
    method: HTTPMethod, target: String, headers: [HTTPHeader] = [], body: [UInt8] = [],
    remote: SocketAddress = SocketAddress(.loopback, port: 0)
  ) throws(HTTPTargetError) {
    let parts = try HTTPTarget(target)
    self.method = method
    self.target = target
    self.path = parts.path
    self.query = parts.query
    self.headers = headers
    self.body = body
    self.remote = remote
  }

  /// The value of the first header with this lower-case name.
  public func header(_ lowercaseName: String) -> String? { headers.first(named: lowercaseName) }
}
