import Foundation
import Simulator
import Synchronization
import Testing

/// Which seeds are played: `NOMADD_SIM_SEED` is the first, `NOMADD_SIM_RUNS` how many. A seed without a number of runs
/// is played alone and tells everything. Without either, every scenario has a fixed small set.
enum Seeds {
  private static let environment = ProcessInfo.processInfo.environment
  private static let first = environment["NOMADD_SIM_SEED"].flatMap(UInt64.init)
  private static let count = environment["NOMADD_SIM_RUNS"].flatMap(UInt64.init)

  static func play(_ scenario: any Scenario.Type, runs: UInt64, test: String) {
    let isVerbose = first != nil && (count ?? 1) == 1
    let start = first ?? 1
    for seed in start..<(start &+ (count ?? (first == nil ? runs : 1))) {
      let result = ScenarioResult.run(scenario, seed: seed, trace: isVerbose ? { print($0) } : nil)
      tally.withLock { $0 += result.statistics }
      guard !result.violations.isEmpty else { continue }
      Issue.record(
        """
        seed \(seed): \(result.violations.joined(separator: "\n"))
        \(result.configuration)
        \(result.standing)
        repeat it with: NOMADD_SIM_SEED=\(seed) swift test --filter \(test)
                    or: make sim SEED=\(seed) RUNS=1
        """)
    }
  }

  static let tally = Mutex(SimulationStatistics())
}

/// Prints what all scenarios together went through, at the end of the suite.
struct SummaryTrait: SuiteTrait, TestScoping {
  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    try await function()
    print("simulation: \(Seeds.tally.withLock { $0 })")
  }
}
