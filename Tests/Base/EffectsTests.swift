import Base
import Testing

@Suite struct EffectsTests {
  private let peer = SocketAddress(.loopback, port: 1)

  @Test func `consecutive sends to one stream are merged, others are not`() {
    var outbox = Outbox()
    let a = outbox.makeConnectionID()
    let b = outbox.makeConnectionID()
    #expect(a != b)
    outbox.send(a) { $0 += [1, 2] }
    outbox.send(a, bytes: [3])
    outbox.send(b, bytes: [4])
    outbox.send(b) { _ in }
    outbox.send(a, bytes: [5])
    outbox.datagram(to: peer) { $0.append(6) }
    outbox.datagram(to: peer) { _ in }
    outbox.send(a, bytes: [7])
    outbox.close(a)
    outbox.abort(b)
    #expect(
      outbox.directives == [
        .send(a, payload: 0..<3), .send(b, payload: 3..<4), .send(a, payload: 4..<5),
        .datagram(to: peer, payload: 5..<6),
        .send(a, payload: 6..<7), .close(a), .abort(b),
      ])
    #expect(outbox.arena == [1, 2, 3, 4, 5, 6, 7])
    outbox.removeAll()
    #expect(outbox.isEmpty)
    #expect(outbox.arena.isEmpty)
  }

  @Test func `dials get fresh ids`() {
    var outbox = Outbox()
    let first = outbox.connect(to: peer, within: .seconds(1))
    outbox.removeAll()
    let second = outbox.connect(to: peer, within: .seconds(1))
    #expect(first < second)
    outbox.pauseReading(second)
    outbox.resumeReading(second)
    #expect(
      outbox.directives == [
        .connect(second, to: peer, within: .seconds(1)), .pauseReading(second), .resumeReading(second),
      ])
  }

  @Test func `one large turn does not keep its memory`() {
    var outbox = Outbox()
    outbox.send(outbox.makeConnectionID(), bytes: [UInt8](repeating: 0, count: 4 << 20))
    outbox.removeAll()
    #expect(outbox.arena.capacity <= 1 << 20)
  }

  @Test func `lines below the level cost nothing`() {
    var log = LogSink(minimum: .warn)
    func costly() -> String {
      Issue.record("evaluated")
      return ""
    }
    log.log(.info, "nomad", costly())
    log.log(.error, "nomad", "message", ["key": "value"])
    #expect(log.lines.map(\.message) == ["message"])
    #expect(log.lines.first?.fields.map(\.key) == ["key"])
  }

  @Test func `lines beyond the limit are counted`() {
    var log = LogSink(minimum: .trace)
    for _ in 0..<5000 { log.log(.trace, "nomad", "line") }
    #expect(log.dropped == 904)
    var count = 0
    log.drain { _ in count += 1 }
    #expect(count == 4096)
    #expect(log.lines.isEmpty)
    #expect(log.dropped == 0)
  }

  @Test func `equal seeds give equal numbers, different ones do not`() {
    var a = RandomSource(seed: 1)
    var b = RandomSource(seed: 1)
    var c = RandomSource(seed: 2)
    let first = (0..<8).map { _ in a.next() }
    #expect(first == (0..<8).map { _ in b.next() })
    #expect(first != (0..<8).map { _ in c.next() })
  }

  @Test func `random values stay in their ranges`() {
    var random = RandomSource(seed: 0)
    #expect(random.below(0) == 0)
    #expect(random.below(-5) == 0)
    #expect(random.below(1) == 0)
    var seen = Set<Int>()
    for _ in 0..<1000 {
      seen.insert(random.below(7))
      #expect((0..<1).contains(random.fraction()))
      let interval = random.interval(.seconds(1), .seconds(2))
      #expect(interval >= .seconds(1) && interval < .seconds(2))
    }
    #expect(seen == Set(0..<7))
    #expect(random.interval(.seconds(2), .seconds(1)) == .seconds(2))
    #expect(random.interval(Interval(nanoseconds: .min), Interval(nanoseconds: .max)) < Interval(nanoseconds: .max))
    let never = (0..<100).contains { _ in random.chance(0) }
    let always = (0..<100).allSatisfy { _ in random.chance(1) }
    #expect(!never)
    #expect(always)
  }

  @Test func `identifiers have the form of version 4`() {
    var random = RandomSource(seed: 9)
    for _ in 0..<100 {
      let text = Array(random.uuid())
      #expect(text.count == 36)
      #expect(text[14] == "4")
      #expect("89ab".contains(text[19]))
      #expect([8, 13, 18, 23].allSatisfy { text[$0] == "-" })
      #expect(text.filter { $0 != "-" && !$0.isHexDigit }.isEmpty)
    }
  }
}
