import Base
import Harness
import Testing

extension EndToEnd {
  /// Two regions with two datacenters each, one server in each datacenter.
  @Suite struct Regions {
    @Test func oneJoinConnectsTwoRegions() async throws {
      try await withCluster { cluster in
        let east = try region(cluster, "east", ["dc1", "dc2"])
        let west = try region(cluster, "west", ["dc3", "dc4"])
        for server in east + west { try server.start() }
        let eastLeader = try await cluster.leader(of: east)
        let westLeader = try await cluster.leader(of: west)

        let joined = try await cluster.nomad("server", "join", "\(west[1].settings.address)", at: east[0])
        #expect(joined == CommandResult(status: 0, output: "Joined 1 servers successfully\n", error: ""))
        let after = try await eventually("both regions everywhere") {
          for server in east + west {
            guard try await server.get("/v1/regions") == .array([.string("east"), .string("west")]),
              try await cluster.members(at: server).count == 4
            else { return false }
          }
          return true
        }
        record("join to both regions known to all", after)

        // The join must not have merged the quorums.
        #expect(try await cluster.leader(of: east) === eastLeader)
        #expect(try await cluster.leader(of: west) === westLeader)
        for server in east { #expect(try await cluster.peers(at: server) == east.rpcAddresses) }
        for server in west { #expect(try await cluster.peers(at: server) == west.rpcAddresses) }

        let listed = try await cluster.nomad("server", "members", at: east[1])
        #expect(listed.status == 0)
        let table = try #require(Table(listed.output, header: Commands.memberHeader))
        #expect(table.column("Name") == ["east1.east", "east2.east", "west1.west", "west2.west"])
        #expect(table.column("Datacenter") == ["dc1", "dc2", "dc3", "dc4"])
        #expect(table.column("Leader").filter { $0 == "true" }.count == 2)

        try await expectForwarding(cluster, east: east, west: west, westLeader: westLeader)
      }
    }

    private func expectForwarding(
      _ cluster: TestCluster, east: [AgentProcess], west: [AgentProcess], westLeader: AgentProcess
    ) async throws {
      let client = try cluster.client("wanderer", of: [west[0]], region: "west", datacenter: "dc4")
      try client.start()
      try await cluster.ready(client, at: westLeader)
      for server in east {
        #expect(try await server.get("/v1/status/leader?region=west").text == westLeader.rpcAddress)
        #expect(try await server.get("/v1/nodes").elements.isEmpty)
        #expect(try await server.get("/v1/nodes?region=west").elements.map { $0["Name"].text } == ["wanderer"])
        let unknown = try await server.request("GET", "/v1/nodes?region=nowhere")
        #expect(unknown.status == 500)
        #expect(unknown.text.contains("No path to region"))
      }
      let listed = try await cluster.nomad("node", "status", "-region", "west", at: east[0])
      #expect(listed.status == 0)
      let table = try #require(Table(listed.output, header: Commands.nodeHeader))
      #expect(table.column("Name") == ["wanderer"])
      #expect(table.column("DC") == ["dc4"])
    }

    private func region(_ cluster: TestCluster, _ name: String, _ datacenters: [String]) throws -> [AgentProcess] {
      var servers: [AgentProcess] = []
      for (number, datacenter) in datacenters.enumerated() {
        servers.append(
          try cluster.server(
            "\(name)\(number + 1)", expect: 2, join: Array(servers.prefix(1)), region: name, datacenter: datacenter))
      }
      return servers
    }
  }
}
