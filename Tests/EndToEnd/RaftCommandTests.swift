import Base
import Harness
import Testing

extension EndToEnd {
  /// `nomad operator raft` on a running cluster, asked at a follower.
  @Suite struct RaftCommands {
    @Test func leadershipMovesToTheServerThatIsNamed() async throws {
      try await withCluster { cluster in
        let servers = try await cluster.formed()
        for byID in [true, false] {
          let leader = try await cluster.leader(of: servers)
          let others = servers.filter { $0 !== leader }
          let id = try await identity(of: others[0])
          let option = byID ? "-peer-id=\(id)" : "-peer-address=\(others[0].rpcAddress)"
          let named = byID ? "id \"\(id)\"" : "address \"\(others[0].rpcAddress)\""
          let moved = try await cluster.nomad("operator", "raft", "transfer-leadership", option, at: others[1])
          #expect(moved.status == 0 && moved.error == "", "\(moved.error)")
          #expect(moved.output == "Transferred leadership to peer with \(named)\n")
          try await eventually("the named server leads") { try await cluster.agreedLeader(of: servers) === others[0] }
        }
        let unknown = try await cluster.nomad("operator", "raft", "transfer-leadership", "-peer-id=x", at: servers[0])
        #expect(unknown.status == 1)
        #expect(unknown.error.contains("400 (id \"x\" was not found in the Raft configuration)"), "\(unknown.error)")
      }
    }

    /// A server that is alive comes back by itself; what counts here is that the leader took it out.
    @Test func aServerIsRemovedByIdAndByAddress() async throws {
      try await withCluster { cluster in
        let servers = try await cluster.formed()
        let leader = try await cluster.leader(of: servers)
        let others = servers.filter { $0 !== leader }
        for (server, byID) in zip(others, [true, false]) {
          let id = try await identity(of: server)
          let option = byID ? "-peer-id=\(id)" : "-peer-address=\(server.rpcAddress)"
          let result = try await cluster.nomad("operator", "raft", "remove-peer", option, at: leader)
          #expect(result.status == 0, "\(result.error)")
          #expect(result.output.contains(byID ? id : server.rpcAddress), "\(result.output)")
          try await eventually("the removal in the log") {
            leader.log.contains("removed Raft peer: peer-id=\(id) peer-address=\(server.rpcAddress)")
          }
          try await eventually("the removed server is back") { try await cluster.peers(at: leader).count == 3 }
        }
        for (option, text) in [("-peer-id=x", "id \"x\""), ("-peer-address=1.2.3.4:5", "address \"1.2.3.4:5\"")] {
          let result = try await cluster.nomad("operator", "raft", "remove-peer", option, at: others[0])
          #expect(result.status == 1)
          #expect(result.error.contains("\(text) was not found in the Raft configuration"), "\(result.error)")
        }
      }
    }

    private func identity(of server: AgentProcess) async throws -> String {
      try await server.get("/v1/operator/raft/configuration?stale")["Servers"].elements
        .first { $0["Address"].text == server.rpcAddress }?["ID"].text ?? "?"
    }
  }
}
