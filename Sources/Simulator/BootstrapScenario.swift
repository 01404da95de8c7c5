import Base
import Server

/// Servers start in any order at any time while the network and the machines fail. Never may two first configurations
/// take effect; once the faults are over, all servers must be voters of one cluster with one leader.
public final class BootstrapScenario: Scenario {
  public let simulation: Simulation
  public let configuration: String
  private let faults: FaultPlan
  /// Servers start at these times.
  private let starts: [Interval]

  /// From the end of the faults, or the last start if that is later. A late server is stable for 10 s before it becomes
  /// a voter, one every 2 s.
  static let convergenceTime = Interval.seconds(75)

  public init(seed: UInt64) {
    simulation = Simulation(seed: seed)
    let count = 3 + simulation.random.below(5)
    var expect = [3, 3, 3, 2, 5][simulation.random.below(5)]
    if expect > count { expect = 3 }
    simulation.conditions = NetworkConditions.drawn(from: &simulation.random)
    faults = FaultPlan.drawn(from: &simulation.random)
    let known = simulation.random.below(count)
    let listsAll = simulation.random.chance(0.3)
    let addresses = (0..<count).map { SocketAddress(AgentPlan.host($0), port: AgentPlan.gossipPort) }
    let stagger = [Interval.zero, .milliseconds(200), .seconds(2), .seconds(10)][simulation.random.below(4)]
    var starts: [Interval] = []
    for number in 0..<count {
      let agent = simulation.add(
        AgentPlan(
          name: "server-\(number)", host: AgentPlan.host(number),
          server: .init(bootstrapExpect: expect, join: listsAll ? addresses : [addresses[known]])))
      starts.append(simulation.random.interval(.zero, stagger))
      if simulation.random.chance(0.2) { agent.diskLatency = (.milliseconds(1), .milliseconds(200)) }
    }
    // One that nobody expects any more.
    if count > expect, simulation.random.chance(0.3) {
      let late = (known + 1) % count
      starts[late] = simulation.random.interval(.seconds(10), .seconds(20))
    }
    self.starts = starts
    configuration = """
      bootstrap: \(count) servers, bootstrap_expect \(expect), retry_join \(listsAll ? "all" : "server-\(known)")
        starts \(starts.map { "\($0.milliseconds) ms" }.joined(separator: ", "))
        network \(simulation.conditions)
        faults \(faults)
      """
  }

  public func play() {
    for (agent, delay) in zip(simulation.agents, starts) {
      simulation.after(delay) { [simulation] in
        if agent.life == 0 { simulation.start(agent) }
      }
    }
    simulation.inject(faults, against: simulation.agents)
    simulation.run(until: .start + max(faults.until, starts.max() ?? .zero))
    simulation.demand("one leader and all servers voters", within: Self.convergenceTime, step: .milliseconds(100)) {
      simulation.defect(of: "global")
    }
  }
}
