import Base

/// A story with a point: one seed draws its configuration, its faults and its schedule.
public protocol Scenario {
  init(seed: UInt64)
  var simulation: Simulation { get }
  /// What was drawn, for a report.
  var configuration: String { get }
  /// Tells the whole story; what went wrong is in the checker of the simulation.
  func play()
}

/// The end of one run.
public struct ScenarioResult: Sendable {
  public var violations: [String]
  public var configuration: String
  /// How every agent stood at the end.
  public var standing: String
  public var statistics: SimulationStatistics

  /// Runs the scenario with the seed. `trace` takes every log line.
  public static func run(
    _ scenario: any Scenario.Type, seed: UInt64, trace: ((String) -> Void)? = nil
  ) -> ScenarioResult {
    let story = scenario.init(seed: seed)
    story.simulation.trace = trace
    trace?(story.configuration)
    story.play()
    story.simulation.finish()
    return ScenarioResult(
      violations: story.simulation.checker.violations, configuration: story.configuration,
      standing: story.simulation.description, statistics: story.simulation.statistics)
  }
}

extension Simulation {
  /// The checks that are made once, at the end.
  func finish() {
    checker.finish(agents)
    statistics.runs = 1
  }

  /// Runs until the condition holds; a violation with `what` and the defect when it does not within `limit`.
  @discardableResult
  func demand(
    _ what: String, within limit: Interval, step: Interval = .milliseconds(20), _ defect: () -> String?
  ) -> Bool {
    var last: String?
    let isMet = run(for: limit, step: step) {
      last = defect()
      return last == nil
    }
    if !isMet, checker.violations.isEmpty {
      checker.violation("not within \(limit.seconds) s: \(what); \(last ?? "")")
    }
    if isMet { note("reached: \(what)") }
    return isMet
  }
}
