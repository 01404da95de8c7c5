import Base
import Server
import State

/// Servers join, leave and die around clients that were given one server each. The clients' server lists must follow
/// within a tenth of a second of what the servers know, and no registration may be lost.
public final class ClientScenario: Scenario {
  public let simulation: Simulation
  public let configuration: String
  private let steps: [Step]
  private var servers: [VirtualAgent] = []
  private var clients: [VirtualAgent] = []

  enum Step: String, CaseIterable {
    case join, leave, kill, killLeader, restartAll, moveClient
  }

  /// From the moment when all servers know.
  static let pushTime = Interval.milliseconds(100)
  static let electionTime = Interval.seconds(3)
  /// Gossip with the timing for wide areas needs this long to declare a silent server dead.
  static let detectionTime = Interval.seconds(90)
  /// The longest pause of a client between two rounds is 15 s, with jitter.
  static let clientTime = Interval.seconds(40)
  static let membershipTime = Interval.seconds(10)
  static let farewellTime = Interval.seconds(20)
  static let serverCount = 6

  public init(seed: UInt64) {
    simulation = Simulation(seed: seed)
    if simulation.random.chance(0.4) {
      (simulation.conditions.latencyMin, simulation.conditions.latencyMax) = (.milliseconds(1), .milliseconds(10))
    }
    let first = (0..<3).map { SocketAddress(AgentPlan.host($0), port: AgentPlan.gossipPort) }
    for number in 0..<Self.serverCount {
      servers.append(
        simulation.add(
          AgentPlan(
            name: "server-\(number)", host: AgentPlan.host(number),
            // Whoever comes later must not depend on one server that may have left.
            server: .init(bootstrapExpect: number < 3 ? 3 : 0, join: number < 3 ? [first[0]] : first))))
    }
    let clientCount = 1 + simulation.random.below(3)
    for number in 0..<clientCount {
      let given = SocketAddress(AgentPlan.host(simulation.random.below(3)), port: AgentPlan.rpcPort)
      clients.append(
        simulation.add(
          AgentPlan(name: "client-\(number)", host: AgentPlan.host(20 + number), client: .init(servers: [given]))))
    }
    var steps = [Step.join]
    for _ in 0..<4 { steps.append(Step.allCases[simulation.random.below(Step.allCases.count)]) }
    self.steps = steps
    configuration = """
      clients: \(clientCount) clients, steps \(steps.map(\.rawValue).joined(separator: ", "))
        network \(simulation.conditions)
      """
  }

  public func play() {
    for agent in servers.prefix(3) + clients {
      let delay = simulation.random.interval(.zero, .milliseconds(200))
      simulation.after(delay) { [simulation] in simulation.start(agent) }
    }
    simulation.run(until: .start + .milliseconds(200))
    simulation.demand("servers and clients together", within: .seconds(5)) { [self] in
      simulation.defect(of: "global") ?? registrationDefect ?? listDefect
    }
    for step in steps {
      guard simulation.checker.violations.isEmpty else { return }
      simulation.note("step \(step.rawValue)")
      take(step)
      pause()
    }
    demandContinuity(since: simulation.now)
  }

  private func pause() {
    simulation.run(until: simulation.now + simulation.random.interval(.milliseconds(10), .seconds(8)))
  }

  private var running: [VirtualAgent] { servers.filter(\.isRunning) }

  private func take(_ step: Step) {
    switch step {
    case .join:
      guard let new = servers.first(where: { !$0.isRunning && $0.life == 0 }) else { return }
      simulation.start(new)
      demandKnowledge(within: Self.membershipTime)
      // A voter before anything else happens, or a later step could take the majority away.
      simulation.demand("the new server votes", within: .seconds(30), step: .milliseconds(100)) {
        simulation.defect(of: "global")
      }
    case .leave:
      guard running.count > 3 else { return }
      let leaver = running[simulation.random.below(running.count)]
      simulation.leave(leaver)
      demandOrder(of: leaver)
      demandKnowledge(within: Self.membershipTime)
    case .kill:
      let followers = running.filter { $0.server?.raft.role != .leader }
      guard running.count > 3, !followers.isEmpty else { return }
      let victim = followers[simulation.random.below(followers.count)]
      let death: Simulation.Death = simulation.random.chance(0.5) ? .kill : .power
      // Whose server lost its power hears nothing, not even that: the server that it asks next tells it.
      let others = running.filter { $0 !== victim }
      let isCutOff = { (client: VirtualAgent) in
        death == .power && !others.contains { $0.server?.hasSession(ofNode: client.nodeID) ?? false }
      }
      let (cutOff, connected) = (clients.filter(isCutOff), clients.filter { !isCutOff($0) })
      simulation.crash(victim, death)
      demandKnowledge(within: Self.detectionTime, of: connected)
      simulation.demand("clients of the dead server know it", within: Self.clientTime) {
        simulation.listDefect(of: cutOff, region: "global")
      }
      simulation.start(victim)
      demandWhole()
    case .killLeader: killLeader()
    case .restartAll: restartAll()
    case .moveClient: moveClient()
    }
  }

  private func killLeader() {
    guard let leader = simulation.agreedLeader(of: "global") else { return }
    let killedAt = simulation.now
    simulation.crash(leader)
    simulation.demand("a new leader", within: Self.electionTime, step: .milliseconds(10)) {
      simulation.agreedLeader(of: "global") == nil ? "no agreed leader" : nil
    }
    demandContinuity(since: killedAt)
    simulation.start(leader)
    demandWhole()
  }

  private func restartAll() {
    let all = running
    for agent in all { simulation.crash(agent, simulation.random.chance(0.5) ? .kill : .power) }
    simulation.run(until: simulation.now + simulation.random.interval(.milliseconds(10), .seconds(5)))
    for agent in all {
      let delay = simulation.random.interval(.zero, .milliseconds(300))
      simulation.after(delay) { [simulation] in simulation.start(agent) }
    }
    let restartedAt = simulation.now + .milliseconds(300)
    simulation.run(until: restartedAt)
    demandWhole()
    demandContinuity(since: restartedAt)
  }

  /// A client starts again while the server of its configuration is gone: it must find the cluster by what it kept.
  private func moveClient() {
    let client = clients[simulation.random.below(clients.count)]
    guard running.count > 3, let given = client.plan.client?.servers.first,
      let server = running.first(where: { $0.plan.rpcAddress == given })
    else { return }
    simulation.crash(server)
    simulation.crash(client)
    simulation.run(until: simulation.now + simulation.random.interval(.milliseconds(10), .seconds(2)))
    simulation.start(client)
    simulation.demand("the client is back without its server", within: Self.clientTime) {
      client.client?.status.isRegistered == true ? nil : "\(client.plan.name) is not registered"
    }
    simulation.start(server)
    demandWhole()
  }

  // MARK: Demands

  /// All servers know who is alive, and then, a moment later, all clients.
  private func demandKnowledge(within limit: Interval, of told: [VirtualAgent]? = nil) {
    simulation.demand("servers know who is alive", within: limit, step: .milliseconds(5)) { directoryDefect }
    simulation.demand("clients know it too", within: Self.pushTime, step: .milliseconds(5)) {
      simulation.listDefect(of: told ?? clients, region: "global")
    }
  }

  private func demandOrder(of leaver: VirtualAgent) {
    simulation.demand("\(leaver.plan.name) has left", within: Self.farewellTime) {
      leaver.hasLeft == nil ? "it is still there" : nil
    }
    if leaver.hasLeft == false { simulation.checker.violation("\(leaver.plan.name) came to no orderly end") }
  }

  private func demandWhole() {
    simulation.demand("one whole cluster", within: .seconds(60), step: .milliseconds(50)) {
      simulation.defect(of: "global")
    }
    simulation.demand("clients know all servers", within: Self.clientTime) { listDefect }
  }

  /// Every client has sent a heartbeat after the instant, and its node is ready everywhere.
  private func demandContinuity(since instant: Instant) {
    simulation.demand("clients carry on", within: Self.clientTime) {
      for agent in clients where (agent.client?.status.lastHeartbeat ?? .start) <= instant {
        return "\(agent.plan.name) has not sent a heartbeat"
      }
      return registrationDefect
    }
  }

  private var directoryDefect: String? {
    let names = running.map { $0.plan.name + ".global" }.sorted()
    for agent in running where agent.server?.directory.localAlive.map(\.gossipName) != names {
      return "\(agent.plan.name) sees alive \(agent.server?.directory.localAlive.map(\.gossipName) ?? [])"
    }
    return nil
  }

  private var listDefect: String? { simulation.listDefect(of: clients, region: "global") }
  private var registrationDefect: String? { simulation.registrationDefect(of: clients, region: "global") }
}

extension Simulation {
  /// A client whose server list is not the set of running servers of the region.
  func listDefect(of clients: [VirtualAgent], region: String) -> String? {
    let addresses = Set(servers(of: region).map(\.plan.rpcAddress))
    for agent in clients where agent.isRunning {
      let list = agent.client?.status.servers ?? []
      if Set(list) != addresses { return "\(agent.plan.name) knows \(list), running are \(addresses.count) servers" }
    }
    return nil
  }

  /// A client that is not registered, or whose node some server does not have as ready.
  func registrationDefect(of clients: [VirtualAgent], region: String) -> String? {
    for agent in clients {
      if agent.isRunning, agent.client?.status.isRegistered != true { return "\(agent.plan.name) is not registered" }
      for server in servers(of: region) {
        let status = server.server?.status(ofNode: agent.nodeID)
        if status != Node.ready { return "\(server.plan.name) has \(agent.plan.name) as \(status ?? "unknown")" }
      }
    }
    return nil
  }
}

extension ServerMachine {
  func hasSession(ofNode text: String) -> Bool {
    do throws(NodeIDError) { return hasSession(of: try NodeID(text)) } catch { return false }
  }

  /// What the replicated state of this server says of a node.
  func status(ofNode text: String) -> String? {
    do throws(NodeIDError) { return state.node(try NodeID(text))?.status } catch { return nil }
  }
}
