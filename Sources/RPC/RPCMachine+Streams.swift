import Base
import Wire

/// The life of streams below requests and calls.
extension RPCMachine {
  /// The peer sends no more on a stream.
  mutating func handlePeerFinish(_ stream: Int, at now: Instant, effects: inout Effects) {
    streams[stream].peerFinished = true
    switch streams[stream].phase {
    case .mode, .request, .streamHeader:
      // Nothing more can become a request.
      finishStreamOrClose(stream, effects: &effects)
    case .serving, .answering, .streamPending: break
    case .idle, .calling, .streamOpening:
      finishStreamOrClose(stream, failure: .ended, effects: &effects)
    case .streaming:
      pending.events.append(.streamFinished(StreamHandle(slot: streams.name(stream))))
      endStreamIfGone(stream)
    case .finishing:
      endStreamIfGone(stream)
    }
  }

  /// What waited for the peer's window has been sent.
  mutating func handleDrained(_ stream: Int, at now: Instant, effects: inout Effects) {
    switch streams[stream].phase {
    case .answering:
      streams[stream].phase = .request
      nextRequest(stream, at: now, effects: &effects)
    case .streaming:
      pending.events.append(.streamDrained(StreamHandle(slot: streams.name(stream))))
      endStreamIfGone(stream)
    case .finishing:
      endStreamIfGone(stream)
    case .mode, .request, .serving, .idle, .calling, .streamHeader, .streamPending, .streamOpening: break
    }
  }

  /// Ends our direction of a stream; a plain connection is closed. A call that waits on it fails.
  mutating func finishStreamOrClose(_ stream: Int, failure: RPCFailure = .ended, effects: inout Effects) {
    let slot = Int(streams[stream].connection)
    let id = streams[stream].id
    guard connections[slot].stage == .multiplexed else { return close(slot, failure, effects: &effects) }
    let gone = withControl(slot, effects: &effects) { output, connection in
      connection.session.finish(id, output: &output)
    }
    detach(stream, failure: failure)
    if gone { release(stream) }
  }

  /// Ends both directions of a stream at once; a plain connection is closed.
  mutating func resetStream(_ stream: Int, failure: RPCFailure, effects: inout Effects) {
    let slot = Int(streams[stream].connection)
    let id = streams[stream].id
    guard connections[slot].stage == .multiplexed else { return close(slot, failure, effects: &effects) }
    withControl(slot, effects: &effects) { output, connection in connection.session.reset(id, output: &output) }
    endStream(stream, failure: failure)
  }

  /// The stream is gone in both directions.
  mutating func endStream(_ stream: Int, failure: RPCFailure) {
    detach(stream, failure: failure)
    release(stream)
  }

  /// Tells whoever waits on the stream that nothing more will come, and drops what it holds.
  private mutating func detach(_ stream: Int, failure: RPCFailure) {
    let slot = Int(streams[stream].connection)
    let name = streams.name(stream)
    switch streams[stream].phase {
    case .serving:
      pending.events.append(.requestAbandoned(RequestID(slot: name, number: streams[stream].requestNumber)))
    case .calling:
      let call = Int(streams[stream].call)
      streams[stream].call = -1
      finishCall(call, .failure(failure))
    case .idle:
      connections[slot].idle.removeAll { $0 == Int32(stream) }
    case .streamOpening, .streamPending, .streaming:
      pending.events.append(.streamEnded(StreamHandle(slot: name)))
    case .mode, .request, .answering, .finishing, .streamHeader: break
    }
    streams[stream].phase = .finishing
    drop(streams[stream].bufferedCount, from: stream)
  }

  /// Both directions have ended in order, so the session has forgotten the stream.
  private mutating func endStreamIfGone(_ stream: Int) {
    let slot = Int(streams[stream].connection)
    if !connections[slot].session.contains(streams[stream].id) { endStream(stream, failure: .ended) }
  }

  private mutating func release(_ stream: Int) { streams.remove(stream) }
}
