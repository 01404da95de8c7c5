import Base

/// An answer with its whole body.
public struct HTTPResponse: Hashable, Sendable {
  public var status: Int
  /// Without `Content-Length` and `Connection`, which the machine adds.
  public var headers: [HTTPHeader]
  public var body: [UInt8]

  public init(status: Int, headers: [HTTPHeader] = [], body: [UInt8] = []) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// A plain text answer in the form of Go's `http.Error`, without a trailing newline.
  public init(status: Int, text: String) {
    self.init(
      status: status, headers: [HTTPHeader("Content-Type", "text/plain; charset=utf-8")], body: Array(text.utf8))
  }

  /// The reason phrase of RFC 9110 for the codes in use, else empty.
  public static func reason(_ status: Int) -> StaticString {
    switch status {
    case 100: "Continue"
    case 200: "OK"
    case 204: "No Content"
    case 301: "Moved Permanently"
    case 307: "Temporary Redirect"
    case 400: "Bad Request"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 413: "Request Entity Too Large"
    case 415: "Unsupported Media Type"
    case 429: "Too Many Requests"
    case 431: "Request Header Fields Too Large"
    case 500: "Internal Server Error"
    case 501: "Not Implemented"
    case 503: "Service Unavailable"
    case 505: "HTTP Version Not Supported"
    default: ""
    }
  }
}

/// How the body of an answer ends.
enum HTTPBodyLength: Hashable {
  case exactly(Int)
  case chunked
  /// HTTP/1.0 streams end with the connection.
  case untilClose
}

extension Array where Element == UInt8 {
  mutating func append(_ text: StaticString) {
    text.withUTF8Buffer { unsafe append(contentsOf: $0) }
  }

  /// Appends status line and header block.
  mutating func appendHead(
    status: Int, reason: String? = nil, headers: [HTTPHeader], minorVersion: Int, length: HTTPBodyLength,
    keepAlive: Bool
  ) {
    append(minorVersion == 0 ? "HTTP/1.0 " : "HTTP/1.1 ")
    append(contentsOf: String(status).utf8)
    append(0x20)
    if let reason { append(contentsOf: reason.utf8) } else { append(HTTPResponse.reason(status)) }
    append("\r\n")
    for header in headers {
      append(contentsOf: header.name.utf8)
      append(": ")
      // A value never ends the header block early, whatever a configuration or a peer put into it.
      for byte in header.value.utf8 { append(byte == 0x0D || byte == 0x0A ? 0x20 : byte) }
      append("\r\n")
    }
    switch length {
    case .exactly(let count):
      // RFC 9110 section 8.6: no Content-Length with 204.
      if status != 204 {
        append("Content-Length: ")
        append(contentsOf: String(count).utf8)
        append("\r\n")
      }
    case .chunked: append("Transfer-Encoding: chunked\r\n")
    case .untilClose: break
    }
    if !keepAlive {
      append("Connection: close\r\n")
    } else if minorVersion == 0 {
      append("Connection: keep-alive\r\n")
    }
    append("\r\n")
  }

  mutating func appendChunk(_ bytes: [UInt8]) {
    append(contentsOf: String(bytes.count, radix: 16).utf8)
    append("\r\n")
    append(contentsOf: bytes)
    append("\r\n")
  }
}
