import Base

/// One server-side connection: parser, bytes that wait, and the answers in order.
struct HTTPConnection {
  let id: ConnectionID
  let remote: SocketAddress

  private var parser: HTTPMessageParser
  /// Bytes behind a request that must wait for the answers before it.
  private var waiting: [UInt8] = []
  /// How many of `waiting` are used already; they are dropped together.
  private var waitingOffset = 0
  /// A complete request that waits for the answers before it.
  private var held: HTTPRequest?
  private var exchanges: [Exchange] = []
  private var nextSequence: UInt64 = 0
  private var isPaused = false
  private var hasSentContinue = false
  private var input = Input.open
  private(set) var isClosed = false
  /// The head that already has an entry in the machine's deadline list.
  var watchedHead: UInt64?

  /// Requests handed out at a time.
  static let maximumPipelined = 16
  /// Bytes kept behind a waiting request before reading is paused. While it is paused the end of the stream is not
  /// noticed, so this is larger than what honest clients pipeline.
  static let maximumWaitingBytes = 256 << 10

  private enum Input {
    /// Reading requests.
    case open
    /// The last request of the connection has been read; further bytes are dropped.
    case ended
  }

  private struct Exchange {
    let sequence: UInt64
    let isGet: Bool
    let isHead: Bool
    let minorVersion: Int
    let keepAlive: Bool
    var reply = Reply.awaited
  }

  private enum Reply {
    /// -> complete, streaming
    case awaited
    /// All bytes of the answer, then -> removed.
    case complete([UInt8])
    /// Bytes not sent yet; `ended` when no more will come.
    case streaming([UInt8], ended: Bool)
  }

  init(id: ConnectionID, remote: SocketAddress, limits: HTTPBodyLimits) {
    self.id = id
    self.remote = remote
    parser = HTTPMessageParser(response: false, limits: limits)
  }

  /// Requests that were handed out and not completely answered.
  var openRequests: [UInt64] {
    exchanges.compactMap {
      switch $0.reply {
      case .awaited, .streaming(_, ended: false): $0.sequence
      case .complete, .streaming(_, ended: true): nil
      }
    }
  }

  /// The sequence number of a request whose head has begun and is not complete.
  var incompleteHead: UInt64? {
    input == .open && parser.message.hasBegun && !parser.message.isHeadComplete ? nextSequence : nil
  }

  // MARK: Input

  mutating func receive(_ bytes: RawSpan, events: inout [HTTPEvent], effects: inout Effects) {
    guard !isClosed, input == .open else { return }
    if held != nil || !waiting.isEmpty {
      waiting.removeFirst(waitingOffset)
      waitingOffset = 0
      waiting.append(contentsOf: bytes)
      if waiting.count > Self.maximumWaitingBytes, !isPaused {
        isPaused = true
        effects.outbox.pauseReading(id)
      }
      return
    }
    let used = read(bytes, events: &events)
    if used < bytes.byteCount, input == .open { waiting = bytes.copy(used..<bytes.byteCount) }
    advance(events: &events, effects: &effects)
  }

  /// Sends what is ready and reads on as far as the order of answers allows.
  mutating func advance(events: inout [HTTPEvent], effects: inout Effects) {
    while true {
      flush(effects: &effects)
      guard !isClosed, input == .open else { return }
      if let request = held {
        guard mayHandOut(request) else { return }
        held = nil
        handOut(request, minorVersion: heldMinorVersion, keepAlive: heldKeepAlive, events: &events)
        if !heldKeepAlive { return endInput() }
      }
      if waiting.isEmpty { break }
      let bytes = waiting
      let rest = bytes.borrowedBytes.extracting(waitingOffset..<bytes.count)
      waitingOffset += read(rest, events: &events)
      if waitingOffset >= waiting.count || input == .ended {
        waiting = []
        waitingOffset = 0
      }
    }
    if isPaused {
      isPaused = false
      effects.outbox.resumeReading(id)
    }
    sendContinue(effects: &effects)
  }

  private var heldMinorVersion = 1
  private var heldKeepAlive = true

  /// Returns how many bytes were used; stops at a request that must wait.
  private mutating func read(_ bytes: RawSpan, events: inout [HTTPEvent]) -> Int {
    var offset = 0
    while offset < bytes.byteCount, input == .open, held == nil {
      switch parser.parse(bytes, from: &offset) {
      case .needMore: return offset
      case .complete: take(parser.takeMessage(), events: &events)
      case .failed(.malformed): refuse(status: 400, "400 Bad Request")
      case .failed(.headTooLarge): refuse(status: 431, "431 Request Header Fields Too Large")
      case .failed(.bodyTooLarge): refuse(status: 413, "http: request body too large")
      }
    }
    return offset
  }

  private mutating func take(_ message: HTTPMessage, events: inout [HTTPEvent]) {
    hasSentContinue = false
    guard message.majorVersion == 1 else {
      return refuse(
        status: 505, "505 HTTP Version Not Supported: unsupported protocol version", isReason: true)
    }
    if message.minorVersion > 0, message.headers.first(named: "host") == nil {
      return refuse(status: 400, "400 Bad Request: missing required Host header", isReason: true)
    }
    let request: HTTPRequest
    do throws(HTTPTargetError) {
      request = try HTTPRequest(
        method: HTTPMethod(name: message.methodName), target: String(decoding: message.url, as: UTF8.self),
        headers: message.headers, body: message.body, remote: remote)
    } catch {
      return refuse(status: 400, "400 Bad Request")
    }
    let keepAlive = message.keepAlive && request.method != .connect
    guard mayHandOut(request) else {
      held = request
      heldMinorVersion = message.minorVersion
      heldKeepAlive = keepAlive
      return
    }
    handOut(request, minorVersion: message.minorVersion, keepAlive: keepAlive, events: &events)
    if !keepAlive { endInput() }
  }

  private func mayHandOut(_ request: HTTPRequest) -> Bool {
    if exchanges.isEmpty { return true }
    return request.method == .get && exchanges.count < Self.maximumPipelined && exchanges.allSatisfy(\.isGet)
  }

  private mutating func handOut(
    _ request: HTTPRequest, minorVersion: Int, keepAlive: Bool, events: inout [HTTPEvent]
  ) {
    exchanges.append(
      Exchange(
        sequence: nextSequence, isGet: request.method == .get, isHead: request.method == .head,
        minorVersion: minorVersion, keepAlive: keepAlive))
    events.append(.request(HTTPRequestID(connection: id, sequence: nextSequence), request))
    nextSequence += 1
  }

  /// Queues an answer of the machine itself behind the others and ends the input. In Go's form the body repeats the
  /// status line; `isReason` puts the long form into the status line too.
  private mutating func refuse(status: Int, _ text: String, isReason: Bool = false) {
    var bytes: [UInt8] = []
    bytes.appendHead(
      status: status, reason: isReason ? String(text.dropFirst(4)) : nil,
      headers: [HTTPHeader("Content-Type", "text/plain; charset=utf-8")], minorVersion: 1,
      length: .exactly(text.utf8.count), keepAlive: false)
    bytes.append(contentsOf: text.utf8)
    exchanges.append(
      Exchange(
        sequence: nextSequence, isGet: false, isHead: false, minorVersion: 1, keepAlive: false,
        reply: .complete(bytes)))
    nextSequence += 1
    endInput()
  }

  private mutating func endInput() {
    input = .ended
    waiting = []
    held = nil
  }

  private mutating func sendContinue(effects: inout Effects) {
    guard exchanges.isEmpty, !hasSentContinue, !isClosed, parser.message.expectsContinue else { return }
    hasSentContinue = true
    effects.outbox.send(id) { $0.append("HTTP/1.1 100 Continue\r\n\r\n") }
  }

  // MARK: Answers

  mutating func respond(_ sequence: UInt64, _ response: HTTPResponse) {
    edit(sequence) { exchange in
      guard case .awaited = exchange.reply else { return }
      var bytes: [UInt8] = []
      bytes.appendHead(
        status: response.status, headers: response.headers, minorVersion: exchange.minorVersion,
        length: .exactly(response.body.count), keepAlive: exchange.keepAlive)
      if !exchange.isHead { bytes.append(contentsOf: response.body) }
      exchange.reply = .complete(bytes)
    }
  }

  mutating func beginStreaming(_ sequence: UInt64, status: Int, headers: [HTTPHeader]) {
    edit(sequence) { exchange in
      guard case .awaited = exchange.reply else { return }
      var bytes: [UInt8] = []
      bytes.appendHead(
        status: status, headers: headers, minorVersion: exchange.minorVersion,
        length: exchange.minorVersion == 0 ? .untilClose : .chunked, keepAlive: exchange.keepAlive)
      exchange.reply = .streaming(bytes, ended: false)
    }
  }

  mutating func stream(_ sequence: UInt64, _ piece: [UInt8]) {
    edit(sequence) { exchange in
      guard case .streaming(var bytes, ended: false) = exchange.reply else { return }
      exchange.reply = .awaited
      if exchange.minorVersion == 0 { bytes.append(contentsOf: piece) } else { bytes.appendChunk(piece) }
      exchange.reply = .streaming(bytes, ended: false)
    }
  }

  mutating func endStreaming(_ sequence: UInt64) {
    edit(sequence) { exchange in
      guard case .streaming(var bytes, ended: false) = exchange.reply else { return }
      if exchange.minorVersion > 0 { bytes.append("0\r\n\r\n") }
      exchange.reply = .streaming(bytes, ended: true)
    }
  }

  private mutating func edit(_ sequence: UInt64, _ body: (inout Exchange) -> Void) {
    guard let index = exchanges.firstIndex(where: { $0.sequence == sequence }) else { return }
    body(&exchanges[index])
  }

  /// Sends everything that is complete at the front of the line.
  private mutating func flush(effects: inout Effects) {
    while let first = exchanges.first {
      switch first.reply {
      case .awaited: return
      case .streaming(let bytes, let ended):
        effects.outbox.send(id, bytes: bytes)
        guard ended else { return exchanges[0].reply = .streaming([], ended: false) }
        // A stream to an HTTP/1.0 client has no other end than that of the connection.
        if !first.keepAlive || first.minorVersion == 0 { return close(effects: &effects) }
      case .complete(let bytes):
        effects.outbox.send(id, bytes: bytes)
        if !first.keepAlive { return close(effects: &effects) }
      }
      exchanges.removeFirst()
    }
  }

  private mutating func close(effects: inout Effects) {
    exchanges.removeFirst()
    isClosed = true
    effects.outbox.close(id)
  }
}
