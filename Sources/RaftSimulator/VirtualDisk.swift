import Base
import Raft
import Wire

/// A disk that keeps what was completed and loses, in a crash, what was not (or keeps a part of it: the machine must
/// not care which).
package final class VirtualDisk: LogReader {
  package struct Contents {
    package var hardState = HardState()
    package var entries: [LogEntry] = []
    package var snapshot: SnapshotMetadata?
    package var state: [UInt8] = []
  }

  /// What a power cut, or a sync that failed, left of the batch under way.
  enum Remains: Equatable {
    case nothing, part, everything
  }

  package private(set) var durable = Contents()
  /// Taken by the disk and not completed.
  private(set) var inFlight: [StorageDirective] = []
  /// Called for each stored entry with the term of the one before, if that is known.
  var stored: ((LogEntry, Term?) -> Void)?
  /// Called when what is written contradicts what is there.
  var contradiction: ((String) -> Void)?

  package init() {}

  package var isIdle: Bool { inFlight.isEmpty }
  package var isPristine: Bool {
    durable.hardState.term == 0 && durable.entries.isEmpty && durable.snapshot == nil
  }

  package func start(_ directives: [StorageDirective]) {
    precondition(isIdle)
    inFlight = directives
  }

  /// Makes everything in flight durable; returns it.
  package func complete() -> [StorageDirective] {
    defer { inFlight = [] }
    for directive in inFlight { carryOut(directive) }
    return inFlight
  }

  /// Power fails, or the sync does. A directive is all or nothing (the store's transactions are), a batch is not.
  /// Returns what was in flight, and how much of it is on the disk unannounced.
  @discardableResult
  func interrupt(random: inout RandomSource) -> (directives: [StorageDirective], remains: Remains) {
    defer { inFlight = [] }
    let kept = random.below(inFlight.count + 1)
    for directive in inFlight.prefix(kept) { carryOut(directive) }
    return (inFlight, kept == 0 ? .nothing : kept == inFlight.count ? .everything : .part)
  }

  /// The batch was refused as a whole.
  func forgetInFlight() { inFlight = [] }

  package var restored: RaftRestoredState {
    var bounds: ClosedRange<LogIndex>?
    if let first = durable.entries.first, let last = durable.entries.last { bounds = first.index...last.index }
    return RaftRestoredState(hardState: durable.hardState, bounds: bounds, snapshot: durable.snapshot)
  }

  /// Whether a crash now would leave this entry here.
  func holds(_ index: LogIndex, _ term: Term) -> Bool {
    if let snapshot = durable.snapshot, snapshot.index >= index { return true }
    return self.term(at: index) == term
  }

  private func carryOut(_ directive: StorageDirective) {
    switch directive {
    case .write(_, let change): carryOut(change)
    case .saveSnapshot(_, let metadata, let state):
      durable.snapshot = metadata
      durable.state = state
    case .compact(_, let index):
      durable.entries.removeAll { $0.index <= index }
    }
  }

  private func carryOut(_ change: LogWrite) {
    if let state = change.hardState {
      if state.term < durable.hardState.term { contradiction?("a term goes back") }
      if state.term == durable.hardState.term, let vote = durable.hardState.vote, state.vote != vote {
        contradiction?("a vote is taken back")
      }
      durable.hardState = state
    }
    if let cut = change.truncateFrom {
      while let last = durable.entries.last, last.index >= cut { durable.entries.removeLast() }
    }
    for entry in change.append {
      var before: Term?
      if let last = durable.entries.last {
        if entry.index != last.index.next { contradiction?("entry \(entry.index) follows \(last.index)") }
        before = last.term
      } else if entry.index == 1 {
        before = 0
      }
      durable.entries.append(entry)
      stored?(entry, before)
    }
  }

  // MARK: LogReader

  package func entries(in range: ClosedRange<LogIndex>, maximumBytes: Int) -> [LogEntry] {
    guard let first = durable.entries.first, range.lowerBound >= first.index else { return [] }
    var result: [LogEntry] = []
    var bytes = 0
    for entry in durable.entries.dropFirst(range.lowerBound - first.index) {
      guard entry.index <= range.upperBound, result.isEmpty || bytes + entry.wireBytes <= maximumBytes else { break }
      bytes += entry.wireBytes
      result.append(entry)
    }
    return result
  }

  package func term(at index: LogIndex) -> Term? {
    guard let first = durable.entries.first, let last = durable.entries.last, index >= first.index, index <= last.index
    else { return nil }
    return durable.entries[index - first.index].term
  }
}
