import Base

/// A binary heap of small events by time; first in, first out among equals, so that a run depends on its seed alone.
struct EventHeap {
  struct Event {
    let time: Instant
    let order: UInt64
    let kind: Kind
    /// A member or a stream, by `kind`.
    let subject: Int32
    /// A packet or a time stamp, by `kind`.
    let detail: Int32
  }

  enum Kind: UInt8 {
    case wake, unblocked, datagram, accepted, connected, refused, received, ended, action
  }

  private var events: [Event] = []
  private var counter: UInt64 = 0

  var nextTime: Instant? { events.first?.time }

  mutating func push(_ kind: Kind, subject: Int, detail: Int = 0, at time: Instant) {
    counter += 1
    let event = Event(time: time, order: counter, kind: kind, subject: Int32(subject), detail: Int32(detail))
    events.append(event)
    var child = events.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard Self.precedes(event, events[parent]) else { break }
      events[child] = events[parent]
      child = parent
    }
    events[child] = event
  }

  mutating func pop() -> Event? {
    guard let first = events.first else { return nil }
    let last = events.removeLast()
    if events.isEmpty { return first }
    var hole = 0
    while true {
      var child = 2 * hole + 1
      guard child < events.count else { break }
      if child + 1 < events.count, Self.precedes(events[child + 1], events[child]) { child += 1 }
      guard Self.precedes(events[child], last) else { break }
      events[hole] = events[child]
      hole = child
    }
    events[hole] = last
    return first
  }

  private static func precedes(_ a: Event, _ b: Event) -> Bool {
    a.time != b.time ? a.time < b.time : a.order < b.order
  }
}
