import Base
import Gossip
import Security
import Server
import Testing

/// Vectors: gossip wire format, encryption of packets, versions 0 and 1, with and without label.
@Suite struct AESGCMTests {
  static let key = [UInt8](0..<16)
  static let ping = bytes("0082a44e6f6465a8612e676c6f62616ca55365714e6f2a")
  static let version1 =
    "01000102030405060708090a0b93ee0380097f92fc2afc06e659c1116416757f971d82d7545c35e5d71918041d56dc5ef8eb8ee9"
  static let version0 =
    "00000102030405060708090a0b93ee0380097f92fc2afc06e659c1116416757f971d82d7ffef28f8241d4dab65574c8d50dacbefb0"
    + "a9b24480b7923723"
  static let labelled =
    "01000102030405060708090a0b93ee0380097f92fc2afc06e659c1116416757f971d82d769a405b3c683e4129b532c6681d5be7e"

  static func bytes(_ hex: String) -> [UInt8] {
    let digits = Array(hex)
    return stride(from: 0, to: digits.count - 1, by: 2).compactMap { UInt8(String(digits[$0...($0 + 1)]), radix: 16) }
  }

  private func opened(_ hex: String, label: String = "", keys: [[UInt8]] = [key]) -> [UInt8]? {
    guard var ring = GossipKeyring(keys: keys) else { return nil }
    var plain: [UInt8] = []
    let label = Array(label.utf8)
    let empty: [UInt8] = []
    let isOpen = ring.open(Self.bytes(hex).bytes, header: empty.bytes, label: label.bytes, into: &plain)
    return isOpen ? plain : nil
  }

  @Test func opensTheRecordedPackets() {
    #expect(opened(Self.version1) == Self.ping)
    #expect(opened(Self.version0) == Self.ping)
    #expect(opened(Self.labelled, label: "prod") == Self.ping)
    #expect(opened(Self.labelled) == nil)
  }

  @Test func sealsTheRecordedPacket() throws {
    let cipher = try #require(AESGCM(key: Self.key))
    let empty: [UInt8] = []
    var sealed: [UInt8] = []
    #expect(
      cipher.seal(
        Self.ping.bytes, nonce: [UInt8](0..<12), authenticated: (empty.bytes, empty.bytes), into: &sealed))
    #expect([1] + [UInt8](0..<12) + sealed == Self.bytes(Self.version1))
  }

  /// The header with the length is bound to the ciphertext.
  @Test(arguments: [
    "0a0000003401000102030405060708090a0b93ee0380097f92fc2afc06e659c1116416757f971d82d7d8755d2feb46ddc4ca7182"
      + "d1ab825aac",
    "0a0000003d00000102030405060708090a0b93ee0380097f92fc2afc06e659c1116416757f971d82d7ffef28f8241d4dab65765d"
      + "31adb0256fc7b51a82ee28c72b4c",
  ]) func opensStreamsOfBothVersions(hex: String) throws {
    var ring = try #require(GossipKeyring(keys: [Self.key]))
    let whole = Self.bytes(hex)
    var plain: [UInt8] = []
    #expect(ring.open(whole.bytes(5..<whole.count), header: whole.bytes(0..<5), label: RawSpan(), into: &plain))
    #expect(plain == Self.ping)
    let other: [UInt8] = [10, 0, 0, 0, 0]
    #expect(!ring.open(whole.bytes(5..<whole.count), header: other.bytes, label: RawSpan(), into: &plain))
    #expect(plain == Self.ping)
  }

  struct Padding: Sendable {
    var bytes: Int
    var last: UInt8
    /// What is left after the padding; nil when it is wrong.
    var remaining: Int?
  }

  /// Who has the key can still lie about the padding.
  @Test(arguments: [
    Padding(bytes: 32, last: 0), Padding(bytes: 32, last: 17), Padding(bytes: 32, last: 255),
    Padding(bytes: 3, last: 2), Padding(bytes: 0, last: 0), Padding(bytes: 16, last: 16, remaining: 0),
    Padding(bytes: 16, last: 1, remaining: 15), Padding(bytes: 32, last: 16, remaining: 16),
  ]) func paddingOfVersion0IsChecked(padding: Padding) throws {
    var padded = [UInt8](repeating: 5, count: padding.bytes)
    if !padded.isEmpty { padded[padded.count - 1] = padding.last }
    let cipher = try #require(AESGCM(key: Self.key))
    var ring = try #require(GossipKeyring(keys: [Self.key]))
    let nonce = [UInt8](0..<12)
    var sealed: [UInt8] = [0] + nonce
    #expect(cipher.seal(padded.bytes, nonce: nonce, authenticated: (RawSpan(), RawSpan()), into: &sealed))
    var plain: [UInt8] = [42]
    let isOpen = ring.open(sealed.bytes, header: RawSpan(), label: RawSpan(), into: &plain)
    #expect(isOpen == (padding.remaining != nil))
    #expect(plain.count == 1 + (padding.remaining ?? 0))
    #expect(plain[0] == 42)
  }

  @Test func nothingCanBeSealedToo() throws {
    var ring = try #require(GossipKeyring(keys: [Self.key]))
    var buffer: [UInt8] = []
    ring.seal(&buffer, from: 0, header: RawSpan(), label: RawSpan())
    #expect(buffer.count == 29)
    var plain: [UInt8] = []
    #expect(ring.open(buffer.bytes, header: RawSpan(), label: RawSpan(), into: &plain))
    #expect(plain.isEmpty)
  }

  @Test func unknownVersionsAreRefused() {
    for version in ["02", "0a", "ff"] { #expect(opened(version + Self.version1.dropFirst(2)) == nil) }
  }

  @Test func everyNonceIsNew() throws {
    var ring = try #require(GossipKeyring(keys: [Self.key]))
    var nonces: Set<[UInt8]> = []
    for _ in 0..<1000 {
      var buffer = Self.ping
      ring.seal(&buffer, from: 0, header: RawSpan(), label: RawSpan())
      nonces.insert(buffer.bytes(1..<13).copy())
    }
    #expect(nonces.count == 1000)
  }

  @Test func triesEveryKeyAndRefusesStrangers() {
    let other = [UInt8](repeating: 9, count: 32)
    #expect(opened(Self.version1, keys: [other, Self.key]) == Self.ping)
    #expect(opened(Self.version1, keys: [other]) == nil)
  }

  @Test(arguments: [16, 24, 32]) func sealsAndOpensWithEveryKeySize(bytes: Int) throws {
    var ring = try #require(GossipKeyring(keys: [[UInt8](repeating: 7, count: bytes)]))
    let empty: [UInt8] = []
    let header: [UInt8] = [10, 0, 0, 0, 30]
    var buffer: [UInt8] = [1, 2] + Self.ping
    ring.seal(&buffer, from: 2, header: header.bytes, label: empty.bytes)
    #expect(buffer.count == 2 + Self.ping.count + ring.overhead)
    var plain: [UInt8] = []
    #expect(ring.open(buffer.bytes(2..<buffer.count), header: header.bytes, label: empty.bytes, into: &plain))
    #expect(plain == Self.ping)
    buffer[buffer.count - 1] ^= 1
    #expect(!ring.open(buffer.bytes(2..<buffer.count), header: header.bytes, label: empty.bytes, into: &plain))
    #expect(plain == Self.ping)
  }

  @Test func everyTruncationIsRefused() throws {
    var ring = try #require(GossipKeyring(keys: [Self.key]))
    let empty: [UInt8] = []
    for hex in [Self.version0, Self.version1] {
      let whole = Self.bytes(hex)
      for count in 0..<whole.count {
        var plain: [UInt8] = []
        #expect(!ring.open(whole.bytes(0..<count), header: empty.bytes, label: empty.bytes, into: &plain))
        #expect(plain.isEmpty)
      }
    }
  }

  @Test func keysFollowTheRulesOfTheRing() throws {
    var ring = try #require(GossipKeyring(keys: [Self.key]))
    let second = [UInt8](repeating: 2, count: 16)
    #expect(throws: (any Error).self) { try ring.use(second) }
    try ring.install(second)
    #expect(throws: (any Error).self) { try ring.remove(Self.key) }
    try ring.use(second)
    try ring.remove(Self.key)
    #expect(ring.keys == [second])
    #expect(throws: (any Error).self) { try ring.install([1, 2, 3]) }
    #expect(GossipKeyring(keys: []) == nil)
    #expect(GossipKeyring(keys: [[1]]) == nil)
  }

  @Test func theRingHoldsDistinctKeysUpToItsLimit() throws {
    let keys = (0..<GossipKeyring.maximumKeys).map { [UInt8](repeating: UInt8($0), count: 32) }
    var ring = try #require(GossipKeyring(keys: keys))
    #expect(throws: KeyringError.full) { try ring.install(Self.key) }
    try ring.install(keys[3])
    try ring.use(keys[3])
    var expected = keys
    expected.insert(expected.remove(at: 3), at: 0)
    #expect(ring.keys == expected)
    #expect(GossipKeyring(keys: keys + [Self.key]) == nil)
    #expect(GossipKeyring(keys: [Self.key, keys[0], Self.key])?.keys == [Self.key, keys[0]])
    #expect(throws: KeyringError.isPrimary) { try ring.remove(keys[3]) }
    try ring.remove(Self.key)
    #expect(ring.keys.count == keys.count)
  }

  @Test func randomIdentitiesAreVersion4() throws {
    let one = try #require(SecureRandom.uuid())
    let two = try #require(SecureRandom.uuid())
    #expect(one != two)
    #expect(one.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil)
  }
}
