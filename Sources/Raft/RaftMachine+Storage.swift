import Base
import Wire

/// A disk directive that is under way, and what its completion means.
struct StorageOperation {
  enum Meaning {
    /// Entries up to here are durable; lowered when a later operation truncates.
    case write(through: LogIndex)
    case ownSnapshot(SnapshotMetadata)
    /// By order of an operator.
    case restoredSnapshot
    case incomingSnapshot
    case compaction
  }

  var ticket: StorageTicket
  var meaning: Meaning
}

/// Something to do when all writes up to a ticket are durable.
struct DeferredAction {
  enum Action {
    case reply(RaftReply, ReplyToken)
    case requestVotes(Term)
  }

  var ticket: StorageTicket
  var action: Action
}

extension RaftMachine {
  /// A snapshot replaces the log: everything that the disk may hold goes, also what a failed compaction left there,
  /// or the entries after the snapshot would follow a gap. `index` is the snapshot's.
  mutating func discardStoredLog(through index: LogIndex) {
    guard !log.isEmpty || hasFailedCompaction else { return }
    hasFailedCompaction = false
    write(LogWrite(truncateFrom: 1), through: index)
  }

  /// Issues a write, merged into the one before if the owner has not taken that yet.
  /// `through`: last index that is durable once it is done.
  mutating func write(_ change: LogWrite, through index: LogIndex) {
    if change.truncateFrom != nil { limitOperations(to: index) }
    let hasHardState = change.hardState != nil
    if case .write(let ticket, var earlier)? = storage.last {
      // Take the value out first, so that merging appends in place.
      storage.removeLast()
      earlier.merge(change)
      storage.append(.write(ticket, earlier))
      operations[operations.count - 1].meaning = .write(through: index)
      if hasHardState { hardTicket = ticket }
      return
    }
    let ticket = makeTicket(.write(through: index))
    storage.append(.write(ticket, change))
    lastWriteTicket = ticket
    if hasHardState { hardTicket = ticket }
  }

  mutating func persist(_ state: HardState) {
    hardState = state
    if flaw == .voteNotPersisted {
      return write(LogWrite(hardState: HardState(term: state.term)), through: log.lastIndex)
    }
    write(LogWrite(hardState: state), through: log.lastIndex)
  }

  mutating func makeTicket(_ meaning: StorageOperation.Meaning) -> StorageTicket {
    defer { nextTicket += 1 }
    let ticket = StorageTicket(number: nextTicket)
    operations.append(StorageOperation(ticket: ticket, meaning: meaning))
    return ticket
  }

  /// Entries after `index` are about to be deleted: earlier writes no longer vouch for them.
  private mutating func limitOperations(to index: LogIndex) {
    for position in operations.indices {
      if case .write(let through) = operations[position].meaning {
        operations[position].meaning = .write(through: min(through, index))
      }
    }
  }

  /// Answers when what the reply relies on is durable: the hard state, and the log up to `index`.
  mutating func reply(_ reply: RaftReply, to token: ReplyToken, whenDurable index: LogIndex = 0) {
    if flaw == .answerBeforeSync, index > 0 {
      outputs.append(.reply(reply, token))
    } else if let ticket = lastWriteTicket, hardTicket != nil || log.durableIndex < index {
      deferred.append(DeferredAction(ticket: ticket, action: .reply(reply, token)))
    } else {
      outputs.append(.reply(reply, token))
    }
  }

  /// The directive with this ticket is carried out. Precondition: tickets complete in order.
  mutating func storageCompleted(
    _ ticket: StorageTicket, _ result: StorageResult, at now: Instant, effects: inout Effects
  ) {
    precondition(operations.first?.ticket == ticket, "storage completes in order")
    let operation = operations.removeFirst()
    if lastWriteTicket == ticket { lastWriteTicket = nil }
    if hardTicket == ticket { hardTicket = nil }
    guard !isHalted else { return }
    switch (operation.meaning, result) {
    case (.write(let index), .done):
      log.becameDurable(through: index)
      runDeferred(through: ticket, at: now, effects: &effects)
      if role == .leader { commitByCounting(at: now, effects: &effects) }
    case (.write, .failed(let reason)):
      halt(reason, effects: &effects)
    case (.ownSnapshot(let metadata), _):
      ownSnapshotSaved(metadata, result, effects: &effects)
    case (.restoredSnapshot, _):
      restoredSnapshotSaved(result, at: now, effects: &effects)
    case (.incomingSnapshot, _):
      incomingSnapshotSaved(result, at: now, effects: &effects)
    case (.compaction, .done):
      break
    case (.compaction, .failed(let reason)):
      // The disk keeps more than it needs; the next snapshot tries again.
      hasFailedCompaction = true
      effects.log.log(.warn, "nomad.raft", "failed to compact the log", ["error": reason])
    }
  }

  private mutating func runDeferred(through ticket: StorageTicket, at now: Instant, effects: inout Effects) {
    var done = 0
    while done < deferred.count, deferred[done].ticket <= ticket { done += 1 }
    guard done > 0 else { return }
    let ready = deferred[..<done]
    deferred.removeFirst(done)
    for item in ready {
      switch item.action {
      case .reply(let reply, let token): outputs.append(.reply(reply, token))
      case .requestVotes(let term): requestVotes(term: term, at: now, effects: &effects)
      }
    }
  }
}
