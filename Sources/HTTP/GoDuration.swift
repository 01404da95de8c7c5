import Base

/// Durations as Go writes and reads them: `1h2m3.5s`, `45.1ms`, `193.609µs`, `0s`.
public enum GoDuration {
  /// The shortest form without trailing zeros, as Go's `Duration.String`.
  public static func text(_ interval: Interval) -> String {
    let nanoseconds = interval.nanoseconds
    if nanoseconds == 0 { return "0s" }
    let sign = nanoseconds < 0 ? "-" : ""
    let size = nanoseconds.magnitude
    switch size {
    case ..<1_000: return "\(sign)\(size)ns"
    case ..<1_000_000: return sign + decimal(size, per: 1_000) + "µs"
    case ..<1_000_000_000: return sign + decimal(size, per: 1_000_000) + "ms"
    default: break
    }
    let seconds = size / 1_000_000_000
    var text = sign
    if seconds >= 3600 { text += "\(seconds / 3600)h" }
    if seconds >= 60 { text += "\(seconds / 60 % 60)m" }
    return text + decimal(size % 60_000_000_000, per: 1_000_000_000) + "s"
  }

  /// Reads what Go's `ParseDuration` reads; `nil` for anything else and for values that do not fit.
  public static func parse(_ text: some StringProtocol) -> Interval? {
    var rest = Array(text.utf8)[...]
    var isNegative = false
    if let sign = rest.first, sign == 0x2D || sign == 0x2B {
      isNegative = sign == 0x2D
      rest.removeFirst()
    }
    if rest.elementsEqual("0".utf8) { return .zero }
    guard !rest.isEmpty, rest.count <= 64 else { return nil }
    var total: Double = 0
    var exact: Int64 = 0
    while !rest.isEmpty {
      let whole = rest.prefix(while: isDigit)
      rest = rest.dropFirst(whole.count)
      var fraction: ArraySlice<UInt8> = []
      if rest.first == 0x2E {
        rest.removeFirst()
        fraction = rest.prefix(while: isDigit)
        rest = rest.dropFirst(fraction.count)
      }
      guard !whole.isEmpty || !fraction.isEmpty else { return nil }
      let name = rest.prefix { !isDigit($0) && $0 != 0x2E }
      rest = rest.dropFirst(name.count)
      guard let unit = unit(String(decoding: name, as: UTF8.self)) else { return nil }
      guard let count = whole.isEmpty ? 0 : Int64(String(decoding: whole, as: UTF8.self)) else { return nil }
      let part = (Double("0." + String(decoding: fraction, as: UTF8.self) + "0") ?? 0) * Double(unit)
      total += Double(count) * Double(unit) + part
      guard total < 0x1p63 else { return nil }
      let (scaled, overflow) = count.multipliedReportingOverflow(by: unit)
      let (sum, overflowAgain) = exact.addingReportingOverflow(scaled)
      // Half a nanosecond more: decimal fractions are not exact in binary.
      let (next, overflowAtLast) = sum.addingReportingOverflow(Int64(part + 0.01))
      guard !overflow, !overflowAgain, !overflowAtLast else { return nil }
      exact = next
    }
    return Interval(nanoseconds: isNegative ? -exact : exact)
  }

  private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

  private static func unit(_ name: String) -> Int64? {
    switch name {
    case "ns": 1
    case "us", "µs", "μs": 1_000
    case "ms": 1_000_000
    case "s": 1_000_000_000
    case "m": 60_000_000_000
    case "h": 3_600_000_000_000
    default: nil
    }
  }

  private static func decimal(_ size: UInt64, per unit: UInt64) -> String {
    var fraction = String(size % unit + unit).dropFirst()
    while fraction.last == "0" { fraction.removeLast() }
    return fraction.isEmpty ? "\(size / unit)" : "\(size / unit).\(fraction)"
  }
}
