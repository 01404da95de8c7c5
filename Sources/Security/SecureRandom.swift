import Base
import COpenSSL

/// Random bytes fit for secrets, from OpenSSL's generator, which the operating system seeds.
public enum SecureRandom {
  /// Nil when the generator has no entropy: nothing secret can be made then.
  public static func bytes(_ count: Int) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    return unsafe RAND_bytes(&bytes, Int32(count)) == 1 ? bytes : nil
  }

  /// A random (version 4) UUID in lower-case text form: 122 random bits.
  public static func uuid() -> String? {
    guard var bytes = bytes(16) else { return nil }
    bytes[6] = bytes[6] & 0x0F | 0x40
    bytes[8] = bytes[8] & 0x3F | 0x80
    var text = ""
    for (position, byte) in bytes.enumerated() {
      if [4, 6, 8, 10].contains(position) { text += "-" }
      text += (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
    return text
  }
}
