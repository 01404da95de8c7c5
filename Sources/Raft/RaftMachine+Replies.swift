import Base
import Wire

// Ends of exchanges that this node began.

extension RaftMachine {
  mutating func handleReply(
    _ reply: RaftReply, from id: String, to exchange: RaftExchange, at now: Instant, effects: inout Effects
  ) {
    guard !isHalted else { return }
    noteIdentity(reply.response?.header)
    switch exchange {
    case .heartbeat(let asked):
      handleHeartbeatReply(reply, from: id, term: asked, at: now, effects: &effects)
    case .append(let asked, let epoch, let previous, let count, let commit):
      handleAppendReply(
        reply, from: id, term: asked, epoch: epoch, previous: previous, count: count, commit: commit, at: now,
        effects: &effects)
    case .snapshot(let asked, let epoch, let index):
      handleSnapshotReply(reply, from: id, term: asked, epoch: epoch, index: index, at: now, effects: &effects)
    case .vote(let asked):
      handleVoteReply(reply, from: id, asked: asked, at: now, effects: &effects)
    case .preVote(let asked):
      handlePreVoteReply(reply, from: id, asked: asked, at: now, effects: &effects)
    case .timeoutNow(let asked):
      handleTimeoutNowEnd(reply, term: asked)
    }
  }

  /// No reply will come. `closed`: the peer ended an open connection, as opposed to never having been reached.
  mutating func handleFailure(
    of exchange: RaftExchange, with id: String, closed: Bool, at now: Instant, effects: inout Effects
  ) {
    guard !isHalted else { return }
    switch exchange {
    case .heartbeat(let asked):
      handleHeartbeatFailure(of: id, term: asked, at: now)
    case .append(let asked, let epoch, _, _, _), .snapshot(let asked, let epoch, _):
      handleReplicationFailure(of: id, term: asked, epoch: epoch, at: now)
    case .vote(let asked):
      handleBallotFailure(of: id, asked: asked, isPreVote: false, closed: closed, at: now, effects: &effects)
    case .preVote(let asked):
      handleBallotFailure(of: id, asked: asked, isPreVote: true, closed: closed, at: now, effects: &effects)
    case .timeoutNow(let asked):
      handleTimeoutNowEnd(nil, term: asked)
    }
  }

  /// Remembers which servers are of the newer generation; bounded by the configuration.
  mutating func noteIdentity(_ header: RaftHeader?) {
    guard let id = header?.identity?.id, !peersWithIdentity.contains(id), history.latest.server(id: id) != nil,
      peersWithIdentity.count < RaftWire.maximumServers
    else { return }
    peersWithIdentity.insert(id)
    // It was upgraded, or closed a connection for another reason than not knowing pre-votes.
    if let address = header?.identity?.address { withoutPreVote.remove(address) }
  }
}
