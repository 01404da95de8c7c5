import Base
import Testing

@testable import Reactor

@Suite struct StreamFlowTests {
  /// Goal: bytes that the kernel does not take at once are queued, keep their order across blocks and partial writes,
  /// and `drained` tells when they are gone. Method: the reader is paused while the writer sends in uneven pieces.
  @Test func aSlowReaderGetsEverythingInOrder() throws {
    try Station.with { station in
      let (client, server) = try #require(station.makeStream(to: try station.listen()))
      station.outbox.pauseReading(client)
      station.perform()
      var expected: [UInt8] = []
      var random = RandomSource(seed: 7)
      let pattern = (0..<100_000).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 13) }
      while expected.count < 12_000_000 {
        let start = random.below(pattern.count)
        let piece = Array(pattern[start...] + pattern[..<random.below(pattern.count)])
        expected += piece
        station.outbox.send(server, bytes: piece)
        station.perform()
        station.outbox.send(server, bytes: [42])
        expected.append(42)
        if random.chance(0.3) { station.settle(.milliseconds(1)) }
      }
      station.wait("the kernel is full") { station.network.queuedBytes(of: server) > NetworkShell.congestedBytes }
      #expect(station.received[client] == nil)
      #expect(station.drained.isEmpty)
      station.outbox.resumeReading(client)
      station.wait("everything") { (station.receivedCount[client] ?? 0) >= expected.count }
      #expect(station.received[client] == expected)
      station.wait("drained") { station.drained == [server] }
      #expect(station.network.queuedBytes(of: server) == 0)
    }
  }

  @Test func aPeerThatNeverReadsCostsOnlyItsOwnStream() throws {
    try Station.with { station in
      let address = try station.listen()
      let bad = try #require(station.makeStream(to: address))
      let good = try #require(station.makeStream(to: address))
      station.outbox.pauseReading(bad.client)
      station.perform()
      station.network.maximumQueuedBytes = 2 << 20
      let piece = [UInt8](repeating: 1, count: 1 << 20)
      for _ in 0..<64 where station.ends[bad.server] == nil {
        station.outbox.send(bad.server, bytes: piece)
        station.settle(.milliseconds(1))
      }
      station.wait("overflow") { station.ends[bad.server] != nil }
      #expect(station.ends[bad.server] == .local)
      #expect(station.network.counters.streamsOverflowed == 1)
      station.outbox.send(good.server, bytes: [1])
      station.wait("the other stream") { station.received[good.client] == [1] }
    }
  }

  @Test func aPausedStreamDeliversNothingUntilResumed() throws {
    try Station.with { station in
      let (client, server) = try #require(station.makeStream(to: try station.listen()))
      station.outbox.pauseReading(server)
      station.outbox.send(client, bytes: [1, 2, 3])
      station.settle()
      #expect(station.received[server] == nil)
      station.outbox.resumeReading(server)
      station.wait("bytes") { station.received[server] == [1, 2, 3] }
    }
  }

  @Test func pausingInsideTheReadCallbackStopsTheNextChunk() throws {
    try Station.with { station in
      let (client, server) = try #require(station.makeStream(to: try station.listen()))
      station.onReceived = { id in
        station.outbox.pauseReading(id)
        station.perform()
      }
      station.outbox.send(client, bytes: [UInt8](repeating: 1, count: 1_000_000))
      station.wait("first chunk") { station.receivedCount[server] != nil }
      station.settle()
      #expect((station.receivedCount[server] ?? 0) <= ReceiveSlab.streamReadBytes)
    }
  }
}
