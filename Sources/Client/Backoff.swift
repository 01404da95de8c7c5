import Base

/// Waits that double up to a limit, each drawn between one half and three halves of its value.
struct Backoff: Hashable, Sendable {
  let minimum: Interval
  let maximum: Interval
  private var failures = 0

  init(minimum: Interval, maximum: Interval) {
    self.minimum = minimum
    self.maximum = maximum
  }

  /// True when nothing has failed since the last success.
  var isFresh: Bool { failures == 0 }

  mutating func reset() { failures = 0 }

  /// The wait after one more failure; never shorter than half the minimum.
  mutating func next(using random: inout RandomSource) -> Interval {
    var wait = minimum
    for _ in 0..<min(failures, 32) where wait < maximum { wait = min(wait * 2, maximum) }
    failures += 1
    return random.interval(wait / 2, wait + wait / 2)
  }
}
