import Base

/// Writes civil time as RFC 3339 text in UTC, without a calendar library. The text of the current second is kept, since
/// log lines come in bursts.
public struct CivilTimeText: Sendable {
  private var second: Int64 = .min
  /// `2026-01-02T03:04:05`
  private var text: [UInt8] = []

  public init() {}

  /// Appends `2026-01-02T03:04:05.678Z`, with `fractionDigits` (0 to 9) digits, truncated.
  public mutating func append(_ time: WallTime, fractionDigits: Int = 3, to bytes: inout [UInt8]) {
    if time.unixSeconds != second {
      second = time.unixSeconds
      text = Self.seconds(second)
    }
    bytes += text
    if fractionDigits > 0 {
      bytes.append(UInt8(ascii: "."))
      var unit: Int64 = 100_000_000
      for _ in 0..<min(fractionDigits, 9) {
        bytes.append(UInt8(ascii: "0") + UInt8(time.nanosecondOfSecond / unit % 10))
        unit /= 10
      }
    }
    bytes.append(UInt8(ascii: "Z"))
  }

  private static func seconds(_ seconds: Int64) -> [UInt8] {
    var days = seconds / 86_400
    if seconds % 86_400 < 0 { days -= 1 }
    let secondOfDay = seconds - days * 86_400
    let (year, month, day) = civil(days)
    var bytes: [UInt8] = []
    append(year, 4, to: &bytes)
    bytes.append(UInt8(ascii: "-"))
    append(month, 2, to: &bytes)
    bytes.append(UInt8(ascii: "-"))
    append(day, 2, to: &bytes)
    bytes.append(UInt8(ascii: "T"))
    append(secondOfDay / 3600, 2, to: &bytes)
    bytes.append(UInt8(ascii: ":"))
    append(secondOfDay / 60 % 60, 2, to: &bytes)
    bytes.append(UInt8(ascii: ":"))
    append(secondOfDay % 60, 2, to: &bytes)
    return bytes
  }

  /// Days since 1970-01-01 to a date of the Gregorian calendar: Howard Hinnant, "chrono-Compatible Low-Level Date
  /// Algorithms", `civil_from_days`. Years begin in March there, so that the leap day is the last of the year.
  static func civil(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
  }

  private static func append(_ value: Int64, _ digits: Int, to bytes: inout [UInt8]) {
    var text: [UInt8] = []
    var rest = value.magnitude
    while text.count < digits || rest > 0 {
      text.append(UInt8(ascii: "0") + UInt8(rest % 10))
      rest /= 10
    }
    bytes += text.reversed()
  }
}
