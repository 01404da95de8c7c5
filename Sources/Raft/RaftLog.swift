import Base
import Wire

/// The log as the node sees it: a snapshot boundary, stored entries, and a cache of the newest ones that always holds
/// everything that is not durable yet.
struct RaftLog {
  /// Last index and term covered by the snapshot; 0 without one.
  private(set) var snapshotIndex: LogIndex
  private(set) var snapshotTerm: Term
  /// First stored index; meaningful when the log is not empty.
  private(set) var firstIndex: LogIndex
  /// Last index, of an entry or of the snapshot.
  private(set) var lastIndex: LogIndex
  private(set) var lastTerm: Term
  /// Everything up to here survives a crash.
  private(set) var durableIndex: LogIndex

  /// The newest entries; consecutive and ending at `lastIndex`.
  private var cache: [LogEntry] = []
  private var cachedBytes = 0
  private let reader: any LogReader
  private let limits: RaftLimits

  init(restoring state: RaftRestoredState, reader: any LogReader, limits: RaftLimits) throws(RaftError) {
    self.reader = reader
    self.limits = limits
    snapshotIndex = state.snapshot?.index ?? 0
    snapshotTerm = state.snapshot?.term ?? 0
    if let bounds = state.bounds {
      guard let term = reader.term(at: bounds.upperBound) else {
        throw .damaged(.unreadableEntry(bounds.upperBound))
      }
      guard bounds.lowerBound <= snapshotIndex.next else { throw .damaged(.gapAfterSnapshot) }
      firstIndex = bounds.lowerBound
      lastIndex = bounds.upperBound
      lastTerm = term
    } else {
      firstIndex = snapshotIndex.next
      lastIndex = snapshotIndex
      lastTerm = snapshotTerm
    }
    durableIndex = lastIndex
  }

  var isEmpty: Bool { firstIndex > lastIndex }

  /// `nil` when the entry is compacted away, beyond the end, or unreadable.
  func term(at index: LogIndex) -> Term? {
    if index == lastIndex { return lastTerm }
    if index == snapshotIndex { return snapshotTerm }
    return storedTerm(at: index)
  }

  /// As `term(at:)`, but of the stored entry even where the snapshot knows the answer too.
  func storedTerm(at index: LogIndex) -> Term? {
    guard !isEmpty, index >= firstIndex, index <= lastIndex else { return nil }
    if let first = cache.first, index >= first.index { return cache[index - first.index].term }
    return reader.term(at: index)
  }

  /// Whether entries from `index` on can be sent: they are stored, and the one before is known.
  func canReplicate(from index: LogIndex) -> Bool {
    index > lastIndex ? index == lastIndex.next : !isEmpty && index >= firstIndex && index != 0
  }

  /// Entries from `index` on, within the limits, at least one if it exists; empty on a read error.
  func entries(from index: LogIndex, through last: LogIndex, count: Int, bytes: Int) -> [LogEntry] {
    guard !isEmpty, index >= firstIndex, index <= min(last, lastIndex), count > 0 else { return [] }
    let end = min(last, lastIndex, index + (count - 1))
    guard let first = cache.first, index >= first.index else {
      let stored = cache.first.map { min(end, $0.index.previous) } ?? end
      return reader.entries(in: index...stored, maximumBytes: bytes)
    }
    var position = index - first.index
    let stop = end - first.index
    let start = position
    var size = 0
    while position <= stop {
      size += cache[position].wireBytes
      if size > bytes, position > start { break }
      position += 1
    }
    return Array(cache[start..<position])
  }

  /// Precondition: consecutive, following `lastIndex`.
  mutating func append(_ entries: [LogEntry]) {
    guard let first = entries.first, let last = entries.last else { return }
    precondition(first.index == lastIndex.next)
    if isEmpty { firstIndex = first.index }
    cache.append(contentsOf: entries)
    for entry in entries { cachedBytes += entry.wireBytes }
    lastIndex = last.index
    lastTerm = last.term
    trimCache()
  }

  /// Removes `index` and everything after. Precondition: it is stored, and the entry before it is known.
  mutating func truncate(from index: LogIndex) {
    precondition(index >= firstIndex && index <= lastIndex)
    let before = term(at: index.previous) ?? 0
    while let last = cache.last, last.index >= index {
      cachedBytes -= last.wireBytes
      cache.removeLast()
    }
    lastIndex = index.previous
    lastTerm = before
    durableIndex = min(durableIndex, lastIndex)
  }

  mutating func becameDurable(through index: LogIndex) {
    durableIndex = max(durableIndex, min(index, lastIndex))
    trimCache()
  }

  /// A snapshot of ours: the boundary moves, `through` and everything before are forgotten.
  mutating func compact(through index: LogIndex) {
    guard !isEmpty, index >= firstIndex else { return }
    firstIndex = min(index, lastIndex).next
    dropCache(before: firstIndex)
  }

  mutating func setSnapshot(index: LogIndex, term: Term) {
    snapshotIndex = index
    snapshotTerm = term
  }

  /// A snapshot replaces the log.
  mutating func reset(toSnapshot index: LogIndex, term: Term) {
    setSnapshot(index: index, term: term)
    cache.removeAll()
    cachedBytes = 0
    firstIndex = index.next
    lastIndex = index
    lastTerm = term
    durableIndex = index
  }

  /// Keeps what is not durable and the newest entries within the limits; amortised, in steps of half the limit.
  private mutating func trimCache() {
    guard cache.count > 2 * limits.cachedEntries || cachedBytes > 2 * limits.cachedBytes else { return }
    var drop = 0
    var bytes = cachedBytes
    while drop < cache.count, cache[drop].index <= durableIndex,
      cache.count - drop > limits.cachedEntries || bytes > limits.cachedBytes
    {
      bytes -= cache[drop].wireBytes
      drop += 1
    }
    cache.removeFirst(drop)
    cachedBytes = bytes
  }

  private mutating func dropCache(before index: LogIndex) {
    var drop = 0
    while drop < cache.count, cache[drop].index < index {
      cachedBytes -= cache[drop].wireBytes
      drop += 1
    }
    cache.removeFirst(drop)
  }
}
