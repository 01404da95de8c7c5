import Wire

extension RaftMachine {
  /// A crash between saving a leader's snapshot and dropping the old log leaves a log that the snapshot replaces.
  mutating func discardLogBehindSnapshot() {
    let index = log.snapshotIndex
    guard index > 0, !log.isEmpty else { return }
    let covers = log.lastIndex >= index && (log.firstIndex > index || log.storedTerm(at: index) == log.snapshotTerm)
    guard !covers else { return }
    discardStoredLog(through: index)
    log.reset(toSnapshot: index, term: log.snapshotTerm)
  }

  /// Reads the configurations in the log after the snapshot.
  mutating func restoreHistory() throws(RaftError) {
    guard !log.isEmpty else { return }
    var index = max(log.firstIndex, log.snapshotIndex.next)
    while index <= log.lastIndex {
      let entries = log.entries(from: index, through: log.lastIndex, count: 1024, bytes: 1 << 20)
      guard let last = entries.last else { throw .damaged(.unreadableEntry(index)) }
      for entry in entries where entry.kind.isConfiguration {
        do throws(WireError) {
          history.append(try RaftConfiguration(of: entry), at: entry.index)
        } catch {
          throw .damaged(.unreadableConfiguration(entry.index))
        }
      }
      index = last.index.next
    }
  }
}
