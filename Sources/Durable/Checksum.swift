import Base

/// CRC-64/XZ (ECMA-182 reflected, all ones in and out), eight bytes at a time. `123456789` gives 995dc9bbdf1939fa.
public struct Checksum: Sendable {
  private var state: UInt64 = .max

  public init() {}

  public var value: UInt64 { ~state }

  public mutating func add(_ bytes: RawSpan) {
    var crc = state
    var offset = 0
    let end = bytes.byteCount
    let tables = Self.tables
    while offset + 8 <= end {
      let word = crc ^ bytes.uint64(at: offset).byteSwapped
      var next: UInt64 = 0
      for lane in 0..<8 {
        let byte = Int(truncatingIfNeeded: word &>> UInt64(8 &* lane)) & 0xFF
        next ^= tables[(7 &- lane) << 8 | byte]
      }
      crc = next
      offset += 8
    }
    while offset < end {
      let byte = Int(truncatingIfNeeded: crc ^ UInt64(bytes.byte(at: offset))) & 0xFF
      crc = tables[byte] ^ (crc >> 8)
      offset += 1
    }
    state = crc
  }

  public mutating func add(_ value: UInt64) {
    var bytes: [UInt8] = []
    bytes.append(bigEndian: value)
    add(bytes.bytes)
  }

  /// Table `k` (256 entries each) advances a byte over `k` further zero bytes.
  private static let tables: [UInt64] = {
    var tables = [UInt64](repeating: 0, count: 8 * 256)
    for byte in 0..<256 {
      var crc = UInt64(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? (crc >> 1) ^ 0xC96C_5795_D787_0F42 : crc >> 1 }
      tables[byte] = crc
    }
    for k in 1..<8 {
      for byte in 0..<256 {
        let previous = tables[(k - 1) << 8 | byte]
        tables[k << 8 | byte] = tables[Int(previous & 0xFF)] ^ (previous >> 8)
      }
    }
    return tables
  }()
}

extension Checksum {
  public static func of(_ bytes: RawSpan) -> UInt64 {
    var checksum = Checksum()
    checksum.add(bytes)
    return checksum.value
  }
}
