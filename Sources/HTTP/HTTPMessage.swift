/// Why the bytes of a peer are no HTTP message we take.
enum HTTPParseError: Error, Hashable {
  case malformed
  case headTooLarge
  case bodyTooLarge
}

/// How large a body may be.
public struct HTTPBodyLimits: Hashable, Sendable {
  /// Every body but a snapshot; upstream knows no limit, we stop at 16 MiB (http.md section 1).
  public var ordinaryBytes = 16 << 20
  /// `PUT /v1/operator/snapshot`. Held in memory, so it is bounded as well.
  public var snapshotBytes = 256 << 20

  public init() {}
}

/// A message while it is being read, filled by the parser's callbacks.
struct HTTPMessage {
  var limits = HTTPBodyLimits()
  var methodNumber = 0
  var methodName = ""
  var url: [UInt8] = []
  var status = 0
  var reason: [UInt8] = []
  var majorVersion = 1
  var minorVersion = 1
  var keepAlive = false
  var headers: [HTTPHeader] = []
  var body: [UInt8] = []
  var isHeadComplete = false
  var isComplete = false
  var error: HTTPParseError?

  private var name: [UInt8] = []
  private var value: [UInt8] = []
  private var isReadingValue = false
  private var bodyLimit = 0

  static let snapshotPath = Array("/v1/operator/snapshot".utf8)

  /// True between the first byte of a message and its end.
  var hasBegun: Bool { !url.isEmpty || isHeadComplete || !headers.isEmpty || !name.isEmpty }

  /// The sender waits for `100 Continue` before it sends the body.
  var expectsContinue: Bool {
    isHeadComplete && minorVersion > 0 && body.isEmpty
      && headers.first(named: "expect")?.equalsIgnoringCase("100-continue") == true
  }

  mutating func appendHeaderName(_ bytes: some Collection<UInt8>) {
    if isReadingValue { endHeader() }
    name.append(contentsOf: bytes)
  }

  mutating func appendHeaderValue(_ bytes: some Collection<UInt8>) {
    isReadingValue = true
    value.append(contentsOf: bytes)
  }

  mutating func completeHead(contentLength: UInt64) {
    endHeader()
    isHeadComplete = true
    bodyLimit = url.starts(with: Self.snapshotPath) ? limits.snapshotBytes : limits.ordinaryBytes
    if contentLength > UInt64(bodyLimit) { error = .bodyTooLarge }
  }

  mutating func appendBody(_ bytes: some Collection<UInt8>) {
    guard bytes.count <= bodyLimit - body.count else { return error = .bodyTooLarge }
    body.append(contentsOf: bytes)
  }

  private mutating func endHeader() {
    defer {
      name.removeAll(keepingCapacity: true)
      value.removeAll(keepingCapacity: true)
      isReadingValue = false
    }
    // Trailers of a chunked body are dropped: nothing here uses them.
    guard !name.isEmpty, !isHeadComplete else { return }
    guard headers.count < HTTPMessageParser.maximumHeaders else { return error = .headTooLarge }
    while value.last == 0x20 || value.last == 0x09 { value.removeLast() }
    headers.append(HTTPHeader(String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self)))
  }
}
