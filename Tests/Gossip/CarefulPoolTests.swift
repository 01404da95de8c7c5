import Base
import Gossip
import Testing
import Wire

/// What spares the layer above in a large pool, and the loops that may hang.
@Suite struct CarefulPoolTests {
  @Test func `a death of an unsuspected node is a suspicion, and a refutation ends it`() {
    var bench = Bench { $0.smallPoolMaximum = 0 }
    bench.alive("x", 3)
    bench.alive("y", 4)
    _ = bench.layer.takeLines()
    bench.accuse(.dead, "x", incarnation: 1, from: "y")
    #expect(bench.layer.takeLines() == [])
    #expect(bench.machine.suspectCount == 1)
    bench.alive("x", 3, incarnation: 2)
    #expect(bench.machine.suspectCount == 0)
    #expect(bench.layer.takeLines() == [])
  }

  /// Its packets count for nothing, and a lie about the address of a member parts nobody.
  @Test func `a node that is shunned gets no answer, and nobody can make us shun a member`() {
    var bench = Bench()
    bench.alive("x", 3)
    bench.layer.refused = "foreign"
    bench.layer.shunsRefused = true
    bench.alive("foreign", 9)
    bench.alive("foreign", 3)
    _ = bench.takeDatagrams()
    var ping: [UInt8] = []
    PingMessage.encode(
      sequence: 7, node: utf8("us"), source: Bench.address(9), sourceNode: utf8("foreign"), into: &ping)
    bench.receive(ping, from: Bench.address(9))
    let foreign = bench.takeDatagrams()
    #expect(foreign.isEmpty)
    bench.receive(ping, from: Bench.address(3))
    let member = bench.takeDatagrams()
    #expect(member.count == 1)
    // The machine at that address is one of ours now.
    bench.alive("y", 9)
    _ = bench.takeDatagrams()
    bench.receive(ping, from: Bench.address(9))
    let welcome = bench.takeDatagrams()
    #expect(welcome.count == 1)
  }

  @Test func `a death of a suspected node, and a leave, are believed`() {
    var bench = Bench { $0.smallPoolMaximum = 0 }
    bench.alive("x", 3)
    bench.alive("y", 4)
    _ = bench.layer.takeLines()
    bench.accuse(.suspect, "x", incarnation: 1, from: "y")
    bench.accuse(.dead, "x", incarnation: 1, from: "y")
    #expect(bench.layer.takeLines() == ["dead x"])
    bench.accuse(.dead, "y", incarnation: 1, from: "y")
    #expect(bench.layer.takeLines() == ["left y"])
  }

  @Test func `a node that dies twice is reported as back when it has stayed`() {
    var bench = Bench {
      $0.smallPoolMaximum = 0
      $0.doubtsDeaths = false
      $0.probation = .seconds(2)
    }
    bench.alive("x", 3)
    bench.accuse(.dead, "x", incarnation: 1, from: "y")
    bench.alive("x", 3, incarnation: 2)
    #expect(bench.layer.takeLines() == ["joined x", "dead x", "joined x"])
    bench.accuse(.dead, "x", incarnation: 2, from: "y")
    bench.alive("x", 3, incarnation: 3)
    #expect(bench.layer.takeLines() == ["dead x"])
    // A third death before the report: the layer hears of neither.
    bench.accuse(.dead, "x", incarnation: 3, from: "y")
    bench.alive("x", 3, incarnation: 4)
    #expect(bench.layer.takeLines() == [])
    bench.advance(.seconds(3))
    #expect(bench.layer.takeLines() == [])
    bench.advance(.seconds(2))
    #expect(bench.layer.takeLines() == ["joined x"])
    // Long after, a death is the first again.
    bench.advance(.minutes(11))
    _ = bench.layer.takeLines()
    bench.alive("z", 5)
    bench.accuse(.dead, "z", incarnation: 1, from: "y")
    bench.alive("z", 5, incarnation: 2)
    #expect(bench.layer.takeLines() == ["joined z", "dead z", "joined z"])
  }

  @Test func `in a large pool those who fall silent together are removed together`() {
    func removals(after hold: Interval) -> [[String]] {
      var bench = Bench {
        $0.smallPoolMaximum = 0
        $0.removalHold = hold
      }
      bench.alive("x", 3)
      bench.alive("y", 4)
      for name in ["x", "y"] {
        for accuser in ["a", "b", "c", "d", "e"] { bench.accuse(.suspect, name, incarnation: 1, from: accuser) }
        bench.advance(.seconds(2))
      }
      _ = bench.layer.takeLines()
      var steps: [[String]] = []
      for _ in 0..<400 {
        bench.advance(.milliseconds(100))
        let lines = bench.layer.takeLines().sorted()
        if !lines.isEmpty { steps.append(lines) }
      }
      return Array(steps.prefix(2))
    }
    #expect(removals(after: .zero) == [["dead x"], ["dead y"]])
    #expect(removals(after: .seconds(5)).first == ["dead x", "dead y"])
  }

  @Test func `in a small pool a death is believed, and a return is news at once, however often`() {
    var bench = Bench()
    bench.alive("x", 3)
    for incarnation in 1...3 {
      bench.accuse(.dead, "x", incarnation: UInt32(incarnation), from: "y")
      bench.alive("x", 3, incarnation: UInt32(incarnation + 1))
    }
    #expect(
      bench.layer.takeLines() == ["joined x", "dead x", "joined x", "dead x", "joined x", "dead x", "joined x"])
  }

  @Test func `a loop that hangs sends nothing and asks for no time`() {
    var bench = Bench()
    bench.alive("x", 3)
    _ = bench.takeDatagrams()
    bench.machine.paused = .all
    #expect(bench.machine.deadline == .distantFuture)
    bench.advance(.seconds(30))
    #expect(bench.takeDatagrams().isEmpty)
    bench.machine.paused = []
    bench.advance(.seconds(10))
    #expect(!bench.takeDatagrams().isEmpty)
  }

  @Test func `lists in any order find the same nodes`() {
    struct Named: NamedRecord {
      var name: [UInt8]
      static let vacant = Named(name: [])
    }
    var table = NameTable<Named>()
    for name in ["b", "d", "a", "c"] { table.insert(Named(name: utf8(name))) }
    for order in [["a", "b", "c", "d"], ["d", "c", "b", "a"], ["a", "x", "c", "d", "d"], ["0", "zz"]] {
      var position = 0
      for name in order {
        let plain = table.find(utf8(name).bytes)
        #expect(table.find(utf8(name).bytes, next: &position) == plain)
      }
    }
  }
}
