import HTTP
import Testing

@testable import nomad

/// `operator restart-check`, `server remove`, and what `server force-leave` tells.
@Suite struct RestartCheckTests {
  private static func server(_ name: String, _ fields: String = "") -> String {
    #"{"ID":"\#(name)","Name":"\#(name).global","Address":"10.0.0.1:4647","SerfStatus":"alive","Voter":true,"#
      + #""Healthy":true,"LastContact":"10ms","Leader":\#(name == "s1")\#(fields)}"#
  }

  private static func health(_ servers: [String]) -> String { #"{"Servers":[\#(servers.joined(separator: ","))]}"# }

  private static func members(_ list: [(name: String, status: String)]) -> String {
    let rows = list.map { member in
      #"{"Name":"\#(member.name).global","Addr":"10.0.0.\#(member.name.dropFirst())","Port":4648,"#
        + #""Status":"\#(member.status)","Tags":{"region":"global","id":"id-\#(member.name)","port":"4647"}}"#
    }
    return #"{"Members":[\#(rows.joined(separator: ","))]}"#
  }

  private static let alive = members([("s1", "alive"), ("s2", "alive"), ("s3", "alive")])

  private func check(_ health: String, _ members: String = Self.alive, status: Int = 200) -> (Int32, String) {
    var bench = CommandBench(["GET /v1/agent/members": members])
    bench.answers["GET /v1/operator/autopilot/health"] = (status, health)
    let code = bench.run("operator restart-check")
    return (code, bench.output + bench.errors)
  }

  @Test func saysYesWhenOneVoterMayGo() {
    let (code, text) = check(Self.health(["s1", "s2", "s3"].map { Self.server($0) }))
    #expect(code == 0)
    #expect(text == "Yes: 3 of 3 voters are healthy, 2 are needed; leader: s1.global, restart it last\n")
  }

  @Test func saysNoWhileAServerIsNotBack() {
    let servers = [Self.server("s1"), Self.server("s2"), Self.server("s3", #","Healthy":false"#)]
    let (code, text) = check(Self.health(servers), status: 429)
    #expect(code == 1)
    #expect(text.hasPrefix("No: s3.global is not healthy (alive, last contact 10ms)"))
  }

  @Test func saysNoWhileAServerDoesNotVoteYet() {
    let servers = [Self.server("s1"), Self.server("s2"), Self.server("s3", #","Voter":false"#)]
    let (code, text) = check(Self.health(servers))
    #expect(code == 1)
    #expect(text == "No: s3.global does not vote yet; 2 of 2 voters are healthy and 2 are needed\n")
  }

  @Test func saysNoWhenGossipHasAServerThatRaftLacks() {
    let (code, text) = check(Self.health([Self.server("s1"), Self.server("s2"), Self.server("s4")]))
    #expect(code == 1)
    #expect(text == "No: s3.global is alive in gossip and not in Raft\n")
  }

  @Test func saysNoForTheOnlyVoterAndWithoutALeader() {
    let (code, text) = check(Self.health([Self.server("s1")]), Self.members([("s1", "alive")]))
    #expect(code == 1)
    #expect(text == "No: there is one voter only: while it restarts there is no cluster\n")
    #expect(check("No cluster leader", status: 500) == (1, "No: No cluster leader\n"))
  }

  @Test func cannotTellWithoutAnAgent() {
    var bench = CommandBench()
    #expect(bench.run("operator restart-check") == 2)
    #expect(bench.errors.hasPrefix("Unknown: Get \"http://127.0.0.1:4646/v1/operator/autopilot/health\""))
  }

  // MARK: Removing

  private static func peers(_ names: [String]) -> String {
    let rows = names.map {
      #"{"ID":"id-\#($0)","Address":"10.0.0.\#($0.dropFirst()):4647","Node":"\#($0).global","Voter":true}"#
    }
    return #"{"Servers":[\#(rows.joined(separator: ","))]}"#
  }

  private static let failed = members([("s1", "alive"), ("s2", "alive"), ("s3", "failed")])

  private func bench(_ members: String) -> CommandBench {
    CommandBench([
      "GET /v1/agent/members": members,
      "GET /v1/operator/raft/configuration?stale=": Self.peers(["s1", "s2", "s3"]),
      "GET /v1/operator/raft/configuration": Self.peers(["s1", "s2"]),
      "PUT /v1/agent/force-leave?node=s3.global&prune=1": "",
      "PUT /v1/agent/force-leave?node=10.0.0.3%3A4648": "", "PUT /v1/agent/force-leave?node=s1": "",
      "PUT /v1/agent/force-leave?node=nobody": "",
    ])
  }

  @Test(arguments: ["s3.global", "s3", "id-s3", "10.0.0.3:4647", "10.0.0.3:4648", "10.0.0.3"])
  func removesALostServerFromEverythingAtOnce(name: String) {
    var bench = bench(Self.failed)
    #expect(bench.run("server remove \(name)") == 0)
    #expect(
      bench.output == """
        removed from gossip: s3.global (failed)
        removed from Raft: id-s3 (10.0.0.3:4647)
        removed from the clients' lists: nomadd's own clients at once, others with their next heartbeat

        """)
  }

  @Test func aDryRunOnlyAsks() {
    var bench = bench(Self.failed)
    #expect(bench.run("server remove -dry-run s3") == 0)
    #expect(
      bench.output.hasPrefix("would be removed from gossip: s3.global (failed)\nwould be removed from Raft: id-s3"))
    #expect(bench.sent.allSatisfy { $0.hasPrefix("GET ") })
  }

  @Test func removesNobodyWhoIsAliveOrUnknownOrNeeded() {
    var bench = bench(Self.alive)
    #expect(bench.run("server remove s3") == 1)
    #expect(bench.errors.hasPrefix("s3.global is alive; let it leave by itself"))
    #expect(bench.run("server remove s9") == 1)
    #expect(bench.errors == "No server has the name, id or address \"s9\"\n")
    bench = self.bench(Self.members([("s1", "alive"), ("s2", "failed"), ("s3", "failed")]))
    #expect(bench.run("server remove s3") == 1)
    #expect(bench.errors.hasPrefix("1 of 3 voters are alive, which is no quorum"))
    #expect(!bench.sent.contains { $0.hasPrefix("PUT") })
  }

  @Test func forceLeaveSaysWhatWasDone() {
    var bench = bench(Self.failed)
    #expect(bench.run("server force-leave 10.0.0.3:4648") == 0)
    #expect(bench.output == "s3.global was failed; it is declared left, and the leader takes it out of Raft\n")
    #expect(bench.run("server force-leave s1") == 0)
    #expect(bench.errors.hasPrefix("s1.global is alive and stays"))
    #expect(bench.run("server force-leave nobody") == 0)
    #expect(bench.errors == "No server has the name, id or address \"nobody\": nothing was done\n")
  }
}
