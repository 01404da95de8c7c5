import Base
import Wire

/// Streaming RPCs (rpc.md section 9): the header exchange here, the bytes behind it are the owner's.
extension RPCMachine {
  /// Opens a streaming RPC at an address over the pooled session, dialing if there is none; answered as by
  /// `openStream(named:overSession:)`.
  public mutating func openStream(
    named name: String, to address: SocketAddress, at now: Instant, effects: inout Effects
  ) -> StreamHandle? {
    var slot = pool[address] ?? -1
    if slot >= 0, connections[slot].stage == .multiplexed {
      guard connections[slot].session.isDraining else {
        return openStream(named: name, overSession: sessionID(slot), at: now, effects: &effects)
      }
      retire(slot)
      slot = -1
    }
    if slot < 0 {
      guard connections.count < configuration.maximumConnections else { return nil }
      slot = dial(address, at: now, effects: &effects)
    }
    let stream = streams.insert(RPCStream(.streamOpening, connection: slot, id: 0))
    streams[stream].methodName = Array(name.utf8)
    connections[slot].waitingStreams.append(Int32(stream))
    return StreamHandle(slot: streams.name(stream))
  }

  /// The dial has succeeded: what waited for it begins.
  mutating func startWaitingStreams(_ slot: Int, at now: Instant, effects: inout Effects) {
    let waiting = connections[slot].waitingStreams
    connections[slot].waitingStreams = []
    for stream in waiting.map({ Int($0) }) {
      guard connections[slot].session.canOpen else {
        endStream(stream, failure: .noStream)
        continue
      }
      let name = String(decoding: streams[stream].methodName, as: UTF8.self)
      streams[stream].methodName = []
      beginStream(stream, named: name, on: slot, at: now, effects: &effects)
    }
  }

  /// Opens a streaming RPC on a session; answered by `.streamingAnswer` or, when the stream dies before,
  /// `.streamEnded`. After an answer with an error text nothing follows. Nil when no stream can be had.
  public mutating func openStream(
    named name: String, overSession session: SessionID, at now: Instant, effects: inout Effects
  ) -> StreamHandle? {
    guard let slot = connections.find(session.slot), connections[slot].stage == .multiplexed,
      connections[slot].hasModes, connections[slot].session.canOpen
    else { return nil }
    let stream = streams.insert(RPCStream(.streamOpening, connection: slot, id: 0))
    beginStream(stream, named: name, on: slot, at: now, effects: &effects)
    return StreamHandle(slot: streams.name(stream))
  }

  private mutating func beginStream(
    _ stream: Int, named name: String, on slot: Int, at now: Instant, effects: inout Effects
  ) {
    connections[slot].lastUsed = now
    var id: UInt32 = 0
    send(slot, effects: &effects) { output, connection in
      id = connection.session.open(tag: stream, output: &output) ?? 0
      let start = connection.session.beginData(&output)
      output.append(FirstByte.streaming.rawValue)
      StreamingHeader.encode(method: name, into: &output)
      connection.session.endData(start, of: id, output: &output)
    }
    streams[stream].id = id
  }

  /// Accepts a streaming request; bytes of the peer follow as events.
  public mutating func acceptStream(_ handle: StreamHandle, at now: Instant, effects: inout Effects) {
    guard let stream = streams.find(handle.slot), streams[stream].phase == .streamPending else { return }
    streams[stream].phase = .streaming
    write(stream, effects: &effects) { StreamingHeader.encodeAnswer(error: "", into: &$0) }
    releaseHeld(stream, effects: &effects)
    flush(&effects)
  }

  /// Refuses a streaming request with a text and ends it.
  public mutating func rejectStream(
    _ handle: StreamHandle, error: String, at now: Instant, effects: inout Effects
  ) {
    guard let stream = streams.find(handle.slot), streams[stream].phase == .streamPending else { return }
    write(stream, effects: &effects) { StreamingHeader.encodeAnswer(error: error, into: &$0) }
    streams[stream].phase = .finishing
    finishStreamOrClose(stream, at: now, effects: &effects)
    flush(&effects)
  }

  /// Sends bytes of an accepted streaming RPC. What exceeds the peer's window waits; see `streamBacklog`.
  public mutating func sendStream(
    _ handle: StreamHandle, at now: Instant, effects: inout Effects, body: (inout [UInt8]) -> Void
  ) {
    guard let stream = streams.find(handle.slot), streams[stream].phase == .streaming else { return }
    write(stream, effects: &effects, body)
    flush(&effects)
  }

  /// Bytes given to `sendStream` that wait for the peer's window. The owner stops producing when it grows and goes on
  /// at `.streamDrained`.
  public func streamBacklog(_ handle: StreamHandle) -> Int {
    guard let stream = streams.find(handle.slot) else { return 0 }
    return connections[Int(streams[stream].connection)].session.pendingCount(of: streams[stream].id)
  }

  /// Tells that `count` bytes of `.streamBytes` events were used, so the peer may send as many more.
  public mutating func creditStream(
    _ handle: StreamHandle, _ count: Int, at now: Instant, effects: inout Effects
  ) {
    guard let stream = streams.find(handle.slot), streams[stream].phase == .streaming else { return }
    consume(stream, takeHeld(stream, count), effects: &effects)
    resumeReading(stream, effects: &effects)
    flush(&effects)
  }

  /// Ends our direction behind everything sent, while bytes of the peer still arrive; the stream is over
  /// (`.streamEnded`) once the peer has ended its own. A connection without multiplexing has no half close: it ends.
  public mutating func finishStream(_ handle: StreamHandle, at now: Instant, effects: inout Effects) {
    guard let stream = streams.find(handle.slot), streams[stream].phase == .streaming else { return }
    let slot = Int(streams[stream].connection)
    let id = streams[stream].id
    if connections[slot].stage == .multiplexed {
      let gone = withControl(slot, effects: &effects) { output, connection in
        connection.session.finish(id, output: &output)
      }
      if gone { endStream(stream, failure: .ended) }
    } else {
      close(slot, .ended, effects: &effects)
    }
    flush(&effects)
  }

  /// Ends both directions at once.
  public mutating func resetStream(_ handle: StreamHandle, at now: Instant, effects: inout Effects) {
    guard let stream = streams.find(handle.slot) else { return }
    // The owner knows: no `.streamEnded` follows.
    let slot = Int(streams[stream].connection)
    streams[stream].phase = .finishing
    if connections[slot].stage == .dialing {
      connections[slot].waitingStreams.removeAll { $0 == Int32(stream) }
      endStream(stream, failure: .ended)
    } else {
      resetStream(stream, failure: .ended, effects: &effects)
    }
    flush(&effects)
  }

  private mutating func write(_ stream: Int, effects: inout Effects, _ body: (inout [UInt8]) -> Void) {
    let id = streams[stream].id
    send(Int(streams[stream].connection), effects: &effects) { output, connection in
      guard connection.stage == .multiplexed else { return body(&output) }
      let start = connection.session.beginData(&output)
      body(&output)
      connection.session.endData(start, of: id, output: &output)
    }
  }

  /// Hands out what arrived behind the header.
  private mutating func releaseHeld(_ stream: Int, effects: inout Effects) {
    let handle = StreamHandle(slot: streams.name(stream))
    if streams[stream].bufferedCount > 0 {
      var buffer: [UInt8] = []
      swap(&buffer, &streams[stream].buffer)
      let range = pending.append(buffer.bytes(streams[stream].bufferStart..<buffer.count))
      swap(&buffer, &streams[stream].buffer)
      drop(range.count, from: stream)
      pending.events.append(.streamBytes(handle, range))
    }
    if streams[stream].peerFinished { pending.events.append(.streamFinished(handle)) }
  }

  mutating func parseStreamHeader(_ stream: Int, _ bytes: RawSpan) -> Parsed {
    var reader = MessagePackReader(bytes)
    do throws(WireError) {
      let range = try StreamingHeader.decodeMethod(&reader)
      let name = bytes.extracting(range)
      let method = RPCMethod(name)
      streams[stream].phase = .streamPending
      pending.events.append(
        .streamingRequest(
          StreamHandle(slot: streams.name(stream)), session: sessionID(Int(streams[stream].connection)),
          method: method, name: pending.append(name)))
      return .complete(reader.offset)
    } catch {
      return error == .truncated ? .incomplete : .malformed(position: reader.offset, hasHeader: false)
    }
  }

  mutating func parseStreamAnswer(_ stream: Int, _ bytes: RawSpan) -> Parsed {
    var reader = MessagePackReader(bytes)
    do throws(WireError) {
      let error = try StreamingHeader.decodeAnswer(&reader)
      streams[stream].finishesAfterAnswer = !error.isEmpty
      pending.events.append(
        .streamingAnswer(StreamHandle(slot: streams.name(stream)), error: pending.append(bytes.extracting(error))))
      return .complete(reader.offset)
    } catch {
      return error == .truncated ? .incomplete : .malformed(position: reader.offset, hasHeader: false)
    }
  }

  /// The answer is out: bytes follow, or the stream ends.
  mutating func settleStreamAnswer(_ stream: Int, at now: Instant, effects: inout Effects) {
    if streams[stream].finishesAfterAnswer {
      streams[stream].phase = .finishing
      return finishStreamOrClose(stream, at: now, effects: &effects)
    }
    streams[stream].phase = .streaming
    releaseHeld(stream, effects: &effects)
  }
}
