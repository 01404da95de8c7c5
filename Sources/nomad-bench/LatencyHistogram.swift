import Base

/// Counts of times in buckets that grow with the value: every power of two is divided into 64, so a reported value is
/// at most 1.6 % too large. Adding costs a few instructions and no memory.
struct LatencyHistogram: Equatable {
  static let bucketsPerDoubling = 64
  private static let linearBits = 6

  /// From 0 to the largest `Int64` in nanoseconds.
  private var counts = [UInt64](repeating: 0, count: (64 - linearBits) * bucketsPerDoubling)
  private(set) var count: UInt64 = 0
  private(set) var maximum = Interval.zero

  mutating func add(_ time: Interval) {
    counts[Self.bucket(of: UInt64(max(0, time.nanoseconds)))] += 1
    count += 1
    maximum = max(maximum, time)
  }

  mutating func removeAll() { self = LatencyHistogram() }

  /// The time within which this share of the values lies, never more than the maximum; zero without values.
  func quantile(_ share: Double) -> Interval {
    guard count > 0 else { return .zero }
    let wanted = max(1, UInt64((Double(count) * min(1, max(0, share))).rounded(.up)))
    var seen: UInt64 = 0
    for (bucket, number) in counts.enumerated() {
      seen += number
      if seen >= wanted { return min(Interval(nanoseconds: Int64(clamping: Self.largest(in: bucket))), maximum) }
    }
    return maximum
  }

  /// Values below 64 have a bucket each; above, the leading seven bits of the value choose it.
  private static func bucket(of value: UInt64) -> Int {
    guard value >= UInt64(bucketsPerDoubling) else { return Int(value) }
    let shift = UInt64.bitWidth - 1 - value.leadingZeroBitCount - linearBits
    return shift * bucketsPerDoubling + Int(value >> UInt64(shift))
  }

  private static func largest(in bucket: Int) -> UInt64 {
    guard bucket >= 2 * bucketsPerDoubling else { return UInt64(bucket) }
    let shift = UInt64(bucket / bucketsPerDoubling - 1)
    let leading = UInt64(bucket % bucketsPerDoubling + bucketsPerDoubling)
    return ((leading + 1) << shift) - 1
  }
}
