/// Position of an entry in the replicated log. The first entry has index 1; 0 means "before the log".
///
/// Arithmetic saturates: indexes also come from the wire.
public struct LogIndex: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  public let value: UInt64

  @inlinable public init(_ value: UInt64) { self.value = value }
  @inlinable public init(integerLiteral value: UInt64) { self.value = value }

  public static let none = LogIndex(0)

  @inlinable public var next: LogIndex { self + 1 }
  /// 0 stays 0.
  @inlinable public var previous: LogIndex { LogIndex(value == 0 ? 0 : value - 1) }

  @inlinable public static func < (a: LogIndex, b: LogIndex) -> Bool { a.value < b.value }

  /// Precondition: `count` is not negative.
  @inlinable public static func + (a: LogIndex, count: Int) -> LogIndex {
    let (sum, overflow) = a.value.addingReportingOverflow(UInt64(count))
    return LogIndex(overflow ? .max : sum)
  }

  /// `a - b` as a count; 0 when `a` is not after `b`.
  @inlinable public static func - (a: LogIndex, b: LogIndex) -> Int {
    a.value > b.value ? Int(clamping: a.value - b.value) : 0
  }

  public var description: String { "\(value)" }
}

/// Number of an election period; 0 means "none yet".
public struct Term: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  public let value: UInt64

  @inlinable public init(_ value: UInt64) { self.value = value }
  @inlinable public init(integerLiteral value: UInt64) { self.value = value }

  public static let none = Term(0)

  /// Saturates; a node whose term reached the maximum can never be elected again, which nothing but an attack causes.
  @inlinable public var next: Term { Term(value == .max ? .max : value + 1) }
  @inlinable public static func < (a: Term, b: Term) -> Bool { a.value < b.value }
  public var description: String { "\(value)" }
}
