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

    @Test func discoverTellsWhatEntriesLeadToAndWhoAnswers() async throws {
      try await withCluster { cluster in
        let server = try cluster.server("server1")
        try server.start()
        try await eventually("HTTP") { try await cluster.members(at: server).count == 1 }
        let live = "\(server.settings.address)"
        let dead = "\(try Loopback.address())"
        let file = "\(cluster.directory.path)/seeds"
        try "# ours\n\(live)\n\(dead)\n".write(toFile: file, atomically: true, encoding: .utf8)

        let found = try await cluster.run("nomad", ["operator", "discover", "file=\(file)", "exec=/bin/echo \(live)"])
        #expect(found.status == 0, "\(found)")
        #expect(found.output.contains("\(live):4648  answers after "))
        #expect(found.output.contains("\(dead):4648  refuses the connection"))
        #expect(found.output.hasSuffix("\n1 of 2 addresses answer.\n"), "\(found)")
        // Nobody was joined or even met.
        #expect(try await cluster.members(at: server).count == 1)

        let none = try await cluster.run("nomadd", ["operator", "discover", dead, "file=/nowhere/seeds"])
        #expect(none.status == 1)
        #expect(none.output.contains("file=/nowhere/seeds: it cannot be read"), "\(none)")
        let wrong = try await cluster.run("nomadd", ["operator", "discover", "-port=x", dead])
        #expect(wrong.status == 1)
        #expect(wrong.error == "nomadd: operator discover: -port needs a number from 1 to 65535\n")
        let bare = try await cluster.run("nomadd", ["operator", "discover"])
        #expect(bare.status == 1 && bare.error.contains("name at least one join entry"))
        #expect(try await cluster.run("nomadd", ["operator", "discover", "-help"]).output.contains("-port=<port>"))
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
