import Base
import Harness
import Testing

extension EndToEnd {
  /// Servers that find each other by `retry_join`.
  @Suite struct Forming {
    static let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]

    /// All settings are options, and everybody knows only the first server's address: in two of the six orders it is
    /// the last to start.
    @Test(arguments: orders) func threeServersElectALeaderInEveryStartOrder(order: [Int]) async throws {
      try await withCluster { cluster in
        let known = try cluster.server("server1", style: .flags)
        known.settings.retryJoin = ["\(known.settings.address)"]
        let servers = [known] + (try (2...3).map { try cluster.server("server\($0)", join: [known], style: .flags) })
        for index in order { try servers[index].start() }
        let started = MonotonicClock.now()
        let leader = try await cluster.leader(of: servers)
        record("leader known to all, start order \(order)", MonotonicClock.now() - started)
        try await expectOneConfiguration(cluster, servers, leader: leader)
      }
    }

    @Test func aKnownServerThatStartsSecondsLaterIsFound() async throws {
      try await withCluster { cluster in
        let known = try cluster.server("server1")
        known.settings.retryJoin = ["\(known.settings.address)"]
        let others = try (2...3).map { try cluster.server("server\($0)", join: [known]) }
        for server in others { try server.start() }
        try await eventually("HTTP of both") {
          for server in others { _ = try await server.get("/v1/agent/members") }
          return true
        }
        try await never("a leader of two out of three", for: .seconds(3)) {
          try await cluster.agreedLeader(of: others) != nil
        }
        for server in others { #expect(try await cluster.peers(at: server) == []) }
        try known.start()
        let started = MonotonicClock.now()
        try await cluster.leader(of: others + [known])
        record("leader known to all, known server 3 s late", MonotonicClock.now() - started)
      }
    }

    /// The first server lists itself and the others, which list nobody: if reaching itself counted as success, it would
    /// stop before they start.
    @Test func joiningOneselfIsNoSuccess() async throws {
      try await withCluster { cluster in
        let servers = try (1...3).map { try cluster.server("server\($0)") }
        servers[0].settings.retryJoin = servers.map { "\($0.settings.address)" }
        try servers[0].start()
        try await eventually("HTTP") { try await cluster.members(at: servers[0]).count == 1 }
        try await never("a leader of one", for: .seconds(1)) { try await cluster.agreedLeader(of: [servers[0]]) != nil }
        for server in servers[1...] { try server.start() }
        try await cluster.leader(of: servers)
      }
    }

    @Test func moreServersThanExpectedAgreeOnOneConfiguration() async throws {
      try await withCluster { cluster in
        let servers = try (1...5).map { try cluster.server("server\($0)", expect: 3) }
        for server in servers { server.settings.retryJoin = servers.map { "\($0.settings.address)" } }
        for server in servers { try server.start() }
        let started = MonotonicClock.now()
        try await cluster.leader(of: servers)
        record("leader known to all of five that expect three", MonotonicClock.now() - started)
        try await eventually("all five in one configuration", within: .seconds(40)) {
          for server in servers where try await cluster.peers(at: server) != servers.rpcAddresses { return false }
          return true
        }
      }
    }

    /// The configurations of the bootstrapping guide as they are printed, with the address filled in and, because all
    /// run on one machine, each agent's own address, name and data directory as options.
    @Test func theGuidesConfigurationsFormAClusterUnchanged() async throws {
      try await withCluster { cluster in
        let servers = try (1...3).map { try cluster.server("server\($0)") }
        let client = try cluster.client(of: servers)
        for agent in servers + [client] {
          let file = "\(cluster.directory.path)/\(agent.name)-guide.hcl"
          let example = try Programs.source("deploy/examples/\(agent.settings.isServer ? "server" : "client").hcl")
          #expect(example.contains("<known-address>"))
          try FileText.write(
            example.replacing("<known-address>", with: "\(servers[0].settings.address)"), to: file)
          agent.style = .words([
            "--config", file, "--bind", "\(agent.settings.address)", "--advertise", "\(agent.settings.address)",
            "--data-dir", agent.settings.dataDirectory, "--name", agent.name,
          ])
          try agent.start()
        }
        let leader = try await cluster.leader(of: servers)
        try await cluster.ready(client, at: leader)
      }
    }

    private func expectOneConfiguration(
      _ cluster: TestCluster, _ servers: [AgentProcess], leader: AgentProcess
    ) async throws {
      try await eventually("equal configurations") {
        for server in servers where try await cluster.peers(at: server) != servers.rpcAddresses { return false }
        return true
      }
      for server in servers {
        let configuration = try await server.get("/v1/operator/raft/configuration?stale")["Servers"].elements
        #expect(configuration.compactMap { $0["Address"].text }.sorted() == servers.rpcAddresses)
        #expect(configuration.allSatisfy { $0["Voter"].flag == true })
        #expect(configuration.filter { $0["Leader"].flag == true }.map { $0["Address"].text } == [leader.rpcAddress])
        try await eventually("three alive members at \(server.name)") {
          let members = try await cluster.members(at: server)
          return members.count == 3 && members.values.allSatisfy { $0 == "alive" }
        }
      }
    }
  }
}
