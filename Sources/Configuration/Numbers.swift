import Base

extension StringProtocol {
  /// A Go integer literal: decimal, `0x`, `0b`, `0o` or a leading zero for octal, with an optional sign.
  var wholeNumber: Int? {
    var body = self[...]
    let negative = body.first == "-"
    if negative || body.first == "+" { body = body.dropFirst() }
    guard let first = body.utf8.first, first.isDigit else { return nil }
    var radix = 10
    if first == 48, body.utf8.count > 1 {
      body = body.dropFirst()
      switch body.first {
      case "x", "X": radix = 16
      case "b", "B": radix = 2
      case "o", "O": radix = 8
      default:
        radix = 8
        return Int((negative ? "-" : "") + body, radix: radix)
      }
      body = body.dropFirst()
      guard let first = body.utf8.first, first != 43, first != 45 else { return nil }
    }
    return Int((negative ? "-" : "") + body, radix: radix)
  }
}

extension Interval {
  /// Go's duration syntax: decimal numbers with units, `1h30m10.5s`, an optional sign, or `0`. `nil` for anything else,
  /// a number without a unit and days included.
  init?(duration text: some StringProtocol) {
    var rest = Array(text.utf8)[...]
    let negative = rest.first == UInt8(ascii: "-")
    if negative || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
    if rest.elementsEqual("0".utf8) {
      self = .zero
      return
    }
    guard !rest.isEmpty else { return nil }
    var total = Interval.zero
    while !rest.isEmpty {
      let whole = rest.prefix { $0.isDigit }
      rest = rest.dropFirst(whole.count)
      var fraction = rest.prefix(0)
      if rest.first == UInt8(ascii: ".") {
        fraction = rest.dropFirst().prefix { $0.isDigit }
        rest = rest.dropFirst(1 + fraction.count)
      }
      guard whole.count + fraction.count > 0 else { return nil }
      let unit = rest.prefix { !$0.isDigit && $0 != UInt8(ascii: ".") }
      rest = rest.dropFirst(unit.count)
      guard let scale = Self.nanoseconds(unit: String(decoding: unit, as: UTF8.self)) else { return nil }
      if !whole.isEmpty {
        guard let count = Int64(String(decoding: whole, as: UTF8.self)) else { return nil }
        let (product, overflow) = count.multipliedReportingOverflow(by: scale)
        guard !overflow else { return nil }
        total = total + .nanoseconds(product)
      }
      if !fraction.isEmpty {
        guard let share = Double("0." + String(decoding: fraction, as: UTF8.self)) else { return nil }
        total = total + .nanoseconds(Int64((share * Double(scale)).rounded()))
      }
      guard total.nanoseconds < .max else { return nil }
    }
    self = negative ? .zero - total : total
  }

  private static func nanoseconds(unit: String) -> Int64? {
    switch unit {
    case "ns": 1
    case "us", "µs", "μs": 1_000
    case "ms": 1_000_000
    case "s": 1_000_000_000
    case "m": 60_000_000_000
    case "h": 3_600_000_000_000
    default: nil
    }
  }
}

extension String {
  /// RFC 4648 base64 with padding; `nil` for anything else.
  var base64Bytes: [UInt8]? {
    let digits = Array(utf8)
    guard digits.count % 4 == 0 else { return nil }
    var result: [UInt8] = []
    var bits: UInt32 = 0
    var padding = 0
    for (index, digit) in digits.enumerated() {
      let value: UInt8
      switch digit {
      case 65...90: value = digit - 65
      case 97...122: value = digit - 71
      case 48...57: value = digit + 4
      case 43: value = 62
      case 47: value = 63
      case 61 where index + 2 >= digits.count:
        padding += 1
        value = 0
      default: return nil
      }
      guard padding == 0 || digit == 61 else { return nil }
      bits = bits << 6 | UInt32(value)
      if index % 4 == 3 {
        result += [
          UInt8(truncatingIfNeeded: bits >> 16), UInt8(truncatingIfNeeded: bits >> 8), UInt8(truncatingIfNeeded: bits),
        ]
        bits = 0
      }
    }
    return Array(result.dropLast(padding))
  }
}
