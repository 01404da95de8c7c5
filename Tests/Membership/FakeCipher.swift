import Base
import Gossip

/// Has the form of the real encryption without its strength: every byte is mixed with the key, and the tag depends on
/// key, plaintext, header and label.
struct FakeCipher: PacketCipher {
  private(set) var keys: [[UInt8]]
  private var nonce: UInt8 = 0

  init(keys: [[UInt8]]) { self.keys = keys }

  var overhead: Int { 29 }

  mutating func seal(_ buffer: inout [UInt8], from start: Int, header: RawSpan, label: RawSpan) {
    nonce &+= 1
    let plain = Array(buffer[start...])
    buffer.removeSubrange(start...)
    buffer.append(1)
    buffer += [UInt8](repeating: nonce, count: 12)
    buffer += plain.map { $0 ^ nonce ^ keys[0][0] }
    buffer += tag(plain, keys[0], header, label)
  }

  mutating func open(_ sealed: RawSpan, header: RawSpan, label: RawSpan, into plain: inout [UInt8]) -> Bool {
    guard sealed.byteCount >= overhead, sealed.byte(at: 0) == 1 else { return false }
    let bytes = sealed.copy()
    for key in keys {
      let candidate = bytes[13..<(bytes.count - 16)].map { $0 ^ bytes[1] ^ key[0] }
      if tag(candidate, key, header, label) == Array(bytes.suffix(16)) {
        plain += candidate
        return true
      }
    }
    return false
  }

  private func tag(_ plain: [UInt8], _ key: [UInt8], _ header: RawSpan, _ label: RawSpan) -> [UInt8] {
    let all = plain + key + header.copy() + [0xAA] + label.copy()
    var sum: UInt32 = 2_166_136_261
    for byte in all { sum = (sum ^ UInt32(byte)) &* 16_777_619 }
    var out = [UInt8](repeating: 0, count: 12)
    out.append(bigEndian: sum)
    return out
  }

  mutating func install(_ key: [UInt8]) throws(KeyringError) {
    guard [16, 24, 32].contains(key.count) else { throw .badKeyLength }
    if !keys.contains(key) { keys.append(key) }
  }

  mutating func use(_ key: [UInt8]) throws(KeyringError) {
    guard let index = keys.firstIndex(of: key) else { throw .notInstalled }
    keys.swapAt(0, index)
  }

  mutating func remove(_ key: [UInt8]) throws(KeyringError) {
    guard keys[0] != key else { throw .isPrimary }
    keys.removeAll { $0 == key }
  }
}
