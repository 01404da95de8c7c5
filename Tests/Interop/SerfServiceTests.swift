import Base
import HTTP
import Harness
import Membership
import Testing

/// What Serf offers above membership, between Debian's Serf agents and our machines: keys, queries, relays,
/// coordinates.
@Suite(
  .serialized, .enabled(if: SerfAgent.isInstalled, "needs Debian's package serf"), .timeLimit(.minutes(3)))
struct SerfServiceTests {
  static func key(_ byte: UInt8, bytes: Int = 16) -> [UInt8] { [UInt8](repeating: byte, count: bytes) }
  static func text(_ key: [UInt8]) -> String { Base64.encode(key.bytes) }

  @Test(arguments: [16, 32]) func keysAreRotatedFromBothSides(bytes: Int) throws {
    let keys = (1...3).map { Self.key(UInt8($0), bytes: bytes) }
    let pool = try MixedPool(key: keys[0])
    let stage = pool.stage
    let (agents, machines) = try pool.formed(agents: 2, machines: 2)
    // By the agent.
    try agents[0].call("keys", "-install=\(Self.text(keys[1]))", on: stage)
    #expect(machines.allSatisfy { $0.currentKeys == [keys[0], keys[1]] })
    try agents[0].call("keys", "-use=\(Self.text(keys[1]))", on: stage)
    try agents[0].call("keys", "-remove=\(Self.text(keys[0]))", on: stage)
    #expect(machines.allSatisfy { $0.currentKeys == [keys[1]] })
    // The primary stays, and the agent is told so.
    #expect(throws: HarnessError.self) {
      try agents[0].call("keys", "-remove=\(Self.text(keys[1]))", on: stage)
    }
    // By us.
    for operation in [KeyringOperation.install(keys[2]), .use(keys[2]), .remove(keys[1])] {
      let result = try machines[0].changeKeyring(operation, on: stage)
      #expect(result.isSuccess && result.responses == 4, "\(operation): \(result)")
    }
    #expect(try !machines[1].changeKeyring(.remove(keys[2]), on: stage).isSuccess)
    let list = try machines[1].changeKeyring(.list, on: stage)
    #expect(list.keys == [KeyringResult.Tally(key: Self.text(keys[2]), members: 4)])
    #expect(try agents[1].call("keys", "-list", on: stage).contains(Self.text(keys[2])))
    let alive = Dictionary(uniqueKeysWithValues: ["serf1", "serf2", "machine1", "machine2"].map { ($0, "alive") })
    try pool.agree(agents + machines, on: alive, "everybody is there with the new key")

    // Without the key there is no way in, and nobody minds.
    for one in [try pool.machine("stranger", keys: [keys[0]]), try pool.machine("naked", keys: [])] {
      let outcomes = try one.join(agents[0].address, on: stage) + one.join(machines[0].address, on: stage)
      #expect(outcomes.allSatisfy { !$0.isSuccess })
    }
    // A restart with two keys, the pool's being the second one.
    machines[1].crash()
    let returned = try pool.machine("machine3", keys: [keys[0], keys[2]])
    // What it encrypts with its own primary key nobody reads, so the pool must be given that key.
    #expect(try machines[0].changeKeyring(.install(keys[0]), on: stage).errors.isEmpty)
    #expect(try returned.join(agents[1].address, on: stage).allSatisfy(\.isSuccess))
  }

  @Test func queriesAreAnsweredBothWaysDirectlyAndThroughRelays() throws {
    let pool = try MixedPool()
    let stage = pool.stage
    let (agents, machines) = try pool.formed(agents: 2, machines: 2)
    for factor in ["0", "2"] {
      let output = try agents[0].call("query", "-timeout=3s", "-relay-factor=\(factor)", "load", "now", on: stage)
      for name in ["serf1", "serf2", "machine1", "machine2"] {
        #expect(output.contains("load of \(name)"), "relay factor \(factor): \(output)")
        #expect(output.contains("Ack from '\(name)'"), "relay factor \(factor): \(output)")
      }
      var query = Query(name: "load")
      query.timeout = .seconds(3)
      query.wantsAcknowledgements = true
      query.relayFactor = UInt8(factor) ?? 0
      machines[0].ask(query)
      try stage.wait("the query ends") { machines[0].isQueryFinished }
      // Agents end what their scripts print with a line feed.
      let answers = machines[0].answers.map { $0.filter { $0 != "\n" } }.sorted()
      #expect(answers == ["machine1", "machine2", "serf1", "serf2"].map { "\($0): load of \($0)" })
    }
    // Conditions.
    let output = try agents[1].call("query", "-timeout=2s", "-tag", "kind=^mach", "load", on: stage)
    #expect(output.contains("load of machine1") && output.contains("load of machine2"))
    #expect(!output.contains("load of serf"))
    var query = Query(name: "load")
    query.timeout = .seconds(2)
    query.tags = [("kind", "agent|nothing")]
    query.nodes = ["serf2", "machine2"]
    machines[1].ask(query)
    try stage.wait("the query ends") { machines[1].isQueryFinished }
    #expect(machines[1].answers.map { $0.filter { $0 != "\n" } } == ["serf2: load of serf2"])
  }

  @Test func agentsAndMachinesKnowHowFarTheyAreApart() throws {
    let pool = try MixedPool()
    let stage = pool.stage
    let (agents, machines) = try pool.formed(agents: 1, machines: 2)
    try stage.wait("round trips are known", within: .seconds(30)) {
      machines[0].roundTrip(to: "serf1") != nil && machines[1].roundTrip(to: "machine1") != nil
    }
    // The agent has a coordinate of ours after its first probe of us; its own estimate of loopback is milliseconds.
    var estimate = ""
    try stage.wait("serf rtt", within: .seconds(30), state: { estimate }) {
      estimate = (try? agents[0].call("rtt", "machine1", on: stage)) ?? ""
      return estimate.contains(" ms")
    }
    #expect(machines[0].dropped == 0)
  }
}
