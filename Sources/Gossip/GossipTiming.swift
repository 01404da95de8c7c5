import Base

/// The formulas that scale with the size `n` of the pool (gossip.md 5.9, 5.11, 5.14; vectors in A.9).
public enum GossipTiming {
  /// Packets that carry one broadcast.
  public static func retransmitLimit(multiplier: Int, nodes n: Int) -> Int {
    multiplier * Logarithm.decimalCeiling(n + 1)
  }

  /// The shortest time a suspicion lasts.
  public static func suspicionMinimum(multiplier: Int, nodes n: Int, probeInterval: Interval) -> Interval {
    // The sum of a series may fall short of a whole number by a last bit; the millionth puts it right.
    let thousandths = Int(1000 * max(1, Logarithm.decimal(Double(max(1, n)))) + 1e-6)
    return probeInterval * (multiplier * thousandths) / 1000
  }

  /// Time from the start of a suspicion to its end after `confirmations` of `wanted` independent ones.
  public static func suspicionTimeout(
    minimum: Interval, maximum: Interval, confirmations: Int, wanted: Int
  ) -> Interval {
    guard wanted >= 1 else { return minimum }
    let share = Logarithm.natural(Double(confirmations + 1)) / Logarithm.natural(Double(wanted + 1))
    let seconds = maximum.seconds - share * (maximum.seconds - minimum.seconds)
    return max(minimum, .milliseconds(Int64(1000 * seconds + 1e-6)))
  }

  public static func pushPullInterval(base: Interval, threshold: Int, nodes n: Int) -> Interval {
    guard n > threshold else { return base }
    return base * (Logarithm.binaryCeiling(n) - Logarithm.binaryCeiling(threshold) + 1)
  }

  /// How long a query waits for answers.
  public static func queryTimeout(gossipInterval: Interval, multiplier: Int, members n: Int) -> Interval {
    gossipInterval * (multiplier * Logarithm.decimalCeiling(n + 1))
  }
}
