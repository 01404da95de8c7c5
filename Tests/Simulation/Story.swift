import Base
import Server
import Simulator
import Testing
import Wire

/// A small cluster on the virtual network, and what happens to it in one test. Nothing is random but the latencies: the
/// seed is fixed.
final class Story {
  let simulation: Simulation
  private(set) var servers: [VirtualAgent] = []
  private(set) var clients: [VirtualAgent] = []
  private(set) var lines: [String] = []

  /// Servers `s0`... that all join the first two, not started.
  init(
    servers count: Int = 3, expect: Int? = nil, seed: UInt64 = 1,
    configure: (inout AgentPlan.ServerPlan) -> Void = { _ in }
  ) {
    simulation = Simulation(seed: seed)
    simulation.trace = { [unowned self] in lines.append($0) }
    let known = (0..<min(2, count)).map { SocketAddress(AgentPlan.host($0), port: AgentPlan.gossipPort) }
    for number in 0..<count {
      var plan = AgentPlan.ServerPlan(bootstrapExpect: expect ?? count, join: known)
      configure(&plan)
      servers.append(simulation.add(AgentPlan(name: "s\(number)", host: AgentPlan.host(number), server: plan)))
    }
  }

  /// One more server, not started.
  @discardableResult
  func addServer(
    _ name: String, region: String = "global", expect: Int = 0, join: [VirtualAgent] = []
  ) -> VirtualAgent {
    let server = simulation.add(
      AgentPlan(
        name: name, region: region, host: AgentPlan.host(10 + servers.count),
        server: .init(bootstrapExpect: expect, join: join.map(\.plan.gossipAddress))))
    servers.append(server)
    return server
  }

  @discardableResult
  func addClient(_ name: String = "c0", of server: Int = 0) -> VirtualAgent {
    let client = simulation.add(
      AgentPlan(
        name: name, host: AgentPlan.host(100 + clients.count),
        client: .init(servers: [servers[server].plan.rpcAddress])))
    clients.append(client)
    return client
  }

  func run(_ time: Interval) { simulation.run(until: simulation.now + time) }

  /// Runs until the condition holds.
  func wait(
    _ what: Comment, within limit: Interval = .seconds(30), at place: SourceLocation = #_sourceLocation,
    _ condition: () -> Bool
  ) throws {
    let isMet = simulation.run(for: limit, step: .milliseconds(10), until: condition)
    #expect(simulation.checker.violations == [], sourceLocation: place)
    try #require(isMet, what, sourceLocation: place)
  }

  /// Starts everybody and waits for a leader and the clients.
  func form() throws {
    for agent in servers + clients { simulation.start(agent) }
    try wait("a formed cluster") {
      leader != nil && servers.allSatisfy { $0.server?.directory.localAlive.count == servers.count }
        && clients.allSatisfy { $0.client?.status.isRegistered ?? false }
    }
  }

  /// The leader that all running servers know.
  var leader: VirtualAgent? {
    let leaders = servers.filter { $0.server?.raft.role == .leader }
    guard leaders.count == 1, let leader = leaders.first else { return nil }
    let follows = servers.allSatisfy {
      !$0.isRunning || $0.server?.raft.leader?.address == "\(leader.plan.rpcAddress)"
    }
    return follows ? leader : nil
  }

  var followers: [VirtualAgent] { servers.filter { $0.isRunning && $0.server?.raft.role != .leader } }

  /// The answer to a request of the operator at one server.
  func ask(
    _ agent: VirtualAgent, _ method: RPCMethod, within limit: Interval = .seconds(15),
    at place: SourceLocation = #_sourceLocation, _ fields: (String, String)...
  ) throws -> Result<[UInt8], RPCErrorMessage> {
    let options = QueryOptions(region: agent.plan.region)
    let id = simulation.call(agent, method) { out in
      out.packMapHeader(fields.count + options.fieldCount)
      for (key, value) in fields {
        out.pack(key)
        out.pack(value)
      }
      options.encodeFields(into: &out)
    }
    try wait("an answer to \(method)", within: limit, at: place) { agent.answers[id] != nil }
    return try #require(agent.answers[id], sourceLocation: place)
  }

  func logs(_ text: String) -> [String] { lines.filter { $0.contains(text) } }
}

extension Result<[UInt8], RPCErrorMessage> {
  var errorText: String? {
    if case .failure(let error) = self { error.text } else { nil }
  }

  var bytes: [UInt8]? {
    if case .success(let bytes) = self { bytes } else { nil }
  }
}
