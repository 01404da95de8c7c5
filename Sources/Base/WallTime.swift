/// Civil time: nanoseconds since 1970-01-01T00:00:00Z. Only for what people and peers read (timestamps in node records,
/// certificates, log lines); never for deadlines.
public struct WallTime: Comparable, Hashable, Sendable {
  public let unixNanoseconds: Int64

  @inlinable public init(unixNanoseconds: Int64) { self.unixNanoseconds = unixNanoseconds }

  /// Whole seconds since 1970, rounded down.
  public var unixSeconds: Int64 {
    let (quotient, remainder) = unixNanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    return remainder < 0 ? quotient - 1 : quotient
  }

  /// 0 ..< 1_000_000_000
  public var nanosecondOfSecond: Int64 {
    let remainder = unixNanoseconds % 1_000_000_000
    return remainder < 0 ? remainder + 1_000_000_000 : remainder
  }

  @inlinable public static func < (a: WallTime, b: WallTime) -> Bool { a.unixNanoseconds < b.unixNanoseconds }
}

/// What the shell tells a machine about time: the monotonic instant for deadlines, the civil time for records.
public struct Moment: Hashable, Sendable {
  public let instant: Instant
  public let wall: WallTime

  @inlinable public init(instant: Instant, wall: WallTime) {
    self.instant = instant
    self.wall = wall
  }
}
