import Base
import FoundationEssentials
import Testing

@testable import Configuration

/// Configurations in the style of Nomad's guides and packages, which must work unchanged.
@Suite struct GuideTests {
  @Test func threeServersOfTheManualBootstrappingGuide() throws {
    let configuration = try accepted(
      """
      server {
        enabled          = true
        bootstrap_expect = 3
        retry_join       = ["10.0.0.1:4648"]
      }
      """, ["--data-dir", "/var/lib/nomad"])
    let server = try #require(configuration.server)
    #expect(server.bootstrapExpect == 3)
    #expect(server.join.retry == [.endpoint(endpoint("10.0.0.1:4648"))])
    #expect(server.join.retryInterval == .seconds(30))
    #expect(server.join.retryMax == 0)
    #expect(server.dataDirectory == "/var/lib/nomad/server")
    #expect(configuration.client == nil)
    #expect(configuration.name == "alpha")
    #expect(configuration.bind.rpc == endpoint("0.0.0.0:4647"))
    #expect(configuration.advertise.rpc == endpoint("10.0.0.5:4647"))
    #expect(configuration.advertise.serf == endpoint("10.0.0.5:4648"))
  }

  @Test func clientOfTheManualBootstrappingGuide() throws {
    let configuration = try accepted(
      """
      client {
        enabled = true
        servers = ["10.0.0.1:4647"]
      }
      """, ["-data-dir=/var/lib/nomad"])
    let client = try #require(configuration.client)
    #expect(client.servers == [endpoint("10.0.0.1:4647")])
    #expect(client.stateDirectory == "/var/lib/nomad/client")
    #expect(configuration.server == nil)
  }

  @Test func serverWithServerJoinAndKey() throws {
    let configuration = try accepted(
      """
      name = "s1"
      region = "global"
      datacenter = "dc1"
      data_dir = "/var/lib/nomad"
      bind_addr = "10.0.0.1"
      server {
        enabled          = true
        bootstrap_expect = 3
        encrypt          = "cg8StVXbQJ0gPvMd9o7yrg=="
        server_join { retry_join = ["10.0.0.2", "10.0.0.3:4648"] retry_interval = "5s" }
      }
      telemetry { prometheus_metrics = true }
      """)
    let server = try #require(configuration.server)
    #expect(server.join.retry == [.endpoint(endpoint("10.0.0.2:4648")), .endpoint(endpoint("10.0.0.3:4648"))])
    #expect(server.join.retryInterval == .seconds(5))
    #expect(server.encryptionKey?.count == 16)
    #expect(configuration.telemetry.prometheusMetrics)
    #expect(configuration.advertise.http == endpoint("10.0.0.1:4646"))
  }

  @Test func clientWithMetaAndClass() throws {
    let configuration = try accepted(
      """
      data_dir = "/var/lib/nomad"
      client {
        enabled    = true
        servers    = ["10.0.0.1:4647", "nomad.example"]
        node_class = "compute"
        meta { rack = "r1" slots = 4 ssd = true "quoted.key" = "v" }
      }
      """)
    let client = try #require(configuration.client)
    #expect(client.servers == [endpoint("10.0.0.1:4647"), .name("nomad.example", port: 4647)])
    #expect(client.nodeClass == "compute")
    #expect(
      client.meta == [
        TextPair(key: "rack", value: "r1"), TextPair(key: "slots", value: "4"), TextPair(key: "ssd", value: "true"),
        TextPair(key: "quoted.key", value: "v"),
      ])
  }

  @Test func fileOfTheDistributionPackageStartsUnchanged() throws {
    let outcome = resolve(
      [],
      hcl: """
        # Full configuration options can be found at the web site.
        data_dir  = "/opt/nomad/data"
        bind_addr = "0.0.0.0"

        server {
          # license_path is required for Nomad Enterprise.
          #license_path = "/etc/nomad.d/license.hclic"
          enabled          = true
          bootstrap_expect = 1
        }

        client {
          enabled = true
          servers = ["127.0.0.1"]
        }
        """)
    let configuration = try #require(outcome.configuration, "\(outcome.text ?? "")")
    #expect(configuration.server?.bootstrapExpect == 1)
    #expect(configuration.client?.servers == [endpoint("127.0.0.1:4647")])
    #expect(outcome.warnings == ["Bootstrap mode enabled! Potentially unsafe operation."])
  }

  @Test func largeProductionFileIsAcceptedAndUnusedPartsAreNamed() throws {
    let outcome = resolve(
      [],
      hcl: """
        datacenter = "eu-west-1a"
        region     = "eu"
        data_dir   = "/opt/nomad/data"
        log_level  = "warn"
        disable_update_check = true
        bind_addr = "{{ GetInterfaceIP \\"eth0\\" }}"
        consul {
          address = "127.0.0.1:8500"
          server_auto_join = true
        }
        vault { enabled = false }
        plugin "docker" {
          config { volumes { enabled = true } }
        }
        acl { enabled = false }
        tls { http = false rpc = false }
        limits { http_max_conns_per_client = 0 }
        server {
          enabled = true
          bootstrap_expect = 5
          num_schedulers = 4
          default_scheduler_config { scheduler_algorithm = "spread" }
          server_join {
            retry_join = ["nomad.service.eu.example:4648"]
            retry_max = 3
            retry_interval = "15s"
          }
        }
        client {
          enabled = false
          options = { "driver.raw_exec.enable" = "1" }
          host_volume "certs" { path = "/etc/ssl/certs" read_only = true }
          reserved { cpu = 500 memory = 512 }
        }
        telemetry {
          collection_interval = "1s"
          publish_allocation_metrics = true
          datadog_address = "127.0.0.1:8125"
        }
        """)
    let configuration = try #require(outcome.configuration, "\(outcome.text ?? "")")
    #expect(configuration.log.level == .warn)
    #expect(configuration.log.levelText == "warn")
    #expect(configuration.bind.http == [endpoint("10.0.0.5:4646")])
    #expect(configuration.limits.httpConnectionsPerClientMax == 0)
    #expect(configuration.server?.join.retryMax == 3)
    #expect(configuration.server?.join.retry == [.endpoint(.name("nomad.service.eu.example", port: 4648))])
    let unused = "nomadd forms the cluster and has no use for it"
    #expect(
      outcome.warnings == [
        "ignored: consul (a.hcl:7:1): \(unused)", "ignored: vault (a.hcl:11:1): \(unused)",
        "ignored: plugin (a.hcl:12:1): \(unused)", "ignored: server.num_schedulers (a.hcl:21:3): \(unused)",
        "ignored: server.default_scheduler_config (a.hcl:22:3): \(unused)",
        "ignored: client.host_volume (a.hcl:32:3): \(unused)", "ignored: client.reserved (a.hcl:33:3): \(unused)",
        "ignored: telemetry.datadog_address (a.hcl:38:3): \(unused)",
      ])
  }

  @Test func jsonSaysTheSameAsHCL() throws {
    let json = """
      {
        "data_dir": "/var/lib/nomad",
        "bind_addr": "10.0.0.1",
        "ports": {"http": 5646},
        "server": {"enabled": true, "bootstrap_expect": 3,
          "server_join": {"retry_join": ["10.0.0.2"], "retry_interval": "5s"}},
        "plugin": {"raw_exec": {"config": {"enabled": true}}},
        "client": {"enabled": true, "meta": {"rack": "r\\u0031"}, "node_class": null}
      }
      """
    let hcl = """
      data_dir = "/var/lib/nomad"
      bind_addr = "10.0.0.1"
      ports { http = 5646 }
      server {
        enabled = true
        bootstrap_expect = 3
        server_join { retry_join = ["10.0.0.2"] retry_interval = "5s" }
      }
      client { enabled = true meta { rack = "r1" } }
      """
    #expect(try accepted(json) == accepted(hcl))
  }

  @Test(arguments: ["dev/server1.hcl", "dev/server2.hcl", "dev/server3.hcl", "dev/client.hcl", "full.hcl"])
  func exampleIsAcceptedWithoutAnIgnoredKey(_ name: String) throws {
    let path = "deploy/examples/" + name
    let outcome = resolveCommandLine(["--config", path], host: machine, version: "1")
    guard case .run(let configuration, let warnings) = outcome else {
      Issue.record("\(outcome)")
      return
    }
    #expect(configuration.loadedFiles == [path])
    #expect(!warnings.contains { $0.hasPrefix("ignored") })
  }

  @Test func guideExamplesAskForTheAddress() {
    let outcome = resolveCommandLine(
      ["--config", "deploy/examples/server.hcl", "--data-dir", "/d"], host: machine, version: "1")
    guard case .printAndExit(let text, let status) = outcome else {
      Issue.record("\(outcome)")
      return
    }
    #expect(status == 1)
    #expect(
      text == "deploy/examples/server.hcl:4:23: retry_join: \"<known-address>:4648\" is a placeholder; "
        + "put the address of a server there, such as \"10.0.0.1:4648\"")
  }
}
