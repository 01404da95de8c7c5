import Harness
import Testing

extension EndToEnd {
  /// The short form of `make soak-writes`: real disks, real kills, and every acknowledged write read back.
  @Suite struct Soak {
    @Test func noAcknowledgedWriteIsLostWhoeverIsKilled() async throws {
      let directory = try TemporaryDirectory(prefix: "soak")
      let output = "\(directory.path)/output"
      let soak = try ChildProcess([try Programs.path("nomad-bench"), "soak", "--rounds", "5"], output: output)
      try await eventually("the end of five rounds", within: .seconds(150)) { soak.result != nil }
      #expect(soak.result == .exited(0), "\(FileText.tail(output, lines: 60))")
    }
  }
}
