import Base
import Gossip
import Testing
import Wire

/// Failure detection among neighbours: fast, and only with witnesses.
@Suite struct NeighbourTests {
  /// A pool of us and `names`, all neighbours, with nothing left to gossip. The first one is dead to us.
  func pool(_ names: [String]) -> Bench {
    var bench = Bench()
    bench.layer.relation = .neighbour
    for (index, name) in names.enumerated() { bench.alive(name, UInt32(index + 2)) }
    return bench
  }

  func ping(from name: String, _ last: UInt32, sequence: UInt32 = 9) -> [UInt8] {
    var out: [UInt8] = []
    PingMessage.encode(
      sequence: sequence, node: utf8("us"), source: Bench.address(last), sourceNode: utf8(name), into: &out)
    return out
  }

  /// Lets time pass while the witnesses ping us twice a second.
  func advance(_ bench: inout Bench, _ seconds: Int, witnesses: [(String, UInt32)]) {
    for _ in 0..<(2 * seconds) {
      for (name, last) in witnesses { bench.receive(ping(from: name, last), from: Bench.address(last)) }
      bench.advance(.milliseconds(500))
      answerPings(&bench, to: witnesses.map(\.1))
    }
  }

  func answerPings(_ bench: inout Bench, to witnesses: [UInt32]) {
    for packet in bench.takeDatagrams() {
      guard let last = witnesses.first(where: { Bench.address($0) == packet.to }) else { continue }
      for message in messages(in: packet.bytes) where message[0] == GossipMessageKind.ping.rawValue {
        guard let sequence = try? PingMessage(message.bytes.extracting(1..<message.count)).sequence else { continue }
        var ack: [UInt8] = []
        AckMessage.encode(sequence: sequence, payload: nil, into: &ack)
        bench.receive(ack, from: Bench.address(last))
      }
    }
  }

  @Test func aDeadNeighbourIsMarkedWithinTwelveSeconds() {
    var bench = pool(["b", "c"])
    advance(&bench, 12, witnesses: [("c", 3)])
    #expect(bench.state("b") == .dead)
    #expect(bench.state("c") == .alive)
  }

  @Test func aStrangerHasTheTimeOfTheSlowRules() {
    var bench = pool([])
    bench.layer.relation = .stranger
    bench.alive("b", 2)
    bench.alive("c", 3)
    advance(&bench, 30, witnesses: [("c", 3)])
    #expect(bench.state("b") == .suspect)
    advance(&bench, 25, witnesses: [("c", 3)])
    #expect(bench.state("b") == .dead)
  }

  @Test func whoHearsNobodyWaitsAsLongAsEverybodyElse() {
    var bench = pool(["b", "c"])
    bench.advance(.seconds(28))
    #expect(bench.state("b") == .suspect)
    #expect(bench.state("c") == .suspect)
    bench.advance(.seconds(20))
    #expect(bench.state("b") == .dead)
  }

  @Test func twoNeighboursHaveNoWitness() {
    var bench = pool(["b"])
    bench.advance(.seconds(28))
    #expect(bench.state("b") == .suspect)
  }

  @Test func aMinorityDoesNotJudgeTheMajority() {
    var bench = pool(["b", "c", "d", "e"])
    advance(&bench, 25, witnesses: [("c", 3)])
    #expect(bench.state("b") == .suspect)
    #expect(bench.state("d") == .suspect)
    #expect(bench.state("e") == .suspect)
    #expect(bench.state("c") == .alive)
  }

  @Test func aStallOfOurOwnIsNobodysDeath() {
    var bench = pool(["b", "c"])
    advance(&bench, 3, witnesses: [("c", 3)])
    bench.accuse(.suspect, "b", incarnation: 1, from: "c")
    #expect(bench.state("b") == .suspect)
    // Nothing ran for ten seconds; timers come first, what was received meanwhile right after.
    bench.now += .seconds(10)
    bench.receive(ping(from: "c", 3), from: Bench.address(3))
    bench.machine.handleTimeout(at: bench.now, above: &bench.layer, effects: &bench.effects)
    #expect(bench.state("b") == .suspect)
    bench.alive("b", 2, incarnation: 2)
    #expect(bench.state("b") == .alive)
  }

  @Test func aDeadNodeThatPingsIsToldSo() {
    var bench = pool(["b", "c"])
    bench.accuse(.dead, "b", incarnation: 1, from: "c")
    bench.advance(.seconds(2))
    _ = bench.takeDatagrams()
    bench.receive(ping(from: "b", 2), from: Bench.address(2))
    let sent = bench.takeDatagrams().filter { $0.to == Bench.address(2) }
    #expect(kinds(sent) == [.ack, .dead])
  }

  /// The contradiction was lost on its way to the accuser, who repeats himself.
  @Test func outdatedNewsAboutUsArePutRightWithWhoSendsThem() throws {
    var bench = pool(["b", "c"])
    bench.accuse(.suspect, "us", incarnation: 1, from: "c")
    #expect(bench.incarnation("us") == 2)
    bench.advance(.seconds(2))
    _ = bench.takeDatagrams()
    for kind in [GossipMessageKind.suspect, .dead] {
      bench.advance(.milliseconds(10))
      _ = bench.takeDatagrams()
      bench.accuse(kind, "us", incarnation: 1, from: "c")
      let sent = bench.takeDatagrams()
      #expect(sent.map(\.to) == [Bench.peer])
      let message = try #require(sent.first?.bytes)
      #expect(message.first == GossipMessageKind.alive.rawValue)
      #expect(try AliveMessage(message.bytes.extracting(1..<message.count)).incarnation == 2)
      // Not once for each packet of a flood, and not for strangers.
      bench.accuse(kind, "us", incarnation: 1, from: "c")
      let flood = bench.takeDatagrams()
      #expect(flood.isEmpty)
    }
    bench.advance(.milliseconds(10))
    _ = bench.takeDatagrams()
    var accusation: [UInt8] = []
    AccusationMessage.encode(.suspect, incarnation: 1, node: utf8("us"), from: utf8("c"), into: &accusation)
    bench.receive(accusation, from: Bench.address(99))
    let strangers = bench.takeDatagrams()
    #expect(strangers.isEmpty)
    #expect(bench.incarnation("us") == 2)
  }

  /// Its contradictions are lost, its pings are not.
  @Test func aSuspectThatAnswersIsAskedForItsStateAndNotBuried() {
    var bench = pool(["b", "c"])
    bench.accuse(.suspect, "b", incarnation: 1, from: "c")
    var dials: [Instant] = []
    for _ in 0..<24 {
      for (name, last) in [("b", UInt32(2)), ("c", 3)] {
        bench.receive(ping(from: name, last), from: Bench.address(last))
      }
      bench.advance(.milliseconds(500))
      for case .connect(_, Bench.address(2), _) in bench.effects.outbox.directives { dials.append(bench.now) }
      answerPings(&bench, to: [2, 3])
    }
    #expect(bench.state("b") == .suspect)
    #expect((1...2).contains(dials.count), "one at a time")
    // Now it is silent.
    advance(&bench, 10, witnesses: [("c", 3)])
    #expect(bench.state("b") == .dead)
  }

  @Test func aSuspectThatAnswersForEverIsBuriedAfterTwiceTheTime() {
    var bench = pool(["b", "c"])
    bench.accuse(.suspect, "b", incarnation: 1, from: "c")
    advance(&bench, 59, witnesses: [("b", 2), ("c", 3)])
    #expect(bench.state("b") == .suspect)
    advance(&bench, 3, witnesses: [("b", 2), ("c", 3)])
    #expect(bench.state("b") == .dead)
  }

  @Test func aNeighbourIsPingedThreeTimesBeforeItIsSuspected() {
    var bench = pool(["b"])
    bench.advance(.seconds(3))
    _ = bench.takeDatagrams()
    var sequences: [UInt32] = []
    for _ in 0..<30 {
      bench.advance(.milliseconds(100))
      for packet in bench.takeDatagrams() {
        for message in messages(in: packet.bytes) where message[0] == GossipMessageKind.ping.rawValue {
          guard let ping = try? PingMessage(message.bytes.extracting(1..<message.count)) else { continue }
          sequences.append(ping.sequence)
        }
      }
    }
    let counts = Dictionary(grouping: sequences, by: { $0 }).values.map(\.count)
    #expect(counts.contains(3))
    #expect(counts.allSatisfy { $0 <= 3 })
  }

  @Test func aPoolThatGrowsFastIsAskedForAsAWhole() {
    var bench = Bench { $0.near = nil }
    for number in 0..<40 { bench.alive("n\(number)", UInt32(number + 10)) }
    _ = bench.takeDatagrams()
    bench.advance(.milliseconds(1600))
    let dials = bench.effects.outbox.directives.count { if case .connect = $0 { true } else { false } }
    #expect(dials == 1)
  }
}
