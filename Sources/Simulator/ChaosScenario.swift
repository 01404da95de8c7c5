import Base
import Server

/// A cluster with clients lives through everything that can happen: loss, partitions, kills, power cuts, of clients
/// too. Once that is over everything must be as if nothing had happened, and every client that was ever told that it is
/// registered must be.
public final class ChaosScenario: Scenario {
  public let simulation: Simulation
  public let configuration: String
  private let faults: FaultPlan
  private let servers: [VirtualAgent]
  private let clients: [VirtualAgent]

  static let convergenceTime = Interval.seconds(90)

  public init(seed: UInt64) {
    simulation = Simulation(seed: seed)
    simulation.conditions = NetworkConditions.drawn(from: &simulation.random)
    var faults = FaultPlan.drawn(from: &simulation.random)
    faults.until = simulation.random.interval(.seconds(15), .seconds(45))
    self.faults = faults
    let count = 3 + simulation.random.below(3)
    let known = SocketAddress(AgentPlan.host(0), port: AgentPlan.gossipPort)
    var servers: [VirtualAgent] = []
    var clients: [VirtualAgent] = []
    for number in 0..<count {
      servers.append(
        simulation.add(
          AgentPlan(
            name: "server-\(number)", host: AgentPlan.host(number), server: .init(bootstrapExpect: 3, join: [known]))))
    }
    for number in 0..<(1 + simulation.random.below(3)) {
      let given = SocketAddress(AgentPlan.host(simulation.random.below(count)), port: AgentPlan.rpcPort)
      clients.append(
        simulation.add(
          AgentPlan(name: "client-\(number)", host: AgentPlan.host(20 + number), client: .init(servers: [given]))))
    }
    (self.servers, self.clients) = (servers, clients)
    configuration = """
      chaos: \(count) servers, \(clients.count) clients
        network \(simulation.conditions)
        faults \(faults)
      """
  }

  public func play() {
    for agent in simulation.agents {
      simulation.after(simulation.random.interval(.zero, .seconds(2))) { [simulation] in
        if agent.life == 0 { simulation.start(agent) }
      }
    }
    simulation.inject(faults, against: simulation.agents)
    simulation.run(until: .start + faults.until)
    simulation.demand("everything as if nothing had happened", within: Self.convergenceTime, step: .milliseconds(100)) {
      simulation.defect(of: "global") ?? simulation.registrationDefect(of: clients, region: "global")
        ?? simulation.listDefect(of: clients, region: "global")
    }
  }
}
