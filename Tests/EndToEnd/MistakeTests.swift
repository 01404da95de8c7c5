import Base
import Glibc
import Harness
import Testing

extension EndToEnd {
  /// Every mistake costs the operator one sentence that names the place, and leaves nothing running.
  @Suite struct Mistakes {
    struct Mistake: CustomTestStringConvertible, Sendable {
      var testDescription: String
      /// Options after the valid ones of a server.
      var options: [String] = []
      /// Lines after the valid ones of a server's configuration file.
      var lines = ""
      /// Drops the valid options and the file.
      var alone = false
      /// What the sentence must contain; FILE and DATA stand for the paths.
      var mentions: [String]
    }

    static let all = [
      Mistake(testDescription: "unknown option", options: ["--bogus"], mentions: ["bogus"]),
      Mistake(
        testDescription: "value of an option", options: ["--bootstrap-expect", "three"],
        mentions: ["bootstrap-expect", "three"]),
      Mistake(
        testDescription: "unknown key", lines: "bogus = 1", mentions: ["FILE:", "unknown key \"bogus\"", "remove it"]),
      Mistake(
        testDescription: "unknown key of a block", lines: "server {\n bogus = 1\n}",
        mentions: ["FILE:", "unknown key \"bogus\" in the block server"]),
      Mistake(
        testDescription: "value of a key", lines: "server {\n raft_multiplier = 99\n}",
        mentions: ["FILE:", "raft_multiplier"]),
      Mistake(
        testDescription: "a key set twice", lines: "log_level = \"LOUD\"",
        mentions: ["FILE:", "log_level is set twice"]),
      Mistake(testDescription: "type of a key", lines: "ports {\n http = \"many\"\n}", mentions: ["FILE", "http"]),
      Mistake(testDescription: "syntax of the file", lines: "server {", mentions: ["FILE"]),
      Mistake(testDescription: "gossip key", options: ["--encrypt", "short"], mentions: ["Invalid encryption key"]),
      Mistake(
        testDescription: "relative data directory", options: ["--data-dir", "data"],
        mentions: ["data-dir must be given as an absolute path", "data"]),
      Mistake(
        testDescription: "data directory that cannot be made", options: ["--data-dir", "/proc/nomadd"],
        mentions: ["/proc/nomadd"]),
      Mistake(
        testDescription: "data directory below a file", options: ["--data-dir", "/etc/passwd/nomadd"],
        mentions: ["/etc/passwd"]),
      Mistake(testDescription: "address of another machine", options: ["--bind", "192.0.2.1"], mentions: ["192.0.2.1"]),
      Mistake(
        testDescription: "missing file", options: ["--config", "/nonexistent.hcl"], alone: true,
        mentions: ["/nonexistent.hcl", "no such file or directory"]),
      Mistake(
        testDescription: "no role", options: ["--data-dir", "/tmp"], alone: true,
        mentions: ["Must specify either server, client or dev mode"]),
      Mistake(
        testDescription: "bootstrap_expect of a client",
        options: [
          "--client", "--bootstrap-expect", "3", "--data-dir", "/tmp", "--bind", "127.0.0.1",
          "--advertise", "127.0.0.1",
        ],
        alone: true, mentions: ["Bootstrap requires server mode to be enabled"]),
    ]

    @Test(arguments: all) func isToldInOneSentence(mistake: Mistake) async throws {
      try await withCluster { cluster in
        let agent = try cluster.server("mistaken")
        let file = "\(cluster.directory.path)/mistaken.hcl"
        try FileText.write(agent.settings.hcl + mistake.lines + "\n", to: file)
        agent.style = .words((mistake.alone ? [] : ["--config", file]) + mistake.options)
        try agent.start()
        #expect(try await agent.end() == .exited(1))
        let sentence = agent.errorText.split(separator: "\n")
        #expect(sentence.count == 1, "\(agent.errorText)")
        for text in mistake.mentions {
          let expected = text.replacing("FILE", with: file).replacing("DATA", with: agent.settings.dataDirectory)
          #expect(agent.errorText.contains(expected))
        }
      }
    }

    /// A running server holds all three ports; the second one, with data of its own, names the first that it needs.
    @Test func anAddressInUseIsNamed() async throws {
      try await withCluster { cluster in
        let first = try cluster.server("first", expect: 1)
        try first.start()
        try await cluster.leader(of: [first])
        let second = try cluster.server("second", expect: 1)
        second.settings.address = first.settings.address
        try second.start()
        #expect(try await second.end() == .exited(1))
        #expect(second.errorText.contains("address already in use"))
        #expect(second.errorText.contains("\(first.settings.address):464"))
        // The first one did not notice.
        #expect(try await cluster.members(at: first) == [first.memberName: "alive"])
        #expect(try await cluster.agreedLeader(of: [first]) === first)
      }
    }

    @Test func oneDataDirectoryIsForOneAgent() async throws {
      try await withCluster { cluster in
        let first = try cluster.server("first", expect: 1)
        try first.start()
        try await cluster.leader(of: [first])
        let second = try cluster.server("second", expect: 1)
        second.settings.dataDirectory = first.settings.dataDirectory
        try second.start()
        #expect(try await second.end() == .exited(1))
        #expect(second.errorText.contains(first.settings.dataDirectory))
        #expect(try await cluster.agreedLeader(of: [first]) === first)
      }
    }

    @Test func aDifferentBootstrapExpectIsNamedAndCorrectingItIsEnough() async throws {
      try await withCluster { cluster in
        let servers = try (1...3).map { try cluster.server("server\($0)", expect: $0 == 3 ? 5 : 3) }
        for server in servers { server.settings.retryJoin = servers.map { "\($0.settings.address)" } }
        for server in servers { try server.start() }
        try await eventually("the odd one named in the log of another") {
          servers[..<2].contains { server in
            server.log.split(separator: "\n").contains {
              $0.contains("peer has a conflicting expect value") && $0.contains(servers[2].name)
            }
          }
        }
        for server in servers[..<2] {
          try await eventually("HTTP") { try await cluster.members(at: server).count >= 1 }
          #expect(try await cluster.peers(at: server) == [])
        }
        // One sentence, status 1; nobody else stops.
        #expect(try await servers[2].end() == .exited(1))
        #expect(servers[2].errorText.contains("bootstrap_expect is 5 here but 3 on server"))
        servers[2].settings.role = .server(expect: 3)
        try servers[2].start()
        let corrected = MonotonicClock.now()
        try await cluster.leader(of: servers)
        record("bootstrap_expect corrected to leader known to all", MonotonicClock.now() - corrected)
      }
    }
  }
}
