import Base
@testable import Gossip
import Testing
import Wire

@Suite struct SourceLimiterTests {
  private func host(_ number: Int) -> IPAddress { .v4(0x0A00_0000 + UInt32(number)) }

  @Test func aHostHasItsBurstAndThenItsRate() {
    var limiter = SourceLimiter(burst: 4, perSecond: 2)
    var now = Instant.start
    for _ in 0..<4 {
      let isGiven = limiter.take(1, from: host(1), at: now)
      #expect(isGiven)
    }
    let isGiven2 = limiter.take(1, from: host(1), at: now)
    #expect(!isGiven2)
    let isGiven3 = limiter.take(1, from: host(2), at: now)
    #expect(isGiven3)
    now += .milliseconds(499)
    let isGiven4 = limiter.take(1, from: host(1), at: now)
    #expect(!isGiven4)
    now += .milliseconds(1)
    let isGiven5 = limiter.take(1, from: host(1), at: now)
    #expect(isGiven5)
    let isGiven6 = limiter.take(1, from: host(1), at: now)
    #expect(!isGiven6)
    // The bucket does not fill beyond its size.
    now += .hours(1)
    for _ in 0..<4 {
      let isGiven = limiter.take(1, from: host(1), at: now)
      #expect(isGiven)
    }
    let isGiven8 = limiter.take(1, from: host(1), at: now)
    #expect(!isGiven8)
  }

  @Test func debtsArePaidFirst() {
    var limiter = SourceLimiter(burst: 100, perSecond: 10)
    var now = Instant.start
    let isGiven9 = limiter.take(1_000_000, from: host(1), at: now)
    #expect(isGiven9)
    now += .seconds(9)
    let isGiven10 = limiter.take(0, from: host(1), at: now)
    #expect(!isGiven10)
    now += .seconds(2)
    let isGiven11 = limiter.take(0, from: host(1), at: now)
    #expect(isGiven11)
  }

  @Test func hostsBeyondTheTableDisplaceTheOldest() {
    var limiter = SourceLimiter(burst: 1, perSecond: 1)
    var now = Instant.start
    for number in 0...SourceLimiter.maximumHosts {
      let isGiven12 = limiter.take(1, from: host(number), at: now)
      #expect(isGiven12)
      now += .microseconds(1)
    }
    // The last ones are remembered, the first is not.
    let isGiven13 = limiter.take(1, from: host(SourceLimiter.maximumHosts), at: now)
    #expect(!isGiven13)
    let isGiven14 = limiter.take(1, from: host(0), at: now)
    #expect(isGiven14)
  }

  @Test func aHostThatOpensStreamsTooOftenIsRefused() {
    var bench = Bench { $0.streamBurst = 3 }
    let peer = SocketAddress(host(9), port: 1)
    for _ in 0..<5 {
      let id = bench.accept(peer)
      bench.machine.handleDisconnected(id, .finished, at: bench.now, above: &bench.layer, effects: &bench.effects)
    }
    #expect(bench.machine.statistics.streamsAccepted == 3)
    #expect(bench.machine.statistics[.limit] == 2)
    bench.now += .seconds(1)
    let id = bench.accept(peer)
    #expect(bench.machine.owns(id))
  }

  @Test func aHostThatSendsBombsIsNotExpandedForAWhile() {
    var bench = Bench { $0.expansionBurstBytes = 100_000 }
    var encoder = LempelZivWelchEncoder()
    var bomb: [UInt8] = []
    let content = [UInt8](repeating: 8, count: 60_000)
    CompressedMessage.encode(content.bytes, into: &bomb, using: &encoder)
    let peer = SocketAddress(host(9), port: 1)
    for _ in 0..<5 { bench.receive(bomb, from: peer) }
    #expect(bench.layer.messages.count == 2)
    #expect(bench.machine.statistics[.limit] == 3)
    bench.receive(bomb, from: Bench.peer)
    #expect(bench.layer.messages.count == 3)
  }

  @Test func namesWithoutEndAreNotPassedOn() {
    var bench = Bench()
    bench.alive("b", 2)
    let name = [UInt8](repeating: 65, count: 513)
    for kind in [GossipMessageKind.suspect, .dead] {
      var out: [UInt8] = []
      AccusationMessage.encode(kind, incarnation: 1, node: utf8("b"), from: name, into: &out)
      bench.receive(out)
    }
    #expect(bench.state("b") == .alive)
    _ = bench.takeDatagrams()
    var request: [UInt8] = []
    IndirectPingMessage.encode(
      sequence: 1, target: Bench.address(2), node: name, wantsNack: true, source: Bench.peer, sourceNode: utf8("c"),
      into: &request)
    bench.receive(request)
    let packets = bench.takeDatagrams()
    #expect(packets.isEmpty)
    #expect(bench.machine.statistics[.unusable] == 3)
  }

  @Test func aQueueTakesNothingThatNoPacketHolds() {
    var queue = BroadcastQueue(maximumEntries: 10, maximumMessageBytes: 100)
    let token = BroadcastQueue.Token(number: 1)
    queue.add([UInt8](repeating: 0, count: 101), token: token)
    #expect(queue.isEmpty && queue.oversized == 1 && queue.finished == [token])
    queue.add([UInt8](repeating: 0, count: 100))
    #expect(queue.count == 1)
  }
}
