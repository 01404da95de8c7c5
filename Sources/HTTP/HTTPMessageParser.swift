import Base
import CHTTPParser

/// The C parser behind a value: feed it bytes, it stops after each complete message. The only file of this module that
/// touches the C library; all pointers live for one call.
@safe struct HTTPMessageParser {
  /// What has been read of the current message.
  var message = HTTPMessage()
  private var parser = unsafe http_parser()

  /// Bytes of a request line with its headers (http.md section 1). Go reads 4 KiB more than its own limit.
  static let maximumHeadBytes = (1 << 20) + 4096
  static let maximumHeaders = 1024

  enum Step: Hashable {
    /// All bytes are used and the message is not complete.
    case needMore
    /// A message is complete; the bytes after it are not used.
    case complete
    case failed(HTTPParseError)
  }

  init(response: Bool, limits: HTTPBodyLimits) {
    _ = Self.headLimitIsSet
    message.limits = limits
    unsafe http_parser_init(&parser, response ? HTTP_RESPONSE : HTTP_REQUEST)
  }

  /// Feeds `bytes` from `offset`, which moves past what was used. After `.complete` take the message with
  /// `takeMessage()` and call again; after `.failed` never call again.
  mutating func parse(_ bytes: RawSpan, from offset: inout Int) -> Step {
    // The C parser takes "no bytes" for the end of the stream.
    guard offset < bytes.byteCount else { return .needMore }
    let part = bytes.extracting(offset..<bytes.byteCount)
    let used = execute(part)
    offset += min(used, part.byteCount)
    return outcome()
  }

  /// The peer ended the stream: completes a response without a length.
  mutating func finish() -> Step {
    let empty: [UInt8] = []
    _ = execute(empty.borrowedBytes)
    return outcome()
  }

  mutating func takeMessage() -> HTTPMessage {
    defer {
      let limits = message.limits
      message = HTTPMessage()
      message.limits = limits
    }
    return message
  }

  private mutating func outcome() -> Step {
    let code = unsafe parser.http_errno
    if code == HPE_OK.rawValue { return message.isComplete ? .complete : .needMore }
    if code == HPE_PAUSED.rawValue, message.isComplete {
      unsafe http_parser_pause(&parser, 0)
      return .complete
    }
    if let error = message.error { return .failed(error) }
    if code == HPE_HEADER_OVERFLOW.rawValue { return .failed(.headTooLarge) }
    return .failed(.malformed)
  }

  private mutating func execute(_ bytes: RawSpan) -> Int {
    // The callbacks write `message` while the parser runs, so the parser's own state is used through a copy.
    var running = unsafe parser
    defer {
      unsafe running.data = nil
      unsafe parser = running
    }
    return unsafe withUnsafeMutablePointer(to: &message) { message in
      unsafe running.data = UnsafeMutableRawPointer(message)
      return unsafe withUnsafePointer(to: Self.settings) { settings in
        unsafe bytes.withUnsafeBytes { raw in
          unsafe http_parser_execute(
            &running, settings, raw.assumingMemoryBound(to: CChar.self).baseAddress, raw.count)
        }
      }
    }
  }

  private static let headLimitIsSet: Bool = {
    http_parser_set_max_header_size(UInt32(maximumHeadBytes))
    return true
  }()

  private static let settings: http_parser_settings = {
    var settings = http_parser_settings()
    unsafe settings.on_url = { parser, at, count in
      unsafe withMessage(parser) { unsafe $0.url.append(contentsOf: bytes(at, count)) }
    }
    unsafe settings.on_status = { parser, at, count in
      unsafe withMessage(parser) { unsafe $0.reason.append(contentsOf: bytes(at, count)) }
    }
    unsafe settings.on_header_field = { parser, at, count in
      unsafe withMessage(parser) { unsafe $0.appendHeaderName(bytes(at, count)) }
    }
    unsafe settings.on_header_value = { parser, at, count in
      unsafe withMessage(parser) { unsafe $0.appendHeaderValue(bytes(at, count)) }
    }
    unsafe settings.on_headers_complete = { parser in
      guard let parser = unsafe parser else { return 0 }
      // An upgrade is never accepted, so the message is an ordinary one (RFC 9110 section 7.8 allows to ignore it).
      unsafe parser.pointee.upgrade = 0
      let length =
        unsafe parser.pointee.flags & UInt32(F_CONTENTLENGTH.rawValue) != 0 ? parser.pointee.content_length : 0
      return unsafe withMessage(parser) { message in
        message.methodNumber = unsafe Int(parser.pointee.method)
        message.methodName = unsafe String(cString: http_method_str(http_method(parser.pointee.method)))
        message.status = unsafe Int(parser.pointee.status_code)
        message.majorVersion = unsafe Int(parser.pointee.http_major)
        message.minorVersion = unsafe Int(parser.pointee.http_minor)
        message.keepAlive = unsafe http_should_keep_alive(parser) != 0
        message.completeHead(contentLength: length)
      }
    }
    unsafe settings.on_body = { parser, at, count in
      unsafe withMessage(parser) { unsafe $0.appendBody(bytes(at, count)) }
    }
    unsafe settings.on_message_complete = { parser in
      guard let parser = unsafe parser else { return 0 }
      unsafe http_parser_pause(parser, 1)
      return unsafe withMessage(parser) { $0.isComplete = true }
    }
    return settings
  }()
}

/// Runs `body` on the message the parser points to; non-zero stops the parser.
private func withMessage(_ parser: UnsafeMutablePointer<http_parser>?, _ body: (inout HTTPMessage) -> Void) -> CInt {
  guard let message = unsafe parser?.pointee.data?.assumingMemoryBound(to: HTTPMessage.self) else { return 1 }
  unsafe body(&message.pointee)
  return unsafe message.pointee.error == nil ? 0 : 3
}

private func bytes(_ start: UnsafePointer<CChar>?, _ count: Int) -> UnsafeBufferPointer<UInt8> {
  unsafe UnsafeBufferPointer(
    start: UnsafeRawPointer(start)?.assumingMemoryBound(to: UInt8.self), count: start == nil ? 0 : count)
}

extension Array where Element == UInt8 {
  /// The bytes of the array, borrowed while it lives.
  package var borrowedBytes: RawSpan {
    @_lifetime(borrow self)
    get { unsafe span.bytes }
  }
}
