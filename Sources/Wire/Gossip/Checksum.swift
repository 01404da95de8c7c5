import Base

/// CRC-32/IEEE, as in the checksum wrapper of a packet (gossip.md 1.6).
public enum Checksum {
  public static func crc32(_ bytes: RawSpan) -> UInt32 {
    var crc: UInt32 = 0xFFFF_FFFF
    for offset in 0..<bytes.byteCount {
      crc = table[Int((crc ^ UInt32(bytes.byte(at: offset))) & 0xFF)] ^ (crc >> 8)
    }
    return ~crc
  }

  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1 }
  }
}
