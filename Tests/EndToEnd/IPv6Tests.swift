import Base
import Harness
import Testing

extension EndToEnd {
  /// A pool without any IPv4 address: all agents on `::1`, each with ports of its own.
  @Suite(.enabled(if: Loopback.hasIPv6)) struct IPv6 {
    private func move(_ agent: AgentProcess) throws {
      agent.settings.address = Loopback.ipv6
      agent.settings.ports = AgentSettings.Ports(
        http: try Loopback.freePort(), rpc: try Loopback.freePort(), serf: try Loopback.freePort())
    }

    @Test func serversAndAClientFormAndNoticeADeathOverIPv6() async throws {
      try await withCluster { cluster in
        let servers = try (1...3).map { try cluster.server("server\($0)") }
        for server in servers { try move(server) }
        for server in servers { server.settings.retryJoin = ["\(servers[0].settings.serfAddress)"] }
        for server in servers { try server.start() }
        try await cluster.leader(of: servers)
        for server in servers {
          try await eventually("all three everywhere") {
            try await cluster.members(at: server).values.sorted() == ["alive", "alive", "alive"]
          }
          let report = try await server.get("/v1/operator/quorum")
          #expect(report["Present"].number == 3)
          #expect(report["Explanation"].text == "")
        }
        #expect(try await cluster.peers(at: servers[0]) == servers.rpcAddresses)

        // It is told one server and is pushed the others.
        let client = try cluster.client(of: [servers[0]])
        try move(client)
        client.settings.role = .client(servers: [servers[0].rpcAddress])
        try client.start()
        try await cluster.ready(client, at: servers[0])
        try await eventually("all servers in the client's list") {
          try await cluster.serverList(of: client) == servers.rpcAddresses
        }

        // Gossip's pings, indirect pings and pings over TCP go to IPv6 addresses, too.
        let killed = servers[2]
        killed.kill()
        let rest = Array(servers[..<2])
        try await eventually("the death is noticed", within: .seconds(40)) {
          for server in rest where try await cluster.members(at: server)[killed.memberName] != "failed" { return false }
          return true
        }
        try await cluster.leader(of: rest)
        try killed.start()
        try await eventually("it is back", within: .seconds(40)) {
          try await cluster.members(at: servers[0])[killed.memberName] == "alive"
        }
      }
    }

    @Test func anOperatorJoinsByAnIPv6Address() async throws {
      try await withCluster { cluster in
        let servers = [try cluster.server("server1", expect: 1), try cluster.server("server2", expect: 0)]
        for server in servers {
          try move(server)
          try server.start()
        }
        try await cluster.leader(of: [servers[0]])
        try await eventually("HTTP") { try await cluster.members(at: servers[1]).count == 1 }
        let result = try await cluster.nomad("server", "join", "\(servers[0].settings.serfAddress)", at: servers[1])
        #expect(result.status == 0, "\(result.output)\(result.error)")
        try await eventually("both") { try await cluster.members(at: servers[0]).count == 2 }
      }
    }
  }
}
