import Testing

@testable import Configuration

/// A setting that does nothing yet says so.
@Suite struct EffectTests {
  private func warnings(of line: String) throws -> [String] {
    let outcome = resolve(
      ["--data-dir", "/var/lib/nomad"], hcl: "server {\n enabled = true\n bootstrap_expect = 3\n}\n" + line)
    _ = try #require(outcome.configuration, "\(outcome.text ?? "")")
    return outcome.warnings
  }

  @Test(arguments: [
    ("telemetry {\n statsd_address = \"127.0.0.1:8125\"\n}", "statsd_address"),
    ("autopilot {\n enable_custom_upgrades = true\n}", "enable_custom_upgrades"),
  ])
  func aSettingWithoutEffectIsNamedWithItsPlace(line: String, key: String) throws {
    let warnings = try warnings(of: line)
    #expect(warnings.contains { $0.hasPrefix("a.hcl:") && $0.contains("\(key) has no effect here") }, "\(warnings)")
  }

  @Test func settingsThatWorkWarnOfNothing() throws {
    let lines = """
      log_rotate_bytes = 1000000
      autopilot {
        enable_redundancy_zones = true
      }
      telemetry {
        prometheus_metrics = true
        disable_hostname = true
      }
      server {
        upgrade_version = "1.2.3"
        redundancy_zone = "a"
        raft_snapshot_interval = "60s"
      }
      """
    #expect(try !warnings(of: lines).contains { $0.contains("no effect") })
  }
}
