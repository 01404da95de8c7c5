import Base
import Wire

/// A snapshot of the leader on its way to the disk.
struct IncomingSnapshot {
  var metadata: SnapshotMetadata
  var state: [UInt8]
  var token: ReplyToken
}

extension RaftMachine {
  // MARK: Out

  /// A peer that does not answer is not worth encoding a state for.
  mutating func wantSnapshot(for position: Int, at now: Instant) {
    guard restoreTicket == nil, now - leadership.peers[position].lastContact < timings.leaderLeaseTimeout else {
      leadership.peers[position].retryAt = now + timings.retryDelayMax
      return
    }
    leadership.peers[position].state = .awaitingSnapshot
    leadership.peers[position].retryAt = now + timings.ioTimeout
    events.append(.snapshotWanted)
  }

  /// The state as of `index`. Saved, and sent to the peers that wait for one. Ignored when it is older than what we
  /// have.
  mutating func provideSnapshot(
    _ state: [UInt8], at index: LogIndex, now: Instant, effects: inout Effects
  ) {
    guard !isHalted, index <= deliveredIndex, index >= log.snapshotIndex, index > 0,
      let snapshotTerm = log.term(at: index)
    else { return }
    let item = history.item(at: index)
    let metadata = SnapshotMetadata(
      index: index, term: snapshotTerm, configuration: item.configuration, configurationIndex: item.index)
    if role == .leader { sendSnapshot(metadata, state, at: now) }
    // A leader's snapshot that is being saved must stay the last one on the disk.
    guard index > log.snapshotIndex, !isSavingSnapshot, incoming == nil else { return }
    isSavingSnapshot = true
    storage.append(.saveSnapshot(makeTicket(.ownSnapshot(metadata)), metadata, state))
  }

  private mutating func sendSnapshot(_ metadata: SnapshotMetadata, _ state: [UInt8], at now: Instant) {
    for position in leadership.peers.indices where leadership.peers[position].state == .awaitingSnapshot {
      leadership.peers[position].state = .sendingSnapshot
      leadership.peers[position].retryAt = now
      leadership.peers[position].heldAfter = metadata.index
      let request = InstallSnapshotRequest(
        header: header, term: term, leader: configuration.address, lastIndex: metadata.index,
        lastTerm: metadata.term, configuration: metadata.configuration,
        configurationIndex: metadata.configurationIndex, state: state)
      let exchange = RaftExchange.snapshot(
        term, epoch: leadership.peers[position].epoch, index: metadata.index)
      outputs.append(.request(.installSnapshot(request), to: leadership.peers[position].server, .replication, exchange))
    }
  }

  mutating func handleSnapshotReply(
    _ reply: RaftReply, from id: String, term asked: Term, epoch: Int, index: LogIndex, at now: Instant,
    effects: inout Effects
  ) {
    guard role == .leader, asked == term, let position = leadership.position(of: id) else { return }
    if case .installSnapshot(let response)? = reply.response {
      if response.term > term { return becomeFollower(term: response.term, at: now, effects: &effects) }
      leadership.peers[position].lastContact = now
      if response.success, reply.error.isEmpty {
        leadership.peers[position].failures = 0
        leadership.peers[position].matchIndex = max(leadership.peers[position].matchIndex, index)
        leadership.peers[position].restart()
        leadership.peers[position].nextIndex = leadership.peers[position].matchIndex.next
        commitByCounting(at: now, effects: &effects)
        guard role == .leader else { return }
        return replicate(to: position, at: now, effects: &effects)
      }
    }
    effects.log.log(.warn, "nomad.raft", "failed to install snapshot", ["peer": id, "error": reply.error])
    handleReplicationFailure(of: id, term: asked, epoch: epoch, at: now)
  }

  mutating func ownSnapshotSaved(_ metadata: SnapshotMetadata, _ result: StorageResult, effects: inout Effects) {
    isSavingSnapshot = false
    if case .failed(let reason) = result {
      return effects.log.log(.error, "nomad.raft", "failed to take snapshot", ["error": reason])
    }
    // A leader's snapshot may have overtaken ours.
    guard metadata.index > log.snapshotIndex else { return }
    snapshotAskedAt = nil
    log.setSnapshot(index: metadata.index, term: metadata.term)
    history.compact(through: metadata.index)
    compactLog()
  }

  /// Compaction waits at most this many snapshot thresholds for receivers of a snapshot.
  static let heldThresholds = 4

  private mutating func compactLog() {
    // The snapshot's own entry stays at least: a server without it is one whose log was replaced (`isUnproven`).
    let trailing = max(configuration.limits.trailingEntries, 1)
    guard log.snapshotIndex.value > UInt64(trailing) else { return }
    var last = LogIndex(log.snapshotIndex.value - UInt64(trailing))
    // The last entry of a snapshot that is on its way stays, with all that follow, or its receiver would need the next
    // one at once; within bounds, so that a receiver that never arrives does not keep the log for ever.
    let bound = UInt64(configuration.limits.snapshotThreshold * Self.heldThresholds)
    for peer in leadership.peers {
      guard let held = peer.heldAfter, held <= last, log.snapshotIndex.value - held.value <= bound else { continue }
      last = held.previous
    }
    guard !log.isEmpty, last >= log.firstIndex else { return }
    log.compact(through: last)
    storage.append(.compact(makeTicket(.compaction), through: last))
  }

  // MARK: In

  mutating func handleInstallSnapshot(
    _ request: InstallSnapshotRequest, _ token: ReplyToken, at now: Instant, effects: inout Effects
  ) {
    guard (0...1).contains(request.snapshotVersion) else {
      return answerSnapshot(false, token, error: "unsupported snapshot version \(request.snapshotVersion)")
    }
    guard follow(request.term, request.header, legacyAddress: request.leader, at: now, effects: &effects) else {
      return answerSnapshot(false, token)
    }
    lastContact = now
    restartElectionTimer(at: now, effects: &effects)
    guard request.state.count == request.size else {
      return answerSnapshot(false, token, error: "failed to create snapshot: too large")
    }
    if request.lastIndex <= commitIndex { return answerSnapshot(true, token) }
    guard incoming == nil, request.configuration.defect == nil, request.lastIndex > 0 else {
      return answerSnapshot(false, token, error: "failed to create snapshot: not now")
    }
    effects.log.log(
      .info, "nomad.raft", "installing snapshot",
      ["index": "\(request.lastIndex)", "term": "\(request.lastTerm)", "size": "\(request.size)"])
    let metadata = SnapshotMetadata(
      index: request.lastIndex, term: request.lastTerm, configuration: request.configuration,
      configurationIndex: request.configurationIndex)
    incoming = IncomingSnapshot(metadata: metadata, state: request.state, token: token)
    storage.append(.saveSnapshot(makeTicket(.incomingSnapshot), metadata, request.state))
  }

  mutating func incomingSnapshotSaved(_ result: StorageResult, at now: Instant, effects: inout Effects) {
    guard let snapshot = incoming else { return }
    incoming = nil
    if case .failed(let reason) = result {
      return answerSnapshot(false, snapshot.token, error: "failed to create snapshot: \(reason)")
    }
    if snapshot.metadata.index > commitIndex { adopt(snapshot) }
    if role != .leader { restartElectionTimer(at: now, effects: &effects) }
    answerSnapshot(true, snapshot.token)
  }

  /// The snapshot is durable: it replaces the state, and the log unless that continues it.
  private mutating func adopt(_ snapshot: IncomingSnapshot) {
    let metadata = snapshot.metadata
    if !log.isEmpty, log.storedTerm(at: metadata.index) == metadata.term {
      let later = history.items.filter { $0.index > metadata.index }
      log.setSnapshot(index: metadata.index, term: metadata.term)
      history = ConfigurationHistory(metadata.configuration, at: metadata.configurationIndex)
      for item in later { history.append(item.configuration, at: item.index) }
    } else if flaw == .snapshotKeepsConflictingLog, log.lastIndex > metadata.index {
      log.setSnapshot(index: metadata.index, term: metadata.term)
    } else {
      discardStoredLog(through: metadata.index)
      log.reset(toSnapshot: metadata.index, term: metadata.term)
      history = ConfigurationHistory(metadata.configuration, at: metadata.configurationIndex)
    }
    commitIndex = metadata.index
    deliveredIndex = metadata.index
    snapshotAskedAt = nil
    events.append(.restoreSnapshot(metadata, snapshot.state))
    events.append(.configurationChanged)
    compactLog()
  }

  private mutating func answerSnapshot(_ success: Bool, _ token: ReplyToken, error: String = "") {
    let response = InstallSnapshotResponse(term: term, success: success)
    reply(RaftReply(error: error, response: .installSnapshot(response)), to: token)
  }
}
