/// A point on the agent's monotonic clock, in nanoseconds since an arbitrary start.
///
/// Machines never read a clock: the shell (or the simulator) passes the current instant to every `handle...` call.
public struct Instant: Comparable, Hashable, Sendable {
  public let nanoseconds: Int64

  @inlinable public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  public static let start = Instant(nanoseconds: 0)
  /// Later than every instant a clock can show; used for "no deadline" in comparisons.
  public static let distantFuture = Instant(nanoseconds: .max)

  @inlinable public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

  /// Saturates at `distantFuture`, so that a foreign duration can never trap.
  @inlinable public static func + (a: Instant, b: Interval) -> Instant {
    let (sum, overflow) = a.nanoseconds.addingReportingOverflow(b.nanoseconds)
    return Instant(nanoseconds: overflow ? (b.nanoseconds > 0 ? .max : .min) : sum)
  }

  @inlinable public static func - (a: Instant, b: Interval) -> Instant {
    let (difference, overflow) = a.nanoseconds.subtractingReportingOverflow(b.nanoseconds)
    return Instant(nanoseconds: overflow ? (b.nanoseconds > 0 ? .min : .max) : difference)
  }

  @inlinable public static func - (a: Instant, b: Instant) -> Interval {
    let (difference, overflow) = a.nanoseconds.subtractingReportingOverflow(b.nanoseconds)
    return Interval(nanoseconds: overflow ? (a > b ? .max : .min) : difference)
  }

  @inlinable public static func += (a: inout Instant, b: Interval) { a = a + b }
}

/// The earlier of two optional deadlines; `nil` means "none".
@inlinable public func earliest(_ a: Instant?, _ b: Instant?) -> Instant? {
  guard let a else { return b }
  guard let b else { return a }
  return min(a, b)
}
