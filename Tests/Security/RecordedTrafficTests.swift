import Base
import Security
import Server
import Testing

/// Packets and a stream that agents of Nomad 1.1.2 exchanged under a gossip key, before and after a change of the key.
/// The plaintext is what an independent implementation of AES-GCM makes of them.
@Suite struct RecordedTrafficTests {
  struct Recording: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var key: String
    var sealed: String
    var plain: String
  }

  static let first = "720f12b555db409d203ef31df68ef2ae"
  static let second = "8151c9856f6d5df1693bb2b75d42a764"

  static let packets = [
    Recording(
      testDescription: "compound under the first key", key: first,
      sealed: "01b47995761492a53db360ba1ea171ce7fd050dccf36b6861797338ac1630eccecc469165c18c36880b7438af41f00ce2ccb3316"
        + "5a7a054fd99057",
      plain: "0cafe38a0c080182a54c54696d6502a44e6f6465a973322e676c6f62616c"),
    Recording(
      testDescription: "user message under the first key", key: first,
      sealed: "013471b957a4548e245f3c6995c1a2b0b3a19b5af3dda1a6e76b84e4a6291eaacaec402726d27c467a4c6252de0c55260c78198d"
        + "c9b3851df26d4dd069a20406e333d5a9f981e0401e706bb6e22e4972fd822c13f7230994dc4a15280cf8f7431c459d97f427bede"
        + "1d186e18ecac2cb345f31df69a",
      plain: "080585a5466c61677300a446726f6da973312e676c6f62616ca24944ce2fc11e6da54c54696d6502a75061796c6f6164da002508"
        + "84a44b657973c0a74d657373616765a0aa5072696d6172794b6579a0a6526573756c74c3"),
    Recording(
      testDescription: "ping under the second key", key: second,
      sealed: "01827595af0c0983edd03b58b57715d94619a399b8b1c8af1b823c89680ac8e14380ca0cbb9f50fdd07290fce94cac7929a50516"
        + "9de426405af37e4936ce1953dbef4724f038e30cf697c6e2986dd139b3ab7949d6170ce26b6b769d5d4674b9aaaa8a59cd107d4f",
      plain: "0085a44e6f6465a973332e676c6f62616ca55365714e6f02aa536f7572636541646472a47f000001aa536f757263654e6f6465a9"
        + "73312e676c6f62616caa536f75726365506f7274cd1228"),
    Recording(
      testDescription: "ack under the second key", key: second,
      sealed: "01fe27a57e726c2e41c5e9a21ef31d35c04ab3e83599426e81ab578eba8594f4b09a3af640026130f7e777969205d8e7721fba12"
        + "b6b6a732bdcc813b7075781f90488825a5953c9143cbee521135cea8bfc1a8d0a616857e7e07955d0536546075cc8de6af606795"
        + "91bc82c1a100a0956d3451a99db0b0d9e9d2b2e94535361c48392de5c008ef3bd1f2791c160e8a1d710cd4b59cf842238fd59f00"
        + "78f6a142e9b3b90da1b435feb0c435d4e675633d99217b",
      plain: "0282a75061796c6f6164da00820184aa41646a7573746d656e74cb3ef59ff11b913f42a54572726f72cb3ff5fe3a037d117fa648"
        + "6569676874cb3eebe781621c5c99a356656398cb3ef1ccdcbadeeafccb3f100f83c987f19bcbbee9a723f8ee79abcbbf014a3514"
        + "5f01d1cb3f0c6ff58b25c0becbbf035eb44cc80bfdcbbee6eafe96cc0278cb3f02fce79d3c1259a55365714e6f02"),
  ]

  /// The state that a joining server sent: `0a`, length, sealed bytes.
  static let stream =
    "0a0000019501db0d4efd1e1c5f2ce80ea5a4828c7a2a09c2d02bc604d3ed5800006dc1c9d22993c5d74d117566f5cb8cfa707c24"
    + "d0d84a2e18a0598555c18a84c3fb55c25703dace18636d662be53683516c9d4c8954bafa40a3a8b7ba18e4c2986b02b502e65477"
    + "be7917dae9984a340775ff220b0f0da00ca86fe0f6b721cd7c9f14b8de5e32d9198bd7081d5b9b6d3d4354e1daceee000add45ab"
    + "f64df59ff1d56189ae6f2c584bdebb037f33d9e1e4c6b6aed955a16bc42488ab86821cdb40132ccd8099aae83f6bfd7f02073b9f"
    + "c7d952d7bacf1f7990c08e9a3adf7c25bfac19d67604d75bcb53d53c49729157aeda71e5ff8c25cd8f31667246ec1ae16f3421cf"
    + "bf91fac8ad5a97b831143ae08aadb1241632173c908e12061cb36518d592aa54324c79b465db6d7310395f12ca744fce480a05f9"
    + "5b44da1d0643c690a73ed05109a061530f143d60ef97eb21bc205f86901f65b952b7795b3a4da2d5021ca0be1f08e4e44fa3b94d"
    + "e72aaea77a8227bc343214532bfdc5d0df6d757ad0b9e9a34277c65f9ddff2885bde4b181526431c5a412bbaad82"
  static let streamPlain =
    "0982a4416c676f00a3427566da0169000d0c22a5e44d1a37c34a397943a6cc9c00acaacc2923670a9d3074ca3029e3269a802887"
    + "48052143460ea93f0000045895c4cd983072dc604cf3c64d00524dca5cd406a0d2bf45a6e4943943d38da9336cde8809c346541a"
    + "323c49909941638c8c1965c6b4781923460b1c626adc6871830c0c1c2d62c0301346cc98326160e4089303951c3863be84212927"
    + "550c19375cc010ec220629386fe4d02145c3068d1b76c398a1f3c5ce1c37a166982a83074e563a9949c979c3a64c29376fdaec15"
    + "4566cca8d6314659c61cbb8d1ddaa5c4d449c3864ca918855dc820e5244c9b32a9e60047aa9429292889e9349380a294458c6500"
    + "8cb272d95480020204142020c090aa227638d2614225cdf100a6d0ab9fc34d000060f8f3ebdfcfbfbfffff000628e080041668e0"
    + "810826a8e0820c36e8e083104628e1841456686029ecb957c64a1b4d96531b6250340724aa445107457964f81e2bd7d151c71c2a"
    + "3a144872cb25b5141b000404"

  private func keyring(_ keys: String...) throws -> GossipKeyring {
    try #require(GossipKeyring(keys: keys.map(AESGCMTests.bytes)))
  }

  @Test(arguments: packets) func packetsAreReadWithTheKeyOfTheirTime(recording: Recording) throws {
    var ring = try keyring(recording.key)
    let sealed = AESGCMTests.bytes(recording.sealed)
    var plain: [UInt8] = []
    #expect(ring.open(sealed.bytes, header: RawSpan(), label: RawSpan(), into: &plain))
    #expect(plain == AESGCMTests.bytes(recording.plain))
  }

  /// In the middle of a rotation both keys are installed and members use either.
  @Test(arguments: packets) func packetsAreReadWhicheverKeyIsPrimary(recording: Recording) throws {
    for keys in [[Self.first, Self.second], [Self.second, Self.first]] {
      var ring = try keyring(keys[0], keys[1])
      var plain: [UInt8] = []
      let sealed = AESGCMTests.bytes(recording.sealed)
      #expect(ring.open(sealed.bytes, header: RawSpan(), label: RawSpan(), into: &plain))
      #expect(plain == AESGCMTests.bytes(recording.plain))
    }
  }

  @Test(arguments: packets) func packetsAreUnreadableWithoutTheirKey(recording: Recording) throws {
    var ring = try keyring(recording.key == Self.first ? Self.second : Self.first)
    let sealed = AESGCMTests.bytes(recording.sealed)
    var plain: [UInt8] = []
    #expect(!ring.open(sealed.bytes, header: RawSpan(), label: RawSpan(), into: &plain))
    #expect(plain.isEmpty)
  }

  @Test(arguments: packets) func packetsAreSealedAsTheirSenderDid(recording: Recording) throws {
    let cipher = try #require(AESGCM(key: AESGCMTests.bytes(recording.key)))
    let packet = AESGCMTests.bytes(recording.sealed)
    var sealed = Array(packet.prefix(1 + AESGCM.nonceBytes))
    let plain = AESGCMTests.bytes(recording.plain)
    let nonce = Array(sealed.dropFirst())
    #expect(cipher.seal(plain.bytes, nonce: nonce, authenticated: (RawSpan(), RawSpan()), into: &sealed))
    #expect(sealed == packet)
  }

  @Test func theStreamIsReadWithItsHeaderOnly() throws {
    var ring = try keyring(Self.first)
    let whole = AESGCMTests.bytes(Self.stream)
    let body = whole.bytes(5..<whole.count)
    var plain: [UInt8] = []
    #expect(!ring.open(body, header: RawSpan(), label: RawSpan(), into: &plain))
    #expect(plain.isEmpty)
    #expect(ring.open(body, header: whole.bytes(0..<5), label: RawSpan(), into: &plain))
    #expect(plain == AESGCMTests.bytes(Self.streamPlain))
  }
}
