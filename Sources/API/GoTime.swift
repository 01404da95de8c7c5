import Base

/// Civil time as Nomad's peers write it (rpc.md section 3.2): 15 bytes, or 16 with seconds in the zone offset.
struct GoTime: Hashable {
  /// Seconds since year 1.
  var seconds: Int64
  var nanoseconds: UInt32

  static let zero = GoTime(seconds: 0, nanoseconds: 0)

  var isZero: Bool { self == .zero }

  init(seconds: Int64, nanoseconds: UInt32) {
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }

  /// `nil` when the bytes are no time. An empty value is the zero time.
  init?(_ bytes: RawSpan) {
    if bytes.byteCount == 0 {
      self = .zero
      return
    }
    guard bytes.byteCount == 15 && bytes.byte(at: 0) == 1 || bytes.byteCount == 16 && bytes.byte(at: 0) == 2 else {
      return nil
    }
    let seconds = Int64(bitPattern: bytes.uint64(at: 1))
    let nanoseconds = bytes.uint32(at: 9)
    guard nanoseconds < 1_000_000_000 else { return nil }
    self.init(seconds: seconds, nanoseconds: nanoseconds)
  }

  /// The 15-byte form in UTC.
  static func pack(_ time: GoTime, into bytes: inout [UInt8]) {
    bytes.append(0xAF)
    bytes.append(1)
    bytes.append(bigEndian: time.seconds)
    bytes.append(bigEndian: time.nanoseconds)
    bytes.append(bigEndian: Int16(-1))
  }

  /// RFC 3339 in UTC with up to nine fractional digits and no trailing zeros; `nil` outside the years 0 to 9999.
  var text: String? {
    let secondsPerDay: Int64 = 86_400
    var days = seconds / secondsPerDay
    var second = seconds % secondsPerDay
    if second < 0 {
      second += secondsPerDay
      days -= 1
    }
    guard days > -400, days < 3_652_059 else { return nil }
    let (year, month, day) = Self.civil(daysSinceYearOne: days)
    func padded(_ value: Int64, _ width: Int) -> String {
      let digits = String(value)
      return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
    var text = "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
    text += "T\(padded(second / 3600, 2)):\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2))"
    if nanoseconds > 0 {
      var fraction = padded(Int64(nanoseconds), 9)
      while fraction.last == "0" { fraction.removeLast() }
      text += "." + fraction
    }
    return text + "Z"
  }

  /// Proleptic Gregorian date, after Howard Hinnant's `civil_from_days`: eras of 400 years that begin on 1 March.
  private static func civil(daysSinceYearOne: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let shifted = daysSinceYearOne + 306
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
  }
}
