import Base
import Wire

/// Our calls to peers.
extension RPCMachine {
  /// Calls a method at an address over the pooled session, dialing if there is none. Ends with exactly one `.response`
  /// event unless cancelled. `body` appends exactly one encoded value.
  public mutating func call(
    _ method: RPCMethod, to address: SocketAddress, deadline: Instant, at now: Instant, effects: inout Effects,
    body: (inout [UInt8]) -> Void
  ) -> CallID {
    call(named: method.name, to: address, deadline: deadline, at: now, effects: &effects, body: body)
  }

  /// The same by name, for methods that are only relayed.
  public mutating func call(
    named name: String, to address: SocketAddress, deadline: Instant, at now: Instant, effects: inout Effects,
    body: (inout [UInt8]) -> Void
  ) -> CallID {
    guard calls.count < configuration.maximumCalls else { return failedCall(.tooManyCalls) }
    var slot = pool[address] ?? -1
    if slot >= 0, connections[slot].stage == .multiplexed, connections[slot].session.isDraining {
      retire(slot)
      slot = -1
    }
    if slot < 0 {
      guard connections.count < configuration.maximumConnections else { return failedCall(.dial(.local)) }
      slot = dial(address, at: now, effects: &effects)
    }
    return start(name, on: slot, deadline: deadline, at: now, effects: &effects, body: body)
  }

  /// Calls the peer of a session over that very session, whoever dialed it: the way a server reaches a client (rpc.md
  /// section 6).
  public mutating func call(
    _ method: RPCMethod, overSession session: SessionID, deadline: Instant, at now: Instant, effects: inout Effects,
    body: (inout [UInt8]) -> Void
  ) -> CallID {
    call(named: method.name, overSession: session, deadline: deadline, at: now, effects: &effects, body: body)
  }

  public mutating func call(
    named name: String, overSession session: SessionID, deadline: Instant, at now: Instant, effects: inout Effects,
    body: (inout [UInt8]) -> Void
  ) -> CallID {
    guard calls.count < configuration.maximumCalls else { return failedCall(.tooManyCalls) }
    guard let slot = connections.find(session.slot), connections[slot].stage == .multiplexed,
      !connections[slot].session.isDraining
    else { return failedCall(.noStream) }
    return start(name, on: slot, deadline: deadline, at: now, effects: &effects, body: body)
  }

  /// Forgets a call: no event follows, and the peer is told that nobody waits.
  public mutating func cancel(_ call: CallID, at now: Instant, effects: inout Effects) {
    guard let index = calls.find(call.slot) else { return }
    abandon(index, at: now, effects: &effects)
    flush(&effects)
  }

  private mutating func failedCall(_ failure: RPCFailure) -> CallID {
    let index = calls.insert(.vacant)
    let id = CallID(slot: calls.name(index))
    finishCall(index, .failure(failure))
    return id
  }

  private mutating func start(
    _ name: String, on slot: Int, deadline: Instant, at now: Instant, effects: inout Effects,
    body: (inout [UInt8]) -> Void
  ) -> CallID {
    let index = calls.insert(RPCCall(connection: Int32(slot), deadline: deadline))
    let sequence = nextSequence
    nextSequence &+= 1
    connections[slot].lastUsed = now
    armCall(index)
    if connections[slot].waiting.isEmpty, hasStream(slot) {
      transmit(index, slot, effects: &effects) { output in
        RPCRequestHeader.encode(method: name, sequence: sequence, into: &output)
        body(&output)
      }
    } else {
      RPCRequestHeader.encode(method: name, sequence: sequence, into: &calls[index].request)
      body(&calls[index].request)
      connections[slot].waiting.append(Int32(index))
    }
    return CallID(slot: calls.name(index))
  }

  /// True when a call can be sent on the connection now.
  private func hasStream(_ slot: Int) -> Bool {
    connections[slot].stage == .multiplexed && (!connections[slot].idle.isEmpty || connections[slot].session.canOpen)
  }

  /// Sends a request on an idle stream or a new one; the mode byte follows the SYN at once (rpc.md section 2.5).
  /// Precondition: `hasStream`.
  private mutating func transmit(
    _ call: Int, _ slot: Int, effects: inout Effects, _ encode: (inout [UInt8]) -> Void
  ) {
    let stream: Int
    let isNew = connections[slot].idle.isEmpty
    if let reused = connections[slot].idle.popLast() {
      stream = Int(reused)
    } else {
      stream = streams.insert(RPCStream(.calling, connection: slot, id: 0))
    }
    streams[stream].phase = .calling
    streams[stream].call = Int32(call)
    calls[call].stream = Int32(stream)
    var id = streams[stream].id
    send(slot, effects: &effects) { output, connection in
      if isNew {
        id = connection.session.open(tag: stream, output: &output) ?? 0
        if connection.hasModes {
          let start = connection.session.beginData(&output)
          output.append(FirstByte.plain.rawValue)
          connection.session.endData(start, of: id, output: &output)
        }
      }
      let start = connection.session.beginData(&output)
      encode(&output)
      connection.session.endData(start, of: id, output: &output)
    }
    streams[stream].id = id
  }

  /// Sends calls that waited, as far as streams can be had.
  mutating func startWaiting(_ slot: Int, at now: Instant, effects: inout Effects) {
    guard !connections[slot].waiting.isEmpty, connections[slot].stage == .multiplexed else { return }
    var started = 0
    while started < connections[slot].waiting.count, hasStream(slot) {
      let call = Int(connections[slot].waiting[started])
      started += 1
      var request: [UInt8] = []
      swap(&request, &calls[call].request)
      transmit(call, slot, effects: &effects) { $0.append(contentsOf: request) }
    }
    connections[slot].waiting.removeFirst(started)
    if connections[slot].session.isDraining {
      let left = connections[slot].waiting
      connections[slot].waiting = []
      for call in left { finishCall(Int(call), .failure(.noStream)) }
    }
  }

  mutating func parseResponse(_ stream: Int, _ bytes: RawSpan) -> Parsed {
    var reader = MessagePackReader(bytes)
    do throws(WireError) {
      let header = try RPCResponseHeader(&reader)
      let start = reader.offset
      try reader.skip()
      let call = Int(streams[stream].call)
      streams[stream].call = -1
      if header.error.isEmpty {
        finishCall(call, .reply(pending.append(bytes.extracting(start..<reader.offset))))
      } else {
        // Go peers may end the stream behind an error, so it is not used again.
        streams[stream].finishesAfterAnswer = true
        finishCall(call, .remoteError(pending.append(bytes.extracting(header.error))))
      }
      return .complete(reader.offset)
    } catch {
      return error == .truncated ? .incomplete : .malformed(position: reader.offset, hasHeader: false)
    }
  }

  /// The answer is out: the stream waits for the next call or ends.
  mutating func settleCall(_ stream: Int, at now: Instant, effects: inout Effects) {
    let slot = Int(streams[stream].connection)
    connections[slot].lastUsed = now
    streams[stream].phase = .finishing
    let isKept =
      connections[slot].isDialer && !connections[slot].isDraining && !streams[stream].finishesAfterAnswer
      && !streams[stream].peerFinished
      && (connections[slot].idle.count < configuration.idleStreams || !connections[slot].waiting.isEmpty)
    guard isKept else { return finishStreamOrClose(stream, effects: &effects) }
    streams[stream].phase = .idle
    connections[slot].idle.append(Int32(stream))
  }

  /// Reports a call's end and forgets it.
  mutating func finishCall(_ call: Int, _ outcome: RPCOutcome) {
    guard calls.isUsed(call) else { return }
    pending.events.append(.response(CallID(slot: calls.name(call)), outcome))
    calls.remove(call)
  }

  /// Takes a call off its stream or its queue without an event.
  mutating func abandon(_ call: Int, at now: Instant, effects: inout Effects) {
    let slot = Int(calls[call].connection)
    let stream = Int(calls[call].stream)
    calls.remove(call)
    if stream >= 0 {
      streams[stream].call = -1
      // A reset frees the peer's handler and its window at once; a FIN would leave both until it answers.
      resetStream(stream, failure: .ended, effects: &effects)
    } else {
      connections[slot].waiting.removeAll { $0 == Int32(call) }
    }
  }

  /// No new calls on this connection: a later one dials again.
  mutating func retire(_ slot: Int) {
    guard connections[slot].isDialer else { return }
    connections[slot].isDraining = true
    if pool[connections[slot].peer] == slot { pool[connections[slot].peer] = nil }
  }

  /// Closes a retired connection once its last stream in use is gone.
  mutating func closeIfDrained(_ slot: Int, at now: Instant, effects: inout Effects) {
    guard connections[slot].isDraining, connections[slot].waiting.isEmpty,
      connections[slot].session.streamCount <= connections[slot].idle.count
    else { return }
    close(slot, .ended, effects: &effects)
  }
}
