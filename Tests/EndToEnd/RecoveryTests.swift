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
