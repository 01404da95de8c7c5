import Base
import RaftSimulator
import Testing

@testable import Raft

/// A handful of the seeds that `make sim-raft` runs by the thousand in an optimised build. A failure names its seed and
/// the command that repeats it.
@Suite struct SimulationTests {
  static let seeds: UInt64 = 60

  /// Dealt out to blocks, which run side by side.
  @Test(arguments: UInt64(0)..<6) func survivesFaultsAndConvergesAfterThem(_ block: UInt64) {
    for seed in 1...Self.seeds where seed % 6 == block {
      let scenario = ConsensusScenario(seed: seed)
      scenario.run()
      #expect(scenario.cluster.checker.violations.isEmpty, "\(scenario.failureText)")
    }
  }

  @Test func sameSeedGivesTheSameRun() {
    let runs = (0..<2).map { _ in
      let scenario = ConsensusScenario(seed: 4711)
      scenario.run()
      return scenario
    }
    #expect(runs[0].cluster.eventCount == runs[1].cluster.eventCount)
    #expect(runs[0].cluster.checker.committedEntries == runs[1].cluster.checker.committedEntries)
    #expect(!runs[0].cluster.checker.committedEntries.isEmpty)
  }
}
