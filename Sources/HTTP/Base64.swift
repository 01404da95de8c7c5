import Base

/// The text was no base64 from this byte on, counted without line breaks.
public struct Base64Error: Error, Hashable, Sendable {
  public var offset: Int

  public init(offset: Int) { self.offset = offset }
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

  /// The bytes of padded base64; line breaks are skipped. The offset that is thrown is the one Go reports, which is the
  /// wrong character, or the beginning of a group that ends too early.
  public static func decode(_ text: String) throws(Base64Error) -> [UInt8] {
    let input = Array(text.utf8)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(input.count / 4 * 3)
    var group: UInt32 = 0
    var digits = 0
    var offset = 0
    while offset < input.count {
      let byte = input[offset]
      offset += 1
      if byte == 0x0A || byte == 0x0D { continue }
      if byte == 0x3D {
        try checkPadding(input, offset, digits)
        if digits == 2 {
          bytes.append(UInt8(truncatingIfNeeded: group >> 4))
        } else {
          bytes += [UInt8(truncatingIfNeeded: group >> 10), UInt8(truncatingIfNeeded: group >> 2)]
        }
        return bytes
      }
      guard let value = value(byte) else { throw Base64Error(offset: offset - 1) }
      group = group << 6 | UInt32(value)
      digits += 1
      if digits == 4 {
        for shift: UInt32 in [16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: group >> shift)) }
        group = 0
        digits = 0
      }
    }
    guard digits == 0 else { throw Base64Error(offset: offset - digits) }
    return bytes
  }

  /// The first `=` has been read; `offset` is behind it.
  private static func checkPadding(_ input: [UInt8], _ offset: Int, _ digits: Int) throws(Base64Error) {
    func skipBreaks(_ offset: Int) -> Int {
      offset + input[offset...].prefix { $0 == 0x0A || $0 == 0x0D }.count
    }
    var next = offset
    guard digits >= 2 else { throw Base64Error(offset: offset - 1) }
    if digits == 2 {
      next = skipBreaks(next)
      guard next < input.count else { throw Base64Error(offset: input.count) }
      guard input[next] == 0x3D else { throw Base64Error(offset: next - 1) }
      next += 1
    }
    next = skipBreaks(next)
    guard next == input.count else { throw Base64Error(offset: next) }
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
