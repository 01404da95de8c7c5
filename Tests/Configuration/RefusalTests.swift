import Base
import Testing

@testable import Configuration

/// Every way to be refused, with the exact sentence.
@Suite struct RefusalTests {
  private let minimal = "data_dir = \"/d\" server { enabled = true }\n"

  @Test func unknownKeysSuggestWhatWasMeant() {
    let cases: [(String, String)] = [
      (
        "server {\n  bootstrap_expct = 3\n}",
        "2:3: unknown key \"bootstrap_expct\" in the block server: did you mean bootstrap_expect?"
      ),
      ("datacentre = \"x\"", "1:1: unknown key \"datacentre\" at the top level: did you mean datacenter?"),
      ("data-dir = \"/d\"", "1:1: unknown key \"data-dir\" at the top level: did you mean data_dir?"),
      (
        "bootstrap_expect = 3", "1:1: unknown key \"bootstrap_expect\" at the top level: it belongs in the block server"
      ),
      (
        "server { data_dir = \"/d\" region = \"x\" }",
        "1:26: unknown key \"region\" in the block server: it belongs at the top level, outside of every block"
      ),
      (
        "client { retry_join = [\"a\"] }",
        "1:10: unknown key \"retry_join\" in the block client: it belongs in the block server"
      ),
      ("frobnicate = 1", "1:1: unknown key \"frobnicate\" at the top level: remove it, or correct its spelling"),
      (
        "server { server_join { retryjoin = [] } }",
        "1:24: unknown key \"retryjoin\" in the block server.server_join: did you mean retry_join?"
      ),
      ("ports { htpp = 1 }", "1:9: unknown key \"htpp\" in the block ports: did you mean http?"),
      (
        "limits { rpc_max = 1 }",
        "1:10: unknown key \"rpc_max\" in the block limits: remove it, or correct its spelling"
      ),
    ]
    for (text, wanted) in cases { #expect(refusal(text) == "a.hcl:" + wanted) }
    #expect(refusal("{\"servre\": {}}") == "a.hcl:1:2: unknown key \"servre\" at the top level: did you mean server?")
  }

  @Test func repeatedKeysAndWrongShapes() {
    let cases: [(String, String)] = [
      ("region = \"a\"\nregion = \"b\"", "2:1: region is set twice in this file, first at a.hcl:1:1; keep one"),
      ("ports { http = 1 }\nports { rpc = 2 }", "2:1: ports is set twice in this file, first at a.hcl:1:1; keep one"),
      (
        "client { meta { a = 1 } meta { b = 2 } }",
        "1:25: client.meta is set twice in this file, first at a.hcl:1:10; keep one"
      ),
      ("server \"x\" { }", "1:8: the block server takes no name; remove \"x\""),
      ("server = true", "1:10: server is true, and should be a block; write server { ... }"),
      ("region = [\"a\"]", "1:10: region is a list, and should be one text, such as region = \"...\""),
      ("region { }", "1:8: region is a block, and should be one text, such as region = \"...\""),
      (
        "server { retry_join = \"10.0.0.1\" }",
        "1:23: server.retry_join is \"10.0.0.1\", and should be a list, such as retry_join = [\"10.0.0.1\"]"
      ),
      ("server { retry_join = [[\"a\"]] }", "1:24: server.retry_join holds a list, and should hold only texts"),
      (
        "client { meta = \"x\" }", "1:17: client.meta is \"x\", and should be a block, such as meta { key = \"value\" }"
      ),
      (
        "client { meta { a { b = 1 } } }", "1:17: client.meta.a is a block, and should be one text, such as a = \"...\""
      ),
    ]
    for (text, wanted) in cases { #expect(refusal(text) == "a.hcl:" + wanted) }
    #expect(
      refusal("{\"advertise\": [{\"http\": \"10.0.0.1\"}]}")
        == "a.hcl:1:15: advertise is a list, and should be a block; write advertise { ... }")
  }

  @Test func wrongValues() {
    let cases: [(String, String)] = [
      (
        "server { bootstrap_expect = \"three\" }",
        "1:29: server.bootstrap_expect is \"three\", which is not a whole number; write digits only"
      ),
      (
        "server { bootstrap_expect = 2.5 }",
        "1:29: server.bootstrap_expect is 2.5, which is not a whole number; write digits only"
      ),
      ("server { bootstrap_expect = -1 }", "1:29: server.bootstrap_expect is -1, which is negative; use 0 or more"),
      (
        "server { bootstrap_expect = 99999999999999999999 }",
        "1:29: server.bootstrap_expect is 99999999999999999999, which is not a whole number; write digits only"
      ),
      ("server { enabled = maybe }", "1:20: found the bare word \"maybe\" as the value of enabled; write \"maybe\""),
      (
        "server { enabled = \"maybe\" }",
        "1:20: server.enabled is \"maybe\", which is neither true nor false; use one of them"
      ),
      ("ports { rpc = 99999 }", "1:15: ports.rpc is 99999, which is not a port; use a number from 1 to 65535"),
      ("ports { rpc = 0 }", "1:15: ports.rpc is 0, which is not a port; use a number from 1 to 65535"),
      ("ports { rpc = 1.5 }", "1:15: ports.rpc is 1.5, which is not a port; use a number from 1 to 65535"),
      (
        "server { retry_interval = \"soon\" }",
        "1:27: server.retry_interval is \"soon\", which is not a duration; use numbers with h, m, s or ms, such "
          + "as \"1h30m\" or \"30s\""
      ),
      (
        "server { retry_interval = 30 }",
        "1:27: server.retry_interval is 30, which has no unit; write \"30s\" for seconds"
      ),
      (
        "server { heartbeat_grace = \"-5s\" }",
        "1:28: server.heartbeat_grace is \"-5s\", which is negative; use \"0s\" or more"
      ),
      (
        "server { max_heartbeats_per_second = \"fast\" }",
        "1:38: server.max_heartbeats_per_second is \"fast\", which is not a number from 0 up; write digits, such "
          + "as 50 or 0.5"
      ),
    ]
    for (text, wanted) in cases { #expect(refusal(text) == "a.hcl:" + wanted) }
  }

  @Test func conversionsOfNomadAreKept() throws {
    let configuration = try accepted(
      """
      data_dir = "/d"
      region = 0x10
      name = true
      server { enabled = "TRUE" bootstrap_expect = "0x3" raft_multiplier = 0 }
      client { enabled = 1 }
      """)
    #expect(configuration.region == "0x10")
    #expect(configuration.name == "true")
    #expect(configuration.server?.bootstrapExpect == 3)
    #expect(configuration.server?.raftMultiplier == 1)
    #expect(configuration.client != nil)
  }

  @Test func modesAndDirectories() {
    #expect(
      resolve([]).text
        == "Must specify either server, client or dev mode for the agent: write enabled = true in the block "
        + "server or client, "
        + "or give --server, --client or --dev")
    #expect(
      refusal("server { enabled = true }")
        == "Must specify \"data_dir\" config option or \"data-dir\" CLI flag: a server keeps its state in an "
        + "absolute directory, "
        + "such as --data-dir /var/lib/nomad")
    #expect(
      refusal("client { enabled = true }")
        == "Must specify the state, alloc dir, and plugin dir if data-dir is omitted: give --data-dir, such as "
        + "--data-dir /var/lib/nomad, or at least --state-dir")
    #expect(
      refusal("data_dir = \"foo\" server { enabled = true }")
        == "a.hcl:1:12: data-dir must be given as an absolute path: got foo; start it with \"/\", such as "
        + "/var/lib/nomad"
    )
    #expect(
      resolve(["--server", "--data-dir", "foo"]).text
        == "--data-dir: data-dir must be given as an absolute path: got foo; start it with \"/\", such as "
        + "/var/lib/nomad"
    )
    #expect(
      refusal("data_dir = \"/d\" client { enabled = true state_dir = \"s\" }")
        == "a.hcl:1:53: state-dir must be given as an absolute path: got s; start it with \"/\", such as /var/lib/nomad"
    )
  }

  @Test func bootstrapExpectWithoutServerMode() {
    #expect(
      resolve(["--client", "--data-dir", "/d", "--bootstrap-expect", "3"]).text
        == "--bootstrap-expect: Bootstrap requires server mode to be enabled: add --server, or leave out "
        + "--bootstrap-expect"
    )
    let outcome = resolve(["--client", "--servers=10.0.0.1"], hcl: "data_dir = \"/d\" server { bootstrap_expect = 3 }")
    #expect(outcome.warnings == ["a.hcl:1:45: bootstrap_expect has no effect, because server mode is not enabled"])
  }

  @Test func warningsAboutBootstrapExpect() {
    func warnings(_ expect: Int) -> [String] { resolve(["--bootstrap-expect=\(expect)"], hcl: minimal).warnings }
    #expect(warnings(0) == [])
    #expect(warnings(1) == ["Bootstrap mode enabled! Potentially unsafe operation."])
    #expect(warnings(2) == ["Number of bootstrap servers should ideally be set to an odd number."])
    #expect(warnings(3) == [])
    #expect(resolve(["--dev"]).warnings == [])
  }

  @Test func namesWithControlCharactersOrWithoutEnd() {
    #expect(
      refusal(minimal + "region = \"a\\nb\"")
        == "a.hcl:2:10: region contains invalid characters: \"a\\nb\"; leave out control characters")
    #expect(
      refusal(minimal + "datacenter = \"a\\x00\"")
        == "a.hcl:2:14: datacenter contains invalid characters: \"a\\0\"; leave out control characters")
    #expect(
      refusal(minimal + "datacenter = \"dc*\"")
        == "a.hcl:2:14: datacenter is \"dc*\", and a datacenter may not contain \"*\"; choose another name")
    #expect(
      resolve(["--name", String(repeating: "x", count: 129)], hcl: minimal).text
        == "--name: name has 129 bytes; use at most 128")
    #expect(
      refusal(minimal, host: HostFacts(hostName: "", interfaces: machine.interfaces))
        == "name is empty, and this machine has no host name to take its place; set name")
  }

  @Test func unusualNamesThatNomadAccepts() throws {
    let configuration = try accepted(minimal + "region = \"EU west/1\"\nname = \"a.b c\"")
    #expect(configuration.region == "EU west/1")
    #expect(configuration.name == "a.b c")
  }

  @Test func serverSettingsOutOfRange() {
    let cases: [(String, String)] = [
      ("raft_protocol = 4", "26: raft_protocol is 4, and nomadd speaks 2 and 3; use 3, or remove it"),
      ("raft_protocol = 1", "26: raft_protocol is 1, and nomadd speaks 2 and 3; use 3, or remove it"),
      (
        "federates_with = \"west\"",
        "27: server.federates_with is \"west\", and should be a list, such as federates_with = [\"west\"]"
      ),
      (
        "witness = true non_voting_server = true",
        "20: a witness votes, and non_voting_server = true says that it does not; remove one of them"
      ),
      (
        "witness = true bootstrap_expect = 1",
        "20: a witness cannot be a cluster of its own; raise bootstrap_expect to the number of servers, itself included"
      ),
      ("raft_multiplier = 11", "28: raft_multiplier cannot be 11. Must be between 1 and 10; lower it"),
      ("protocol_version = 2", "29: Protocol version '2' too high. Must be in range: [1, 1]; remove protocol_version"),
      (
        "raft_snapshot_interval = \"1ms\"",
        "35: raft_snapshot_interval must be greater than 5ms; raise it, or remove it for 120s"
      ),
      ("retry_interval = \"0s\"", "27: retry_interval is zero, which would join without pause; use \"1s\" or more"),
      (
        "encrypt = \"secret!\"",
        "20: Invalid encryption key: illegal base64 data; write the base64 of 16, 24 or 32 random bytes, such as "
          + "\"openssl rand -base64 32\" prints"
      ),
      (
        "encrypt = \"AQID\"",
        "20: Invalid encryption key: key size must be 16, 24 or 32 bytes and is 3; write the base64 of 16, 24 or "
          + "32 random bytes, such as \"openssl rand -base64 32\" prints"
      ),
    ]
    for (text, wanted) in cases { #expect(refusal(minimal + "server { \(text) }") == "a.hcl:2:" + wanted) }
  }

  @Test func joinSettingsThatContradict() {
    let cases: [(String, String)] = [
      (
        "server { retry_join = [\"a\"] server_join { retry_join = [\"b\"] } }",
        "2:23: server_join and retry_join cannot both be defined; prefer setting the server_join stanza at "
          + "a.hcl:2:57 and remove this retry_join"
      ),
      (
        "server { retry_max = 3 server_join { retry_join = [\"b\"] } }",
        "2:22: server_join and retry_max cannot both be defined; prefer setting the server_join stanza at "
          + "a.hcl:2:52 and remove this retry_max"
      ),
      (
        "server { start_join = [\"a\"] server_join { start_join = [\"b\"] } }",
        "2:23: server_join and start_join cannot both be defined; prefer setting the server_join stanza at "
          + "a.hcl:2:57 and remove this start_join"
      ),
      (
        "server { server_join { start_join = [\"a\"] retry_join = [\"b\"] } }",
        "2:38: retry_join and start_join cannot both be defined; keep retry_join, which also waits for servers "
          + "that start later"
      ),
      (
        "client { enabled = true server_join { start_join = [\"a\"] } }",
        "2:53: start_join is not supported for Nomad clients; use retry_join"
      ),
    ]
    for (text, wanted) in cases { #expect(refusal(minimal + text) == "a.hcl:" + wanted) }
  }

  @Test func protectionThatIsNotThereIsRefused() {
    #expect(
      refusal(minimal + "tls { rpc = true ca_file = \"/x\" }")
        == "a.hcl:2:13: tls.rpc = true asks for TLS, which nomadd does not support yet; remove it to run without TLS")
    #expect(
      resolve(["-acl-enabled"], hcl: minimal).text
        == "--acl-enabled: acl.enabled = true asks for access control lists, which nomadd does not support; "
        + "remove it to run without them")
  }

  @Test func otherBlocksOutOfRange() {
    let cases: [(String, String)] = [
      ("log_level = \"LOUD\"", "13: Invalid log level: LOUD. Valid log levels are: [TRACE DEBUG INFO WARN ERROR OFF]"),
      (
        "limits { rpc_max_conns_per_client = 10 }",
        "37: rpc_max_conns_per_client must be > 25; found: 10; raise it, or use 0 for no limit"
      ),
      (
        "telemetry { prefix_filter = [\"+a\", \"b\"] }",
        "36: Filter rule must begin with either '+' or '-': \"b\"; put one of them first"
      ),
      (
        "telemetry { statsd_address = \"a:b\" }",
        "30: telemetry.statsd_address: the port \"b\" of \"a:b\" is not a number from 1 to 65535; correct it"
      ),
      (
        "client { enabled = true meta { a..b = 1 } }",
        "32: Invalid Client.Meta key: \"a..b\"; leave out dots at its ends and double dots"
      ),
      (
        "client { enabled = true node_pool = \"a b\" }",
        "37: Invalid node pool: \"a b\"; use 1 to 128 letters, digits, \"-\" and \"_\""
      ),
      (
        "client { enabled = true servers = [\"http://a:1\"] }",
        "36: client.servers: \"http://a:1\" is a URL; leave out the scheme and the path"
      ),
    ]
    for (text, wanted) in cases { #expect(refusal(minimal + text) == "a.hcl:2:" + wanted) }
  }
}
