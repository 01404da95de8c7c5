import Base
import Glibc
import Harness
import Testing

extension EndToEnd {
  @Suite struct DevelopmentMode {
    /// Only the address is given, because a second agent may be running on the default one.
    @Test(arguments: ["-dev", "--dev"]) func oneProcessIsServerAndClient(spelling: String) async throws {
      try await withCluster { cluster in
        let agent = try cluster.server("dev")
        agent.style = .words([spelling, "-bind", "\(agent.settings.address)"])
        try agent.start()
        let started = MonotonicClock.now()
        try await cluster.leader(of: [agent])
        try await eventually("one ready node") {
          try await agent.get("/v1/nodes").elements.map { $0["Status"].text } == ["ready"]
        }
        record("-dev to leader and ready node", MonotonicClock.now() - started)
        let whole = try await agent.get("/v1/agent/self")
        #expect(whole["config"]["DevMode"].flag == true)
        #expect(whole["stats"].keys.contains("client") && whole["stats"].keys.contains("nomad"))
        #expect(try await agent.stop(signal: SIGINT) != .killed(signal: SIGKILL))
      }
    }
  }
}
