import Base
import Foundation
import HTTP
import Harness
import Testing

extension EndToEnd {
  /// Snapshots that an operator saves and restores.
  @Suite struct Snapshot {
    /// Everything is lost but the file: new servers with new ids form a new cluster and take the old state over.
    @Test func aWipedClusterTakesTheOldStateAndKeepsItsNewMembers() async throws {
      try await withCluster { cluster in
        let servers = try await cluster.formed()
        let leader = try await cluster.leader(of: servers)
        let client = try cluster.client(of: servers)
        try client.start()
        try await cluster.ready(client, at: leader)
        try await set(algorithm: "spread", at: leader)
        let file = "\(cluster.directory.path)/backup.snap"
        #expect(try await cluster.nomad("operator", "snapshot", "save", file, at: leader).status == 0)
        let node = try await cluster.node(client.name, at: leader)?["ID"]
        let old = try servers.map { server in
          try String(contentsOfFile: "\(server.settings.dataDirectory)/server/node-id", encoding: .utf8)
        }

        client.kill()
        for server in servers { server.kill() }
        for server in servers {
          _ = try await server.end()
          try FileManager.default.removeItem(atPath: server.settings.dataDirectory)
        }
        for server in servers { try server.start() }
        let next = try await cluster.leader(of: servers)
        // A new cluster writes the default as one of its first entries.
        try await eventually("the default") { try await schedulerAlgorithm(at: next) == "binpack" }
        #expect(try await cluster.node(client.name, at: next) == nil)

        let restored = try await cluster.nomad("operator", "snapshot", "restore", file, at: next)
        #expect(restored == CommandResult(status: 0, output: "Snapshot Restored\n", error: ""))
        try await eventually("the old state everywhere") {
          for server in servers {
            guard try await schedulerAlgorithm(at: server, stale: true) == "spread",
              try await cluster.node(client.name, at: server)?["ID"] == node
            else { return false }
          }
          return true
        }
        let configuration = try await next.get("/v1/operator/raft/configuration")["Servers"].elements
        #expect(configuration.count == 3)
        #expect(configuration.allSatisfy { !old.contains($0["ID"].text ?? "") })
        // The id of the cluster is part of the state. Nobody takes that for another cluster.
        for server in servers { #expect(!server.log.contains("split brain"), "\(server.name)") }
        try client.start()
        try await cluster.ready(client, at: next)
        for server in servers { server.kill() }
        for server in servers { _ = try await server.end() }
        for server in servers { try server.start() }
        let last = try await cluster.leader(of: servers)
        #expect(try await schedulerAlgorithm(at: last) == "spread")
      }
    }

    /// Saved through a follower, changed, restored through a follower: all servers have the old state, also after a
    /// restart of all, and the cluster goes on.
    @Test func aSavedStateIsRestoredThroughAFollower() async throws {
      try await withCluster { cluster in
        let servers = try await cluster.formed()
        let leader = try await cluster.leader(of: servers)
        let follower = try #require(servers.first { $0 !== leader })
        let client = try cluster.client(of: servers)
        try client.start()
        for server in servers { try await cluster.ready(client, at: server) }
        #expect(try await schedulerAlgorithm(at: leader) == "binpack")

        let file = "\(cluster.directory.path)/backup.snap"
        let saved = try await cluster.nomad("operator", "snapshot", "save", file, at: follower)
        #expect(saved == CommandResult(status: 0, output: "State file written to \(file)\n", error: ""))
        let again = try await cluster.nomad("operator", "snapshot", "save", file, at: follower)
        #expect(again.status == 1 && again.error.contains("Destination file already exists"))

        let seen = try await cluster.nomad("operator", "snapshot", "inspect", file, at: follower)
        #expect(seen.status == 0, "\(seen.error)")
        let names = seen.output.split(separator: "\n").map { $0.prefix { $0 != " " } }
        #expect(names == ["ID", "Size", "Index", "Term", "Version"])

        let before = try await lastIndex(at: leader)
        try await set(algorithm: "spread", at: leader)
        client.kill()
        _ = try await client.end()
        let changed = try await cluster.nomad("system", "gc", at: leader)
        #expect(changed.status == 0)

        let restored = try await cluster.nomad("operator", "snapshot", "restore", file, at: follower)
        #expect(restored == CommandResult(status: 0, output: "Snapshot Restored\n", error: ""))
        #expect(try await schedulerAlgorithm(at: leader) == "binpack")
        #expect(try await lastIndex(at: leader) > before)
        try await eventually("the old state everywhere") {
          for server in servers {
            guard try await schedulerAlgorithm(at: server, stale: true) == "binpack",
              try await cluster.node(client.name, at: server) != nil
            else { return false }
          }
          return true
        }
        #expect(try await cluster.peers(at: follower) == servers.rpcAddresses)

        for server in servers { server.kill() }
        for server in servers { _ = try await server.end() }
        for server in servers { try server.start() }
        let next = try await cluster.leader(of: servers)
        try await eventually("the old state after a restart") {
          try await schedulerAlgorithm(at: next, stale: true) == "binpack"
        }
        #expect(try await cluster.node(client.name, at: next) != nil)
        // The log goes on behind the gap.
        try await set(algorithm: "spread", at: next)
        for server in servers {
          try await eventually("a new entry on \(server.name)") {
            try await schedulerAlgorithm(at: server, stale: true) == "spread"
          }
        }
      }
    }

    @Test func aClientAgentSavesAndRestores() async throws {
      try await withCluster { cluster in
        let servers = try await cluster.formed(1)
        let client = try cluster.client(of: servers)
        try client.start()
        try await cluster.ready(client, at: servers[0])
        let file = "\(cluster.directory.path)/backup.snap"
        let saved = try await cluster.nomad("operator", "snapshot", "save", file, at: client)
        #expect(saved.status == 0, "\(saved.error)")
        let restored = try await cluster.nomad("operator", "snapshot", "restore", file, at: client)
        #expect(restored == CommandResult(status: 0, output: "Snapshot Restored\n", error: ""))
      }
    }

    @Test func whatIsNoSnapshotChangesNothing() async throws {
      try await withCluster { cluster in
        let server = try await cluster.formed(1)[0]
        let file = "\(cluster.directory.path)/backup.snap"
        _ = try await cluster.nomad("operator", "snapshot", "save", file, at: server)
        let whole = Array(try Data(contentsOf: URL(filePath: file)))
        let index = try await lastIndex(at: server)
        var damaged = whole
        damaged[whole.count / 2] ^= 0xFF
        for (bytes, text) in [
          ([], "failed to decompress snapshot: EOF"), (Array("no archive".utf8), "gzip: invalid header"),
          (Array(whole.dropLast(20)), "unexpected EOF"), (damaged, "failed"),
        ] {
          let answer = try await server.request("PUT", "/v1/operator/snapshot", body: bytes)
          #expect(answer.status == 500)
          #expect(answer.text.hasPrefix("failed to restore from snapshot: "), "\(answer.text)")
          #expect(answer.text.contains(text), "\(answer.text)")
        }
        #expect(try await lastIndex(at: server) == index)
        let answer = try await server.request("GET", "/v1/operator/snapshot?region=nowhere")
        #expect(answer.status == 500 && answer.text.hasPrefix("No path to region \""), "\(answer.text)")
        #expect(try await server.request("DELETE", "/v1/operator/snapshot").status == 405)
      }
    }

    @Test func anotherRegionIsSavedThroughThisOne() async throws {
      try await withCluster { cluster in
        let here = try cluster.server("here", expect: 1)
        try here.start()
        let there = try cluster.server("there", expect: 1, join: [here], region: "west")
        try there.start()
        try await cluster.leader(of: [here])
        try await cluster.leader(of: [there])
        try await eventually("both regions known") {
          try await here.get("/v1/regions").elements.count == 2
        }
        try await set(algorithm: "spread", at: there)
        let answer = try await here.request("GET", "/v1/operator/snapshot?region=west")
        #expect(answer.status == 200, "\(answer.text)")
        let restored = try await here.request("PUT", "/v1/operator/snapshot", body: answer.body)
        #expect(restored.status == 200, "\(restored.text)")
        #expect(try await schedulerAlgorithm(at: here) == "spread")
      }
    }

    private func schedulerAlgorithm(at agent: AgentProcess, stale: Bool = false) async throws -> String? {
      try await agent.get("/v1/operator/scheduler/configuration" + (stale ? "?stale" : ""))["SchedulerConfig"][
        "SchedulerAlgorithm"
      ].text
    }

    private func set(algorithm: String, at agent: AgentProcess) async throws {
      let answer = try await agent.request(
        "PUT", "/v1/operator/scheduler/configuration", body: Array("{\"SchedulerAlgorithm\":\"\(algorithm)\"}".utf8))
      #expect(answer.status == 200, "\(answer.text)")
    }

    private func lastIndex(at agent: AgentProcess) async throws -> Int {
      try await Int(agent.get("/v1/agent/self")["stats"]["raft"]["last_log_index"].text ?? "") ?? -1
    }
  }

  /// Logs over the API.
  @Suite struct Monitor {
    @Test func followsTheOwnLogOtherServersAndClients() async throws {
      try await withCluster { cluster in
        let servers = try await cluster.formed()
        let leader = try await cluster.leader(of: servers)
        let follower = try #require(servers.first { $0 !== leader })
        let client = try cluster.client(of: servers)
        try client.start()
        try await cluster.ready(client, at: leader)
        let node = try await cluster.node(client.name, at: leader)?["ID"].text ?? ""

        for (number, words) in [
          ["monitor", "-log-level=debug"], ["monitor", "-log-level=debug", "-server-id=leader"],
          ["monitor", "-log-level=debug", "-server-id=\(leader.name)", "-json"],
          ["monitor", "-log-level=trace", "-node-id=\(node)"],
        ].enumerated() {
          // What each says when it is asked to reopen its log.
          let speaker = number == 0 ? follower : number == 3 ? client : leader
          let output = "\(cluster.directory.path)/monitor\(number)"
          let process = try ChildProcess(
            [try Programs.path("nomad")] + words,
            environment: ["NOMAD_ADDR": "http://\(follower.settings.httpAddress)"], output: output)
          try await eventually("a line of \(speaker.name) by \(words.joined(separator: " "))") {
            speaker.process?.send(signal: SIGHUP)
            return (try? FileText.read(output))?.contains("caught signal") ?? false
          }
          let text = try FileText.read(output)
          #expect(text.contains(number == 2 ? "\"@message\":\"caught signal\"" : "agent: caught signal"), "\(text)")
          process.send(signal: SIGTERM)
          try await eventually("the end of the monitor") { process.result != nil }
          #expect(process.result == .exited(0))
        }

        for (target, status, text) in [
          ("server_id=nope", 400, "unknown Nomad server nope"),
          ("log_level=bogus", 400, "Unknown log level: bogus"),
          ("node_id=\(node.dropLast())0&server_id=x", 400, "Cannot target node and server simultaneously"),
          (
            "node_id=11111111-2222-3333-4444-555555555555", 500,
            "RPC Error:: 404,Unknown node \"11111111-2222-3333-4444-555555555555\""
          ),
        ] {
          let answer = try await follower.request("GET", "/v1/agent/monitor?\(target)")
          #expect(answer.status == status && answer.text == text, "\(answer.status) \(answer.text)")
        }
      }
    }
  }
}
