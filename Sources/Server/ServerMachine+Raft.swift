import Base
import Raft
import State
import Wire

/// What Raft tells: entries to apply, leaders that come and go, snapshots.
extension ServerMachine {
  mutating func drainRaft(_ effects: inout Effects) -> Bool {
    let raised = raft.takeEvents()
    guard !raised.isEmpty else { return false }
    for event in raised {
      if case .committed = event {} else { isStatusStale = true }
      switch event {
      case .committed(let entries): apply(entries, &effects)
      case .leadershipGained(let term): becomeLeader(term, &effects)
      case .leadershipLost:
        effects.log.log(.info, "nomad", "cluster leadership lost")
        leadership.lost()
        failRestores(&effects)
        // Consistent queries that wait here are asked again, of the new leader.
        watches.wakeAll()
        events.append(.leadership(false))
      case .leaderChanged(let leader): leaderChanged(leader, &effects)
      case .configurationChanged:
        checkIdentities(&effects)
        leadership.reconcileSoon(at: now.instant)
        updateBootstrapView(&effects)
        continueLeaving(&effects)
        reportConfiguration()
      case .proposalsFailed(let range): failProposals(range, &effects)
      case .snapshotWanted:
        guard state.canSnapshot else {
          warnAboutForeignEntries("no snapshot is taken and the whole log is kept", &effects)
          continue
        }
        guard !isEncodingState, isSnapshotDue else { continue }
        isEncodingState = true
        snapshotBegunAt = now.instant
        events.append(.encodeState(state, at: raft.appliedIndex))
      case .restoreSnapshot(let metadata, let bytes): restore(metadata, bytes, &effects)
      case .transferFailed:
        leaving.transferFailed(at: now.instant)
        transferEnded(&effects)
      case .storageFailed(let text):
        effects.log.log(.error, "nomad.raft", "storage failed, this server takes no part any more", ["error": text])
        guard !raft.isContradicted else {
          events.append(
            .fatal(
              "\(text): this server took over a state that the others did not; move its data directory away and let "
                + "it join its cluster again"))
          continue
        }
        events.append(.fatal("cannot write the Raft store: \(text)"))
      }
    }
    announceCluster(&effects)
    updateBootstrapView(&effects)
    return true
  }

  /// `raft_snapshot_interval`: not more often, unless a peer waits for one or the log grows too long meanwhile.
  private var isSnapshotDue: Bool {
    guard let begun = snapshotBegunAt, now.instant - begun < configuration.snapshotInterval else { return true }
    let bound = configuration.raftLimits.snapshotThreshold * Self.snapshotThresholdsMax
    return raft.isSnapshotAwaited || raft.appliedIndex - raft.snapshotIndex >= bound
  }

  static let snapshotThresholdsMax = 4

  /// Tells a committed configuration once. Not while a later one is under way, or while it is not yet known again after
  /// a start how far the log is committed: the file must never go back.
  mutating func reportConfiguration() {
    let latest = raft.configuration
    guard !latest.isEmpty, raft.configurationIndex <= raft.commitIndex, latest != reportedConfiguration else { return }
    reportedConfiguration = latest
    events.append(.configurationCommitted(latest))
  }

  private mutating func apply(_ entries: [LogEntry], _ effects: inout Effects) {
    let couldSnapshot = state.canSnapshot
    for entry in entries {
      var result = ApplyResult.done
      if !entry.kind.isKnown { state.countForeignEntry() }
      if entry.kind == .command {
        result = state.apply(index: entry.index.value, entry.data.bytes, waking: &watches)
        if case .failed(let error) = result {
          effects.log.log(.debug, "nomad.fsm", "entry had no effect", ["index": "\(entry.index)", "error": error.text])
        }
      }
      if leadership.barrier == entry.index {
        leadership.barrier = nil
        establishLeadership(&effects)
      }
      guard let proposal = requests.proposals.removeValue(forKey: entry.index) else { continue }
      respond(proposal.caller, proposal.answer, result: result, index: entry.index.value, &effects)
      if case .nodeChange(fillsModifyIndex: true) = proposal.answer { completeDrains(&effects) }
    }
    if couldSnapshot, !state.canSnapshot {
      warnAboutForeignEntries("from now on this server takes no snapshots and keeps its whole log", &effects)
    }
    if let last = entries.last { continueRestores(through: last.index, &effects) }
  }

  /// A server of another version or make shares the region, and what it writes is not in our state. It stays in the
  /// log, so that nothing is lost (COMPATIBILITY.md).
  private func warnAboutForeignEntries(_ consequence: String, _ effects: inout Effects) {
    effects.log.log(
      .warn, "nomad.fsm", "the log holds work that this version does not model: \(consequence)",
      ["entries": "\(state.foreignEntries)"])
  }

  /// The answer to `.encodeState`.
  public mutating func stateEncoded(
    _ bytes: [UInt8], at index: LogIndex, now: Moment, effects: inout Effects
  ) {
    self.now = now
    isEncodingState = false
    raft.provideSnapshot(bytes, at: index, now: now.instant, effects: &effects)
    settle(&effects)
  }

  private mutating func becomeLeader(_ term: Term, _ effects: inout Effects) {
    effects.log.log(.info, "nomad", "cluster leadership acquired", ["term": "\(term)"])
    do throws(RaftError) {
      leadership.barrier = try raft.barrier(at: now.instant, effects: &effects)
    } catch {
      effects.log.log(.error, "nomad", "failed to wait for barrier", ["error": error.text])
    }
  }

  private mutating func leaderChanged(_ leader: RaftLeader?, _ effects: inout Effects) {
    events.append(.leaderChanged(leader?.address))
    if let leader { effects.log.log(.info, "nomad.raft", "leader known", ["address": leader.address]) }
    if leader == nil { joining.hurry(at: now.instant) }
    finishTransferCallers(&effects)
    retryHeld(&effects)
    continueLeaving(&effects)
  }

  private mutating func failProposals(_ range: ClosedRange<LogIndex>, _ effects: inout Effects) {
    let lost = requests.proposals.keys.filter { range.contains($0) }.sorted()
    for index in lost {
      guard let proposal = requests.proposals.removeValue(forKey: index), proposal.answer != .none else { continue }
      fail(proposal.caller, "leadership lost while committing log", &effects)
    }
  }

  private mutating func restore(_ metadata: SnapshotMetadata, _ bytes: [UInt8], _ effects: inout Effects) {
    do throws(SnapshotError) {
      state = try StateStore(snapshot: bytes.bytes, index: metadata.index.value)
      watches.wakeAll()
      if raft.role == .leader, leadership.isReady { takeOverState(&effects) }
    } catch {
      events.append(.fatal("the leader's snapshot at index \(metadata.index) cannot be read: \(error)"))
    }
  }
}
