import Base

/// Appends values in the dialect of Go's codec as Nomad configures it (rpc.md section 3.2): strings and bytes as "raw"
/// (never str8, bin or ext), signed integers in signed types, unsigned ones in unsigned types, each in the shortest
/// form.
///
/// The extension is on `[UInt8]`, so that messages are encoded straight into an `Outbox` arena.
extension [UInt8] {
  public mutating func packNil() { append(0xC0) }
  public mutating func pack(_ value: Bool) { append(value ? 0xC3 : 0xC2) }

  /// An unsigned Go integer: fixint, cc, cd, ce, cf.
  public mutating func pack(unsigned value: UInt64) {
    switch value {
    case 0...0x7F: append(UInt8(value))
    case 0...0xFF:
      append(0xCC)
      append(UInt8(value))
    case 0...0xFFFF:
      append(0xCD)
      append(bigEndian: UInt16(value))
    case 0...0xFFFF_FFFF:
      append(0xCE)
      append(bigEndian: UInt32(value))
    default:
      append(0xCF)
      append(bigEndian: value)
    }
  }

  /// A signed Go integer (durations too): fixint, d0, d1, d2, d3; 128 is `d1 0080`, never `cc 80`.
  public mutating func pack(signed value: Int64) {
    switch value {
    case -32...127: append(UInt8(bitPattern: Int8(value)))
    case -0x80...0x7F:
      append(0xD0)
      append(bigEndian: Int8(value))
    case -0x8000...0x7FFF:
      append(0xD1)
      append(bigEndian: Int16(value))
    case -0x8000_0000...0x7FFF_FFFF:
      append(0xD2)
      append(bigEndian: Int32(value))
    default:
      append(0xD3)
      append(bigEndian: value)
    }
  }

  public mutating func pack(_ value: Double) {
    append(0xCB)
    append(bigEndian: value.bitPattern)
  }

  public mutating func pack(_ value: Float) {
    append(0xCA)
    append(bigEndian: value.bitPattern)
  }

  public mutating func pack(_ value: Interval) { pack(signed: value.nanoseconds) }

  /// Literals are written by the overload for `StaticString`, which needs no string.
  @_disfavoredOverload
  public mutating func pack(_ text: String) {
    packRawHeader(text.utf8.count)
    append(contentsOf: text.utf8)
  }

  public mutating func pack(_ text: StaticString) {
    packRawHeader(text.utf8CodeUnitCount)
    text.withUTF8Buffer { unsafe append(contentsOf: $0) }
  }

  public mutating func pack(raw bytes: [UInt8]) {
    packRawHeader(bytes.count)
    append(contentsOf: bytes)
  }

  public mutating func pack(raw bytes: RawSpan) {
    packRawHeader(bytes.byteCount)
    append(contentsOf: bytes)
  }

  /// A Go `[]byte` that may be nil.
  public mutating func pack(raw bytes: [UInt8]?) {
    if let bytes { pack(raw: bytes) } else { packNil() }
  }

  public mutating func packRawHeader(_ count: Int) {
    switch count {
    case 0...31: append(0xA0 | UInt8(count))
    case 0...0xFFFF:
      append(0xDA)
      append(bigEndian: UInt16(count))
    default:
      append(0xDB)
      append(bigEndian: UInt32(count))
    }
  }

  public mutating func packMapHeader(_ count: Int) {
    switch count {
    case 0...15: append(0x80 | UInt8(count))
    case 0...0xFFFF:
      append(0xDE)
      append(bigEndian: UInt16(count))
    default:
      append(0xDF)
      append(bigEndian: UInt32(count))
    }
  }

  public mutating func packArrayHeader(_ count: Int) {
    switch count {
    case 0...15: append(0x90 | UInt8(count))
    case 0...0xFFFF:
      append(0xDC)
      append(bigEndian: UInt16(count))
    default:
      append(0xDD)
      append(bigEndian: UInt32(count))
    }
  }

  /// A Go `[]string`: nil stays nil on the wire.
  public mutating func pack(_ texts: [String]?) {
    guard let texts else { return packNil() }
    packArrayHeader(texts.count)
    for text in texts { pack(text) }
  }
}
