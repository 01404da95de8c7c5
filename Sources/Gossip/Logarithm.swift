/// Logarithms for the timing rules, computed here so that every platform and the simulator get the same bits and no
/// libc is needed.
enum Logarithm {
  /// Natural logarithm by the series of the inverse hyperbolic tangent. Precondition: `value` is at least 1.
  static func natural(_ value: Double) -> Double {
    precondition(value >= 1)
    let ratio = (value.significand - 1) / (value.significand + 1)
    let square = ratio * ratio
    var power = ratio
    var sum = 0.0
    var divisor = 1.0
    while divisor < 40 {
      sum += power / divisor
      power *= square
      divisor += 2
    }
    return 2 * sum + Double(value.exponent) * 0.693147180559945309417
  }

  static func decimal(_ value: Double) -> Double { natural(value) / 2.302585092994045684018 }

  /// Smallest `k` with `10^k >= value`; 0 for values up to 1.
  static func decimalCeiling(_ value: Int) -> Int {
    var power = 1
    var result = 0
    while power < value {
      result += 1
      let (next, overflow) = power.multipliedReportingOverflow(by: 10)
      if overflow { return result }
      power = next
    }
    return result
  }

  /// Smallest `k` with `2^k >= value`; 0 for values up to 1.
  static func binaryCeiling(_ value: Int) -> Int {
    value <= 1 ? 0 : Int.bitWidth - (value - 1).leadingZeroBitCount
  }
}
