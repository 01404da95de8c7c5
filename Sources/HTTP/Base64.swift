import Base

/// The text was no base64 from this byte on, counted without line breaks.
public struct Base64Error: Error, Hashable, Sendable {
  public var offset: Int
}

/// Standard base64 with padding (RFC 4648 section 4).
public enum Base64 {
  /// Text with padding, without line breaks.
  public static func encode(_ bytes: RawSpan) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text: [UInt8] = []
    text.reserveCapacity((bytes.byteCount + 2) / 3 * 4)
    var offset = 0
    while offset < bytes.byteCount {
      let present = min(3, bytes.byteCount - offset)
      var group: UInt32 = 0
      for index in 0..<3 { group = group << 8 | (index < present ? UInt32(bytes.byte(at: offset + index)) : 0) }
      for index in 0..<4 {
        text.append(index <= present ? alphabet[Int(group >> UInt32(18 - 6 * index)) & 63] : 0x3D)
      }
      offset += 3
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// The bytes of standard base64; the index of the first wrong character is thrown, as Go reports it.
  public static func decode(_ text: String) throws(Base64Error) -> [UInt8] {
    // Go skips line breaks.
    let input = text.utf8.filter { $0 != 0x0A && $0 != 0x0D }
    var bytes: [UInt8] = []
    var group: UInt32 = 0
    var digits = 0
    for (index, byte) in input.enumerated() {
      if byte == 0x3D {
        let padding = input.count - index
        guard digits + padding == 4, padding <= 2, input[index...].allSatisfy({ $0 == 0x3D }) else {
          throw Base64Error(offset: index)
        }
        break
      }
      guard let value = value(byte) else { throw Base64Error(offset: index) }
      group = group << 6 | UInt32(value)
      digits += 1
      if digits == 4 {
        for shift: UInt32 in [16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: group >> shift)) }
        group = 0
        digits = 0
      }
    }
    switch digits {
    case 0: break
    case 2 where input.last == 0x3D: bytes.append(UInt8(truncatingIfNeeded: group >> 4))
    case 3 where input.last == 0x3D:
      bytes += [UInt8(truncatingIfNeeded: group >> 10), UInt8(truncatingIfNeeded: group >> 2)]
    default: throw Base64Error(offset: input.count)
    }
    return bytes
  }

  private static func value(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x41...0x5A: byte - 0x41
    case 0x61...0x7A: byte - 0x47
    case 0x30...0x39: byte + 4
    case 0x2B: 62
    case 0x2F: 63
    default: nil
    }
  }
}
