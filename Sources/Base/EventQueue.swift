/// What will happen in a simulation: a binary heap by time; first in, first out among equals, so that a run depends on
/// its seed alone.
public struct EventQueue<Event> {
  @usableFromInline var heap: [(time: Instant, order: UInt64, event: Event)] = []
  @usableFromInline var counter: UInt64 = 0

  public init() {}

  public var nextTime: Instant? { heap.first?.time }

  @inlinable public mutating func push(_ event: Event, at time: Instant) {
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

  @inlinable public mutating func pop() -> Event? {
    guard !heap.isEmpty else { return nil }
    heap.swapAt(0, heap.count - 1)
    let result = heap.removeLast().event
    var parent = 0
    while true {
      var least = parent
      let left = 2 * parent + 1
      if left < heap.count, isBefore(left, least) { least = left }
      if left + 1 < heap.count, isBefore(left + 1, least) { least = left + 1 }
      if least == parent { return result }
      heap.swapAt(least, parent)
      parent = least
    }
  }

  @inlinable func isBefore(_ a: Int, _ b: Int) -> Bool {
    heap[a].time != heap[b].time ? heap[a].time < heap[b].time : heap[a].order < heap[b].order
  }
}
