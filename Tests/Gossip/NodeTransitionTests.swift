import Base
import Gossip
import Testing
import Wire

@Suite struct NodeTransitionTests {
  @Test func aliveMakesAMember() {
    var bench = Bench()
    bench.alive("b", 2)
    let got1 = bench.layer.takeLines()
    #expect(got1 == ["joined b"])
    bench.alive("b", 2)
    let got2 = bench.layer.takeLines()
    #expect(got2.isEmpty)
    bench.alive("b", 2, incarnation: 2, metadata: hex("ff80"))
    let got3 = bench.layer.takeLines()
    #expect(got3 == ["updated b"])
    bench.alive("b", 2, incarnation: 1, metadata: [])
    #expect(bench.incarnation("b") == 2)
  }

  @Test func suspicionEndsInDeathOrRefutation() {
    var bench = Bench { $0.probeInterval = .hours(10) }
    bench.alive("b", 2)
    bench.alive("c", 3)
    _ = bench.layer.takeLines()
    bench.accuse(.suspect, "b", incarnation: 0, from: "c")
    #expect(bench.state("b") == .alive)
    bench.accuse(.suspect, "b", incarnation: 1, from: "c")
    #expect(bench.state("b") == .suspect)
    bench.alive("b", 2, incarnation: 1)
    #expect(bench.state("b") == .suspect)
    bench.alive("b", 2, incarnation: 2)
    #expect(bench.state("b") == .alive)
    let got4 = bench.layer.takeLines()
    #expect(got4.isEmpty)
  }

  @Test func silentSuspectDiesAfterTheMinimumInASmallPool() {
    var bench = Bench()
    bench.alive("b", 2)
    _ = bench.layer.takeLines()
    bench.accuse(.suspect, "b", incarnation: 1, from: "c")
    bench.advance(.milliseconds(29_999))
    #expect(bench.state("b") == .suspect)
    bench.advance(.milliseconds(1))
    #expect(bench.state("b") == .dead)
    let got5 = bench.layer.takeLines()
    #expect(got5 == ["dead b"])
  }

  @Test func deathAndLeavingAreFinalUntilAHigherIncarnation() {
    var bench = Bench()
    bench.alive("b", 2)
    bench.accuse(.dead, "b", incarnation: 1, from: "b")
    bench.accuse(.dead, "b", incarnation: 1, from: "c")
    let got6 = bench.layer.takeLines()
    #expect(got6 == ["joined b", "left b"])
    bench.alive("b", 2, incarnation: 1)
    #expect(bench.state("b") == .left)
    bench.alive("b", 2, incarnation: 2)
    let got7 = bench.layer.takeLines()
    #expect(got7 == ["joined b"])
    bench.accuse(.dead, "b", incarnation: 2, from: "c")
    let got8 = bench.layer.takeLines()
    #expect(got8 == ["dead b"])
  }

  @Test(arguments: [(UInt32(1), UInt32(2)), (50, 51), (4_294_967_294, 4_294_967_295), (4_294_967_295, 0)])
  func refutesWithAHigherIncarnation(accused: UInt32, answered: UInt32) {
    var bench = Bench()
    bench.alive("b", 2)
    _ = bench.takeDatagrams()
    bench.accuse(.suspect, "us", incarnation: accused, from: "b")
    #expect(bench.incarnation("us") == answered)
    #expect(bench.machine.awareness == 1)
    #expect(bench.state("us") == .alive)
    bench.advance(.milliseconds(20))
    let sent = bench.takeDatagrams().flatMap { messages(in: $0.bytes) }
    #expect(
      sent.contains { message in
        guard message[0] == GossipMessageKind.alive.rawValue else { return false }
        return (try? AliveMessage(message.bytes.extracting(1..<message.count)).incarnation) == answered
      })
  }

  @Test func refutesItsOwnForgedFarewell() {
    var bench = Bench()
    bench.alive("b", 2)
    bench.accuse(.dead, "us", incarnation: 60, from: "us")
    #expect(bench.incarnation("us") == 61)
    #expect(bench.state("us") == .alive)
  }

  @Test func refutesAnAliveThatIsNotOurs() {
    var bench = Bench()
    // What we announced ourselves comes back: an echo.
    bench.alive("us", 1, incarnation: 1)
    #expect(bench.incarnation("us") == 1)
    bench.alive("us", 1, incarnation: 7)
    #expect(bench.incarnation("us") == 8)
    bench.alive("us", 1, incarnation: 8, metadata: hex("ff80"))
    #expect(bench.incarnation("us") == 9)
  }

  @Test func aNameBelongsToOneAddressUntilItIsLeft() {
    var bench = Bench()
    bench.alive("b", 2)
    bench.alive("b", 9, incarnation: 5)
    bench.alive("us", 9, incarnation: 5)
    let conflicts = bench.layer.takeLines()
    #expect(
      conflicts == ["joined b", "conflict b 127.0.0.9:4648", "conflict us 127.0.0.9:4648"])
    #expect(bench.incarnation("us") == 1)
    bench.accuse(.dead, "b", incarnation: 1, from: "c")
    bench.alive("b", 9, incarnation: 5)
    let got9 = bench.layer.takeLines()
    #expect(got9 == ["dead b", "conflict b 127.0.0.9:4648"])
    bench.alive("c", 3)
    bench.accuse(.dead, "c", incarnation: 1, from: "c")
    bench.alive("c", 9, incarnation: 1)
    let got10 = bench.layer.takeLines()
    #expect(got10 == ["joined c", "left c", "joined c"])
  }

  @Test func forgetsTheDeadAfterAMinute() {
    var bench = Bench()
    bench.alive("b", 2)
    bench.accuse(.dead, "b", incarnation: 1, from: "c")
    bench.advance(.seconds(59))
    #expect(bench.state("b") == .dead)
    bench.advance(.seconds(12))
    #expect(bench.state("b") == nil)
    // Now another address may have the name.
    bench.alive("b", 9)
    #expect(bench.state("b") == .alive)
  }

  @Test func ignoresUnusableNodes() {
    var bench = Bench { $0.maximumNodes = 3 }
    let before = bench.machine.statistics[.unusable]
    bench.alive("", 2)
    bench.alive(String(repeating: "x", count: 513), 2)
    bench.alive("b", 2, metadata: [UInt8](repeating: 1, count: 513))
    // Vsn of five bytes; address of five bytes; PMin above PMax.
    bench.receive(
      hex(
        """
        0486a441646472a47f000002ab496e6361726e6174696f6e01a44d657461c0a44e6f6465a162a450
        6f727401a356736ea50105020205
        """))
    bench.receive(
      hex(
        """
        0486a441646472a57f00000203ab496e6361726e6174696f6e01a44d657461c0a44e6f6465a162a4
        506f727401a356736ea6010502020504
        """))
    bench.receive(
      hex(
        """
        0486a441646472a47f000002ab496e6361726e6174696f6e01a44d657461c0a44e6f6465a162a450
        6f727401a356736ea6060502020504
        """))
    #expect(bench.machine.statistics[.unusable] == before + 6)
    #expect(bench.machine.nodes.count == 1)
    for index in 2..<10 { bench.alive("n\(index)", UInt32(index)) }
    #expect(bench.machine.nodes.count == 3)
    #expect(bench.machine.statistics[.limit] == 6)
  }
}
