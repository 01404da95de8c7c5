import ArgumentParser
import Raft
import RaftSimulator

/// Runs the simulation of the consensus, in as many threads as asked for, and tells what it went through.
@main struct NomadSimulate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nomad-simulate",
    abstract: "Simulate Raft clusters under faults and check what must always hold.")

  @Option(help: "First seed.") var seed: UInt64 = 1
  @Option(help: "Number of seeds.") var runs: UInt64 = 3000
  @Option(help: "Go on for this many minutes instead.") var minutes: Int?
  @Option(help: "Runs side by side.") var jobs: Int = 2
  @Option(help: "Plant this mistake, or 'all' of them one after the other, and tell which seed finds it.")
  var flaw: String?

  @Flag(help: "Play the first seed alone and print everything that happens.") var trace = false

  func run() async throws {
    if trace {
      let scenario = ConsensusScenario(seed: seed, flaw: flaw.flatMap(PlantedFlaw.init(rawValue:)))
      scenario.cluster.trace = { print($0) }
      if !scenario.run().isEmpty { print(scenario.failureText) }
      return
    }
    if let flaw { return try await find(flaw) }
    let clock = ContinuousClock()
    let start = clock.now
    let end = minutes.map { start + .seconds(60 * $0) }
    var report = SimulationReport()
    var failures: [String] = []
    var next = seed
    while failures.isEmpty, end.map({ clock.now < $0 }) ?? (next < seed + runs) {
      let last = end == nil ? min(next + 200, seed + runs) : next + 200
      let (part, found) = await Self.play(next..<last, jobs: max(1, jobs), flaw: nil)
      report += part
      failures += found
      next = last
    }
    print("simulated \(report)")
    print("time: \(clock.now - start), \(jobs) side by side, first seed \(seed)")
    for text in failures { print("\nFAILED\n\(text)") }
    if !failures.isEmpty { throw ExitCode.failure }
  }

  /// Deals the seeds out; every part is a value of its own, so that nothing is shared.
  static func play(_ seeds: Range<UInt64>, jobs: Int, flaw: PlantedFlaw?) async -> (SimulationReport, [String]) {
    await withTaskGroup(of: (SimulationReport, [String]).self) { group in
      for job in 0..<UInt64(jobs) {
        group.addTask {
          var report = SimulationReport()
          var failures: [String] = []
          for seed in seeds where (seed - seeds.lowerBound) % UInt64(jobs) == job {
            let scenario = ConsensusScenario(seed: seed, flaw: flaw)
            if !scenario.run().isEmpty { failures.append(scenario.failureText) }
            report += scenario.cluster.report
          }
          return (report, failures)
        }
      }
      var report = SimulationReport()
      var failures: [String] = []
      for await (part, found) in group {
        report += part
        failures += found
      }
      return (report, failures)
    }
  }

  /// Says which seed is the first that finds each flaw. Throws a failed exit when one is not found.
  private func find(_ name: String) async throws {
    let flaws = name == "all" ? PlantedFlaw.allCases : [PlantedFlaw(rawValue: name)].compactMap { $0 }
    guard !flaws.isEmpty else { throw ValidationError("no flaw of this name") }
    var isMissed = false
    for flaw in flaws {
      var next = seed
      var found: (seed: UInt64, text: String)?
      while found == nil, next < seed + runs {
        let last = min(next + UInt64(max(1, jobs)) * 8, seed + runs)
        found = await Self.first(next..<last, flaw)
        next = last
      }
      if let found {
        print("\(flaw.rawValue): found by seed \(found.seed)\n  \(found.text)")
      } else {
        isMissed = true
        print("\(flaw.rawValue): NOT FOUND by \(runs) seeds from \(seed) on")
      }
    }
    if isMissed { throw ExitCode.failure }
  }

  private static func first(_ seeds: Range<UInt64>, _ flaw: PlantedFlaw) async -> (seed: UInt64, text: String)? {
    await withTaskGroup(of: (seed: UInt64, text: String)?.self) { group in
      for seed in seeds {
        group.addTask { ConsensusScenario(seed: seed, flaw: flaw).run().first.map { (seed, $0) } }
      }
      return await group.reduce(into: nil) { best, found in
        if let found, best.map({ found.seed < $0.seed }) ?? true { best = found }
      }
    }
  }
}
