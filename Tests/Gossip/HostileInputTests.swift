import Base
import Gossip
import Testing
import Wire

@Suite struct HostileInputTests {
  func compressed(_ message: [UInt8]) -> [UInt8] {
    var encoder = LempelZivWelchEncoder()
    var out: [UInt8] = []
    CompressedMessage.encode(message.bytes, into: &out, using: &encoder)
    return out
  }

  func compound(_ parts: [[UInt8]]) -> [UInt8] {
    var out: [UInt8] = []
    CompoundMessage.encode(parts, into: &out)
    return out
  }

  func checked(_ message: [UInt8]) -> [UInt8] {
    var out: [UInt8] = [12]
    out.append(bigEndian: Checksum.crc32(message.bytes))
    return out + message
  }

  let user: [UInt8] = [8] + utf8("hi")

  @Test func everyLayerIsTakenOffOnce() {
    var bench = Bench()
    bench.receive(checked(compressed(compound([user, user]))))
    bench.receive(compound([compressed(user), user]))
    #expect(bench.layer.messages.count == 4)
    bench.receive(compressed(compressed(user)))
    bench.receive(compound([compound([user])]))
    bench.receive(compressed(compound([compressed(user)])))
    bench.receive(compressed(checked(user)))
    #expect(bench.layer.messages.count == 4)
    #expect(bench.machine.statistics[.nesting] == 3)
    #expect(bench.machine.statistics[.unknownKind] == 1)
  }

  @Test func oneBadPartCostsOnePart() {
    var bench = Bench()
    bench.receive(compound([user, [99], [6], [10], [13], [4, 0x81], user]))
    #expect(bench.layer.messages.count == 2)
    #expect(bench.machine.statistics.dropped == 5)
    // A part that is longer than the rest: the ones before it count.
    bench.receive(hex("0702") + [0, 3, 0, 9] + user + [8])
    #expect(bench.layer.messages.count == 3)
  }

  @Test(arguments: [
    "", "0c00000000", "0c", "0cffffffff0868", "07", "0780", "07ff0001", "0703000100", "070100000", "09", "0980",
    "0982a4416c676f00a3427566a0", "0982a4416c676f00a3427566c0", "0982a4416c676f00a3427566a3000302",
    "0982a4416c676f01a3427566a3000302", "f4", "f400", "f4056162", "f40470726f640082", "0a00000034", "06", "0d", "ff",
    "00", "01", "02", "03", "04", "05", "08", "0b", "0081a55365714e6fff", "0081a55365714e6fcf0000000100000000",
    "00dfffffffff", "00c1", "0482a44e6f6465a162a441646472db7fffffff",
  ])
  func survives(text: String) {
    var bench = Bench()
    bench.receive(hex(text))
    #expect(bench.machine.nodes.count == 1)
    #expect(bench.layer.messages.isEmpty)
  }

  @Test func expansionIsBounded() {
    var bench = Bench()
    bench.receive(compressed([8] + [UInt8](repeating: 0, count: 60_000)))
    #expect(bench.layer.messages.count == 1)
    bench.receive(compressed([8] + [UInt8](repeating: 0, count: 2 << 20)))
    #expect(bench.layer.messages.count == 1)
  }

  @Test func noiseNeverTraps() {
    var random = RandomSource(seed: 11)
    var bench = Bench()
    bench.alive("b", 2)
    let seeds: [[UInt8]] = [
      Bench.aliveMessage("c", 3, metadata: hex("ff81a4726f6c65a56e6f6d6164")), compound([user, user]),
      checked(compressed(compound([user, Bench.aliveMessage("d", 4)]))), compressed(user),
      hex("0085a44e6f6465a27573a55365714e6f2aaa536f7572636541646472a47f000001aa536f75726365506f7274cd1228"),
      hex("0183a44e61636bc3a44e6f6465a162a6546172676574a47f000002"),
      hex("0583a446726f6da162ab496e6361726e6174696f6e01a44e6f6465a162"),
    ]
    for round in 0..<6000 {
      var bytes = seeds[round % seeds.count]
      for _ in 0...random.below(4) {
        switch random.below(3) {
        case 0: bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
        case 1: bytes = Array(bytes.prefix(1 + random.below(bytes.count)))
        default: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: random.below(bytes.count))
        }
      }
      bench.receive(bytes, from: Bench.address(UInt32(2 + round % 200)))
      let id = bench.accept(Bench.address(UInt32(2 + round % 200)))
      bench.stream(id, bytes)
      if bench.machine.owns(id) {
        bench.machine.handleDisconnected(id, .finished, at: bench.now, above: &bench.layer, effects: &bench.effects)
      }
      bench.effects.outbox.removeAll()
      if round % 100 == 0 { bench.advance(.seconds(1)) }
    }
    #expect(bench.state("us") == .alive)
    #expect(bench.machine.nodes.count <= bench.machine.configuration.maximumNodes)
  }

  @Test func mistakesAreLoggedOnceASecond() {
    var bench = Bench()
    bench.effects.log.drain { _ in }
    for round in 0..<3000 {
      bench.receive([99], from: Bench.address(UInt32(2 + round % 200)))
      bench.now += .milliseconds(1)
    }
    #expect(bench.effects.log.lines.count <= 4, "\(bench.effects.log.lines.count) lines in three seconds")
    #expect(bench.machine.statistics.dropped == 3000)
  }

  /// A listener answers before it looks; what it does not like changes nothing.
  @Test func aStateWithOneBadNodeChangesNothing() {
    var bench = Bench()
    var bytes: [UInt8] = []
    PushPullHeader(nodes: 3, userStateBytes: 0, isJoin: false).encode(into: &bytes)
    for (name, state) in [("b", NodeState.alive), ("", .alive), ("c", .alive)] {
      PushPullNode.encode(
        name: utf8(name), address: Bench.address(2), metadata: [], incarnation: 1, state: state, versions: .nomad,
        into: &bytes)
    }
    let id = bench.accept()
    bench.stream(id, bytes)
    #expect(bench.machine.nodes.count == 1)
    #expect(!bench.machine.owns(id))
  }

  @Test func labelledPoolsDoNotMix() {
    var plain = Bench()
    plain.receive(hex("f40470726f64") + user)
    #expect(plain.layer.messages.isEmpty)
    var labelled = Bench { $0.label = utf8("prod") }
    labelled.receive(user)
    labelled.receive(hex("f40470726f65") + user)
    #expect(labelled.layer.messages.isEmpty)
    labelled.receive(hex("f40470726f64") + user)
    #expect(labelled.layer.messages.count == 1)
  }
}
