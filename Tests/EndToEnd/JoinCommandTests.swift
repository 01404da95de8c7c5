import Base
import Harness
import Testing

extension EndToEnd {
  /// Servers started without any address, joined by hand.
  @Suite struct JoinCommand {
    @Test(arguments: [false, true]) func joinsServersThatKnowNobody(oldSpelling: Bool) async throws {
      try await withCluster { cluster in
        let servers = try (1...3).map { try cluster.server("server\($0)") }
        for server in servers { try server.start() }
        try await eventually("HTTP of all") {
          for server in servers where try await cluster.members(at: server).count != 1 { return false }
          return true
        }
        let known = "\(servers[0].settings.address)"
        for server in servers[1...] {
          let result =
            oldSpelling
            ? try await cluster.nomad("server-join", known, at: server)
            : try await cluster.nomad("server", "join", known, at: server)
          #expect(result.output == "Joined 1 servers successfully\n")
          #expect(result.status == 0)
          #expect(result.error.isEmpty != oldSpelling, "the old spelling warns, the new one does not")
        }
        let joined = MonotonicClock.now()
        try await cluster.leader(of: servers)
        record("leader known to all after the last join", MonotonicClock.now() - joined)
      }
    }

    @Test func oneGoodAddressIsEnough() async throws {
      try await withCluster { cluster in
        let servers = try (1...2).map { try cluster.server("server\($0)") }
        for server in servers { try server.start() }
        try await eventually("HTTP") { try await cluster.members(at: servers[1]).count == 1 }
        try await eventually("HTTP") { try await cluster.members(at: servers[0]).count == 1 }
        let dead = "\(try Loopback.address())"
        let result = try await cluster.nomad("server", "join", "\(servers[0].settings.address)", dead, at: servers[1])
        #expect(result == CommandResult(status: 0, output: "Joined 1 servers successfully\n", error: ""))
      }
    }

    @Test func aRefusedAddressIsNamed() async throws {
      try await withCluster { cluster in
        let server = try cluster.server("server1")
        try server.start()
        try await eventually("HTTP") { try await cluster.members(at: server).count == 1 }
        let dead = "\(try Loopback.address())"
        let result = try await cluster.nomad("server", "join", dead, at: server)
        #expect(result.status == 1)
        #expect(result.output == "")
        let line = "\t* Failed to join \(dead): dial tcp \(dead):4648: connect: connection refused"
        #expect(result.error == "Error joining: failed joining: 1 error occurred:\n\(line)\n\n\n")
      }
    }
  }
}
