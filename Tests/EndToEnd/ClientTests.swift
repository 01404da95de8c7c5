import Base
import Glibc
import Harness
import Testing

extension EndToEnd {
  /// What a client knows of the servers, and when.
  @Suite struct ClientList {
    @Test func registersWithOneServerNamedWithoutPort() async throws {
      try await withCluster { cluster in
        let servers = try await cluster.formed()
        let client = try cluster.client(of: [servers[2]], style: .flags)
        try client.start()
        let started = MonotonicClock.now()
        try await cluster.ready(client, at: servers[2])
        record("client start to ready", MonotonicClock.now() - started)
        try await eventually("all servers in the client's list") {
          try await cluster.serverList(of: client) == servers.rpcAddresses
        }
        let node = try #require(try await cluster.node(client.name, at: servers[2]))
        #expect(node["Address"].text == "\(client.settings.address)")
        #expect(node["SchedulingEligibility"].text == "eligible")
        let whole = try await servers[0].get("/v1/node/\(node["ID"].text ?? "")")
        #expect(whole["HTTPAddr"].text == "\(client.settings.httpAddress)")
        #expect(whole["SecretID"].text == "")
        let statistics = try await client.get("/v1/agent/self")["stats"]["client"]
        #expect(statistics["node_id"] == node["ID"])
      }
    }

    @Test func followsServersThatComeLeaveAndDie() async throws {
      try await withCluster { cluster in
        var servers = try await cluster.formed()
        let client = try cluster.client(of: [servers[0]])
        try client.start()
        try await cluster.ready(client, at: servers[0])

        for number in 4...5 {
          let added = try cluster.server("server\(number)", expect: 0, join: [servers[0]])
          added.settings.extra = "leave_on_terminate = true"
          try added.start()
          servers.append(added)
          try await expectList(cluster, client, servers, after: "server\(number) started") {
            try await cluster.members(at: servers[0])[added.memberName] == "alive"
          }
        }

        let leaving = servers.removeLast()
        #expect(try await leaving.stop(signal: SIGTERM) == .exited(0))
        try await expectList(cluster, client, servers, after: "a graceful leave") {
          try await cluster.members(at: servers[0])[leaving.memberName] == "left"
        }

        // The dead one must not be the leader, or two things would be measured at once.
        let leader = try await cluster.leader(of: servers)
        let killed = try #require(servers.last { $0 !== leader })
        servers.removeAll { $0 === killed }
        killed.kill()
        try await expectList(cluster, client, servers, after: "a kill", within: .seconds(90)) {
          try await cluster.members(at: leader)[killed.memberName] != "alive"
        }
      }
    }

    @Test func findsTheClusterAgainThoughItsConfiguredServerIsGone() async throws {
      try await withCluster { cluster in
        let servers = try await cluster.formed()
        let client = try cluster.client(of: [servers[0]])
        try client.start()
        try await cluster.ready(client, at: servers[1])
        try await eventually("all servers in the client's list") {
          try await cluster.serverList(of: client) == servers.rpcAddresses
        }
        let identity = try await cluster.node(client.name, at: servers[1])?["ID"]

        client.kill()
        servers[0].kill()
        let leader = try await cluster.leader(of: Array(servers[1...]))
        try client.start()
        let started = MonotonicClock.now()
        // The client passes this on to a server: an answer means that it found one.
        try await eventually("an answer through the restarted client") {
          try await client.get("/v1/nodes").elements.contains { $0["ID"] == identity }
        }
        record("restarted client to first answer", MonotonicClock.now() - started)
        try await cluster.ready(client, at: leader)
        #expect(try await cluster.node(client.name, at: leader)?["ID"] == identity)
      }
    }

    /// Waits for the client's list and prints how far it was behind the servers' own knowledge.
    private func expectList(
      _ cluster: TestCluster, _ client: AgentProcess, _ servers: [AgentProcess], after event: String,
      within limit: Interval = .seconds(40), serversKnow: () async throws -> Bool
    ) async throws {
      var known: Instant?
      try await eventually("the client's list after \(event)", within: limit) {
        if known == nil, try await serversKnow() { known = MonotonicClock.now() }
        return try await cluster.serverList(of: client) == servers.rpcAddresses
      }
      record("client's list behind the servers after \(event)", known.map { MonotonicClock.now() - $0 } ?? .zero)
    }
  }
}
