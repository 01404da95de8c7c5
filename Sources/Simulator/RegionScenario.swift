import Base
import Server
import Wire

/// Two regions with two data centres each form apart and are joined by one command. All servers must list both regions,
/// and a request for the other region is answered there.
public final class RegionScenario: Scenario {
  public let simulation: Simulation
  public let configuration: String
  private static let regions = ["north", "south"]

  public init(seed: UInt64) {
    simulation = Simulation(seed: seed)
    if simulation.random.chance(0.5) {
      (simulation.conditions.latencyMin, simulation.conditions.latencyMax) = (.milliseconds(5), .milliseconds(40))
    }
    var number = 0
    var counts: [Int] = []
    for region in Self.regions {
      let count = 1 + simulation.random.below(3)
      counts.append(count)
      let first = SocketAddress(AgentPlan.host(number), port: AgentPlan.gossipPort)
      for position in 0..<count {
        simulation.add(
          AgentPlan(
            name: "\(region)-\(position)", region: region, datacenter: "\(region)-dc\(position % 2 + 1)",
            host: AgentPlan.host(number), server: .init(bootstrapExpect: count, join: [first])))
        number += 1
      }
      simulation.add(
        AgentPlan(
          name: "\(region)-client", region: region, datacenter: "\(region)-dc1", host: AgentPlan.host(number),
          client: .init(servers: [SocketAddress(first.host, port: AgentPlan.rpcPort)])))
      number += 1
    }
    configuration = """
      regions: \(counts[0]) and \(counts[1]) servers
        network \(simulation.conditions)
      """
  }

  public func play() {
    for agent in simulation.agents {
      let delay = simulation.random.interval(.zero, .milliseconds(300))
      simulation.after(delay) { [simulation] in simulation.start(agent) }
    }
    simulation.run(until: .start + .milliseconds(300))
    simulation.demand("both regions whole", within: .seconds(10)) { [self] in wholeDefect }
    let north = pick("north")
    let command = simulation.join(north, to: [pick("south").plan.gossipAddress])
    simulation.demand("the join command is answered", within: .seconds(5)) {
      north.joinAnswers[command].map { $0.joined == 1 ? nil : "joined \($0.joined): \($0.failures)" } ?? "no answer"
    }
    simulation.demand("all list both regions", within: .seconds(15)) {
      for agent in simulation.agents where agent.isServing && agent.server?.directory.regions != Self.regions {
        return "\(agent.plan.name) lists \(agent.server?.directory.regions ?? [])"
      }
      return nil
    }
    for agent in simulation.agents where agent.isServing { ask(agent) }
    simulation.run(until: simulation.now + .seconds(5))
    simulation.demand("regions stay apart", within: .zero) { [self] in wholeDefect }
  }

  private func pick(_ region: String) -> VirtualAgent {
    let servers = simulation.servers(of: region)
    return servers.isEmpty ? simulation.agents[0] : servers[simulation.random.below(servers.count)]
  }

  private var wholeDefect: String? {
    for region in Self.regions {
      let clients = simulation.agents.filter { $0.plan.client != nil && $0.plan.region == region }
      let defect =
        simulation.defect(of: region) ?? simulation.registrationDefect(of: clients, region: region)
        ?? simulation.listDefect(of: clients, region: region)
      if let defect { return "\(region): \(defect)" }
    }
    return nil
  }

  /// The nodes of each region, asked of one server.
  private func ask(_ agent: VirtualAgent) {
    for region in Self.regions {
      let call = simulation.call(agent, .nodeList) { QueryOptions(region: region).encode(into: &$0) }
      simulation.demand("\(agent.plan.name) lists the nodes of \(region)", within: .seconds(5)) {
        switch agent.answers[call] {
        case nil: return "no answer"
        case .failure(let error): return error.text
        case .success(let bytes):
          let text = String(decoding: bytes, as: UTF8.self)
          let isRight = text.contains("\(region)-client")
            && Self.regions.allSatisfy { $0 == region || !text.contains("\($0)-client") }
          return isRight ? nil : "the answer lists other nodes"
        }
      }
    }
  }
}
