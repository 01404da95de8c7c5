import Base
import Testing

@testable import Reactor

@Suite struct StreamTests {
  @Test func bytesTravelBothWays() throws {
    try Station.with { station in
      let (client, server) = try #require(station.makeStream(to: try station.listen()))
      station.outbox.send(client, bytes: Array("ping".utf8))
      station.outbox.send(server, bytes: Array("pong".utf8))
      station.wait("both") { station.received[server]?.count == 4 && station.received[client]?.count == 4 }
      #expect(station.received[server] == Array("ping".utf8))
      #expect(station.received[client] == Array("pong".utf8))
    }
  }

  @Test func payloadsOfManyStreamsInOneTurnKeepTheirOrder() throws {
    try Station.with { station in
      let address = try station.listen()
      let streams = try (0..<3).map { _ in try #require(station.makeStream(to: address)) }
      for number in 0..<50 {
        for stream in streams { station.outbox.send(stream.client, bytes: [UInt8(number)]) }
      }
      let expected = (0..<50).map { UInt8($0) }
      station.wait("all") { streams.allSatisfy { station.received[$0.server]?.count == 50 } }
      for stream in streams { #expect(station.received[stream.server] == expected) }
    }
  }

  @Test func whatIsSentBeforeTheHandshakeArrives() throws {
    try Station.with { station in
      let client = station.outbox.connect(to: try station.listen(), within: .seconds(5))
      station.outbox.send(client, bytes: [1, 2])
      station.perform()
      station.outbox.send(client, bytes: [3])
      station.perform()
      station.wait("bytes") { station.accepted.first.map { station.received[$0]?.count == 3 } ?? false }
      #expect(station.received[station.accepted[0]] == [1, 2, 3])
    }
  }

  @Test func aClosedPortIsRefused() throws {
    try Station.with { station in
      let unused = try station.listen()
      station.network.closeListeners()
      station.settle(.milliseconds(5))
      let client = station.outbox.connect(to: unused, within: .seconds(5))
      station.wait("refusal") { station.ends[client] != nil }
      #expect(station.ends[client] == .refused)
    }
  }

  /// A listener whose queue is full drops the handshake, as a dead host would.
  @Test func aDialThatIsNotAnsweredTimesOut() throws {
    let deaf = RawSocket()
    let port = deaf.listen(backlog: 0)
    let filler = RawSocket()
    #expect(filler.connect(to: port))
    try Station.with { station in
      let start = station.loop.now
      let client = station.outbox.connect(to: SocketAddress(.loopback, port: port), within: .milliseconds(150))
      station.wait("time-out") { station.ends[client] != nil }
      #expect(station.ends[client] == .timedOut)
      #expect(Loop.monotonicNow() - start >= .milliseconds(150))
    }
  }

  @Test func aDialThatCannotBeginIsToldLater() throws {
    try Station.with { station in
      // A multicast address has no stream.
      let client = station.outbox.connect(to: try #require(SocketAddress("224.0.0.1:9")), within: .seconds(5))
      station.perform()
      #expect(station.ends.isEmpty)
      station.wait("end") { station.ends[client] != nil }
      #expect(station.ends[client] == .unreachable)
    }
  }

  @Test func aDialLeavesFromTheChosenAddress() throws {
    try Station.with { station in
      station.network.dialFrom = [try #require(IPAddress("127.0.0.9"))]
      let peer = RawSocket()
      let port = peer.listen(backlog: 4)
      let client = station.outbox.connect(to: SocketAddress(.loopback, port: port), within: .seconds(5))
      station.wait("connection") { station.connected == [client] }
      #expect(peer.acceptedAddress()?.host == IPAddress("127.0.0.9"))
    }
  }

  @Test func aThousandStreamsLiveAtOnce() throws {
    try Station.with { station in
      let address = try station.listen()
      let count = 1000
      let clients = (0..<count).map { _ in station.outbox.connect(to: address, within: .seconds(10)) }
      station.wait("streams") { station.connected.count == count && station.accepted.count == count }
      for client in clients { station.outbox.send(client, bytes: [1, 2, 3, 4]) }
      station.wait("bytes") { station.accepted.allSatisfy { station.received[$0]?.count == 4 } }
      for client in clients { station.outbox.close(client) }
      station.wait("ends") { station.endCount == count }
      #expect(station.ends.values.allSatisfy { $0 == .finished })
      station.wait("closings") { station.network.closingCount == 0 && station.network.streamCount == 0 }
    }
  }

  @Test func beyondTheMaximumPeersAreShed() throws {
    try Station.with { station in
      let address = try station.listen()
      station.network.maximumStreams = 4
      let peers = (0..<6).map { _ in RawSocket() }
      for peer in peers { #expect(peer.connect(to: address.port)) }
      station.wait("shedding") { station.network.counters.streamsShed == 2 }
      #expect(station.accepted.count == 4)
      let dial = station.outbox.connect(to: address, within: .seconds(1))
      station.wait("refused dial") { station.ends[dial] != nil }
      #expect(station.ends[dial] == .local)
    }
  }
}
