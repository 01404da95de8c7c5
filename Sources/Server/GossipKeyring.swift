import Base
import Gossip
import Security

/// The keys of gossip encryption, primary first, and Nomad's packet form around them (gossip.md 1.7).
public struct GossipKeyring: PacketCipher {
  /// Keys tried for every packet that cannot be read; a ring of more is a mistake.
  public static let maximumKeys = 16
  /// What we write: plaintext is not padded.
  private static let version: UInt8 = 1
  private static let prefixBytes = 1 + AESGCM.nonceBytes
  /// Version 0 pads to a multiple of this.
  private static let blockBytes = 16

  private var ring: [AESGCM]

  /// Nil when there is no key, too many, or one that has not 16, 24 or 32 bytes. Of equal keys the first counts.
  public init?(keys: [[UInt8]]) {
    guard !keys.isEmpty, keys.count <= Self.maximumKeys else { return nil }
    ring = []
    for key in keys {
      guard let cipher = AESGCM(key: key) else { return nil }
      if !ring.contains(cipher) { ring.append(cipher) }
    }
  }

  public var keys: [[UInt8]] { ring.map(\.key) }
  public var overhead: Int { Self.prefixBytes + AESGCM.tagBytes }

  public mutating func seal(_ buffer: inout [UInt8], from start: Int, header: RawSpan, label: RawSpan) {
    let plain = buffer.bytes(start..<buffer.count).copy()
    buffer.removeSubrange(start...)
    // Without randomness nothing is sent: a repeated nonce would give the key away.
    guard let nonce = SecureRandom.bytes(AESGCM.nonceBytes) else { return }
    var sealed: [UInt8] = []
    guard ring[0].seal(plain.bytes, nonce: nonce, authenticated: (header, label), into: &sealed) else { return }
    buffer.append(Self.version)
    buffer.append(contentsOf: nonce)
    buffer.append(contentsOf: sealed)
  }

  public mutating func open(_ sealed: RawSpan, header: RawSpan, label: RawSpan, into plain: inout [UInt8]) -> Bool {
    guard sealed.byteCount >= overhead, sealed.byte(at: 0) <= 1 else { return false }
    let isPadded = sealed.byte(at: 0) == 0
    guard !isPadded || sealed.byteCount >= overhead + Self.blockBytes else { return false }
    let nonce = sealed.extracting(1..<Self.prefixBytes)
    let body = sealed.extracting(Self.prefixBytes..<sealed.byteCount)
    let start = plain.count
    for cipher in ring where cipher.open(body, nonce: nonce, authenticated: (header, label), into: &plain) {
      return !isPadded || Self.removePadding(of: &plain, from: start)
    }
    return false
  }

  /// The last byte says how much was padded.
  private static func removePadding(of plain: inout [UInt8], from start: Int) -> Bool {
    guard let last = plain.last.map(Int.init), (1...blockBytes).contains(last), plain.count - start >= last else {
      plain.removeSubrange(start...)
      return false
    }
    plain.removeLast(last)
    return true
  }

  public mutating func install(_ key: [UInt8]) throws(KeyringError) {
    guard let cipher = AESGCM(key: key) else { throw .badKeyLength }
    guard !ring.contains(cipher) else { return }
    guard ring.count < Self.maximumKeys else { throw .full }
    ring.append(cipher)
  }

  public mutating func use(_ key: [UInt8]) throws(KeyringError) {
    guard let position = ring.firstIndex(where: { $0.key == key }) else { throw .notInstalled }
    ring.insert(ring.remove(at: position), at: 0)
  }

  public mutating func remove(_ key: [UInt8]) throws(KeyringError) {
    guard ring[0].key != key else { throw .isPrimary }
    ring.removeAll { $0.key == key }
  }
}
