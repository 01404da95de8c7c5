import Base
import Testing
import Wire

@Suite struct MemberlistMessageTests {
  let b = SocketAddress(IPAddress.v4(0x7F00_0001), port: 4648)

  @Test func writesThePingOfThePeers() throws {
    let golden = hex(
      """
      0085a44e6f6465a8612e676c6f62616ca55365714e6f2aaa536f7572636541646472a47f000001aa536f757263654e6f6465a8622e676c
      6f62616caa536f75726365506f7274cd1228
      """)
    var out: [UInt8] = []
    PingMessage.encode(sequence: 42, node: utf8("a.global"), source: b, sourceNode: utf8("b.global"), into: &out)
    #expect(out == golden)
    let ping = try PingMessage(golden.bytes.extracting(1..<golden.count))
    let check1 = ping.sequence == 42
    #expect(check1)
    let check2 = ping.node.text() == "a.global"
    #expect(check2)
    let check3 = ping.sourceNode.text() == "b.global"
    #expect(check3)
    let check4 = ping.sourcePort == 4648
    #expect(check4)
    let check5 = IPAddress(network: ping.sourceAddress) == .loopback
    #expect(check5)
  }

  @Test func readsTheMinimalPing() throws {
    let golden = hex("82a44e6f6465a8612e676c6f62616ca55365714e6f2a")
    let ping = try PingMessage(golden.bytes)
    let check6 = ping.sequence == 42
    #expect(check6)
    let check7 = ping.sourceAddress.byteCount == 0
    #expect(check7)
    let check8 = ping.sourcePort == 0
    #expect(check8)
  }

  @Test func writesTheIndirectPingOfThePeers() throws {
    let golden = hex(
      """
      0188a44e61636bc3a44e6f6465a8632e676c6f62616ca4506f7274cd1228a55365714e6f2aaa536f7572636541646472a47f000001aa53
      6f757263654e6f6465a8622e676c6f62616caa536f75726365506f7274cd1228a6546172676574a47f000002
      """)
    var out: [UInt8] = []
    IndirectPingMessage.encode(
      sequence: 42, target: SocketAddress(.v4(0x7F00_0002), port: 4648), node: utf8("c.global"), wantsNack: true,
      source: b, sourceNode: utf8("b.global"), into: &out)
    #expect(out == golden)
    let message = try IndirectPingMessage(golden.bytes.extracting(1..<golden.count))
    let check9 = message.wantsNack
    #expect(check9)
    let check10 = message.port == 4648
    #expect(check10)
    let check11 = IPAddress(network: message.target) == .v4(0x7F00_0002)
    #expect(check11)
  }

  @Test func writesAckAndNackAndError() throws {
    var out: [UInt8] = []
    AckMessage.encode(sequence: 42, payload: nil, into: &out)
    #expect(out == hex("0282a75061796c6f6164c0a55365714e6f2a"))
    out = []
    NackMessage.encode(sequence: 42, into: &out)
    #expect(out == hex("0b81a55365714e6f2a"))
    out = []
    ErrorMessage.encode("boom", into: &out)
    #expect(out == hex("0d81a54572726f72a4626f6f6d"))
    let text = try ErrorMessage.decode(out.bytes.extracting(1..<out.count))
    #expect(text == "boom")
  }

  @Test func writesAccusations() throws {
    var out: [UInt8] = []
    AccusationMessage.encode(.suspect, incarnation: 3, node: utf8("c.global"), from: utf8("a.global"), into: &out)
    #expect(
      out == hex("0383a446726f6da8612e676c6f62616cab496e6361726e6174696f6e03a44e6f6465a8632e676c6f62616c"))
    out = []
    AccusationMessage.encode(.dead, incarnation: 3, node: utf8("c.global"), from: utf8("c.global"), into: &out)
    #expect(
      out == hex("0583a446726f6da8632e676c6f62616cab496e6361726e6174696f6e03a44e6f6465a8632e676c6f62616c"))
    let dead = try AccusationMessage(out.bytes.extracting(1..<out.count))
    let check12 = dead.incarnation == 3 && dead.node.equals(dead.from)
    #expect(check12)
  }

  @Test func writesAliveForBothFamilies() throws {
    var out: [UInt8] = []
    AliveMessage.encode(
      incarnation: 1, node: utf8("c.global"), address: b, metadata: hex("ff80"), versions: .nomad, into: &out)
    #expect(
      out
        == hex(
          """
          0486a441646472a47f000001ab496e6361726e6174696f6e01a44d657461a2ff80a44e6f6465a8632e676c6f62616ca4506f7274cd
          1228a356736ea6010502020504
          """))
    let written = out
    let alive = try AliveMessage(written.bytes.extracting(1..<written.count))
    let check13 = alive.versions == .nomad
    #expect(check13)
    out = []
    AliveMessage.encode(
      incarnation: 1, node: utf8("c.global"), address: SocketAddress(.v6(high: 0, low: 1, zone: 0), port: 4648),
      metadata: [], versions: .nomad, into: &out)
    #expect(
      out
        == hex(
          """
          0486a441646472b000000000000000000000000000000001ab496e6361726e6174696f6e01a44d657461c0a44e6f6465a8632e676c
          6f62616ca4506f7274cd1228a356736ea6010502020504
          """))
  }

  @Test func writesPushPullParts() throws {
    var out: [UInt8] = []
    PushPullHeader(nodes: 2, userStateBytes: 60, isJoin: true).encode(into: &out)
    #expect(out == hex("0683a44a6f696ec3a54e6f64657302ac5573657253746174654c656e3c"))
    out = []
    PushPullHeader(nodes: 200, userStateBytes: 300, isJoin: false).encode(into: &out)
    #expect(out == hex("0683a44a6f696ec2a54e6f646573d100c8ac5573657253746174654c656ed1012c"))
    let written = out
    var reader = MessagePackReader(written.bytes, at: 1)
    let header = try PushPullHeader(&reader)
    #expect(header == PushPullHeader(nodes: 200, userStateBytes: 300, isJoin: false))
    out = []
    PushPullNode.encode(
      name: utf8("c.global"), address: b, metadata: hex("ff80"), incarnation: 1, state: .alive, versions: .nomad,
      into: &out)
    #expect(
      out
        == hex(
          """
          87a441646472a47f000001ab496e6361726e6174696f6e01a44d657461a2ff80a44e616d65a8632e676c6f62616ca4506f7274cd12
          28a5537461746500a356736ea6010502020504
          """))
    out = []
    UserMessageHeader.encode(length: 5, into: &out)
    #expect(out == hex("0881aa557365724d73674c656e05"))
  }

  @Test func refusesImpossibleCounts() {
    for text in [
      "82a54e6f646573ffac5573657253746174654c656e00", "82a54e6f64657300ac5573657253746174654c656ed3ffffffffffffffff",
      "81a54e6f646573ce00100001", "81ac5573657253746174654c656ece01400001",
    ] {
      let bytes = hex(text)
      #expect(throws: WireError.self) {
        var reader = MessagePackReader(bytes.bytes)
        _ = try PushPullHeader(&reader)
      }
    }
  }

  @Test func acceptsWhateverGoAccepts() throws {
    // Positional array, str8 and bin strings, unknown and duplicate keys, wide integers, nil.
    let positional = hex("932aa8612e676c6f62616ca47f000001")
    let ping = try PingMessage(positional.bytes)
    let check14 = ping.sequence == 42 && ping.node.text() == "a.global" && ping.sourceAddress.byteCount == 4
    #expect(check14)
    let odd = hex("de0004 d9055365714e6f cf000000000000002a c4044e6f6465 c40161 a3666f6f 9301c0c3 a55365714e6f 2b")
    let other = try PingMessage(odd.bytes)
    let check15 = other.sequence == 43 && other.node.text() == "a"
    #expect(check15)
    let nothing = hex("c0")
    let zero = try NackMessage(nothing.bytes).sequence
    #expect(zero == 0)
    let negative = hex("81a55365714e6fff")
    #expect(throws: WireError.outOfRange) { _ = try NackMessage(negative.bytes) }
  }

  @Test func splitsCompounds() throws {
    let golden = hex(
      """
      07020017002b0082a44e6f6465a8612e676c6f62616ca55365714e6f2a0383a446726f6da8622e676c6f62616cab496e6361726e617469
      6f6e03a44e6f6465a8612e676c6f62616c
      """)
    var compound = try CompoundMessage(golden.bytes.extracting(1..<golden.count))
    var parts: [[UInt8]] = []
    while compound.hasNext { parts.append(try compound.next().copy()) }
    #expect(parts.map(\.count) == [23, 43])
    var out: [UInt8] = []
    CompoundMessage.encode(parts, into: &out)
    #expect(out == golden)
    let crc = Checksum.crc32(golden.bytes)
    #expect(crc == 0x3C71_F196)

    var cut = try CompoundMessage(golden.bytes.extracting(1..<(golden.count - 1)))
    let first = try cut.next().byteCount
    #expect(first == 23)
    let hasMore = cut.hasNext
    #expect(hasMore)
    var failure: WireError?
    do throws(WireError) { _ = try cut.next() } catch { failure = error }
    #expect(failure == .truncated)
    #expect(throws: WireError.truncated) { _ = try CompoundMessage(golden.bytes.extracting(1..<4)) }
    let empty = hex("00")
    let isEmpty = try !CompoundMessage(empty.bytes).hasNext
    #expect(isEmpty)
  }
}
