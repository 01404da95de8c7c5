import Base

/// When to look at which slot again. Entries are hints: the owner checks what is really due and arms again, so an entry
/// never has to be found and removed. Ties fire in the order they were armed.
struct TimerHeap: Sendable {
  enum Subject: Hashable, Sendable {
    case connection(Int32)
    case call(Int32)
  }

  private struct Entry: Sendable {
    var at: Instant
    var order: UInt64
    var subject: Subject

    func isBefore(_ other: Entry) -> Bool { at < other.at || (at == other.at && order < other.order) }
  }

  private var entries: [Entry] = []
  private var nextOrder: UInt64 = 0

  var first: Instant? { entries.first?.at }

  mutating func arm(_ subject: Subject, at instant: Instant) {
    entries.append(Entry(at: instant, order: nextOrder, subject: subject))
    nextOrder &+= 1
    var child = entries.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard entries[child].isBefore(entries[parent]) else { break }
      entries.swapAt(child, parent)
      child = parent
    }
  }

  /// Removes and returns the first entry that is due.
  mutating func popDue(at now: Instant) -> (at: Instant, subject: Subject)? {
    guard let first = entries.first, first.at <= now else { return nil }
    entries.swapAt(0, entries.count - 1)
    entries.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < entries.count && entries[child].isBefore(entries[least]) {
        least = child
      }
      if least == parent { break }
      entries.swapAt(parent, least)
      parent = least
    }
    return (first.at, first.subject)
  }
}
