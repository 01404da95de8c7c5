import Base
import Gossip
import Testing
import Wire

@Suite struct ProbeTests {
  func ping(_ node: String, sequence: UInt32 = 42, source: SocketAddress = Bench.peer) -> [UInt8] {
    var out: [UInt8] = []
    PingMessage.encode(sequence: sequence, node: utf8(node), source: source, sourceNode: utf8("b"), into: &out)
    return out
  }

  func ack(_ sequence: UInt32) -> [UInt8] {
    var out: [UInt8] = []
    AckMessage.encode(sequence: sequence, payload: nil, into: &out)
    return out
  }

  func pings(_ packets: [(to: SocketAddress, bytes: [UInt8])], _ kind: GossipMessageKind = .ping) -> [UInt32] {
    packets.flatMap { messages(in: $0.bytes) }.compactMap { message in
      guard message[0] == kind.rawValue else { return nil }
      switch kind {
      case .ping: return try? PingMessage(message.bytes.extracting(1..<message.count)).sequence
      case .indirectPing: return try? IndirectPingMessage(message.bytes.extracting(1..<message.count)).sequence
      default: return nil
      }
    }
  }

  /// Runs until the broadcasts about the members are spread, so that packets hold one message.
  func quiet(_ names: [(String, UInt32)]) -> Bench {
    var bench = Bench()
    for (name, last) in names { bench.alive(name, last) }
    return bench
  }

  @Test func answersAPingAtOnceAndBare() {
    var bench = Bench()
    bench.advance(.seconds(1))
    // Our own announcement still waits for somebody; let the first ack carry it.
    for _ in 0..<8 { bench.receive(ping("us")) }
    _ = bench.takeDatagrams()
    bench.receive(ping("us"))
    let sent = bench.takeDatagrams()
    #expect(sent.count == 1)
    #expect(sent[0].to == Bench.peer)
    #expect(sent[0].bytes == hex("0282a75061796c6f6164c0a55365714e6f2a"))
  }

  @Test func answersOnlyItsOwnNameOrNone() {
    var bench = Bench()
    bench.receive(ping("other"))
    let got1 = bench.takeDatagrams()
    #expect(got1.isEmpty)
    #expect(bench.machine.statistics[.misaddressed] == 1)
    bench.receive(ping(""))
    let got2 = bench.takeDatagrams()
    #expect(got2.count == 1)
  }

  @Test func doesNotReflectToStrangers() {
    var bench = Bench()
    let victim = Bench.address(99)
    bench.receive(ping("us", source: victim))
    let got3 = bench.takeDatagrams()
    #expect(got3.map(\.to) == [Bench.peer])
    bench.alive("victim", 99)
    _ = bench.takeDatagrams()
    bench.receive(ping("us", source: victim))
    let got4 = bench.takeDatagrams()
    #expect(got4.map(\.to) == [victim])
  }

  @Test func probesIndirectlyAndOverAStreamThenSuspects() throws {
    var bench = quiet([("b", 2), ("c", 3)])
    bench.advance(.seconds(5))
    let first = pings(bench.takeDatagrams())
    #expect(first.count == 1)
    bench.advance(.milliseconds(3000))
    let outbox = bench.effects.outbox
    let dialled = outbox.directives.contains { if case .connect = $0 { true } else { false } }
    #expect(dialled)
    let indirect = pings(bench.takeDatagrams(), .indirectPing)
    #expect(indirect == first)
    bench.advance(.milliseconds(2000))
    #expect([bench.state("b"), bench.state("c")].contains(.suspect))
    #expect(bench.machine.awareness == 1)
  }

  @Test(arguments: [(largest: 0, wait: 6), (largest: 32, wait: 3)])
  func `a slow member of a large pool asks others later`(_ pool: (largest: Int, wait: Int64)) {
    var bench = Bench { $0.smallPoolMaximum = pool.largest }
    bench.alive("b", 2)
    bench.accuse(.suspect, "us", incarnation: 1, from: "b")
    #expect(bench.machine.awareness == 1)
    _ = bench.takeDatagrams()
    let end = Instant.start + .seconds(60)
    while pings(bench.takeDatagrams()).isEmpty, bench.now < end { bench.advance(.milliseconds(10)) }
    func dials() -> Bool {
      bench.effects.outbox.directives.contains { if case .connect = $0 { true } else { false } }
    }
    bench.advance(.seconds(pool.wait) - .milliseconds(100))
    #expect(!dials())
    bench.advance(.milliseconds(100))
    #expect(dials())
  }

  @Test(arguments: [(largest: 0, pause: 20), (largest: 32, pause: 0)])
  func `who slept through a probe blames itself, and in a large pool begins a period`(
    _ pool: (largest: Int, pause: Int64)
  ) {
    var bench = Bench { $0.smallPoolMaximum = pool.largest }
    for number in 2...6 { bench.alive("peer \(number)", UInt32(number)) }
    bench.advance(.seconds(5))
    #expect(pings(bench.takeDatagrams()).count == 1)
    bench.now += .seconds(30)
    bench.machine.handleTimeout(at: bench.now, above: &bench.layer, effects: &bench.effects)
    #expect(bench.machine.awareness == 3)
    let resumed = bench.now + .seconds(pool.pause)
    while bench.now < resumed {
      #expect(pings(bench.takeDatagrams()).isEmpty)
      bench.advance(.milliseconds(100))
    }
    #expect(pings(bench.takeDatagrams()).count == 1)
  }

  @Test func anAckEndsTheProbe() {
    var bench = quiet([("b", 2)])
    bench.advance(.seconds(5))
    let sequence = pings(bench.takeDatagrams())
    #expect(sequence.count == 1)
    bench.receive(ack(sequence[0] &+ 1000))
    bench.receive(ack(sequence[0]))
    bench.advance(.milliseconds(4900))
    #expect(bench.state("b") == .alive)
    #expect(bench.machine.statistics.probesSucceeded == 1)
  }

  @Test func aStreamAnswerSavesTheNode() throws {
    var bench = quiet([("b", 2)])
    bench.advance(.seconds(5))
    let sequence = try #require(pings(bench.takeDatagrams()).first)
    bench.advance(.seconds(3))
    var dialled: ConnectionID?
    for case .connect(let id, _, _) in bench.effects.outbox.directives { dialled = id }
    let id = try #require(dialled)
    _ = bench.takeDatagrams()
    bench.machine.handleConnected(id, at: bench.now, above: &bench.layer, effects: &bench.effects)
    let request = bench.takeStream(id).bytes
    #expect(request.first == GossipMessageKind.ping.rawValue)
    bench.stream(id, ack(sequence))
    let got5 = bench.takeStream(id)
    #expect(got5.isEnded)
    bench.advance(.seconds(2))
    #expect(bench.state("b") == .alive)
    #expect(bench.machine.statistics.probesSucceeded == 1)
    // The condition has a name as long as it lasts.
    #expect(bench.machine.datagramBlockedNames == ["b"])
    #expect(bench.effects.log.lines.count { $0.message.contains("over TCP but UDP probes failed") } == 1)
    let next = try #require(pings(bench.takeDatagrams()).first)
    bench.receive(ack(next))
    #expect(bench.machine.datagramBlockedNames.isEmpty)
    #expect(bench.machine.statistics.roundTrips == 1)
  }

  /// The pings of one probe go to the same IPv6 address over UDP and, when they are lost, over TCP.
  @Test func anIPv6NodeIsProbedOverUDPAndTCP() throws {
    let own = SocketAddress(.v6(high: 0xFD00 << 48, low: 1, zone: 0), port: 4648)
    let other = SocketAddress(.v6(high: 0xFD00 << 48, low: 2, zone: 0), port: 4648)
    var bench = Bench { $0.address = own }
    var alive: [UInt8] = []
    AliveMessage.encode(
      incarnation: 1, node: utf8("b"), address: other, metadata: [], versions: .nomad, into: &alive)
    bench.receive(alive, from: other)
    #expect(bench.state("b") == .alive)
    bench.advance(.seconds(5))
    let sent = bench.takeDatagrams()
    #expect(sent.allSatisfy { $0.to == other })
    let sequence = try #require(pings(sent).first)
    let ping = sent.flatMap { messages(in: $0.bytes) }.first { $0[0] == GossipMessageKind.ping.rawValue } ?? [0]
    #expect(try PingMessage(ping.bytes.extracting(1..<ping.count)).sourceAddress.equals(own.host.networkBytes))
    bench.advance(.seconds(3))
    var dialled: ConnectionID?
    for case .connect(let id, other, _) in bench.effects.outbox.directives { dialled = id }
    let id = try #require(dialled)
    bench.machine.handleConnected(id, at: bench.now, above: &bench.layer, effects: &bench.effects)
    bench.stream(id, ack(sequence))
    bench.advance(.seconds(2))
    #expect(bench.state("b") == .alive)
    #expect(bench.machine.datagramBlockedNames == ["b"])
  }

  @Test func relaysPingsAndSaysWhenNobodyAnswers() {
    var bench = quiet([("b", 2), ("c", 3)])
    bench.advance(.milliseconds(100))
    _ = bench.takeDatagrams()
    func request(_ sequence: UInt32, _ target: UInt32) -> [UInt8] {
      var out: [UInt8] = []
      IndirectPingMessage.encode(
        sequence: sequence, target: Bench.address(target), node: utf8("c"), wantsNack: true, source: Bench.peer,
        sourceNode: utf8("b"), into: &out)
      return out
    }
    bench.receive(request(7, 3))
    let forwarded = bench.takeDatagrams()
    #expect(forwarded.map(\.to) == [Bench.address(3)])
    let inner = pings(forwarded)
    bench.receive(ack(inner[0]), from: Bench.address(3))
    let got6 = bench.takeDatagrams()
    #expect(got6.map(\.bytes) == [ack(7)])
    bench.receive(request(8, 3))
    _ = bench.takeDatagrams()
    bench.advance(.milliseconds(2999))
    let got7 = kinds(bench.takeDatagrams())
    #expect(!got7.contains(.nack))
    bench.advance(.milliseconds(1))
    let got8 = kinds(bench.takeDatagrams())
    #expect(got8.contains(.nack))
    // A target that is no member is not probed for a stranger.
    bench.receive(request(9, 77))
    let got9 = bench.takeDatagrams()
    #expect(got9.isEmpty)
  }

  @Test func relayTableIsBounded() {
    var bench = Bench { $0.maximumRelays = 5 }
    bench.alive("c", 3)
    for sequence in 0..<20 {
      var out: [UInt8] = []
      IndirectPingMessage.encode(
        sequence: UInt32(sequence), target: Bench.address(3), node: utf8("c"), wantsNack: true, source: Bench.peer,
        sourceNode: utf8("b"), into: &out)
      bench.receive(out)
    }
    #expect(bench.machine.statistics[.limit] == 15)
  }
}
