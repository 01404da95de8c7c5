import Base
import Foundation
import Harness
import Testing

extension EndToEnd {
  /// A cluster that lost its quorum for ever.
  @Suite struct Recovery {
    /// Two of three servers are lost. The guided command on the third makes it a cluster of its own, with the state;
    /// new servers join it.
    @Test func theLastServerIsRecoveredWithItsState() async throws {
      try await withCluster { cluster in
        let servers = try await cluster.formed()
        let client = try cluster.client(of: servers)
        try client.start()
        for server in servers { try await cluster.ready(client, at: server) }
        let node = try await cluster.node(client.name, at: servers[0])?["ID"]
        let configured = try await servers[0].get("/v1/operator/raft/configuration?stale")["Servers"].elements
        let left = servers[0]
        let directory = left.settings.dataDirectory

        let info = try FileText.read("\(directory)/server/raft/peers.info")
        for server in configured { #expect(info.contains(server["ID"].text ?? "?")) }

        let recover = ["operator", "raft", "recover", "-data-dir", directory]
        let running = try await cluster.run("nomadd", recover + ["-yes"])
        #expect(running.status == 1)
        #expect(running.error.contains("is running; stop it first"), "\(running.error)")

        for server in servers { server.kill() }
        for server in servers { _ = try await server.end() }

        let looked = try await cluster.run("nomad", recover + ["-dry-run"])
        #expect(looked.status == 0, "\(looked.error)")
        for server in servers { #expect(looked.output.contains(server.rpcAddress)) }
        #expect(looked.output.contains("Nothing was written"))
        let unasked = try await cluster.run("nomadd", recover)
        #expect(unasked.status == 1 && unasked.error.contains("Add -yes"))
        #expect(!FileManager.default.fileExists(atPath: "\(directory)/server/raft/peers.json"))

        let done = try await cluster.run("nomadd", recover + ["-yes"])
        #expect(done.status == 0, "\(done.error)")
        #expect(FileManager.default.fileExists(atPath: "\(directory)/server/raft/peers.json"))

        left.settings.retryJoin = []
        try left.start()
        let started = MonotonicClock.now()
        try await cluster.leader(of: [left])
        record("recovered server started to leader", MonotonicClock.now() - started)
        #expect(try await cluster.peers(at: left) == [left.rpcAddress])
        #expect(!FileManager.default.fileExists(atPath: "\(directory)/server/raft/peers.json"))
        #expect(left.log.contains("recovered the Raft configuration from peers.json"))
        #expect(try await cluster.node(client.name, at: left)?["ID"] == node)

        // The recovered state outlives another restart, and a new server gets it.
        left.kill()
        _ = try await left.end()
        try left.start()
        try await cluster.leader(of: [left])
        let fresh = try cluster.server("fresh", expect: 0, join: [left])
        try fresh.start()
        try await eventually("the state on the new server") {
          try await cluster.node(client.name, at: fresh)?["ID"] == node
        }
      }
    }

    /// Two of five are left, whose logs need not be equally long: both get the same file, and one leads the other.
    @Test func twoOfFiveGoOnTogether() async throws {
      try await withCluster { cluster in
        let servers = try await cluster.formed(5)
        let leader = try await cluster.leader(of: servers)
        let late = try #require(servers.first { $0 !== leader })
        late.kill()
        _ = try await late.end()
        let answer = try await leader.request(
          "PUT", "/v1/operator/scheduler/configuration", body: Array("{\"SchedulerAlgorithm\":\"spread\"}".utf8))
        #expect(answer.status == 200)
        for server in servers where server !== late {
          server.kill()
          _ = try await server.end()
        }
        let made = try await cluster.run(
          "nomadd",
          [
            "operator", "raft", "recover", "-data-dir=\(leader.settings.dataDirectory)", "-keep=\(late.rpcAddress)",
            "-yes",
          ])
        #expect(made.status == 0, "\(made.error)")
        let file = "server/raft/peers.json"
        try FileManager.default.copyItem(
          atPath: "\(leader.settings.dataDirectory)/\(file)", toPath: "\(late.settings.dataDirectory)/\(file)")
        let left = [leader, late]
        for server in left {
          server.settings.retryJoin = left.map { "\($0.settings.address)" }
          try server.start()
        }
        #expect(try await cluster.leader(of: left) === leader, "the longer log leads")
        for server in left {
          #expect(try await cluster.peers(at: server) == left.rpcAddresses)
          try await eventually("the last change on \(server.name)") {
            try await server.get("/v1/operator/scheduler/configuration?stale")["SchedulerConfig"]["SchedulerAlgorithm"]
              .text == "spread"
          }
        }
      }
    }

    /// Under protocol 2 servers are known by their addresses, and the file is a plain list of them.
    @Test func underProtocol2TheFileIsAListOfAddresses() async throws {
      try await withCluster { cluster in
        var servers = [try cluster.server("server1")]
        for number in 2...3 { servers.append(try cluster.server("server\(number)", join: [servers[0]])) }
        for server in servers {
          server.settings.extra = "server { raft_protocol = 2 }"
          try server.start()
        }
        let leader = try await cluster.leader(of: servers)
        let answer = try await leader.request(
          "PUT", "/v1/operator/scheduler/configuration", body: Array("{\"SchedulerAlgorithm\":\"spread\"}".utf8))
        #expect(answer.status == 200)
        for server in servers {
          server.kill()
          _ = try await server.end()
        }
        // The leader surely has the last change.
        let directory = leader.settings.dataDirectory
        let file = "\(directory)/server/raft/peers.json"
        let recover = ["operator", "raft", "recover", "-data-dir=\(directory)", "-self=\(leader.rpcAddress)"]
        let looked = try await cluster.run("nomadd", recover + ["-dry-run"])
        #expect(looked.status == 0 && looked.output.contains("Nothing was written"), "\(looked.error)")
        #expect(!FileManager.default.fileExists(atPath: file))
        let made = try await cluster.run("nomadd", recover + ["-yes"])
        #expect(made.status == 0, "\(made.error)")
        let text = try FileText.read(file)
        #expect(text.filter { !$0.isWhitespace } == "[\"\(leader.rpcAddress)\"]")

        leader.settings.retryJoin = []
        try leader.start()
        try await cluster.leader(of: [leader])
        #expect(try await cluster.peers(at: leader) == [leader.rpcAddress])
        #expect(!FileManager.default.fileExists(atPath: file))
        let kept = try await leader.get("/v1/operator/scheduler/configuration")["SchedulerConfig"]
        #expect(kept["SchedulerAlgorithm"].text == "spread")
      }
    }

    @Test func aWrongFileStopsTheStartAndChangesNothing() async throws {
      try await withCluster { cluster in
        let server = try await cluster.formed(1)[0]
        server.kill()
        _ = try await server.end()
        let file = "\(server.settings.dataDirectory)/server/raft/peers.json"
        for (text, expected) in [
          ("[\n  {\"id\": \"x\", \"address\": 7}]", ":2:26: found 7 for \"address\""),
          ("[{\"id\": \"x\", \"address\": \"127.0.0.1:4647\"}]", "this server is not in the list"),
          ("[\"127.0.0.1:4647\"]", "this server is not in the list"),
        ] {
          try FileText.write(text, to: file)
          try server.start()
          #expect(try await server.end() == .exited(1))
          #expect(server.errorText.contains(file) && server.errorText.contains(expected), "\(server.errorText)")
          #expect(try FileText.read(file) == text)
        }
        try FileManager.default.removeItem(atPath: file)
        try server.start()
        try await cluster.leader(of: [server])
      }
    }

    @Test func aServerWithoutDataRefusesTheFile() async throws {
      try await withCluster { cluster in
        let server = try cluster.server("empty", expect: 1)
        let directory = "\(server.settings.dataDirectory)/server/raft"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let id = "4634ce77-a7fa-a653-692f-655c4bd2978f"
        try FileText.write(id, to: "\(server.settings.dataDirectory)/server/node-id")
        try FileText.write(
          "[{\"id\": \"\(id)\", \"address\": \"\(server.rpcAddress)\"}]", to: "\(directory)/peers.json")
        try server.start()
        #expect(try await server.end() == .exited(1))
        #expect(server.errorText.contains("nothing to recover"), "\(server.errorText)")
      }
    }
  }
}
