import Base

/// Deadlines of streams: dials that must answer, closings that must finish. An entry that is no longer of interest is
/// left until it expires and then ignored by its owner, so removal costs nothing; ids are never reused.
struct DeadlineHeap {
  private var entries: [(at: Instant, id: ConnectionID)] = []

  var earliest: Instant? { entries.first?.at }

  mutating func insert(_ id: ConnectionID, at deadline: Instant) {
    entries.append((deadline, id))
    var child = entries.count - 1
    while child > 0, precedes(child, (child - 1) / 2) {
      entries.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  /// Removes and returns the earliest entry if it is due.
  mutating func popExpired(at now: Instant) -> ConnectionID? {
    guard let first = entries.first, first.at <= now else { return nil }
    entries.swapAt(0, entries.count - 1)
    entries.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < entries.count && precedes(child, least) {
        least = child
      }
      if least == parent { break }
      entries.swapAt(parent, least)
      parent = least
    }
    return first.id
  }

  private func precedes(_ a: Int, _ b: Int) -> Bool {
    (entries[a].at, entries[a].id) < (entries[b].at, entries[b].id)
  }
}
