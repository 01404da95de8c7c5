import Base
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

  @Test func randomIdentitiesAreVersion4() throws {
    let one = try #require(SecureRandom.uuid())
    let two = try #require(SecureRandom.uuid())
    #expect(one != two)
    #expect(one.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil)
  }
}
