import Base
import Glibc
import Harness
import Testing

extension EndToEnd {
  /// Gossip under a key: who has it forms a cluster, who has it not is kept out, and keys are changed while it runs.
  @Suite struct Encryption {
    static let first = "cg8StVXbQJ0gPvMd9o7yrg=="
    static let other = "gVHJhW9tXfFpO7K3XUKnZA=="

    @Test func strangersStayOutAndAreToldWhy() async throws {
      try await withCluster { cluster in
        let servers = try await Self.formed(3, in: cluster)
        #expect(try await servers[0].get("/v1/agent/self")["stats"]["serf"]["encrypted"].text == "true")

        let keyless = try cluster.server("keyless", join: [servers[0]])
        try keyless.start()
        try await eventually("the reason in the log of the server without key") {
          keyless.log.contains("Remote state is encrypted and encryption is not configured")
        }
        try await eventually("the reason in the log of a member") {
          servers[0].log.contains("Encryption is configured but remote state is not encrypted")
        }
        #expect(try await keyless.get("/v1/agent/self")["stats"]["serf"]["encrypted"].text == "false")
        let join = try await cluster.nomad("server", "join", "\(servers[1].settings.address)", at: keyless)
        #expect(join.status == 1)
        #expect(join.error.contains("Remote state is encrypted and encryption is not configured"))
        let list = try await cluster.nomad("operator", "keyring", "-list", at: keyless)
        #expect(list.status == 1)
        #expect(list.error.contains("1/1 nodes reported failure"))

        let mistaken = try cluster.server("mistaken", join: [servers[1]])
        mistaken.settings.extra = Self.encrypt(Self.other)
        try mistaken.start()
        for server in [mistaken, servers[1]] {
          try await eventually("the reason in the log of \(server.name)") {
            server.log.contains("No installed keys could decrypt the message")
          }
        }
        for server in servers { #expect(try await cluster.members(at: server).count == 3) }
        #expect(try await cluster.members(at: keyless).count == 1)
        #expect(try await cluster.members(at: mistaken).count == 1)
      }
    }

    @Test func keysAreChangedWhileTheClusterRunsAndKept() async throws {
      try await withCluster { cluster in
        let servers = try await Self.formed(3, in: cluster)
        let keygen = try await cluster.nomad("operator", "keygen", at: servers[0])
        let second = String(keygen.output.dropLast())
        #expect(second.wholeMatch(of: /[A-Za-z0-9+\/]{43}=/) != nil, "32 bytes in base64: \(keygen.output)")
        #expect(try await Self.keys(at: servers[0]) == [Self.first: 3])
        #expect(try servers.map(Self.storedKeys) == Array(repeating: [Self.first], count: 3))

        let tooEarly = try await cluster.nomad("operator", "keyring", "-use", second, at: servers[1])
        #expect(tooEarly.status == 1)
        #expect(tooEarly.error.contains("3/3 nodes reported failure"))
        let install = try await cluster.nomad("operator", "keyring", "-install=\(second)", at: servers[1])
        #expect(install.output == "Installing new gossip encryption key...\n")
        #expect(install.status == 0, "\(install.error)")
        #expect(try await Self.keys(at: servers[2]) == [Self.first: 3, second: 3])
        let use = try await cluster.nomad("operator", "gossip", "keyring", "use", second, at: servers[1])
        #expect(use.output == "Changing primary gossip encryption key...\n")
        #expect(use.status == 0, "\(use.error)")
        #expect(try servers.map(Self.storedKeys) == Array(repeating: [second, Self.first], count: 3))
        let primary = try await cluster.nomad("operator", "gossip", "keyring", "remove", second, at: servers[0])
        #expect(primary.status == 1)
        #expect(primary.error.contains("3/3 nodes reported failure"))
        let body = Array("{\"Key\":\"\(Self.first)\"}".utf8)
        let remove = try await servers[0].request("PUT", "/v1/agent/keyring/remove", body: body)
        #expect(remove.status == 200, "\(remove.text)")
        let list = try await cluster.nomad("operator", "gossip", "keyring", "list", at: servers[2])
        #expect(list.output.contains(second) && !list.output.contains(Self.first))

        // The stored keyring wins over the configuration, which still has the first key: with that one, the restarted
        // server would see nobody.
        servers[2].kill()
        try servers[2].start()
        try await eventually("all members alive, as the restarted server sees it") {
          try await cluster.members(at: servers[2]).values.sorted() == ["alive", "alive", "alive"]
        }
        #expect(servers[2].log.contains("encrypt is ignored"))
        try await eventually("all members alive, as the others see it") {
          try await cluster.members(at: servers[0]).values.sorted() == ["alive", "alive", "alive"]
        }
        #expect(try await Self.keys(at: servers[2]) == [second: 3])
        #expect(try servers.map(Self.storedKeys) == Array(repeating: [second], count: 3))
      }
    }

    @Test func theStoredKeyringSufficesAndItsDamageStopsTheStart() async throws {
      try await withCluster { cluster in
        let server = try await Self.formed(1, in: cluster)[0]
        #expect(try await Self.keys(at: server) == [Self.first: 1])
        #expect(Self.mode(of: Self.keyringPath(of: server)) == 0o600)

        server.kill()
        server.settings.extra = ""
        try server.start()
        try await eventually("the key of the file") { try await Self.keys(at: server) == [Self.first: 1] }

        for text in ["", "[]", "{}", "[7]", "[\"AQID\"]", "[\"*\"]", "[\"\(Self.first)\""] {
          server.kill()
          try FileText.write(text, to: Self.keyringPath(of: server))
          try server.start()
          #expect(try await server.end() == .exited(1), "\(text)")
          #expect(server.errorText.contains(Self.keyringPath(of: server)), "\(text): \(server.errorText)")
        }
      }
    }

    // MARK: Helpers

    /// Servers with the first key that agree on a leader and see each other.
    private static func formed(_ count: Int, in cluster: TestCluster) async throws -> [AgentProcess] {
      let servers = try (1...count).map { try cluster.server("server\($0)", expect: count) }
      for server in servers {
        server.settings.retryJoin = ["\(servers[0].settings.address)"]
        server.settings.extra = encrypt(first)
        try server.start()
      }
      try await cluster.leader(of: servers)
      try await eventually("all members everywhere") {
        for server in servers where try await cluster.members(at: server).count != count { return false }
        return true
      }
      return servers
    }

    private static func encrypt(_ key: String) -> String { "server {\n  encrypt = \"\(key)\"\n}" }

    /// How many members have which key, as one server finds out.
    private static func keys(at server: AgentProcess) async throws -> [String: Int] {
      let answer = try await server.get("/v1/agent/keyring/list")
      return Dictionary(uniqueKeysWithValues: answer["Keys"].keys.map { ($0, Int(answer["Keys"][$0].number ?? 0)) })
    }

    private static func storedKeys(of server: AgentProcess) throws -> [String] {
      try JSON(parsing: Array(FileText.read(keyringPath(of: server)).utf8)).elements.compactMap(\.text)
    }

    private static func keyringPath(of server: AgentProcess) -> String {
      "\(server.settings.dataDirectory)/server/serf.keyring"
    }

    private static func mode(of path: String) -> UInt32? {
      var status = stat()
      return unsafe stat(path, &status) == 0 ? status.st_mode & 0o777 : nil
    }
  }
}
