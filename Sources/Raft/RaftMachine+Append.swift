import Base
import Wire

// The receiving side of replication (raft.md 3.1).

extension RaftMachine {
  /// Any request of a peer. Version check first, heartbeats excepted.
  mutating func handleRequest(
    _ request: RaftRequest, _ token: ReplyToken, at now: Instant, effects: inout Effects
  ) {
    if isHalted { return outputs.append(.reply(RaftReply(error: RaftError.storageFailed.text), token)) }
    if case .appendEntries(let append) = request, append.isHeartbeat {
      return handleAppendEntries(append, token, at: now, effects: &effects)
    }
    let version = request.header.protocolVersion
    guard (0...3).contains(version), version >= configuration.protocolVersion - 1 else {
      return outputs.append(.reply(.unsupportedVersion, token))
    }
    switch request {
    case .appendEntries(let append): handleAppendEntries(append, token, at: now, effects: &effects)
    case .requestVote(let vote): handleRequestVote(vote, token, at: now, effects: &effects)
    case .requestPreVote(let vote): handleRequestPreVote(vote, token, at: now)
    case .timeoutNow(let transfer): handleTimeoutNow(transfer, token, at: now, effects: &effects)
    case .installSnapshot(let snapshot): handleInstallSnapshot(snapshot, token, at: now, effects: &effects)
    }
  }

  /// True when the sender leads in a current term; then it is remembered and followed.
  mutating func follow(
    _ requestTerm: Term, _ header: RaftHeader, legacyAddress: String, at now: Instant, effects: inout Effects
  ) -> Bool {
    guard requestTerm >= term else { return false }
    if requestTerm == term, role == .leader {
      // Two leaders in one term: a broken peer, or one that shares our vote. Neither side may give in to it.
      effects.log.log(.error, "nomad.raft", "another server claims to lead our term", ["from": legacyAddress])
      return false
    }
    if requestTerm > term || role != .follower { becomeFollower(term: requestTerm, at: now, effects: &effects) }
    let address = address(of: header, or: legacyAddress)
    var id = header.identity?.id ?? ""
    if id.isEmpty { id = history.latest.server(address: address)?.id ?? "" }
    setLeader(RaftLeader(id: id, address: address))
    return true
  }

  private mutating func handleAppendEntries(
    _ request: AppendEntriesRequest, _ token: ReplyToken, at now: Instant, effects: inout Effects
  ) {
    let lastIndex = log.lastIndex
    guard follow(request.term, request.header, legacyAddress: request.leader, at: now, effects: &effects) else {
      return answerAppend(false, lastIndex, token)
    }
    if request.isHeartbeat {
      heardFromLeader(at: now, effects: &effects)
      let response = AppendEntriesResponse(header: header, term: term, lastIndex: lastIndex, success: true)
      return outputs.append(.reply(RaftReply(.appendEntries(response)), token))
    }
    if let index = contradiction(of: request) {
      isContradicted = true
      let reason = "entry \(index) of the leader differs from what is committed here"
      halt(reason, effects: &effects)
      return outputs.append(.reply(RaftReply(error: RaftError.storageFailed.text), token))
    }
    if isUnproven(request) {
      unprovenRequests += 1
      guard unprovenRequests >= Self.unprovenLimit else { return answerAppend(false, lastIndex, token) }
      isContradicted = true
      halt("the leader's log does not hold the snapshot \(log.snapshotIndex) of this server", effects: &effects)
      return outputs.append(.reply(RaftReply(error: RaftError.storageFailed.text), token))
    }
    unprovenRequests = 0
    if let retryAfter = mismatch(request.previousIndex, request.previousTerm) {
      return answerAppend(false, retryAfter, noRetryBackoff: true, token)
    }
    guard let verified = store(request.entries, after: request.previousIndex, effects: &effects) else {
      return answerAppend(false, lastIndex, token)
    }
    // Only what this request vouches for: entries beyond it may still be replaced.
    let limit = flaw == .commitBeyondVerified ? log.lastIndex : verified
    advanceCommit(to: min(request.commitIndex, limit), effects: &effects)
    heardFromLeader(at: now, effects: &effects)
    answerAppend(true, lastIndex, token, whenDurable: verified)
  }

  private mutating func heardFromLeader(at now: Instant, effects: inout Effects) {
    lastContact = now
    earlyUntil = nil
    withoutLeader = []
    assentFrom = nil
    pace.heardFromLeader(term, at: now)
    tellPace(&effects)
    restartElectionTimer(at: now, effects: &effects)
  }

  mutating func tellPace(_ effects: inout Effects) {
    guard let news = pace.takeNews() else { return }
    effects.log.log(.info, "nomad.raft", "timeouts follow what is seen here", news)
  }

  /// `nil` when the log holds this entry, or has it in its snapshot; otherwise the last index worth trying.
  private func mismatch(_ index: LogIndex, _ expected: Term) -> LogIndex? {
    // Committed entries are those of every later leader.
    if index <= commitIndex { return nil }
    guard let own = log.term(at: index) else { return log.lastIndex }
    if own == expected || flaw == .previousTermIgnored { return nil }
    // None of our entries of that term can be the leader's: skip the whole term, as the paper suggests (5.3). The
    // hint travels as a shorter last index, which leaders of any implementation follow.
    var candidate = index.previous
    while candidate > commitIndex, log.term(at: candidate) == own { candidate = candidate.previous }
    return candidate
  }

  /// Stores what is new. Returns the last index that is now known to be the leader's; `nil` when the request
  /// contradicts itself or what is committed.
  private mutating func store(
    _ entries: [LogEntry], after previous: LogIndex, effects: inout Effects
  ) -> LogIndex? {
    var fresh = entries.count
    for (position, entry) in entries.enumerated() {
      guard entry.index == previous + (position + 1), entry.index > previous, entry.term <= term else { return nil }
      guard position < fresh else { continue }
      if entry.index <= commitIndex || log.term(at: entry.index) == entry.term { continue }
      fresh = position
    }
    let verified = previous + entries.count
    guard fresh < entries.count else { return verified }
    let added = Array(entries[fresh...])
    let start = added[0].index
    guard let configurations = decodeConfigurations(in: added) else {
      effects.log.log(.error, "nomad.raft", "refusing an unreadable configuration entry")
      return nil
    }
    var change = LogWrite(append: added)
    if start <= log.lastIndex {
      change.truncateFrom = start
      if !history.items.allSatisfy({ $0.index < start }) { events.append(.configurationChanged) }
      log.truncate(from: start)
      history.truncate(from: start)
      // Limits what earlier writes vouch for before the new entries count.
      write(LogWrite(truncateFrom: start), through: log.lastIndex)
      change.truncateFrom = nil
    }
    log.append(added)
    write(change, through: log.lastIndex)
    for item in configurations {
      history.append(item.configuration, at: item.index)
      events.append(.configurationChanged)
    }
    return verified
  }

  private func decodeConfigurations(in entries: [LogEntry]) -> [ConfigurationHistory.Item]? {
    var result: [ConfigurationHistory.Item] = []
    for entry in entries where entry.kind.isConfiguration {
      do throws(WireError) {
        result.append(ConfigurationHistory.Item(index: entry.index, configuration: try RaftConfiguration(of: entry)))
      } catch {
        return nil
      }
    }
    return result
  }

  private mutating func answerAppend(
    _ success: Bool, _ lastIndex: LogIndex, noRetryBackoff: Bool = false, _ token: ReplyToken,
    whenDurable index: LogIndex = 0
  ) {
    let response = AppendEntriesResponse(
      header: header, term: term, lastIndex: lastIndex, success: success, noRetryBackoff: noRetryBackoff)
    reply(RaftReply(.appendEntries(response)), to: token, whenDurable: index)
  }
}
