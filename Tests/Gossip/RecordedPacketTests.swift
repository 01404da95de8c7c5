import Base
import Gossip
import Testing
import Wire

/// Packets of a real Nomad 1.1.2 server.
@Suite struct RecordedPacketTests {
  func expand(_ message: [UInt8]) throws -> [UInt8] {
    var decoder = LempelZivWelchDecoder()
    var out: [UInt8] = []
    try CompressedMessage(message.bytes.extracting(1..<message.count)).expand(into: &out, limit: 4096, using: &decoder)
    return out
  }

  @Test func readsAChecksummedCompressedCompound() throws {
    let packet = hex(
      """
      0cd08773d30982a4416c676f00a3427566da017a000f0800700e0037028648052143460ea93f00002c5895c4cd983072dc84a193e68d9b
      00a49a94a113461b0051ff18992a83074e99317442c52025e70d9b32a5dcbc6913864c293175d2b0f119c3455119a8e4843143e78b9d39
      6e4221950367cc979e0d55c59071c3050caf4663a412f3e60d9d397494c291490ace1b397448d1b041e386293965ce747463ea0c9b3762
      c2b0114566cca8c231463d8d9ab88d1dc6a2d2903149c20c0e1c63eadea0d1e2060c31315ae020b3b9458ed132449b8191a367981a36c2
      e01043cac91b326556cd916327880bbf80059382f2964e3309284659816a2a400101020a1040a890a1438800c650b4885123478f204592
      3469e9dfa29f4187962a7a94b061c42b5bbe8c3923f264002462e8dfafbf858cffa9cd20e00c2dd06020673524a8e082098ee218636d15
      27175d3724b554538b4975575e7bf5f557606cd064134e3af1444652555d659d565c81f5550e392806155bb6e1c60a1c358951c66f1f0a
      471c5cc725b71c5fce41275d40
      """)
    let plain = hex(
      """
      070200e700dc0486a441646472a47f00000bab496e6361726e6174696f6e01a44d657461da00a2ff8ca6657870656374a131a4726f6c65
      a56e6f6d6164a56275696c64a5312e312e32a8726166745f76736ea132a87270635f61646472aa3132372e302e302e3131a9626f6f7473
      74726170a131a4706f7274a434363437a6726567696f6ea6676c6f62616ca26463a3646331a376736ea131a36d766ea131a26964da0024
      66383863343737342d373062312d386437342d393864322d386630396164613536613862a44e6f6465ab737276412e676c6f62616ca450
      6f7274cd1228a356736ea60105020205040486a441646472a47f000063ab496e6361726e6174696f6e01a44d657461da0096ff8ba56275
      696c64a5312e312e32a26463a3646331a6657870656374a133a26964da002431313131313131312d323232322d333333332d343434342d
      353535353535353535353535a36d766ea131a4706f7274a434363437a8726166745f76736ea132a6726567696f6ea6676c6f62616ca472
      6f6c65a56e6f6d6164a87270635f61646472aa3132372e302e302e3939a376736ea131a44e6f6465ac70726f62652e676c6f62616ca450
      6f7274cd1228a356736ea6010502020504
      """)
    #expect(try expand(Array(packet.dropFirst(5))) == plain)
    var bench = Bench()
    bench.receive(packet)
    let lines = bench.layer.takeLines()
    #expect(Set(lines) == ["joined srvA.global", "joined probe.global"])
    #expect(bench.machine.statistics.dropped == 0)
    // One bit off, and nothing happens.
    var bent = packet
    bent[100] ^= 1
    var other = Bench()
    other.receive(bent)
    #expect(other.machine.statistics[.checksum] == 1)
    #expect(other.machine.nodes.count == 1)
  }

  @Test func readsACompressedAckWithCoordinates() throws {
    let packet = hex(
      """
      0982a4416c676f00a3427566da00650005083a05254c1e366fc290d10640500042aa82905153670e9d3665dcd05906a0a3c78ea58ac891
      f346ceb21ff83e763485a44c9a336836fa2087af16a27168e28db252660c268e2a3b020d3a5465d18f473d26151a9469d35253cac471f2
      a6d900760101
      """)
    let plain = try expand(packet)
    let ack = try AckMessage(plain.bytes.extracting(1..<plain.count))
    let sequence = ack.sequence
    let payload = ack.payload.byteCount
    #expect(sequence == 1004)
    #expect(payload == 130)
  }

  @Test func compressesAndReadsLikeThePeer() throws {
    let packet = hex(
      """
      0982a4416c676f00a3427566da0047000f08007001c00a008248397943a60caa302eceb07923260c9b5253cac459a862c0205246e4bc69
      834a4cc48915d9ac4ae2664c18396ec2d049f3c6cd00850c1d429448d16240
      """)
    let plain = try expand(packet)
    #expect(plain.first == GossipMessageKind.compound.rawValue)
    var encoder = LempelZivWelchEncoder()
    var again: [UInt8] = []
    CompressedMessage.encode(plain.bytes, into: &again, using: &encoder)
    #expect(again == packet)
  }

  @Test func readsARemoteError() throws {
    let message = hex(
      """
      0982a4416c676f00a3427566da0036001b042a55448e9c3772b4012831248c1b376fe880205366cc9b3670e494993307441d376b20de71
      03220c9b3308d3d041d306448c80
      """)
    var bench = Bench()
    bench.machine.exchange(
      with: Bench.peer, isJoin: true, token: ExchangeToken(number: 1), at: bench.now, effects: &bench.effects)
    guard case .connect(let id, _, _)? = bench.effects.outbox.directives.first else { return }
    bench.machine.handleConnected(id, at: bench.now, above: &bench.layer, effects: &bench.effects)
    bench.stream(id, message)
    guard case .refused(let reason)? = bench.layer.outcomes.first else {
      Issue.record("no refusal")
      return
    }
    #expect(reason.hasPrefix("remote error: "))
    #expect(reason.count > 20)
  }
}
