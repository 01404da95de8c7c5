import Base
import Wire

@testable import Raft

/// A disk that keeps what was completed and loses, in a crash, what was not (or keeps a part of it: the machine must
/// not care which).
final class VirtualDisk: LogReader {
  struct Contents {
    var hardState = HardState()
    var entries: [LogEntry] = []
    var snapshot: SnapshotMetadata?
    var state: [UInt8] = []
  }

  private(set) var durable = Contents()
  /// Taken by the disk and not completed.
  private(set) var inFlight: [StorageDirective] = []
  /// The next write fails once.
  var failsNext = false

  var isIdle: Bool { inFlight.isEmpty }
  var isPristine: Bool { durable.hardState.term == 0 && durable.entries.isEmpty && durable.snapshot == nil }

  func start(_ directives: [StorageDirective]) {
    precondition(isIdle)
    inFlight = directives
  }

  /// Makes everything in flight durable; returns it.
  func complete() -> [StorageDirective] {
    defer { inFlight = [] }
    for directive in inFlight { carryOut(directive) }
    return inFlight
  }

  /// Power fails. One transaction is all or nothing, but it may have made it to the platter unannounced.
  func crash(random: inout RandomSource) {
    let kept = random.below(inFlight.count + 1)
    for directive in inFlight.prefix(kept) { carryOut(directive) }
    inFlight = []
  }

  /// The operator replaced the disk.
  func wipe() {
    durable = Contents()
    inFlight = []
  }

  var restored: RaftRestoredState {
    var bounds: ClosedRange<LogIndex>?
    if let first = durable.entries.first, let last = durable.entries.last { bounds = first.index...last.index }
    return RaftRestoredState(hardState: durable.hardState, bounds: bounds, snapshot: durable.snapshot)
  }

  private func carryOut(_ directive: StorageDirective) {
    switch directive {
    case .write(_, let change):
      if let state = change.hardState {
        precondition(state.term >= durable.hardState.term, "terms never go back")
        if state.term == durable.hardState.term, let vote = durable.hardState.vote {
          precondition(state.vote == vote, "a vote is never taken back")
        }
        durable.hardState = state
      }
      if let cut = change.truncateFrom { durable.entries.removeAll { $0.index >= cut } }
      for entry in change.append {
        if let last = durable.entries.last { precondition(entry.index == last.index.next, "no holes") }
        durable.entries.append(entry)
      }
    case .saveSnapshot(_, let metadata, let state):
      durable.snapshot = metadata
      durable.state = state
    case .compact(_, let index):
      durable.entries.removeAll { $0.index <= index }
    }
  }

  // MARK: LogReader

  func entries(in range: ClosedRange<LogIndex>, maximumBytes: Int) -> [LogEntry] {
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

  func term(at index: LogIndex) -> Term? {
    guard let first = durable.entries.first, let last = durable.entries.last, index >= first.index, index <= last.index
    else { return nil }
    return durable.entries[index - first.index].term
  }
}
