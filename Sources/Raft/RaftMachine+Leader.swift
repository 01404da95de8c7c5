import Base
import Wire

// Duties of a leader (raft.md 5.2).

extension RaftMachine {
  mutating func becomeLeader(at now: Instant, effects: inout Effects) {
    role = .leader
    ballot = Ballot()
    earlyUntil = nil
    withoutLeader = []
    assentFrom = nil
    leadership = Leadership()
    for server in history.latest.servers where !configuration.isSelf(server) {
      leadership.peers.append(PeerProgress(server, nextIndex: log.lastIndex.next, at: now))
    }
    effects.log.log(.info, "nomad.raft", "entering leader state", ["leader": configuration.address])
    events.append(.leadershipGained(term: term))
    setLeader(RaftLeader(id: configuration.id, address: configuration.address))
    leadership.firstIndex = log.lastIndex.next
    appendAsLeader([(.noop, [])], at: now, effects: &effects)
    sendHeartbeats(at: now, effects: &effects)
  }

  /// Appends to the own log and sends at once, or with the owner's `sendProposals`; the own disk works in parallel with
  /// the peers'.
  mutating func appendAsLeader(
    _ items: [(LogEntry.Kind, [UInt8])], sendsLater: Bool = false, at now: Instant, effects: inout Effects
  ) {
    var entries: [LogEntry] = []
    var index = log.lastIndex
    for (kind, data) in items {
      index = index.next
      entries.append(LogEntry(index: index, term: term, kind: kind, data: data))
    }
    log.append(entries)
    write(LogWrite(append: entries), through: log.lastIndex)
    if !sendsLater { replicateToAll(at: now, effects: &effects) }
  }

  // MARK: Commit

  /// An entry of the own term that a majority of voters stores is committed, and all before it (never an older one by
  /// counting alone).
  mutating func commitByCounting(at now: Instant, effects: inout Effects) {
    guard role == .leader else { return }
    let agreed = quorumValue(own: log.durableIndex, none: 0) { $0.matchIndex }
    guard agreed > commitIndex, agreed <= log.lastIndex,
      agreed >= leadership.firstIndex || flaw == .oldTermCommittedByCounting
    else { return }
    advanceCommit(to: agreed, effects: &effects)
    guard role == .leader else { return }
    for position in leadership.peers.indices where leadership.peers[position].sentCommit < commitIndex {
      leadership.peers[position].noticeAt = leadership.peers[position].noticeAt ?? now + timings.commitNotice
    }
    replicateToAll(at: now, effects: &effects)
    if history.latestIndex <= commitIndex, !isVoter {
      effects.log.log(.info, "nomad.raft", "no voter any more, stepping down")
      becomeFollower(term: term, at: now, effects: &effects)
    }
  }

  /// The greatest value that a majority of voters has reached.
  func quorumValue<V: Comparable>(own: V, none: V, _ value: (PeerProgress) -> V) -> V {
    var values: [V] = []
    for server in history.latest.servers where server.isVoter {
      if configuration.isSelf(server) {
        values.append(own)
      } else {
        values.append(leadership.position(of: server.id).map { value(leadership.peers[$0]) } ?? none)
      }
    }
    guard !values.isEmpty else { return none }
    values.sort(by: >)
    return values[values.count / 2]
  }

  // MARK: Time

  /// When a majority has not answered for the lease, and leadership ends.
  private var leaseEnd: Instant {
    quorumValue(own: .distantFuture, none: .start) { $0.lastContact } + pace.quorumTimeout
  }

  var leaderDeadline: Instant {
    var result = leaseEnd
    if let transfer = leadership.transfer { result = min(result, transfer.deadline) }
    for peer in leadership.peers {
      if !peer.isHeartbeatOpen, peer.departsAt == nil { result = min(result, peer.heartbeatAt) }
      if let end = peer.departsAt { result = min(result, end) }
      switch peer.state {
      case .awaitingSnapshot: result = min(result, peer.retryAt)
      case .sendingSnapshot: break
      case .probe:
        if peer.inFlight == 0 { result = min(result, peer.retryAt) }
      case .pipeline:
        if peer.inFlight == 0 { result = min(result, max(peer.nextRequestAt, peer.retryAt)) }
      }
    }
    return result
  }

  mutating func leaderTimeout(at now: Instant, effects: inout Effects) {
    if now >= leaseEnd {
      effects.log.log(.warn, "nomad.raft", "failed to contact quorum of nodes, stepping down")
      return becomeFollower(term: term, at: now, effects: &effects)
    }
    if let transfer = leadership.transfer, now >= transfer.deadline {
      leadership.transfer = nil
      events.append(.transferFailed)
    }
    releaseDeparted(at: now)
    sendHeartbeats(at: now, effects: &effects)
    replicateToAll(at: now, effects: &effects)
  }

  func retryDelay(_ failures: Int, longest: Interval) -> Interval {
    min(timings.retryDelayMin * (1 << min(failures, 10)), longest)
  }

  // MARK: Heartbeats

  private mutating func sendHeartbeats(at now: Instant, effects: inout Effects) {
    let request = AppendEntriesRequest(header: header, term: term, leader: configuration.address)
    let tenth = timings.heartbeatTimeout / 10
    for position in leadership.peers.indices {
      let peer = leadership.peers[position]
      guard !peer.isHeartbeatOpen, peer.heartbeatAt <= now, peer.departsAt == nil else { continue }
      leadership.peers[position].isHeartbeatOpen = true
      leadership.peers[position].heartbeatSentAt = now
      leadership.peers[position].heartbeatAt = now + effects.random.interval(tenth, tenth * 2)
      outputs.append(.request(.appendEntries(request), to: peer.server, .heartbeat, .heartbeat(term)))
    }
  }

  mutating func handleHeartbeatReply(
    _ reply: RaftReply, from id: String, term asked: Term, at now: Instant, effects: inout Effects
  ) {
    guard role == .leader, asked == term, let position = leadership.position(of: id) else { return }
    leadership.peers[position].isHeartbeatOpen = false
    guard case .appendEntries(let response)? = reply.response, reply.error.isEmpty else {
      return heartbeatFailed(position, at: now)
    }
    if response.term > term { return becomeFollower(term: response.term, at: now, effects: &effects) }
    // Any answer counts as contact; success says nothing about the log.
    leadership.peers[position].lastContact = now
    pace.noteRoundTrip(now - leadership.peers[position].heartbeatSentAt, at: now)
    if response.success {
      leadership.peers[position].followedAt =
        flaw == .leaseFromArrival ? now : leadership.peers[position].heartbeatSentAt
    }
    if leadership.peers[position].heartbeatFailures > 0 {
      // The peer is back: do not wait for the rest of a long back-off.
      leadership.peers[position].heartbeatFailures = 0
      leadership.peers[position].failures = 0
      leadership.peers[position].retryAt = min(leadership.peers[position].retryAt, now)
      replicate(to: position, at: now, effects: &effects)
    }
  }

  mutating func handleHeartbeatFailure(of id: String, term asked: Term, at now: Instant) {
    guard role == .leader, asked == term, let position = leadership.position(of: id) else { return }
    leadership.peers[position].isHeartbeatOpen = false
    // A peer whose connections break may be about to conclude that we are gone, and vote early.
    leadership.peers[position].followedAt = nil
    heartbeatFailed(position, at: now)
  }

  private mutating func heartbeatFailed(_ position: Int, at now: Instant) {
    let failures = leadership.peers[position].heartbeatFailures
    leadership.peers[position].heartbeatFailures = min(failures + 1, 30)
    // A peer that answers refusals at once is not asked faster than a healthy one would be, in the long run.
    leadership.peers[position].heartbeatAt = now + retryDelay(failures, longest: timings.heartbeatTimeout / 5)
  }
}
