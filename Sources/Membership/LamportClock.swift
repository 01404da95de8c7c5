/// A logical clock: later than everything it has witnessed (gossip.md 6.4). Saturates far below the end of the number
/// range, because peers can send any time.
struct LamportClock: Hashable, Sendable {
  private(set) var time: UInt64 = 1

  static let ceiling: UInt64 = 1 << 63

  /// True when the time is one that an honest peer can have reached.
  static func isPlausible(_ time: UInt64) -> Bool { time < ceiling }

  mutating func witness(_ seen: UInt64) {
    guard Self.isPlausible(seen), seen >= time else { return }
    time = seen + 1
  }

  mutating func increment() {
    if Self.isPlausible(time) { time += 1 }
  }
}
