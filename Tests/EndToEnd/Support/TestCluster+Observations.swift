import Base
import Harness

extension TestCluster {
  /// Waits until all the servers name one of themselves as leader, and returns it.
  @discardableResult
  func leader(of servers: [AgentProcess], within limit: Interval = .seconds(30)) async throws -> AgentProcess {
    var leader: AgentProcess?
    try await eventually("one leader for \(servers.map(\.name))", within: limit) {
      leader = try await agreedLeader(of: servers)
      return leader != nil
    }
    // `eventually` returns only after the condition held.
    guard let leader else { throw HarnessError.timedOut("one leader") }
    return leader
  }

  /// The leader if all the servers name the same one now and it is one of them.
  func agreedLeader(of servers: [AgentProcess]) async throws -> AgentProcess? {
    var named: Set<String> = []
    for server in servers { named.insert(try await server.get("/v1/status/leader?stale").text ?? "") }
    guard named.count == 1 else { return nil }
    return servers.first { named.contains($0.rpcAddress) }
  }

  /// The gossip view of one agent: status by member name.
  func members(at agent: AgentProcess) async throws -> [String: String] {
    var members: [String: String] = [:]
    for member in try await agent.get("/v1/agent/members")["Members"].elements {
      members[member["Name"].text ?? "?"] = member["Status"].text ?? "?"
    }
    return members
  }

  /// RPC addresses in the Raft configuration that one server has, sorted.
  func peers(at server: AgentProcess) async throws -> [String] {
    try await server.get("/v1/status/peers?stale").elements.compactMap(\.text).sorted()
  }

  /// The list that a client uses now, sorted.
  func serverList(of client: AgentProcess) async throws -> [String] {
    try await client.get("/v1/agent/servers").elements.compactMap(\.text).sorted()
  }

  /// The node entry with this name, as one server lists it.
  func node(_ name: String, at server: AgentProcess) async throws -> JSON? {
    try await server.get("/v1/nodes?stale").elements.first { $0["Name"].text == name }
  }

  /// Waits until a server lists the client as ready.
  @discardableResult
  func ready(
    _ client: AgentProcess, at server: AgentProcess, within limit: Interval = .seconds(30)
  ) async throws -> Interval {
    try await eventually("\(client.name) ready", within: limit) {
      try await node(client.name, at: server)?["Status"].text == "ready"
    }
  }
}

extension [AgentProcess] {
  var rpcAddresses: [String] { map(\.rpcAddress).sorted() }
}
