import Base

/// The client's side: bytes of a connection in, complete answers out. For the `nomad` command, the bench and tests.
public struct HTTPResponseParser {
  private var parser: HTTPMessageParser
  private var failed = false

  /// Why the bytes are no answer.
  public enum Failure: Error, Hashable, Sendable {
    case malformed
    /// Larger than the limit given to the initializer.
    case tooLarge
    /// The stream ended inside an answer, or before its first byte.
    case truncated
  }

  public init(maximumBodyBytes: Int = 256 << 20) {
    var limits = HTTPBodyLimits()
    limits.ordinaryBytes = maximumBodyBytes
    parser = HTTPMessageParser(response: true, limits: limits)
  }

  /// Feeds `bytes` from `offset`; returns an answer as soon as one is complete and leaves `offset` behind it. `nil`
  /// means all bytes are used and more are needed. Interim answers (1xx) are skipped.
  public mutating func parse(_ bytes: RawSpan, from offset: inout Int) throws(Failure) -> HTTPResponse? {
    while offset < bytes.byteCount {
      guard let response = try take(parser.parse(bytes, from: &offset)) else { continue }
      if response.status >= 200 || response.status == 101 { return response }
    }
    return nil
  }

  /// The peer ended the stream; an answer without a declared length is complete now.
  public mutating func finish() throws(Failure) -> HTTPResponse {
    guard !failed, parser.message.isHeadComplete, parser.finish() == .complete else { throw .truncated }
    return response(parser.takeMessage())
  }

  /// The decoded body bytes of an incomplete answer with status 200, for endless streams; they are removed. `nil`
  /// while the head is incomplete and for other answers.
  public mutating func takePartialBody() -> [UInt8]? {
    guard parser.message.isHeadComplete, parser.message.status == 200 else { return nil }
    defer { parser.message.body.removeAll(keepingCapacity: true) }
    return parser.message.body
  }

  private mutating func take(_ step: HTTPMessageParser.Step) throws(Failure) -> HTTPResponse? {
    guard !failed else { throw .malformed }
    switch step {
    case .needMore: return nil
    case .complete:
      return response(parser.takeMessage())
    case .failed(let error):
      failed = true
      throw error == .malformed ? .malformed : .tooLarge
    }
  }

  private func response(_ message: HTTPMessage) -> HTTPResponse {
    HTTPResponse(status: message.status, headers: message.headers, body: message.body)
  }
}
