import Base
import Foundation
import Glibc
import Harness
import Testing

extension EndToEnd {
  /// Data directories that go away while agents run, and copies of them.
  @Suite struct Outage {
    @Test func aServerWhoseDataDirectoryIsRemovedEndsAndTheOthersGoOn() async throws {
      try await withCluster { cluster in
        let servers = try await cluster.formed()
        let leader = try await cluster.leader(of: servers)
        let victim = try #require(servers.first { $0 !== leader })
        try FileManager.default.removeItem(atPath: victim.settings.dataDirectory)
        #expect(try await victim.end(within: .seconds(15)) == .exited(1))
        #expect(victim.errorText.contains("the data directory is gone"), "\(victim.errorText)")
        #expect(victim.log.components(separatedBy: "the data directory is gone").count == 2)
        let rest = servers.filter { $0 !== victim }
        #expect(try await cluster.leader(of: rest) === leader)
        // With nothing left it is a new server, and is let in.
        try victim.start()
        try await cluster.leader(of: servers)
      }
    }

    /// Moved away and back: nothing is lost.
    @Test func aServerWhoseDataDirectoryIsMovedEndsAndComesBackWithIt() async throws {
      try await withCluster { cluster in
        let servers = try await cluster.formed()
        let victim = try await cluster.leader(of: servers)
        let directory = victim.settings.dataDirectory
        let id = try String(contentsOfFile: "\(directory)/server/node-id", encoding: .utf8)
        try FileManager.default.moveItem(atPath: directory, toPath: "\(directory).away")
        #expect(try await victim.end(within: .seconds(15)) == .exited(1))
        try await cluster.leader(of: servers.filter { $0 !== victim })
        try FileManager.default.moveItem(atPath: "\(directory).away", toPath: directory)
        try victim.start()
        try await cluster.leader(of: servers)
        #expect(try String(contentsOfFile: "\(directory)/server/node-id", encoding: .utf8) == id)
      }
    }

    /// The limit on the size of files stands for a full disk: the log of Raft may not grow any more.
    @Test func aServerThatCannotWriteEndsWithASentence() async throws {
      try await withCluster { cluster in
        let servers = try await cluster.formed()
        let leader = try await cluster.leader(of: servers)
        let victim = try #require(servers.first { $0 !== leader })
        let process = try #require(victim.process)
        let limit = try Process.run(
          URL(filePath: "/usr/bin/prlimit"), arguments: ["--pid", "\(process.pid)", "--fsize=65536"])
        limit.waitUntilExit()
        #expect(limit.terminationStatus == 0)
        let client = try cluster.client(of: [leader])
        try client.start()
        try await cluster.ready(client, at: leader)
        let node = try #require(try await cluster.node(client.name, at: leader)?["ID"].text)
        for number in 0..<4000 where victim.isRunning {
          let word = number % 2 == 0 ? "ineligible" : "eligible"
          let body = Array("{\"NodeID\":\"\(node)\",\"Eligibility\":\"\(word)\"}".utf8)
          #expect(try await leader.request("PUT", "/v1/node/\(node)/eligibility", body: body).status == 200)
        }
        #expect(try await victim.end(within: .seconds(30)) == .exited(1))
        #expect(victim.errorText.contains("cannot write the Raft store"), "\(victim.errorText)")
        try await cluster.ready(client, at: leader)
        try victim.start()
        try await cluster.leader(of: servers)
      }
    }

    /// From no room at all to enough: whatever is missing is said in a sentence, and nothing crashes, not even what
    /// is written through a map.
    @Test(.enabled(if: FullDisk.canMount, "needs the right to mount"), arguments: [8, 12, 16, 24, 32, 64, 1024, 4096])
    func aServerWithoutRoomForItsStoreSaysSo(kilobytes: Int) async throws {
      try await withCluster { cluster in
        let outcome = try FullDisk.run(directory: "\(cluster.directory.path)/small", kilobytes: kilobytes)
        #expect(outcome.status == 1, "\(outcome)")
        #expect(outcome.text.contains("No space left on device; free disk space and restart"), "\(outcome)")
      }
    }

    @Test func aClientWhoseDataDirectoryIsRemovedGoesOnAndSaysSo() async throws {
      try await withCluster { cluster in
        let servers = try await cluster.formed()
        let client = try cluster.client(of: servers)
        try client.start()
        try await cluster.ready(client, at: servers[0])
        let node = try await cluster.node(client.name, at: servers[0])?["ID"]
        let directory = client.settings.dataDirectory
        try FileManager.default.moveItem(atPath: directory, toPath: "\(directory).away")
        try await eventually("the client says so") { client.log.contains("the data directory is gone") }
        try FileManager.default.moveItem(atPath: "\(directory).away", toPath: directory)
        try await eventually("the client says that it is back") { client.log.contains("the data directory is back") }
        #expect(client.isRunning)
        try await cluster.ready(client, at: servers[1])
        #expect(try await cluster.node(client.name, at: servers[1])?["ID"] == node)
      }
    }

    /// Not an outage, but a file too: it is missing at first, then wrong, then right.
    @Test func aFileThatNamesTheServersIsReadUntilItHelps() async throws {
      try await withCluster { cluster in
        let file = "\(cluster.directory.path)/seeds"
        let servers = try (1...3).map { try cluster.server("server\($0)") }
        for server in servers {
          server.settings.retryJoin = ["file=\(file)"]
          try server.start()
        }
        let client = try cluster.client(of: [])
        client.settings.extra = "client {\n server_join {\n retry_join = [\"file=\(file)\"]\n}\n}"
        try client.start()
        try await eventually("it is missed") { servers[0].log.contains("file=\(file): it cannot be read") }
        try "# nobody yet\n".write(toFile: file, atomically: true, encoding: .utf8)
        try await eventually("it is empty") { servers[0].log.contains("file=\(file): no address in it") }
        let lines = servers.map { "\($0.settings.address)  # \($0.name)\n" }.joined()
        try lines.write(toFile: file, atomically: true, encoding: .utf8)
        let leader = try await cluster.leader(of: servers)
        try await cluster.ready(client, at: leader)
      }
    }

    @Test func aCopiedClientIsRefusedWithBothNamesAndTheRemedyWorks() async throws {
      try await withCluster { cluster in
        let servers = try await cluster.formed()
        let original = try cluster.client("original", of: [servers[0]])
        try original.start()
        try await cluster.ready(original, at: servers[0])
        let copy = try cluster.client("copy", of: [servers[1]])
        let state = "\(copy.settings.dataDirectory)/client/client-state"
        try FileManager.default.createDirectory(
          atPath: "\(copy.settings.dataDirectory)/client", withIntermediateDirectories: true)
        try FileManager.default.copyItem(
          atPath: "\(original.settings.dataDirectory)/client/client-state", toPath: state)
        try copy.start()
        try await eventually("the copy is refused") { copy.log.contains("another client has the node id") }
        #expect(copy.log.contains("original (\(original.settings.httpAddress)"))
        #expect(copy.log.contains("copy (\(copy.settings.httpAddress)) asks for it"))
        // Both go on trying and living: nothing alternates.
        try await Task.sleep(for: .seconds(3))
        let nodes = try await servers[0].get("/v1/nodes").elements
        #expect(nodes.map { $0["Name"].text } == ["original"])
        let id = try #require(nodes.first?["ID"].text)
        let status = try await cluster.nomad("node", "status", id, at: servers[2])
        #expect(status.output.contains("Registration of a clone refused"), "\(status.output)")
        #expect(servers.map { $0.log.components(separatedBy: "another client has the node id").count - 1 }.max() == 1)

        copy.kill()
        try FileManager.default.removeItem(atPath: state)
        try copy.start()
        try await cluster.ready(copy, at: servers[0])
        try await cluster.ready(original, at: servers[0])
      }
    }
  }
}
