import Base
import RPC
import Wire

/// The allocation query that a client holds open at one server.
struct AllocationPoll: Sendable {
  var call: CallID?
  var address: SocketAddress?
  var startedAt = Instant.start
  /// When the next query starts; nil while one is open or the node is not registered.
  var nextAt: Instant?
  /// Index of the last answer; 0 asks for an answer at once.
  var index: UInt64 = 0
  var backoff = Backoff(minimum: ClientTiming.pollSpacing, maximum: ClientTiming.pollRetryMax)
}

extension ClientMachine {
  /// Keeps the query at the server that takes the heartbeats, so that a client needs one session.
  mutating func followPoll(to address: SocketAddress, at now: Instant, effects: inout Effects) {
    guard configuration.watchesAllocations, status.isRegistered else { return }
    if let call = poll.call {
      guard poll.address != address else { return }
      rpc.cancel(call, at: now, effects: &effects)
      poll.call = nil
      poll.nextAt = max(now, poll.startedAt + ClientTiming.pollSpacing)
    } else if poll.nextAt == nil {
      poll.nextAt = now
    }
  }

  mutating func startPoll(at now: Instant, effects: inout Effects) {
    poll.nextAt = nil
    guard poll.call == nil, let address = servers.first else { return }
    var query = QueryOptions(region: configuration.region, allowStale: true)
    query.authToken = configuration.authToken
    query.minimumQueryIndex = poll.index
    let persisted = persisted
    poll.call = rpc.call(
      .nodeGetClientAllocations, to: address, deadline: now + ClientTiming.pollTimeout, at: now, effects: &effects
    ) { bytes in
      ClientRequest.encodeGetClientAllocations(
        nodeID: persisted.nodeID, secretID: persisted.secretID, query, into: &bytes)
    }
    poll.address = address
    poll.startedAt = now
  }

  mutating func finishPoll(_ answer: Answer, at now: Instant, effects: inout Effects) {
    poll.call = nil
    switch answer {
    case .reply(let bytes):
      var reader = MessagePackReader(bytes.bytes)
      do throws(WireError) {
        let meta = try QueryMeta(&reader)
        // Index 0 would be answered at once, for ever (rpc.md 5.5).
        poll.index = max(1, meta.index)
        poll.backoff.reset()
        poll.nextAt = max(now, poll.startedAt + ClientTiming.pollSpacing)
      } catch {
        failPoll("undecodable answer: \(error)", at: now, effects: &effects)
      }
    case .remoteError(let text):
      poll.index = 0
      failPoll(text, at: now, effects: &effects)
      if text.contains(Self.secretMismatch), status.isRegistered { registerAgain(at: now, effects: &effects) }
    case .failure:
      failPoll(answer.errorText, at: now, effects: &effects)
    }
  }

  mutating func endPoll(at now: Instant, effects: inout Effects) {
    if let call = poll.call { rpc.cancel(call, at: now, effects: &effects) }
    poll = AllocationPoll()
  }

  private mutating func failPoll(_ error: String, at now: Instant, effects: inout Effects) {
    poll.nextAt = now + poll.backoff.next(using: &effects.random)
    effects.log.log(.debug, Self.logModule, "error querying node allocations", ["error": error])
  }
}
