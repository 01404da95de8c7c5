import Base
import Harness
import Testing

extension EndToEnd {
  /// Gossip under a key: who has it forms a cluster, who has it not is kept out, and keys are changed while it runs.
  @Suite struct Encryption {
    @Test func aKeyKeepsStrangersOutAndIsRotatedWithoutRestart() async throws {
      try await withCluster { cluster in
        let first = "cg8StVXbQJ0gPvMd9o7yrg=="
        let second = "gVHJhW9tXfFpO7K3XUKnZA=="
        let servers = try (1...3).map { try cluster.server("server\($0)", expect: 3) }
        for server in servers {
          server.settings.retryJoin = ["\(servers[0].settings.address)"]
          server.settings.extra = "server {\n  encrypt = \"\(first)\"\n}"
          try server.start()
        }
        try await cluster.leader(of: servers)

        let stranger = try cluster.server("stranger")
        stranger.settings.retryJoin = ["\(servers[0].settings.address)"]
        try stranger.start()
        try await eventually("the reason in the log of the stranger") {
          stranger.log.contains("Remote state is encrypted and encryption is not configured")
        }
        #expect(try await cluster.members(at: servers[0]).count == 3)

        for change in [["-install", second], ["-use", second], ["-remove", first]] {
          let result = try await cluster.nomad("operator", "keyring", change[0], change[1], at: servers[1])
          #expect(result.status == 0, "\(change): \(result.error)")
        }
        let list = try await cluster.nomad("operator", "keyring", "-list", at: servers[2])
        #expect(list.output.contains(second) && !list.output.contains(first))

        // The stored keyring wins over the configuration, which still has the first key.
        servers[2].kill()
        try servers[2].start()
        try await cluster.leader(of: servers)
        #expect(servers[2].log.contains("encrypt is ignored"))
      }
    }
  }
}
