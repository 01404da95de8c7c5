/// A length of time in nanoseconds. One machine word, unlike `Swift.Duration`, and saturating: durations also come
/// from the wire and from configuration files.
public struct Interval: Comparable, Hashable, Sendable {
  public let nanoseconds: Int64

  @inlinable public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  public static let zero = Interval(nanoseconds: 0)

  @inlinable public static func nanoseconds(_ n: Int64) -> Interval { Interval(nanoseconds: n) }
  @inlinable public static func microseconds(_ n: Int64) -> Interval { scaled(n, 1_000) }
  @inlinable public static func milliseconds(_ n: Int64) -> Interval { scaled(n, 1_000_000) }
  @inlinable public static func seconds(_ n: Int64) -> Interval { scaled(n, 1_000_000_000) }
  @inlinable public static func minutes(_ n: Int64) -> Interval { scaled(n, 60_000_000_000) }
  @inlinable public static func hours(_ n: Int64) -> Interval { scaled(n, 3_600_000_000_000) }

  /// Truncates to a whole nanosecond; saturates; a value that is not a number counts as zero.
  public static func seconds(fraction: Double) -> Interval {
    let nanoseconds = fraction * 1e9
    guard !nanoseconds.isNaN else { return .zero }
    if nanoseconds >= 9.2e18 { return Interval(nanoseconds: .max) }
    if nanoseconds <= -9.2e18 { return Interval(nanoseconds: .min) }
    return Interval(nanoseconds: Int64(nanoseconds))
  }

  @inlinable public var seconds: Double { Double(nanoseconds) / 1e9 }
  @inlinable public var milliseconds: Double { Double(nanoseconds) / 1e6 }

  @inlinable public static func < (a: Interval, b: Interval) -> Bool { a.nanoseconds < b.nanoseconds }

  @inlinable public static func + (a: Interval, b: Interval) -> Interval {
    let (sum, overflow) = a.nanoseconds.addingReportingOverflow(b.nanoseconds)
    return Interval(nanoseconds: overflow ? (b.nanoseconds > 0 ? .max : .min) : sum)
  }

  @inlinable public static func - (a: Interval, b: Interval) -> Interval {
    let (difference, overflow) = a.nanoseconds.subtractingReportingOverflow(b.nanoseconds)
    return Interval(nanoseconds: overflow ? (b.nanoseconds > 0 ? .min : .max) : difference)
  }

  @inlinable public static func * (a: Interval, b: Int) -> Interval { scaled(a.nanoseconds, Int64(b)) }
  public static func * (a: Interval, b: Double) -> Interval { .seconds(fraction: a.seconds * b) }
  /// Precondition: `b` is not zero.
  @inlinable public static func / (a: Interval, b: Int) -> Interval {
    precondition(b != 0)
    let (quotient, overflow) = a.nanoseconds.dividedReportingOverflow(by: Int64(b))
    return Interval(nanoseconds: overflow ? .max : quotient)
  }

  @usableFromInline static func scaled(_ n: Int64, _ unit: Int64) -> Interval {
    let (product, overflow) = n.multipliedReportingOverflow(by: unit)
    return Interval(nanoseconds: overflow ? ((n > 0) == (unit > 0) ? .max : .min) : product)
  }
}
