import Glibc
import HTTP
import Harness
import Testing

extension EndToEnd {
  /// SIGHUP, and the request that does the same.
  @Suite struct ReloadTests {
    @Test func aReloadTakesTheLogLevelAndSaysWhatItLeaves() async throws {
      try await withCluster { cluster in
        let agent = try cluster.server("reloaded", expect: 1)
        let file = "\(cluster.directory.path)/reloaded-file.hcl"
        let settings = agent.settings.hcl.split(separator: "\n").filter { !$0.hasPrefix("log_level") }
          .joined(separator: "\n")
        func write(_ more: String) throws { try FileText.write("\(settings)\n\(more)\n", to: file) }
        try write("log_level = \"INFO\"")
        agent.style = .words(["--config", file])
        try agent.start()
        try await cluster.leader(of: [agent])
        #expect(!agent.log.contains("[DEBUG]"))

        try write("log_level = \"DEBUG\"")
        agent.process?.send(signal: SIGHUP)
        try await eventually("the new level") { agent.log.contains("log level changed: from=INFO to=DEBUG") }
        #expect(!agent.log.contains("they take effect with a restart"))

        try write("log_level = \"DEBUG\"\nleave_on_interrupt = true")
        #expect(try await agent.request("PUT", "/v1/agent/reload").status == 200)
        try await eventually("a word about the rest") {
          agent.log.contains("settings other than log_level have changed; they take effect with a restart")
        }

        try write("log_level = 7")
        let refusal = try await agent.request("PUT", "/v1/agent/reload")
        #expect(refusal.status == 500)
        #expect(refusal.text.hasPrefix("the configuration was not reloaded: \(file):"), "\(refusal.text)")
        try await cluster.leader(of: [agent])
      }
    }
  }
}
