import Base
import Wire

/// From bytes to messages.
extension RPCMachine {
  /// Peer-opened streams of one session that may lack their mode byte; Go's accept backlog.
  static let maximumModelessStreams = 256

  /// What became of the bytes of a message.
  enum Parsed {
    case incomplete
    /// Handed out; this many bytes are used.
    case complete(Int)
    /// Not a message. `hasHeader` when the request could be identified, so that it can be answered.
    case malformed(position: Int, hasHeader: Bool)
  }

  mutating func receiveFrames(
    _ slot: Int, _ bytes: RawSpan, from start: Int, at now: Instant, effects: inout Effects
  ) {
    var offset = start
    let name = connections.name(slot)
    while connections.find(name) != nil {
      if controlSlot != slot { flush(&effects) }
      controlSlot = slot
      do throws(YamuxFailure) {
        let event = try connections[slot].session.receive(bytes, at: &offset, now: now, output: &control)
        guard let event else { return }
        handle(event, slot, bytes, at: now, effects: &effects)
      } catch {
        let peer = connections[slot].peer
        effects.log.log(.error, Self.logModule, "multiplex session failed", ["from": "\(peer)", "error": "\(error)"])
        return close(slot, .ended, effects: &effects)
      }
    }
  }

  private mutating func handle(
    _ event: YamuxEvent, _ slot: Int, _ bytes: RawSpan, at now: Instant, effects: inout Effects
  ) {
    switch event {
    case .opened(let id):
      let phase: RPCStream.Phase = connections[slot].hasModes ? .mode : .request
      let stream = streams.insert(RPCStream(phase, connection: slot, id: id))
      connections[slot].session.setTag(stream, of: id)
      guard phase == .mode else { return }
      connections[slot].modeless += 1
      if connections[slot].modeless > Self.maximumModelessStreams {
        resetStream(stream, failure: .ended, effects: &effects)
      }
    case .data(let tag, let range):
      deliver(Int(tag), bytes.extracting(range), at: now, effects: &effects)
    case .finished(let tag):
      handlePeerFinish(Int(tag), at: now, effects: &effects)
    case .reset(let tag):
      endStream(Int(tag), failure: .ended)
    case .drained(let tag):
      handleDrained(Int(tag), at: now, effects: &effects)
    case .goAway:
      retire(slot)
    }
  }

  /// Takes bytes of one stream.
  mutating func deliver(_ stream: Int, _ bytes: RawSpan, at now: Instant, effects: inout Effects) {
    switch streams[stream].phase {
    case .mode:
      handleMode(stream, bytes, at: now, effects: &effects)
    case .request, .calling, .streamHeader, .streamOpening:
      receiveMessage(stream, bytes, at: now, effects: &effects)
    case .serving, .answering, .streamPending:
      hold(stream, bytes, effects: &effects)
    case .streaming:
      streams[stream].held += bytes.byteCount
      let range = pending.append(bytes)
      pending.events.append(.streamBytes(StreamHandle(slot: streams.name(stream)), range))
      pauseIfFull(stream, effects: &effects)
    case .idle:
      // An answer nobody asked for: the stream is out of step.
      resetStream(stream, failure: .malformed, effects: &effects)
    case .finishing: break
    }
  }

  private mutating func handleMode(_ stream: Int, _ bytes: RawSpan, at now: Instant, effects: inout Effects) {
    let slot = Int(streams[stream].connection)
    consume(stream, 1, effects: &effects)
    connections[slot].modeless -= 1
    streams[stream].phase = .request
    switch FirstByte(rawValue: bytes.byte(at: 0)) {
    case .plain: break
    case .streaming where configuration.servesStreaming: streams[stream].phase = .streamHeader
    default:
      let peer = connections[slot].peer
      effects.log.log(
        .error, Self.logModule, "invalid stream mode", ["byte": "\(bytes.byte(at: 0))", "from": "\(peer)"])
      withControl(slot, effects: &effects) { output, connection in connection.session.goAway(code: 1, output: &output) }
      return close(slot, .ended, effects: &effects)
    }
    if bytes.byteCount > 1 {
      deliver(stream, bytes.extracting(1..<bytes.byteCount), at: now, effects: &effects)
    }
  }

  /// Parses in place when nothing is buffered; only an incomplete message is copied.
  private mutating func receiveMessage(_ stream: Int, _ bytes: RawSpan, at now: Instant, effects: inout Effects) {
    guard streams[stream].bufferedCount == 0 else {
      guard append(bytes, to: stream, effects: &effects) else { return }
      consume(stream, bytes.byteCount, effects: &effects)
      return parseBuffer(stream, at: now, effects: &effects)
    }
    switch parse(stream, bytes) {
    case .incomplete:
      guard append(bytes, to: stream, effects: &effects) else { return }
      consume(stream, bytes.byteCount, effects: &effects)
      parseBuffer(stream, at: now, effects: &effects)
    case .complete(let count):
      consume(stream, count, effects: &effects)
      let name = streams.name(stream)
      settle(stream, at: now, effects: &effects)
      if count < bytes.byteCount, streams.find(name) != nil {
        deliver(stream, bytes.extracting(count..<bytes.byteCount), at: now, effects: &effects)
      }
    case .malformed(let position, let hasHeader):
      refuse(stream, position: position, hasHeader: hasHeader, at: now, effects: &effects)
    }
  }

  /// Looks for a complete message in the stream's buffer.
  mutating func parseBuffer(_ stream: Int, at now: Instant, effects: inout Effects) {
    var buffer: [UInt8] = []
    swap(&buffer, &streams[stream].buffer)
    let start = streams[stream].bufferStart
    var parsed = Parsed.incomplete
    var scanner = streams[stream].scanner ?? MessagePackScanner(values: streams[stream].valuesPerMessage)
    do throws(WireError) {
      let message = buffer.bytes(start..<buffer.count)
      if try scanner.advance(over: message, limit: configuration.maximumMessageBytes) {
        parsed = parse(stream, message.extracting(0..<scanner.offset))
        if case .incomplete = parsed { parsed = .malformed(position: scanner.offset, hasHeader: false) }
      }
    } catch {
      parsed = .malformed(position: scanner.offset, hasHeader: identify(stream, buffer.bytes(start..<buffer.count)))
    }
    swap(&buffer, &streams[stream].buffer)
    switch parsed {
    case .incomplete:
      streams[stream].scanner = scanner
      // The rest of the buffer is this message: it may be longer than the window, so the peer must go on.
      consume(stream, takeHeld(stream, .max), effects: &effects)
      if streams[stream].deadline == nil { setDeadline(of: stream, now + configuration.messageTimeout) }
    case .complete(let count):
      drop(count, from: stream)
      consume(stream, takeHeld(stream, count), effects: &effects)
      resumeReading(stream, effects: &effects)
      settle(stream, at: now, effects: &effects)
    case .malformed(let position, let hasHeader):
      refuse(stream, position: position, hasHeader: hasHeader, at: now, effects: &effects)
    }
  }

  private mutating func parse(_ stream: Int, _ bytes: RawSpan) -> Parsed {
    switch streams[stream].phase {
    case .request: parseRequest(stream, bytes)
    case .calling: parseResponse(stream, bytes)
    case .streamHeader: parseStreamHeader(stream, bytes)
    case .streamOpening: parseStreamAnswer(stream, bytes)
    default: .incomplete
    }
  }

  /// What follows a complete message, once no borrowed bytes are in use any more.
  private mutating func settle(_ stream: Int, at now: Instant, effects: inout Effects) {
    switch streams[stream].phase {
    case .calling: settleCall(stream, at: now, effects: &effects)
    case .streamOpening: settleStreamAnswer(stream, at: now, effects: &effects)
    default: break
    }
  }

  /// A message that cannot be understood: Go's answers (rpc.md section 3.1), and the end of the stream.
  private mutating func refuse(
    _ stream: Int, position: Int, hasHeader: Bool, at now: Instant, effects: inout Effects
  ) {
    drop(streams[stream].bufferedCount, from: stream)
    switch streams[stream].phase {
    case .request where hasHeader:
      streams[stream].finishesAfterAnswer = true
      streams[stream].phase = .serving
      answer(
        stream, error: "msgpack decode error [pos \(position)]: invalid value", at: now, effects: &effects
      ) { $0.packMapHeader(0) }
    case .calling:
      resetStream(stream, failure: .malformed, effects: &effects)
    case .streamOpening:
      resetStream(stream, failure: .malformed, effects: &effects)
    default:
      finishStreamOrClose(stream, at: now, effects: &effects)
    }
  }

  // MARK: Buffers

  /// Queues bytes behind a request that is being served.
  private mutating func hold(_ stream: Int, _ bytes: RawSpan, effects: inout Effects) {
    guard append(bytes, to: stream, effects: &effects) else { return }
    streams[stream].held += bytes.byteCount
    pauseIfFull(stream, effects: &effects)
  }

  /// False when a limit was exceeded, which ends the connection.
  private mutating func append(_ bytes: RawSpan, to stream: Int, effects: inout Effects) -> Bool {
    let slot = Int(streams[stream].connection)
    guard connections[slot].buffered + bytes.byteCount <= configuration.maximumBufferedBytes,
      buffered + bytes.byteCount <= configuration.maximumTotalBufferedBytes
    else {
      let peer = connections[slot].peer
      effects.log.log(.error, Self.logModule, "too many buffered bytes, closing connection", ["from": "\(peer)"])
      close(slot, .ended, effects: &effects)
      return false
    }
    streams[stream].buffer.append(contentsOf: bytes)
    connections[slot].buffered += bytes.byteCount
    buffered += bytes.byteCount
    return true
  }

  /// Forgets used bytes; an empty buffer keeps no memory.
  mutating func drop(_ count: Int, from stream: Int) {
    guard count > 0 else { return }
    streams[stream].scanner = nil
    streams[stream].deadline = nil
    streams[stream].bufferStart += count
    buffered -= count
    connections[Int(streams[stream].connection)].buffered -= count
    if streams[stream].bufferedCount == 0 {
      streams[stream].buffer = []
      streams[stream].bufferStart = 0
    } else if streams[stream].bufferStart > streams[stream].buffer.count / 2 {
      streams[stream].buffer.removeFirst(streams[stream].bufferStart)
      streams[stream].bufferStart = 0
    }
  }

  /// Takes up to `count` bytes off those the peer got no window for.
  mutating func takeHeld(_ stream: Int, _ count: Int) -> Int {
    let taken = min(streams[stream].held, count)
    streams[stream].held -= taken
    return taken
  }

  /// Gives the peer window for bytes that were used.
  mutating func consume(_ stream: Int, _ count: Int, effects: inout Effects) {
    let id = streams[stream].id
    let slot = Int(streams[stream].connection)
    guard count > 0, connections[slot].stage == .multiplexed else { return }
    withControl(slot, effects: &effects) { output, connection in
      connection.session.consume(count, of: id, output: &output)
    }
  }

  /// A plain connection has no windows: its reading stops instead.
  func isFull(_ stream: Int) -> Bool { streams[stream].held >= YamuxSession.initialWindow }

  mutating func pauseIfFull(_ stream: Int, effects: inout Effects) {
    let slot = Int(streams[stream].connection)
    guard connections[slot].stage == .plain, !connections[slot].isPaused, isFull(stream) else { return }
    connections[slot].isPaused = true
    effects.outbox.pauseReading(connections[slot].id)
  }

  mutating func resumeReading(_ stream: Int, effects: inout Effects) {
    let slot = Int(streams[stream].connection)
    guard connections[slot].isPaused, !isFull(stream) else { return }
    connections[slot].isPaused = false
    effects.outbox.resumeReading(connections[slot].id)
  }
}
