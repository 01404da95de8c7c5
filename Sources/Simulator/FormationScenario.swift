import Base
import Server

/// Servers start at about the same moment and nothing fails, but the one that all others know is the last. Everybody
/// must know the leader within a second of its start.
public final class FormationScenario: Scenario {
  public let simulation: Simulation
  public let configuration: String
  private let starts: [Interval]

  static let limit = Interval.seconds(1)

  public init(seed: UInt64) {
    simulation = Simulation(seed: seed)
    let count = simulation.random.chance(0.7) ? 3 : 5
    let spread = [Interval.zero, .milliseconds(20), .milliseconds(500), .seconds(3)][simulation.random.below(4)]
    if simulation.random.chance(0.3) {
      (simulation.conditions.latencyMin, simulation.conditions.latencyMax) = (.milliseconds(1), .milliseconds(8))
    }
    let known = AgentPlan.host(0)
    for number in 0..<count {
      simulation.add(
        AgentPlan(
          name: "server-\(number)", host: AgentPlan.host(number),
          server: .init(bootstrapExpect: count, join: [SocketAddress(known, port: AgentPlan.gossipPort)])))
    }
    var starts = [spread]
    for _ in 1..<count { starts.append(simulation.random.interval(.zero, spread)) }
    self.starts = starts
    configuration = """
      formation: \(count) servers, the known one starts last, after \(spread.milliseconds) ms
        network \(simulation.conditions)
      """
  }

  public func play() {
    for (agent, delay) in zip(simulation.agents, starts) {
      simulation.after(delay) { [simulation] in simulation.start(agent) }
    }
    let last = Instant.start + (starts.max() ?? .zero)
    simulation.run(until: last)
    simulation.demand("a leader that all know", within: Self.limit, step: .milliseconds(1)) {
      simulation.agreedLeader(of: "global") == nil ? "no agreed leader" : nil
    }
    simulation.statistics.slowestFormation = simulation.now - last
    simulation.demand("one whole cluster", within: .seconds(2)) { simulation.defect(of: "global") }
  }
}
