import Base
import Wire

extension RaftMachine {
  mutating func replicateToAll(at now: Instant, effects: inout Effects) {
    for position in leadership.peers.indices { replicate(to: position, at: now, effects: &effects) }
  }

  /// Sends what the peer lacks, as far as flight allows; else a commit notice or refresh when one is due.
  mutating func replicate(to position: Int, at now: Instant, effects: inout Effects) {
    while role == .leader, !isHalted, leadership.peers[position].retryAt <= now {
      let peer = leadership.peers[position]
      switch peer.state {
      case .awaitingSnapshot:
        // The owner did not answer for a long time: ask again.
        leadership.peers[position].state = .probe
        continue
      case .sendingSnapshot: return
      case .probe: guard peer.inFlight == 0 else { return }
      case .pipeline: guard peer.inFlight < configuration.limits.flight else { return }
      }
      guard log.canReplicate(from: peer.nextIndex), let previousTerm = log.term(at: peer.nextIndex.previous) else {
        return wantSnapshot(for: position, at: now)
      }
      let entries = log.entries(
        from: peer.nextIndex, through: log.lastIndex, count: configuration.limits.entriesPerRequest,
        bytes: configuration.limits.bytesPerRequest)
      if entries.isEmpty {
        if peer.nextIndex <= log.lastIndex {
          return halt("cannot read entry \(peer.nextIndex) of the log", effects: &effects)
        }
        let isDue = peer.inFlight == 0 && peer.nextRequestAt <= now
        guard peer.state == .probe || isDue else { return }
      }
      send(entries, to: position, previousTerm: previousTerm, at: now, effects: &effects)
      if entries.isEmpty { return }
    }
  }

  private mutating func send(
    _ entries: [LogEntry], to position: Int, previousTerm: Term, at now: Instant, effects: inout Effects
  ) {
    let previous = leadership.peers[position].nextIndex.previous
    let request = AppendEntriesRequest(
      header: header, term: term, leader: configuration.address, previousIndex: previous, previousTerm: previousTerm,
      entries: entries, commitIndex: commitIndex)
    let told = min(commitIndex, previous + entries.count)
    leadership.peers[position].inFlight += 1
    leadership.peers[position].sentCommit = told
    if told == commitIndex { leadership.peers[position].noticeAt = nil }
    if leadership.peers[position].state == .pipeline {
      leadership.peers[position].nextIndex = previous + (entries.count + 1)
    }
    // Idle peers that know the commit index need no stream of refreshes; a rare one finds a dead connection.
    let pace =
      told < commitIndex || leadership.peers[position].confirmedCommit < commitIndex
      ? timings.commitTimeout : timings.heartbeatTimeout
    leadership.peers[position].refreshAt = now + effects.random.interval(pace, pace * 2)
    let exchange = RaftExchange.append(
      term, epoch: leadership.peers[position].epoch, previous: previous, count: entries.count, commit: told)
    outputs.append(.request(.appendEntries(request), to: leadership.peers[position].server, .replication, exchange))
  }

  mutating func handleAppendReply(
    _ reply: RaftReply, from id: String, term asked: Term, epoch: Int, previous: LogIndex, count: Int,
    commit: LogIndex, at now: Instant, effects: inout Effects
  ) {
    guard role == .leader, asked == term, let position = leadership.position(of: id) else { return }
    let isCurrent = leadership.peers[position].epoch == epoch
    guard case .appendEntries(let response)? = reply.response, reply.error.isEmpty else {
      effects.log.log(.warn, "nomad.raft", "failed to appendEntries to", ["peer": id, "error": reply.error])
      if isCurrent { replicationFailed(position, at: now) }
      return
    }
    if response.term > term { return becomeFollower(term: response.term, at: now, effects: &effects) }
    leadership.peers[position].lastContact = now
    if isCurrent { leadership.peers[position].inFlight -= 1 }
    if response.success {
      leadership.peers[position].failures = 0
      appended(through: previous + count, commit: commit, position, isCurrent: isCurrent, at: now, effects: &effects)
    } else if isCurrent {
      refused(previous, response, position, at: now, effects: &effects)
    }
  }

  private mutating func appended(
    through index: LogIndex, commit: LogIndex, _ position: Int, isCurrent: Bool, at now: Instant,
    effects: inout Effects
  ) {
    let id = leadership.peers[position].server.id
    let isNew = index > leadership.peers[position].matchIndex
    if isNew { leadership.peers[position].matchIndex = index }
    if let held = leadership.peers[position].heldAfter, index > held {
      // While it catches up, what it lacks stays.
      let isNear = log.lastIndex - index <= configuration.limits.trailingEntries
      leadership.peers[position].heldAfter = isNear ? nil : index
    }
    leadership.peers[position].confirmedCommit = max(leadership.peers[position].confirmedCommit, commit)
    leadership.peers[position].nextIndex = max(leadership.peers[position].nextIndex, index.next)
    if isCurrent, leadership.peers[position].state == .probe { leadership.peers[position].state = .pipeline }
    if isNew { commitByCounting(at: now, effects: &effects) }
    guard role == .leader else { return }
    continueTransfer(at: now)
    releaseDeparted(at: now)
    // The peer list may have become shorter.
    guard let position = leadership.position(of: id) else { return }
    replicate(to: position, at: now, effects: &effects)
  }

  private mutating func refused(
    _ previous: LogIndex, _ response: AppendEntriesResponse, _ position: Int, at now: Instant,
    effects: inout Effects
  ) {
    leadership.peers[position].restart()
    let next = max(min(previous, response.lastIndex.next), 1)
    leadership.peers[position].nextIndex = next
    // A peer that lost entries it had confirmed (a wiped disk) starts over; what it confirmed no longer counts.
    leadership.peers[position].matchIndex = min(leadership.peers[position].matchIndex, next.previous)
    if response.noRetryBackoff {
      replicate(to: position, at: now, effects: &effects)
    } else {
      replicationFailed(position, at: now)
    }
  }

  /// The connection failed, or the peer answered with an error.
  mutating func handleReplicationFailure(of id: String, term asked: Term, epoch: Int, at now: Instant) {
    guard role == .leader, asked == term, let position = leadership.position(of: id),
      leadership.peers[position].epoch == epoch
    else { return }
    replicationFailed(position, at: now)
  }

  private mutating func replicationFailed(_ position: Int, at now: Instant) {
    leadership.peers[position].restart()
    let failures = leadership.peers[position].failures
    leadership.peers[position].failures = min(failures + 1, 30)
    leadership.peers[position].retryAt = now + retryDelay(failures, longest: timings.retryDelayMax)
  }
}
