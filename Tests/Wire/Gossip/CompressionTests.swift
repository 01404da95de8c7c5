import Base
import Testing
import Wire

@Suite struct CompressionTests {
  func compress(_ input: [UInt8]) -> [UInt8] {
    var encoder = LempelZivWelchEncoder()
    var out: [UInt8] = []
    encoder.compress(input.bytes, into: &out)
    return out
  }

  func expand(_ input: [UInt8], limit: Int = 1 << 20) throws -> [UInt8] {
    var decoder = LempelZivWelchDecoder()
    var out: [UInt8] = []
    try decoder.expand(input.bytes, into: &out, limit: limit)
    return out
  }

  /// The specification's formula: byte i is the low byte of i * i / 8.
  func squares(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: ($0 * $0) >> 3) } }

  @Test func compressesSmallInputsLikeThePeers() throws {
    #expect(compress([]) == hex("000302"))
    #expect(compress(utf8("ABABABA")) == hex("00830811483020"))
    #expect(try expand(hex("00830811483020")) == utf8("ABABABA"))
    var message: [UInt8] = []
    var encoder = LempelZivWelchEncoder()
    CompressedMessage.encode(utf8("ABABABA").bytes, into: &message, using: &encoder)
    #expect(message == hex("0982a4416c676f00a3427566a700830811483020"))
  }

  @Test func switchesWidthWhereThePeersDo() throws {
    let all = (0...254).map { UInt8($0) }
    let shorter = compress(Array(all.dropLast()))
    #expect(shorter.count == 288 && Array(shorter.suffix(6)) == hex("d3b78f5fbf80"))
    let longer = compress(all)
    #expect(longer.count == 290 && Array(longer.suffix(6)) == hex("8f5f3f7f0101"))
    #expect(try expand(shorter) == Array(all.dropLast()))
    #expect(try expand(longer) == all)
  }

  @Test(arguments: [
    (256, UInt32(0xBDA7_1F47), 290, UInt32(0xC34A_5177)), (1000, 0xCD46_636A, 1247, 0x7588_23FF),
    (10_000, 0x0802_77CD, 6329, 0xE113_EFA7),
  ])
  func matchesTheLongVectors(count: Int, crc: UInt32, size: Int, compressedCRC: UInt32) throws {
    let input = squares(count)
    #expect(Checksum.crc32(input.bytes) == crc)
    let output = compress(input)
    #expect(output.count == size)
    #expect(Checksum.crc32(output.bytes) == compressedCRC)
    #expect(try expand(output) == input)
  }

  @Test func expandsRunsWithinTheDatagramLimit() throws {
    let zeros = [UInt8](repeating: 0, count: 60_000)
    var message: [UInt8] = []
    var encoder = LempelZivWelchEncoder()
    CompressedMessage.encode(zeros.bytes, into: &message, using: &encoder)
    #expect(message.count == 418)
    let limit = GossipLimits.decompressedDatagramBytes(compressed: message.count)
    var decoder = LempelZivWelchDecoder()
    var out: [UInt8] = []
    try CompressedMessage(message.bytes.extracting(1..<message.count)).expand(into: &out, limit: limit, using: &decoder)
    #expect(out == zeros)
  }

  @Test func stopsABombAtTheLimit() {
    let bomb = compress([UInt8](repeating: 0, count: 2 << 20))
    #expect(throws: WireError.tooLarge) { _ = try expand(bomb, limit: 1 << 20) }
    #expect(throws: Never.self) { _ = try expand(bomb, limit: 2 << 20) }
  }

  @Test func refusesDamage() {
    let good = compress(squares(1000))
    #expect(throws: WireError.truncated) { _ = try expand(Array(good.dropLast(2))) }
    #expect(throws: WireError.truncated) { _ = try expand([]) }
    // After a clear the first code must be a literal.
    #expect(throws: WireError.malformed) { _ = try expand(hex("000502")) }
    var random = RandomSource(seed: 7)
    for _ in 0..<2000 {
      let noise = (0..<random.below(200)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      _ = try? expand(noise)
      var bent = good
      bent[random.below(bent.count)] ^= UInt8(1 << random.below(8))
      _ = try? expand(bent)
    }
  }

  @Test func frozenTableDecodesInputWithoutClear() throws {
    // An encoder that never clears: 9-bit clear, then literals only; the table fills up and stays.
    var bits: [Bool] = []
    func put(_ code: Int, _ width: Int) { for bit in 0..<width { bits.append(code >> bit & 1 == 1) } }
    put(256, 9)
    var highest = 257
    var width = 9
    let input = (0..<6000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    for byte in input {
      put(Int(byte), width)
      highest = min(highest + 1, 4096)
      if highest == 1 << width, width < 12 { width += 1 }
    }
    put(257, width)
    while bits.count % 8 != 0 { bits.append(false) }
    let bytes = stride(from: 0, to: bits.count, by: 8).map { start in
      (0..<8).reduce(UInt8(0)) { $0 | (bits[start + $1] ? 1 << UInt8($1) : 0) }
    }
    #expect(try expand(bytes) == input)
  }
}
