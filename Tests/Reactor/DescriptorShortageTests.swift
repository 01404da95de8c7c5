import Base
import Glibc
import Testing

@testable import Reactor

@Suite struct DescriptorShortageTests {
  /// In a process of its own, because the limit counts for the whole process. Goal: a listener without descriptors
  /// sheds its peers, does not spin, and serves again when descriptors are back.
  @Test func aListenerWithoutDescriptorsShedsAndRecovers() async {
    await #expect(processExitsWith: .success) {
      try Station.with { station in
        let address = try station.listen()
        let peers = (0..<8).map { _ in RawSocket() }
        let late = RawSocket()
        // Everything below the limit is in use.
        var hoard: [Int32] = []
        let lowest = dup(0)
        close(lowest)
        var limit = rlimit(rlim_cur: rlim_t(lowest) + 3, rlim_max: 20_000)
        unsafe setrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit)
        while case let descriptor = dup(0), descriptor >= 0 { hoard.append(descriptor) }

        for peer in peers { #expect(peer.connect(to: address.port)) }
        station.wait("shedding") { station.network.counters.streamsShed == 8 }
        #expect(station.accepted.isEmpty)
        for peer in peers { #expect(peer.receive()?.isEmpty ?? true) }

        let dial = station.outbox.connect(to: address, within: .seconds(1))
        station.wait("failed dial") { station.ends[dial] != nil }
        #expect(station.ends[dial] == .local)

        let turns = station.turns
        station.settle(.milliseconds(50))
        #expect(station.turns - turns < 10, "the loop must not spin while it cannot accept")

        for descriptor in hoard { close(descriptor) }
        #expect(late.connect(to: address.port))
        station.wait("recovery") { station.accepted.count == 1 }
      }
    }
  }
}
