import Base

/// A binary heap by time; first in, first out among equals, so that a run depends on its seed alone.
struct EventQueue<Event> {
  private var heap: [(time: Instant, order: Int, event: Event)] = []
  private var counter = 0

  var nextTime: Instant? { heap.first?.time }

  mutating func push(_ event: Event, at time: Instant) {
    counter += 1
    heap.append((time, counter, event))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard isBefore(child, parent) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func pop() -> Event? {
    guard !heap.isEmpty else { return nil }
    heap.swapAt(0, heap.count - 1)
    let result = heap.removeLast().event
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isBefore(child, least) { least = child }
      if least == parent { return result }
      heap.swapAt(least, parent)
      parent = least
    }
  }

  private func isBefore(_ a: Int, _ b: Int) -> Bool { (heap[a].time, heap[a].order) < (heap[b].time, heap[b].order) }
}
