import Base

/// A Go `time.Time` as Nomad sends it: a raw string of 15 bytes in Go's binary form (rpc.md section 3.2).
///
/// Kept exactly, zone included, so that a record that only passes through comes out as it went in. The zero time is the
/// year 1, not nil and not 1970.
public struct GoTime: Hashable, Sendable {
  /// Seconds since 0001-01-01T00:00:00Z.
  public var seconds: Int64
  /// 0 ..< 1_000_000_000 in well-formed values; foreign values are kept as they are.
  public var nanoseconds: UInt32
  /// Minutes east of UTC; -1 means UTC itself.
  public var zoneMinutes: Int16

  /// Seconds from the year 1 to 1970.
  public static let unixEpoch: Int64 = 62_135_596_800
  public static let zero = GoTime(seconds: 0, nanoseconds: 0)

  public init(seconds: Int64, nanoseconds: UInt32, zoneMinutes: Int16 = -1) {
    self.seconds = seconds
    self.nanoseconds = nanoseconds
    self.zoneMinutes = zoneMinutes
  }

  public init(_ wall: WallTime) {
    self.init(seconds: wall.unixSeconds + Self.unixEpoch, nanoseconds: UInt32(wall.nanosecondOfSecond))
  }

  /// Seconds since 1970, as node records use them.
  public init(unixSeconds: Int64) {
    self.init(seconds: unixSeconds.addingReportingOverflow(Self.unixEpoch).partialValue, nanoseconds: 0)
  }

  /// Go's `IsZero`.
  public var isZero: Bool { seconds == 0 && nanoseconds == 0 }

  /// Seconds since 1970; wraps for values no calendar holds.
  public var unixSeconds: Int64 { seconds &- Self.unixEpoch }

  /// The civil time, saturated to what 64-bit nanoseconds since 1970 can hold (the years 1678 to 2262).
  public var wall: WallTime {
    let (product, overflow) = unixSeconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, tooLarge) = product.addingReportingOverflow(Int64(nanoseconds))
    guard !overflow, !tooLarge else { return WallTime(unixNanoseconds: unixSeconds < 0 ? .min : .max) }
    return WallTime(unixNanoseconds: sum)
  }

  static let byteCount = 15
}

extension [UInt8] {
  /// The 15-byte raw form, the only one that old peers accept.
  public mutating func pack(_ time: GoTime) {
    packRawHeader(GoTime.byteCount)
    append(1)
    append(bigEndian: time.seconds)
    append(bigEndian: time.nanoseconds)
    append(bigEndian: time.zoneMinutes)
  }
}

extension MessagePackReader {
  /// Accepts the 15-byte form, nil (zero time), the 16-byte form with seconds in its zone (dropped), and the 4, 8 and
  /// 12-byte timestamps of newer MessagePack, raw or as extension -1.
  public mutating func readGoTime() throws(WireError) -> GoTime {
    if try peekKind() == .ext { return try readTimestampExtension() }
    let bytes = try readRaw()
    switch (bytes.byteCount, bytes.byteCount > 0 ? bytes.byte(at: 0) : 0) {
    case (0, _): return .zero
    case (15, 1), (16, 2):
      return GoTime(
        seconds: Int64(bitPattern: bytes.uint64(at: 1)), nanoseconds: bytes.uint32(at: 9),
        zoneMinutes: Int16(bitPattern: bytes.uint16(at: 13)))
    default: return try Self.timestamp(bytes)
    }
  }

  private mutating func readTimestampExtension() throws(WireError) -> GoTime {
    let value = try skip()
    // Fixed-size extensions have their type at 1, the others after a length of one byte; longer ones are no time.
    let typeOffset: Int
    switch value.byte(at: 0) {
    case 0xD6, 0xD7: typeOffset = 1
    case 0xC7: typeOffset = 2
    default: throw .malformed
    }
    guard value.byte(at: typeOffset) == 0xFF else { throw .malformed }
    return try Self.timestamp(value.extracting((typeOffset + 1)..<value.byteCount))
  }

  private static func timestamp(_ bytes: RawSpan) throws(WireError) -> GoTime {
    switch bytes.byteCount {
    case 4: return GoTime(unixSeconds: Int64(bytes.uint32(at: 0)))
    case 8:
      let word = bytes.uint64(at: 0)
      var time = GoTime(unixSeconds: Int64(word & 0x3_FFFF_FFFF))
      time.nanoseconds = UInt32(word >> 34)
      return time
    case 12:
      var time = GoTime(unixSeconds: Int64(bitPattern: bytes.uint64(at: 4)))
      time.nanoseconds = bytes.uint32(at: 0)
      return time
    default: throw .malformed
    }
  }
}
