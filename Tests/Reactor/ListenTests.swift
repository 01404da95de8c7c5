import Base
import Testing

@testable import Reactor

@Suite struct ListenTests {
  @Test func gossipListensForBothTransportsOnOnePort() throws {
    try Station.with { station in
      let address = try station.listen(.gossip)
      #expect(address.port != 0)
      #expect(station.network.listeners.map(\.address) == [address])
      #expect(station.network.datagramEndpoints.map(\.address) == [address])
    }
  }

  @Test func severalAddressesShareAPort() throws {
    try Station.with { station in
      let hosts = [IPAddress.loopback, try #require(IPAddress("127.0.0.2")), try #require(IPAddress("::1"))]
      let addresses = try station.network.listen(.gossip, at: hosts.map { SocketAddress($0, port: 0) })
      #expect(addresses.map(\.host) == hosts)
      #expect(Set(addresses.map(\.port)).count == 1)
      for address in addresses { #expect(station.makeStream(to: address) != nil) }
    }
  }

  @Test func aTakenPortIsExplainedAndNothingStaysOpen() throws {
    try Station.with { station in
      let taken = try station.listen(.rpc)
      let free = SocketAddress(try #require(IPAddress("127.0.0.3")), port: taken.port)
      let error = #expect(throws: BindError.self) { try station.network.listen(.rpc, at: [free, taken]) }
      #expect(error?.reason == .inUse)
      #expect(
        error?.description
          == "cannot listen on \(taken) (tcp, rpc): address already in use; another process has this port: stop it, or "
          + "choose another port with ports.rpc")
      #expect(station.network.listeners.count == 1)
      try station.network.listen(.rpc, at: [free])
    }
  }

  @Test func aForeignAddressIsExplained() throws {
    try Station.with { station in
      let foreign = try #require(SocketAddress("192.0.2.1:4648"))
      let error = #expect(throws: BindError.self) { try station.network.listen(.gossip, at: [foreign]) }
      #expect(error?.reason == .notLocal)
      #expect(error?.description.contains("no interface of this machine has this address") == true)
    }
  }

  @Test func bothWildcardsTogetherDoNotCollide() throws {
    try Station.with { station in
      let addresses = try station.network.listen(
        .http, at: [SocketAddress(.any4, port: 0), SocketAddress(.any6, port: 0)])
      #expect(addresses.count == 2)
    }
  }
}
