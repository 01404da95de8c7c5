import Base
import Testing

@testable import Configuration

/// The command line: spellings, help, and what is wrong with it.
@Suite struct OptionTests {
  private let server = ["--server", "--data-dir", "/d"]

  @Test func oneDashTwoDashesAndEqualsSignsMeanTheSame() throws {
    let spellings = [
      ["--server", "--bootstrap-expect", "3", "--retry-join", "10.0.0.1", "--data-dir", "/d"],
      ["-server", "-bootstrap-expect", "3", "-retry-join", "10.0.0.1", "-data-dir", "/d"],
      ["-server=true", "-bootstrap-expect=3", "--retry-join=10.0.0.1", "--data-dir=/d"],
      ["agent", "-server=1", "-bootstrap-expect=3", "-client=false", "--retry-join=10.0.0.1", "--data-dir=/d"],
    ]
    let first = try #require(resolve(spellings[0]).configuration)
    for words in spellings { #expect(resolve(words).configuration == first, "\(words)") }
  }

  @Test func serversOfAClientNeedNoPort() throws {
    let outcome = resolve([
      "--client", "--servers", "10.0.0.1,nomad.example, fd00::1", "--servers=10.0.0.2:1", "--data-dir=/d",
    ])
    #expect(
      outcome.configuration?.client?.servers
        == [
          endpoint("10.0.0.1:4647"), .name("nomad.example", port: 4647), endpoint("[fd00::1]:4647"),
          endpoint("10.0.0.2:1"),
        ])
    #expect(outcome.warnings == [])
  }

  @Test func retryJoinOfAClientIsTheClients() throws {
    let outcome = resolve([
      "-client", "-retry-join", "10.0.0.1", "-retry-interval", "2s", "-retry-max", "4", "-data-dir=/d",
    ])
    let join = try #require(outcome.configuration?.client?.join)
    #expect(join.retry == [.endpoint(endpoint("10.0.0.1:4647"))])
    #expect(join.retryInterval == .seconds(2))
    #expect(join.retryMax == 4)
  }

  @Test func clientThatKnowsNobodyIsWarned() {
    #expect(
      resolve(["--client", "--data-dir=/d"]).warnings
        == ["the client knows no server and waits to be told one; set servers = [\"address:4647\"], or give --servers"])
    #expect(resolve(["--client", "--server", "--data-dir=/d"]).warnings == [])
  }

  @Test func startJoinAndRejoin() throws {
    let outcome = resolve(server + ["--join", "10.0.0.1", "-join=10.0.0.2:9", "--rejoin"])
    let settings = try #require(outcome.configuration?.server)
    #expect(settings.join.start == [.endpoint(endpoint("10.0.0.1:4648")), .endpoint(endpoint("10.0.0.2:9"))])
    #expect(settings.rejoinAfterLeave)
  }

  @Test func nodeOptionsOfAClient() throws {
    let outcome = resolve([
      "--client", "--servers=10.0.0.1", "--node-class", "big", "--node-pool=gpu", "--meta", "a=b", "-meta=c=",
      "--state-dir", "/s/", "--alloc-dir=/a", "--network-interface=eth0",
    ])
    let client = try #require(outcome.configuration?.client, "\(outcome.text ?? "")")
    #expect(client.nodeClass == "big")
    #expect(client.nodePool == "gpu")
    #expect(client.meta == [TextPair(key: "a", value: "b"), TextPair(key: "c", value: "")])
    #expect(client.stateDirectory == "/s")
    #expect(client.networkInterface == "eth0")
    #expect(outcome.configuration?.dataDirectory == nil)
  }

  @Test func optionsForOtherPartsOfNomadAreIgnoredAndNamed() {
    let outcome = resolve(
      server + [
        "-consul-address=127.0.0.1:8500", "--vault-token", "x", "-consul-ssl", "-network-speed", "100",
        "-consul-verify-ssl=false",
      ])
    let unused = "nomadd forms the cluster and has no use for it"
    #expect(outcome.configuration != nil)
    #expect(
      outcome.warnings == [
        "ignored: --consul-address: \(unused)", "ignored: --vault-token: \(unused)", "ignored: --consul-ssl: \(unused)",
        "ignored: --network-speed: \(unused)", "ignored: --consul-verify-ssl: \(unused)",
      ])
  }

  @Test func wrongOptionsGetOneSentence() {
    let cases: [([String], String)] = [
      (["--bogus"], "Unknown option '--bogus'; nomadd --help lists the options"),
      (["-bootstrap-expct=3"], "Unknown option '--bootstrap-expct'. Did you mean '--bootstrap-expect'?"),
      (["--bootstrap-expect"], "Missing value for '--bootstrap-expect <number>'; nomadd --help lists the options"),
      (
        ["--bootstrap-expect", "three"],
        "--bootstrap-expect: the value is \"three\", which is not a whole number; write digits only"
      ),
      (["--bootstrap-expect", "-1"], "--bootstrap-expect: the value is \"-1\", which is negative; use 0 or more"),
      (
        ["--retry-interval", "30"],
        "--retry-interval: the value is \"30\", which has no unit; write \"30s\" for seconds"
      ),
      (
        ["--retry-interval=x"],
        "--retry-interval: the value is \"x\", which is not a duration; use numbers with h, m, s or ms, such as "
          + "\"1h30m\" or \"30s\""
      ),
      (
        ["--http-port", "70000"],
        "--http-port: the value is \"70000\", which is not a port; use a number from 1 to 65535"
      ),
      (["--server=maybe"], "--server: the value \"maybe\" is neither true nor false; write --server alone"),
      (["--meta", "x"], "--meta: Error parsing Client.Meta value: x; write --meta key=value"),
      (["--retry-join", "10.0.0.256"], "--retry-join: \"10.0.0.256\" is not an IPv4 address; correct it"),
      (["--retry-join="], "Missing value for '--retry-join <address>'; nomadd --help lists the options"),
      (
        ["--log-level", "loud"],
        "--log-level: Invalid log level: loud. Valid log levels are: [TRACE DEBUG INFO WARN ERROR OFF]"
      ),
      (
        ["--advertise", "10.0.0.1:5"],
        "--advertise: \"10.0.0.1:5\" has a port, and only an address belongs here; set the port in the block ports"
      ),
      (
        ["--advertise-rpc", "::"],
        "--advertise-rpc: advertise.rpc is ::, which nobody can reach; write the address that other agents use "
          + "for this machine"
      ),
      (["--bind", "10.0.0.1 "], ""),
      (["--dev-connect"], "--dev-connect starts a development setup that nomadd does not have; use --dev"),
      (["extra"], "Unexpected argument 'extra'; nomadd --help lists the options"),
      (["server", "members"], "2 unexpected arguments: 'server', 'members'; nomadd --help lists the options"),
    ]
    for (words, wanted) in cases {
      let outcome = resolve(server + words)
      #expect(outcome.text ?? "" == wanted, "\(words)")
      #expect(outcome.status == (wanted.isEmpty ? 0 : 1))
    }
  }

  @Test func helpAndVersionEndWithStatusZero() throws {
    for words in [["--help"], ["-help"], ["-h"], ["agent", "--help"], ["--server", "-h"]] {
      let outcome = resolve(words)
      #expect(outcome.status == 0)
      let text = try #require(outcome.text)
      #expect(text.contains("--bootstrap-expect <number>"))
      #expect(text.contains("--node"))
      #expect(!text.contains("alloc-dir"))
    }
    for words in [["--version"], ["-version"], ["-v"], ["version"]] {
      let outcome = resolve(words)
      #expect(outcome.text == "Nomad v1.2.3", "\(words)")
      #expect(outcome.status == 0)
    }
  }

  @Test func everySwitchIsKnownToTheRewriter() throws {
    for name in AgentOptions.switches where name != "help" && name != "version" {
      #expect(throws: Never.self) { try AgentOptions.parse(["--" + name]) }
      #expect(resolve(["--\(name)=false", "--version"]).text == "Nomad v1.2.3")
    }
  }

  @Test func hostileWordsNeverTrap() {
    var random = RandomSource(seed: 11)
    let letters = Array("--==abserv er\"'\u{e9}\0,=:1")
    for _ in 0..<60 {
      let words = (0..<Int.random(in: 0..<5, using: &random)).map { _ in
        String(
          (0..<Int.random(in: 0..<12, using: &random)).map { _ in
            letters[Int.random(in: 0..<letters.count, using: &random)]
          })
      }
      _ = resolve(words)
    }
  }
}
