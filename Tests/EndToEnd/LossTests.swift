import Base
import Glibc
import Harness
import Testing

extension EndToEnd {
  /// Killed leaders and whole clusters that stop and start.
  @Suite struct Loss {
    @Test func aKilledLeaderIsReplacedAndTheClientCarriesOn() async throws {
      try await withCluster { cluster in
        let servers = try await cluster.formed()
        let leader = try await cluster.leader(of: servers)
        let client = try cluster.client(of: [leader])
        try client.start()
        try await cluster.ready(client, at: leader)
        let process = client.process?.pid

        leader.kill()
        let killed = MonotonicClock.now()
        let others = servers.filter { $0 !== leader }
        let successor = try await cluster.leader(of: others)
        record("leader killed to new leader known to all", MonotonicClock.now() - killed)
        #expect(successor !== leader)

        try await eventually("an answer through the client") { try await client.get("/v1/nodes").elements.count == 1 }
        record("leader killed to answer through the client", MonotonicClock.now() - killed)
        #expect(client.isRunning && client.process?.pid == process)
        #expect(try await cluster.node(client.name, at: successor)?["Status"].text == "ready")

        try leader.start()
        try await cluster.leader(of: servers)
        try await eventually("everybody alive again") {
          for server in servers {
            let members = try await cluster.members(at: server)
            guard members.count == 3, members.values.allSatisfy({ $0 == "alive" }) else { return false }
          }
          return true
        }
      }
    }

    /// Without any join address in the second start: the members must be found from what is on disk.
    @Test(arguments: [SIGKILL, SIGTERM]) func aStoppedClusterComesBackWithItsState(signal: Int32) async throws {
      try await withCluster { cluster in
        let servers = try await cluster.formed()
        let client = try cluster.client(of: [servers[0]])
        try client.start()
        try await cluster.ready(client, at: servers[0])
        let identity = try await cluster.node(client.name, at: servers[0])?["ID"]
        let identities = try await configuration(servers[0])

        for agent in servers + [client] { agent.process?.send(signal: signal) }
        for agent in servers + [client] { _ = try await agent.end() }
        for server in servers {
          server.settings.retryJoin = []
          try server.start()
        }
        let started = MonotonicClock.now()
        let leader = try await cluster.leader(of: servers)
        record("all started again to leader known to all", MonotonicClock.now() - started)
        // A stale read may come before the new leader has applied what the old one committed.
        try await eventually("the registered client") {
          try await cluster.node(client.name, at: leader)?["ID"] == identity
        }
        for server in servers { #expect(try await configuration(server) == identities) }
        try await eventually("everybody sees everybody") {
          for server in servers {
            let members = try await cluster.members(at: server)
            guard members.count == 3, members.values.allSatisfy({ $0 == "alive" }) else { return false }
          }
          return true
        }
        try client.start()
        try await cluster.ready(client, at: leader)
        #expect(try await leader.get("/v1/nodes").elements.count == 1)
      }
    }

    @Test func withoutAQuorumDiagnosisStillAnswers() async throws {
      try await withCluster { cluster in
        let servers = try await cluster.formed()
        for server in servers[1...] { server.kill() }
        let left = servers[0]
        try await eventually("no leader") { try await left.get("/v1/status/leader?stale").text == "" }
        #expect(try await cluster.members(at: left).count == 3)
        #expect(try await left.get("/v1/agent/self")["config"]["NodeName"].text == left.name)
        #expect(try await cluster.peers(at: left) == servers.rpcAddresses)
        let answer = try await left.request("GET", "/v1/nodes")
        #expect(answer.status == 500)
        #expect(answer.text == "No cluster leader")
      }
    }

    /// Server identities by address.
    private func configuration(_ server: AgentProcess) async throws -> [String: String] {
      var identities: [String: String] = [:]
      for entry in try await server.get("/v1/operator/raft/configuration?stale")["Servers"].elements {
        identities[entry["Address"].text ?? "?"] = entry["ID"].text ?? "?"
      }
      return identities
    }
  }
}
