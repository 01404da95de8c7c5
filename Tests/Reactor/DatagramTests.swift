import Base
import Testing

@testable import Reactor

@Suite struct DatagramTests {
  /// libuv's own batch receive spins with small allocations and its batch send is all or nothing; ours must pass a
  /// burst larger than one system call.
  @Test func aBurstOfSixtyFourDatagramsArrivesInOrder() throws {
    try Station.with { station in
      let address = try station.listen(.gossip)
      for number in 0..<64 { station.outbox.datagram(to: address) { $0.append(contentsOf: [UInt8(number), 7]) } }
      station.perform()
      #expect(station.outbox.isEmpty)
      station.wait("64 datagrams") { station.datagrams.count == 64 }
      #expect(station.datagrams.map { $0.bytes } == (0..<64).map { [UInt8($0), 7] })
      #expect(station.datagrams.allSatisfy { $0.from == address })
      #expect(station.network.counters.datagramsSent == 64)
    }
  }

  @Test func moreThanOneBatchLeavesInOneTurn() throws {
    try Station.with { station in
      let address = try station.listen(.gossip)
      for number in 0..<200 { station.outbox.datagram(to: address) { $0.append(UInt8(number)) } }
      station.perform()
      station.wait("200 datagrams") { station.datagrams.count == 200 }
    }
  }

  /// Port 0 is no destination: the kernel refuses it with EINVAL for that datagram.
  @Test func oneBadDestinationDoesNotHoldUpTheOthers() throws {
    try Station.with { station in
      let address = try station.listen(.gossip)
      for number in 0..<10 {
        station.outbox.datagram(to: address) { $0.append(UInt8(number)) }
        if number % 3 == 0 { station.outbox.datagram(to: SocketAddress(.loopback, port: 0)) { $0.append(99) } }
      }
      station.perform()
      station.wait("10 datagrams") { station.datagrams.count == 10 }
      #expect(station.datagrams.map { $0.bytes } == (0..<10).map { [UInt8($0)] })
      #expect(station.network.counters.datagramsFailed == 4)
    }
  }

  @Test func aTooLongDatagramCostsOnlyItself() throws {
    try Station.with { station in
      let address = try station.listen(.gossip)
      station.outbox.datagram(to: address) { $0 += [UInt8](repeating: 1, count: 65_508) }
      station.outbox.datagram(to: address) { $0 += [UInt8](repeating: 2, count: 65_507) }
      station.perform()
      station.wait("the longest datagram") { station.datagrams.count == 1 }
      #expect(station.datagrams.first?.bytes == [UInt8](repeating: 2, count: 65_507))
      #expect(station.network.counters.datagramsFailed == 1)
    }
  }

  @Test func anAddressFamilyWithoutSocketIsCounted() throws {
    try Station.with { station in
      _ = try station.listen(.gossip)
      station.outbox.datagram(to: try #require(SocketAddress("[::1]:9"))) { $0.append(1) }
      station.perform()
      #expect(station.network.counters.datagramsUnroutable == 1)
    }
  }

  @Test func closingTheListenersInsideTheCallbackEndsTheBatch() throws {
    try Station.with { station in
      let address = try station.listen(.gossip)
      station.onDatagram = { station.network.closeListeners() }
      for _ in 0..<10 { station.outbox.datagram(to: address) { $0.append(1) } }
      station.perform()
      station.wait("first datagram") { !station.datagrams.isEmpty }
      station.settle()
      #expect(station.datagrams.count == 1)
    }
  }

  @Test func ipv4PeersReachADualStackSocketAndGetTheirAnswer() throws {
    try Station.with { station in
      let port = try #require(
        station.network.listen(.gossip, at: [SocketAddress(.any6, port: 0)]).first?.port)
      station.outbox.datagram(to: SocketAddress(.loopback, port: port)) { $0.append(1) }
      station.wait("IPv4") { station.datagrams.count == 1 }
      #expect(station.datagrams.first?.from == SocketAddress(.loopback, port: port))
    }
  }

  /// The loopback device never fills a socket, so the full case is entered by hand.
  @Test func datagramsThatWaitLeaveWhenTheSocketHasRoom() throws {
    try Station.with { station in
      let address = try station.listen(.gossip)
      let endpoint = try #require(station.network.datagramEndpoints.first)
      endpoint.enqueue(to: address.system, [1, 2, 3])
      endpoint.enqueue(to: SocketAddress(.loopback, port: 0).system, [9])
      station.outbox.datagram(to: address) { $0 += [4] }
      station.perform()
      station.wait("the queue") { station.datagrams.count == 2 }
      #expect(station.datagrams.map { $0.bytes } == [[1, 2, 3], [4]])
      #expect(endpoint.queuedCount == 0)
    }
  }

  @Test func theWaitingQueueIsBounded() throws {
    try Station.with { station in
      let address = try station.listen(.gossip)
      let endpoint = try #require(station.network.datagramEndpoints.first)
      for _ in 0..<DatagramEndpoint.maximumQueuedDatagrams + 5 { endpoint.enqueue(to: address.system, [1]) }
      #expect(endpoint.queuedCount == DatagramEndpoint.maximumQueuedDatagrams)
      #expect(station.network.counters.datagramsDropped == 5)
    }
  }
}
