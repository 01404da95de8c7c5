import Base
import Harness
import Testing

extension EndToEnd {
  /// The operator's commands, in the real command's layout.
  @Suite struct Commands {
    static let memberHeader = [
      "Name", "Address", "Port", "Status", "Leader", "Protocol", "Build", "Datacenter", "Region",
    ]
    static let nodeHeader = ["ID", "DC", "Name", "Class", "Drain", "Eligibility", "Status"]
    static let peerHeader = ["Node", "ID", "Address", "State", "Voter", "RaftProtocol"]

    @Test func showTheClusterInTheRealLayout() async throws {
      try await withCluster { cluster in
        let servers = try await cluster.formed()
        let client = try cluster.client(of: servers)
        try client.start()
        let leader = try await cluster.leader(of: servers)
        try await cluster.ready(client, at: leader)
        try await eventually("three members at each server") {
          for server in servers where try await cluster.members(at: server).count != 3 { return false }
          return true
        }
        for agent in servers + [client] {
          try await expectMembers(cluster, agent, servers, leader: leader)
          try await expectPeers(cluster, agent, servers, leader: leader)
          try await expectNodes(cluster, agent, client)
        }
        try await expectAgentInfo(cluster, leader, client)
      }
    }

    @Test func versionIsOneLineWhoseSecondWordIsTheVersion() async throws {
      try await withCluster { cluster in
        // Nothing listens there: the version needs no agent.
        let nobody = try cluster.server("nobody")
        for word in ["version", "-v", "-version", "--version"] {
          let result = try await cluster.nomad(word, at: nobody)
          #expect(result.status == 0 && result.error == "")
          let version = /Nomad v[0-9]+\.[0-9]+\.[0-9]+\S*( \(\S+\))?\n/
          #expect(result.output.wholeMatch(of: version) != nil, "\(result.output)")
        }
      }
    }

    @Test func anUnreachableAgentIsNamedWithItsAddress() async throws {
      try await withCluster { cluster in
        let nobody = try cluster.server("nobody")
        let url = "http://\(nobody.settings.httpAddress)"
        let reason = "dial tcp \(nobody.settings.httpAddress): connect: connection refused"
        let result = try await cluster.nomad("server", "members", at: nobody)
        #expect(result.status == 1)
        #expect(result.output == "")
        #expect(result.error == "Error querying servers: Get \"\(url)/v1/agent/members\": \(reason)\n")
        #expect(try await cluster.nomad("node", "status", at: nobody).status == 1)
        #expect(try await cluster.nomad("operator", "raft", "list-peers", at: nobody).status == 1)
        #expect(try await cluster.nomad("agent-info", at: nobody).status == 1)
      }
    }

    @Test func anUnknownCommandShowsTheHelpAndExits127() async throws {
      try await withCluster { cluster in
        let nobody = try cluster.server("nobody")
        let result = try await cluster.nomad("bogus", at: nobody)
        #expect(result.status == 127)
        #expect((result.output + result.error).contains("Usage: nomad [-version] [-help]"))
      }
    }

    private func expectMembers(
      _ cluster: TestCluster, _ agent: AgentProcess, _ servers: [AgentProcess], leader: AgentProcess
    ) async throws {
      let result = try await cluster.nomad("server", "members", at: agent)
      #expect(result.status == 0 && result.error == "")
      let table = try #require(Table(result.output, header: Self.memberHeader), "\(result.output)")
      #expect(table.column("Name") == servers.map(\.memberName))
      for server in servers {
        let row = table.row(server.memberName)
        #expect(row["Address"] == "\(server.settings.address)")
        #expect(row["Port"] == "4648")
        #expect(row["Status"] == "alive")
        #expect(row["Leader"] == (server === leader ? "true" : "false"))
        #expect(row["Protocol"] == "2")
        #expect(row["Datacenter"] == "dc1")
        #expect(row["Region"] == "global")
      }
    }

    private func expectPeers(
      _ cluster: TestCluster, _ agent: AgentProcess, _ servers: [AgentProcess], leader: AgentProcess
    ) async throws {
      let result = try await cluster.nomad("operator", "raft", "list-peers", at: agent)
      #expect(result.status == 0 && result.error == "")
      let table = try #require(Table(result.output, header: Self.peerHeader), "\(result.output)")
      #expect(table.column("Node") == servers.map(\.memberName))
      for server in servers {
        let row = table.row(server.memberName)
        #expect(row["ID"]?.count == 36)
        #expect(row["Address"] == server.rpcAddress)
        #expect(row["State"] == (server === leader ? "leader" : "follower"))
        #expect(row["Voter"] == "true")
        #expect(row["RaftProtocol"] == "3")
      }
    }

    private func expectNodes(_ cluster: TestCluster, _ agent: AgentProcess, _ client: AgentProcess) async throws {
      let result = try await cluster.nomad("node", "status", at: agent)
      #expect(result.status == 0 && result.error == "")
      let table = try #require(Table(result.output, header: Self.nodeHeader), "\(result.output)")
      #expect(table.column("Name") == [client.name])
      #expect(table.column("Status") == ["ready"])
      #expect(table.column("Eligibility") == ["eligible"])
      #expect(table.column("Drain") == ["false"])
      #expect(table.column("Class") == ["<none>"])
      let short = try #require(table.column("ID").first)
      #expect(short.count == 8)
      let one = try await cluster.nomad("node", "status", short, at: agent)
      // Without statistics of the client there is a complaint, and no uptime.
      #expect(one.status == 0 && one.error == "")
      #expect(one.output.contains("\nUptime ") && one.output.contains("\nHost Resource Utilization\n"))
      let keys = one.output.split(separator: "\n").prefix(7).map { $0.prefix { $0 != " " } }
      #expect(keys == ["ID", "Name", "Class", "DC", "Drain", "Eligibility", "Status"])
    }

    private func expectAgentInfo(_ cluster: TestCluster, _ leader: AgentProcess, _ client: AgentProcess) async throws {
      let server = try await cluster.nomad("agent-info", at: leader)
      #expect(server.status == 0 && server.error == "")
      let lines = server.output.split(separator: "\n")
      let groups = lines.filter { !$0.hasPrefix(" ") }
      #expect(groups == groups.sorted())
      for group in ["nomad", "raft", "runtime", "serf"] { #expect(groups.contains { $0 == group }) }
      #expect(lines.contains("  leader = true"))
      #expect(lines.contains("  leader_addr = \(leader.rpcAddress)"))
      #expect(lines.contains("  num_peers = 2"))
      let other = try await cluster.nomad("agent-info", at: client)
      #expect(other.output.hasPrefix("client\n"))
      #expect(other.output.contains("  node_id = "))
    }
  }
}
