import Base
import Testing

@testable import Configuration

/// Several files, directories and options.
@Suite struct MergeTests {
  private let base = """
    data_dir = "/d"
    server {
      enabled = true
    }

    """

  private func merged(_ first: String, _ second: String, _ options: [String] = []) throws -> AgentConfiguration {
    let outcome = resolve(
      ["--config=1.hcl", "--config=2.hcl"] + options, files: ["1.hcl": base + first, "2.hcl": second])
    return try #require(outcome.configuration, "\(outcome.text ?? "")")
  }

  @Test func laterTextAndNumberWinUnlessEmpty() throws {
    let configuration = try merged(
      "region = \"a\"\nname = \"n\"\nports { http = 1000 }",
      "region = \"b\"\nname = \"\"\nports { http = 2000 rpc = 3000 }")
    #expect(configuration.region == "b")
    #expect(configuration.name == "n")
    #expect(configuration.bind.http.map(\.port) == [2000])
    #expect(configuration.bind.rpc.port == 3000)
    #expect(configuration.bind.serf.port == 4648)
  }

  @Test func bootstrapExpectOfZeroDoesNotReset() throws {
    #expect(
      try merged("server { bootstrap_expect = 3 }", "server { bootstrap_expect = 0 }").server?.bootstrapExpect == 3)
  }

  @Test func trueStaysAndTheOperatorIsTold() throws {
    let outcome = resolve(
      ["--config=1.hcl", "--config=2.hcl"],
      files: ["1.hcl": base + "leave_on_interrupt = true", "2.hcl": "leave_on_interrupt = false"])
    #expect(outcome.configuration?.leaveOnInterrupt == true)
    #expect(
      outcome.warnings == [
        "2.hcl:1:22: leave_on_interrupt = false has no effect, because 1.hcl:5:22 set it to true and true stays; "
          + "remove it there"
      ])
  }

  @Test func laterChoiceWinsAlsoWhenFalse() throws {
    let configuration = try merged(
      "autopilot { cleanup_dead_servers = true }", "autopilot { cleanup_dead_servers = false }")
    #expect(!configuration.autopilot.cleanupDeadServers)
  }

  @Test func mapsMergeByKeyAndServersAppend() throws {
    let configuration = try merged(
      "client { enabled = true servers = [\"10.0.0.1\"] meta { a = 1 b = 2 } }",
      "client { servers = [\"10.0.0.2\"] meta { b = 3 c = 4 } }",
      ["--servers", "10.0.0.3,10.0.0.4:5", "--meta", "a=9=9"])
    #expect(
      configuration.client?.servers
        == [endpoint("10.0.0.1:4647"), endpoint("10.0.0.2:4647"), endpoint("10.0.0.3:4647"), endpoint("10.0.0.4:5")])
    #expect(
      configuration.client?.meta
        == [TextPair(key: "b", value: "3"), TextPair(key: "c", value: "4"), TextPair(key: "a", value: "9=9")])
  }

  @Test func oldRetryJoinListsAreAppended() throws {
    let join = try merged("server { retry_join = [\"10.0.0.1\"] }", "server { retry_join = [\"10.0.0.2\"] }").server?
      .join
    #expect(join?.retry == [.endpoint(endpoint("10.0.0.1:4648")), .endpoint(endpoint("10.0.0.2:4648"))])
  }

  @Test func serverJoinListIsReplacedByFilesAndByOptions() throws {
    let first = "server { server_join { retry_join = [\"10.0.0.1\"] retry_max = 5 } }"
    let second = "server { server_join { retry_join = [\"10.0.0.2\"] } }"
    #expect(try merged(first, second).server?.join.retry == [.endpoint(endpoint("10.0.0.2:4648"))])
    let join = try merged(first, second, ["-retry-join", "10.0.0.3"]).server?.join
    #expect(join?.retry == [.endpoint(endpoint("10.0.0.3:4648"))])
    #expect(join?.retryMax == 5)
    #expect(try merged(first, "server { server_join { retry_join = [] } }").server?.join.retry.count == 1)
  }

  @Test func optionReplacesTheOldSpellingToo() throws {
    let old = "server { retry_join = [\"10.0.0.1\"] retry_max = 2 retry_interval = \"3s\" }"
    let join = try merged(old, "", ["--retry-join", "10.0.0.3", "--retry-join=10.0.0.4:5"]).server?.join
    #expect(join?.retry == [.endpoint(endpoint("10.0.0.3:4648")), .endpoint(endpoint("10.0.0.4:5"))])
    #expect(join?.retryMax == 2)
    #expect(join?.retryInterval == .seconds(3))
    #expect(try merged(old, "", ["--retry-interval", "7s"]).server?.join.retryInterval == .seconds(7))
  }

  @Test func directoryIsReadInNameOrderWithoutBackupsAndSubdirectories() throws {
    let outcome = resolve(
      ["-config", "d/", "-config", "e.conf"],
      files: [
        "d/20.hcl": "region = \"hcl20\"", "d/10.json": "{\"region\": \"json10\", \"data_dir\": \"/d\"}",
        "d/30.hcl~": "bad =",
        "d/.#40.hcl": "bad =", "d/#50.hcl#": "bad =", "d/readme.txt": "bad =", "d/sub/60.hcl": "bad =",
        "e.conf": "server { enabled = true }",
      ])
    let configuration = try #require(outcome.configuration, "\(outcome.text ?? "")")
    #expect(configuration.loadedFiles == ["d/10.json", "d/20.hcl", "e.conf"])
    #expect(configuration.region == "hcl20")
  }

  @Test func theDiskListsADirectory() {
    let disk = DiskFiles()
    #expect(disk.kind(of: "deploy/examples/dev") == .directory)
    #expect(disk.kind(of: "deploy/examples/none") == nil)
    #expect(
      disk.names(in: "deploy/examples/dev")?.sorted() == ["client.hcl", "server1.hcl", "server2.hcl", "server3.hcl"])
    #expect(disk.contents(of: "deploy/examples/none") == nil)
  }

  @Test func emptyDirectoryIsAWarning() {
    let files = MemoryFiles(emptyDirectories: ["d"])
    guard
      case .run(_, let warnings) = resolveCommandLine(
        ["--config", "d", "--dev"], host: machine, version: "1", files: files)
    else {
      Issue.record("refused")
      return
    }
    #expect(warnings == ["No configuration loaded from d: it holds no file *.hcl or *.json"])
  }

  @Test func missingPathIsAnError() {
    #expect(
      resolve(["--config", "/none"]).text
        == "--config: Error loading configuration from /none: stat /none: no such file or directory; correct the path")
  }

  @Test func optionsWinOverFiles() throws {
    let configuration = try accepted(
      """
      region = "file"
      datacenter = "file"
      name = "file"
      data_dir = "/file"
      bind_addr = "10.9.9.9"
      log_level = "ERROR"
      ports { rpc = 1 }
      advertise { rpc = "10.8.8.8:88" }
      server { bootstrap_expect = 5 raft_protocol = 2 }
      """,
      [
        "--server", "--region", "r", "--dc=d", "-node", "n", "-data-dir", "/opt", "--bind=10.0.0.5", "-log-level=trace",
        "--rpc-port", "2", "--advertise", "10.7.7.7", "--advertise-serf", "10.6.6.6:66", "-bootstrap-expect=3",
        "--raft-protocol", "3", "--raft-multiplier=2", "--encrypt", "cg8StVXbQJ0gPvMd9o7yrg==", "--log-json",
      ])
    #expect(configuration.region == "r")
    #expect(configuration.datacenter == "d")
    #expect(configuration.name == "n")
    #expect(configuration.dataDirectory == "/opt")
    #expect(configuration.log.level == .trace)
    #expect(configuration.log.json)
    #expect(configuration.bind.rpc == endpoint("10.0.0.5:2"))
    #expect(configuration.advertise.http == endpoint("10.7.7.7:4646"))
    #expect(configuration.advertise.rpc == endpoint("10.7.7.7:2"))
    #expect(configuration.advertise.serf == endpoint("10.6.6.6:66"))
    #expect(configuration.server?.bootstrapExpect == 3)
    #expect(configuration.server?.raftProtocol == 3)
    #expect(configuration.server?.raftMultiplier == 2)
    #expect(configuration.server?.encryptionKey?.count == 16)
  }

  @Test func repeatedBlocksMergeWhereNomadMergesThem() throws {
    let configuration = try accepted(
      """
      data_dir = "/d"
      server { enabled = true }
      Server { Bootstrap_Expect = 3 }
      telemetry { prometheus_metrics = true }
      telemetry { disable_hostname = true }
      http_api_response_headers { A = "1" }
      http_api_response_headers { B = "2" }
      """)
    #expect(configuration.server?.bootstrapExpect == 3)
    #expect(configuration.telemetry.prometheusMetrics && configuration.telemetry.disableHostname)
    #expect(configuration.httpResponseHeaders == [TextPair(key: "A", value: "1"), TextPair(key: "B", value: "2")])
  }
}
