import Base
import Glibc
import Harness
import Testing

extension EndToEnd {
  /// The notify protocol, with the test in the service manager's place.
  @Suite struct ServiceManager {
    @Test func aServerIsReadyWhileItWaitsAndSaysSo() async throws {
      try await withCluster { cluster in
        let manager = try NotifySocket(path: "\(cluster.directory.path)/notify")
        let server = try cluster.server("server1")
        server.environment = ["NOTIFY_SOCKET": manager.path]
        try server.start()
        let lines = try await notifications(of: manager, until: "READY=1")
        #expect(lines.contains { $0.hasPrefix("STATUS=") })
        server.process?.send(signal: SIGTERM)
        _ = try await notifications(of: manager, until: "STOPPING=1")
      }
    }

    @Test func aClientIsReadyOnceItIsRegistered() async throws {
      try await withCluster { cluster in
        let manager = try NotifySocket(path: "\(cluster.directory.path)/notify")
        let server = try cluster.server("server1", expect: 1)
        let client = try cluster.client(of: [server])
        client.environment = ["NOTIFY_SOCKET": manager.path]
        try client.start()
        try await never("READY without a server", for: .seconds(1)) { manager.receive()?.contains("READY=1") ?? false }
        try server.start()
        _ = try await notifications(of: manager, until: "READY=1")
        #expect(try await cluster.node(client.name, at: server)?["Status"].text == "ready")
      }
    }

    @Test func theWatchdogIsFedAtLeastTwiceAPeriod() async throws {
      try await withCluster { cluster in
        let manager = try NotifySocket(path: "\(cluster.directory.path)/notify")
        let server = try cluster.server("server1", expect: 1)
        server.environment = ["NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "1000000"]
        try server.start()
        var last: Instant?
        for _ in 0..<5 {
          _ = try await notifications(of: manager, until: "WATCHDOG=1")
          let now = MonotonicClock.now()
          if let last { #expect(now - last < .milliseconds(900)) }
          last = now
        }
      }
    }

    /// Everything received up to and including this line.
    private func notifications(of manager: NotifySocket, until line: String) async throws -> [String] {
      var lines: [String] = []
      try await eventually("\(line) from the agent") {
        while let received = manager.receive() {
          lines += received
          if received.contains(line) { return true }
        }
        return false
      }
      return lines
    }
  }
}
