import Base
import Raft
import Wire

/// Watches from outside what must never happen. Knows the whole truth: every disk, every log, all that any server ever
/// said to be committed.
package struct ConsensusChecker {
  package private(set) var violations: [String] = []
  /// Every entry that anybody ever saw committed; position 0 is index 1.
  package private(set) var committedEntries: [LogEntry] = []
  /// For each, the term in which it was committed: that of the server that was the first to say so.
  private var commitTerms: [Term] = []
  private(set) var elections = 0
  private(set) var committedConfigurations = 0
  private(set) var settledRestorations = 0
  private var stateHashes: [UInt64] = []
  private var leaders: [Term: Int] = [:]
  /// By index and term: the one entry, and the term of the one before it.
  private var everStored: [Position: Stored] = [:]
  private var lastConfiguration = RaftConfiguration()

  struct Position: Hashable {
    var index: LogIndex
    var term: Term
  }

  /// An operator's snapshot that a leader took over. It counts when an entry behind it is committed; until then the
  /// others may go on without it.
  private struct Restoration {
    var position: Position
    /// What its leader had committed before: all of it is replaced.
    var base: LogIndex
    var hash: UInt64
    var isSettled = false
  }

  private var restorations: [Restoration] = []

  private struct Stored {
    var entry: LogEntry
    var before: Term?
  }

  mutating func violation(_ text: String) { violations.append(text) }

  package var lastCommitted: LogIndex { LogIndex(UInt64(committedEntries.count)) }

  // MARK: Log matching

  /// Two logs that hold the same index and term are the same up to there. By induction it is enough that whatever was
  /// ever stored under an index and a term is one entry, with one predecessor.
  mutating func stored(_ entry: LogEntry, after before: Term?, by server: Int) {
    let position = Position(index: entry.index, term: entry.term)
    guard let known = everStored[position] else {
      everStored[position] = Stored(entry: entry, before: before)
      return
    }
    if known.entry != entry { violation("log matching: server \(server) stores another entry \(entry.index)") }
    guard let before else { return }
    if let other = known.before, other != before {
      violation("log matching: server \(server) has entry \(entry.index) of term \(entry.term) after another entry")
    }
    everStored[position]?.before = before
  }

  // MARK: State machine safety

  /// All servers see the same entry at an index, and no gaps. True when nobody had seen it before.
  /// `term`: the server's. `snapshot`: the one that the server's state started from.
  mutating func committed(
    _ entry: LogEntry, in term: Term, after applied: LogIndex, from snapshot: Position?, by server: Int
  ) -> Bool {
    if let snapshot, snapshot.index == applied { settle(snapshot, in: term, by: server) }
    if entry.index != applied.next { violation("server \(server) applied \(entry.index) after \(applied)") }
    let position = Int(entry.index.value) - 1
    if position < committedEntries.count {
      if committedEntries[position] != entry {
        violation("state machine safety: server \(server) committed another entry at \(entry.index)")
      }
      return false
    }
    if position > committedEntries.count {
      violation("server \(server) committed \(entry.index) before anybody committed what precedes it")
      return false
    }
    committedEntries.append(entry)
    commitTerms.append(term)
    if entry.kind.isConfiguration { configurationCommitted(entry) }
    return true
  }

  mutating func state(_ hash: UInt64, at index: LogIndex, by server: Int) {
    let position = Int(index.value) - 1
    if position < stateHashes.count {
      if stateHashes[position] != hash {
        violation("state machine safety: server \(server) has another state at \(index)")
      }
    } else if position == stateHashes.count {
      stateHashes.append(hash)
    } else {
      violation("server \(server) has a state at \(index), which nobody reached")
    }
  }

  // MARK: Restored snapshots

  mutating func restoring(_ position: Position, after base: LogIndex, hash: UInt64) {
    restorations.append(Restoration(position: position, base: base, hash: hash))
  }

  /// A server's state is replaced by a snapshot.
  mutating func installed(_ position: Position, hash: UInt64, by server: Int) {
    guard let known = restorations.first(where: { $0.position == position && !$0.isSettled }) else {
      return state(hash, at: position.index, by: server)
    }
    if known.hash != hash { violation("server \(server) restores another state at \(position.index)") }
  }

  var hasUnsettled: Bool { restorations.contains { !$0.isSettled } }

  func isUnsettled(_ position: Position) -> Bool {
    restorations.contains { $0.position == position && !$0.isSettled }
  }

  private mutating func settle(_ position: Position, in term: Term, by server: Int) {
    guard let number = restorations.firstIndex(where: { $0.position == position && !$0.isSettled }) else { return }
    restorations[number].isSettled = true
    settledRestorations += 1
    let restored = restorations[number]
    if lastCommitted > restored.base {
      violation("the state restored at \(position.index) undoes \(lastCommitted), committed without it")
    }
    while lastCommitted < position.index {
      committedEntries.append(LogEntry(index: lastCommitted.next, term: position.term, kind: Self.replaced))
      commitTerms.append(term)
    }
    while stateHashes.count < committedEntries.count - 1 { stateHashes.append(0) }
    stateHashes.append(restored.hash)
  }

  /// Stands for the indexes up to a restored snapshot, which no entry has any more.
  private static let replaced = LogEntry.Kind(255)

  // MARK: Committed entries are safe

  /// What is committed must be on the disks of a majority at that moment, or a few crashes could undo it. `holders`:
  /// voters of the committing server's configuration whose disk holds the entry.
  mutating func committedFirst(_ entry: LogEntry, by server: Int, holders: Int, quorum: Int) {
    if holders < quorum {
      violation("server \(server) committed \(entry.index), which \(holders) disks hold where \(quorum) must")
    }
  }

  /// A leader's commit index stands at an entry of its own term: older ones commit only along with such a one.
  mutating func leaderCommits(_ server: Int, term: Term, at index: LogIndex, of entryTerm: Term) {
    if term != entryTerm {
      violation("leader \(server) of term \(term) committed \(index) of term \(entryTerm) by counting")
    }
  }

  /// A server whose disk has nothing to do has written its term and its vote: it may have told them.
  mutating func idle(_ server: Int, _ said: HardState, onDisk written: HardState) {
    if said != written { violation("durability: server \(server) acts on \(said), its disk holds \(written)") }
  }

  // MARK: Leaders

  /// Election safety, and leader completeness: whatever was committed is in the log of every leader of a later term.
  /// One of an earlier term may still be elected, by votes that took long, and knows nothing of it.
  mutating func elected(_ server: Int, term: Term, node: borrowing RaftNode) {
    elections += 1
    if let other = leaders[term], other != server {
      violation("election safety: servers \(other) and \(server) both lead term \(term)")
    }
    leaders[term] = server
    let snapshot = Position(index: node.snapshotIndex, term: node.snapshotTerm)
    let isLater = commitTerms.last.map { $0 < term } ?? false
    for restored in restorations
    where restored.position == snapshot && !restored.isSettled && isLater && lastCommitted > restored.base {
      violation("leader completeness: leader \(server) of term \(term) restored a state below \(lastCommitted)")
    }
    for (entry, committed) in zip(committedEntries, commitTerms)
    where committed < term && entry.index > node.snapshotIndex {
      guard node.storedTerm(at: entry.index) == entry.term else {
        return violation("leader completeness: leader \(server) of term \(term) lacks committed entry \(entry.index)")
      }
    }
  }

  // MARK: Configurations

  /// Never two uncommitted changes in the log of a leader, and each one keeps a server in common between any majority
  /// before and any majority after it.
  mutating func leads(
    _ server: Int, commitIndex: LogIndex, configurations: [(index: LogIndex, configuration: RaftConfiguration)]
  ) {
    let known = max(commitIndex, lastCommitted)
    let open = configurations.filter { $0.index > known }
    if open.count > 1 {
      violation("leader \(server) has two uncommitted configurations: \(open.map(\.index.value))")
    }
    for (before, after) in zip(configurations, configurations.dropFirst()) {
      overlap(before.configuration, after.configuration, at: after.index)
    }
  }

  private mutating func configurationCommitted(_ entry: LogEntry) {
    committedConfigurations += 1
    do throws(WireError) {
      let next = try RaftConfiguration(of: entry)
      overlap(lastConfiguration, next, at: entry.index)
      lastConfiguration = next
    } catch {
      violation("configuration \(entry.index) is unreadable")
    }
  }

  private mutating func overlap(_ before: RaftConfiguration, _ after: RaftConfiguration, at index: LogIndex) {
    guard !before.isEmpty else { return }
    let a = Set(before.servers.filter(\.isVoter).map(\.id))
    let b = Set(after.servers.filter(\.isVoter).map(\.id))
    if a.symmetricDifference(b).count > 1 {
      violation("configuration safety: configuration \(index) changes more than one voter")
    }
  }

  // MARK: Clients

  mutating func judge(_ history: History) -> Int {
    var undecided = 0
    for (key, operations) in history.byKey.enumerated() {
      switch Linearizability.check(operations) {
      case .linearizable: break
      case .undecided: undecided += 1
      case .violated:
        violation("linearizability: the history of register \(key) is not one (\(operations.count) operations)")
      }
    }
    return undecided
  }
}
