import Base

/// CRC-32/IEEE, as in the checksum wrapper of a packet (gossip.md 1.6).
public enum Checksum {
  public static func crc32(_ bytes: RawSpan) -> UInt32 {
    let tables = tables
    var crc: UInt32 = 0xFFFF_FFFF
    var offset = 0
    // Eight bytes at once: their eight look-ups do not wait for each other.
    while offset + 8 <= bytes.byteCount {
      let low = crc ^ bytes.uint32(at: offset).byteSwapped
      let high = bytes.uint32(at: offset + 4).byteSwapped
      crc = tables[1792 + Int(low & 0xFF)]
      crc ^= tables[1536 + Int(low >> 8 & 0xFF)]
      crc ^= tables[1280 + Int(low >> 16 & 0xFF)]
      crc ^= tables[1024 + Int(low >> 24)]
      crc ^= tables[768 + Int(high & 0xFF)]
      crc ^= tables[512 + Int(high >> 8 & 0xFF)]
      crc ^= tables[256 + Int(high >> 16 & 0xFF)]
      crc ^= tables[Int(high >> 24)]
      offset += 8
    }
    while offset < bytes.byteCount {
      crc = tables[Int((crc ^ UInt32(bytes.byte(at: offset))) & 0xFF)] ^ (crc >> 8)
      offset += 1
    }
    return ~crc
  }

  /// Eight tables of 256: the n-th says what a byte does that n more bytes follow.
  private static let tables: [UInt32] = {
    var result: [UInt32] = []
    for index in 0..<256 {
      var value = UInt32(index)
      for _ in 0..<8 { value = value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1 }
      result.append(value)
    }
    for index in 0..<1792 {
      let shorter = result[index]
      result.append(result[Int(shorter & 0xFF)] ^ (shorter >> 8))
    }
    return result
  }()
}
