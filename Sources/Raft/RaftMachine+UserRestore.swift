import Base
import Wire

// An operator replaces the whole state (raft.md 9.2): the leader takes it as a snapshot above its log, and for the hole
// in the log every follower needs it.

extension RaftMachine {
  /// Replaces the state by `state`, at an index above everything in the log and above `floor` (the index that the state
  /// had where it was saved). The configuration stays. Returns the index of a no-op behind it: when that is committed,
  /// a majority holds the new state.
  ///
  /// The owner asks for it right after an entry of its own was applied, so that only a leader that a majority follows
  /// does this: what one server alone took over would be lost, or contradict the others, should it not come back as
  /// leader. Against the rest of that window stands `contradiction(of:)`.
  mutating func restore(
    _ state: [UInt8], above floor: LogIndex, at now: Instant, effects: inout Effects
  ) throws(RaftError) -> LogIndex {
    try checkLeading()
    guard deliveredIndex == commitIndex, incoming == nil, restoreTicket == nil else { throw .busy }
    guard history.latestIndex <= commitIndex, commitIndex >= leadership.firstIndex else {
      throw .configurationChangeInProgress
    }
    let index = max(log.lastIndex, floor).next
    let metadata = SnapshotMetadata(
      index: index, term: term, configuration: history.latest, configurationIndex: history.latestIndex)
    effects.log.log(
      .warn, "nomad.raft", "replacing the state by a restored snapshot",
      ["index": "\(index)", "term": "\(term)", "last-index": "\(log.lastIndex)"])
    if commitIndex < log.lastIndex { events.append(.proposalsFailed(commitIndex.next...log.lastIndex)) }
    let ticket = makeTicket(.restoredSnapshot)
    restoreTicket = ticket
    storage.append(.saveSnapshot(ticket, metadata, state))
    discardStoredLog(through: index)
    log.reset(toSnapshot: index, term: term)
    history = ConfigurationHistory(metadata.configuration, at: metadata.configurationIndex)
    commitIndex = index
    deliveredIndex = index
    snapshotAskedAt = nil
    events.append(.restoreSnapshot(metadata, state))
    events.append(.configurationChanged)
    // Until a majority has the state, nobody may read it or build upon it.
    if flaw != .restoreReadEarly { leadership.firstIndex = log.lastIndex.next }
    appendAsLeader([(.noop, [])], at: now, effects: &effects)
    return log.lastIndex
  }

  mutating func restoredSnapshotSaved(_ result: StorageResult, at now: Instant, effects: inout Effects) {
    restoreTicket = nil
    if case .failed(let reason) = result { return halt(reason, effects: &effects) }
    guard role == .leader else { return }
    // They were made to wait for this.
    for position in leadership.peers.indices { leadership.peers[position].retryAt = now }
    replicateToAll(at: now, effects: &effects)
  }

  /// The index at which the leader's log differs from what is committed here. That cannot be while the rules are kept:
  /// either a restored snapshot never reached a majority, or a recovery made two clusters of one. Nothing may be
  /// answered from such a state, and no rule can mend it.
  func contradiction(of request: AppendEntriesRequest) -> LogIndex? {
    if request.previousIndex > 0, differs(request.previousIndex, request.previousTerm) { return request.previousIndex }
    return request.entries.first { differs($0.index, $0.term) }?.index
  }

  /// Requests in a row that `isUnproven`, after which the leader is believed to be without our snapshot.
  static let unprovenLimit = 16

  /// Whether the request stands below a snapshot that replaced our whole log, without showing that the leader has it
  /// too. What it carries is not here, so it must not be confirmed: should the snapshot be one that was restored and
  /// never reached a majority, the leader would count a copy that does not exist. A leader that has the snapshot never
  /// has a reason to ask, apart from a late repeat.
  func isUnproven(_ request: AppendEntriesRequest) -> Bool {
    let index = log.snapshotIndex
    return request.previousIndex < index && commitIndex == index && log.firstIndex > index
      && !request.entries.contains { $0.index == index } && flaw != .restoreHidesGap
  }

  private func differs(_ index: LogIndex, _ term: Term) -> Bool {
    guard index <= commitIndex, let own = log.term(at: index) else { return false }
    return own != term
  }
}
