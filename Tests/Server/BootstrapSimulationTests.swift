import Base
import Foundation
import Testing

@testable import Server

/// Goal: two different first configurations can never both be decided, whatever is lost, cut or restarted; and once the
/// faults stop one is decided. Method: many seeds, each drawing the number of servers, the loss, partitions
/// and crashes.
@Suite struct BootstrapSimulationTests {
  /// `NOMADD_SIM_SEED` names the first seed and `NOMADD_SIM_RUNS` how many each case runs; `make sim` sets them.
  static let seeds: Range<UInt64> = {
    let environment = ProcessInfo.processInfo.environment
    let first = environment["NOMADD_SIM_SEED"].flatMap(UInt64.init) ?? 1
    return first..<first + (environment["NOMADD_SIM_RUNS"].flatMap(UInt64.init) ?? 20)
  }()

  @Test(arguments: [(3, 3), (4, 3), (5, 3), (6, 3), (7, 3), (5, 5), (7, 5), (4, 2)])
  func decidesOneSetUnderFaults(servers: Int, expect: Int) {
    for seed in Self.seeds {
      var network = BootstrapNetwork(seed: seed, servers: servers, expect: expect)
      network.run(until: .start + .seconds(10))
      #expect(network.decided.count <= 1, "seed \(seed): \(network.decided)")
      let end = network.now + .seconds(30)
      while network.now < end, network.decided.isEmpty { network.run(until: network.now + .milliseconds(500)) }
      network.run(until: network.now + .seconds(2))
      #expect(network.decided.count == 1, "seed \(seed) after the faults: \(network.decided)")
      if let set = network.decided.first { #expect(set.count >= expect, "seed \(seed)") }
    }
  }

  private func calm(_ seed: UInt64, servers: Int, expect: Int) -> BootstrapNetwork {
    var network = BootstrapNetwork(seed: seed, servers: servers, expect: expect)
    network.queue.removeAll { event in
      switch event.event {
      case .crash, .partition: true
      default: false
      }
    }
    network.loss = 0
    return network
  }

  /// Every message takes a second or two: longer than any of the times at the beginning.
  @Test(arguments: [(3, 3), (5, 5), (5, 3), (4, 2)]) func decidesThoughEverybodyIsSlow(servers: Int, expect: Int) {
    for seed in Self.seeds {
      var network = calm(seed, servers: servers, expect: expect)
      network.latency = (.seconds(1), .seconds(2))
      let end = network.now + .minutes(4)
      while network.now < end, network.decided.isEmpty { network.run(until: network.now + .milliseconds(500)) }
      #expect(network.decided.count == 1, "seed \(seed): \(network.decided)")
    }
  }

  @Test func formsInOneRoundWithoutFaults() {
    var network = calm(4, servers: 3, expect: 3)
    network.run(until: .start + .seconds(2))
    #expect(network.decided == [(0..<3).map(BootstrapNetwork.server).sorted()])
  }
}
