import Base
import Harness
import Membership
import Testing

/// Debian's Serf agents and our machines when something is wrong, or nothing at all.
@Suite(.serialized, .enabled(if: SerfAgent.isInstalled, "needs Debian's package serf"), .timeLimit(.minutes(5)))
struct SerfConditionTests {
  let pool: MixedPool
  var stage: Stage { pool.stage }

  init() throws { pool = try MixedPool() }

  @Test func nobodyIsSuspectedWhenNothingHappens() throws {
    let (agents, machines) = try pool.formed(agents: 2, machines: 2)
    try stage.run(for: .seconds(15))
    #expect(machines.allSatisfy { $0.suspicions == 0 && $0.dropped == 0 })
    for agent in agents {
      #expect(!agent.says("[WARN]") && !agent.says("[ERR]") && !agent.says("Suspect"), "\(agent.log)")
    }
  }

  /// UDP does not reach the machine, TCP does: it stays, and the agent says what is wrong.
  @Test func aMemberWithoutUDPStays() throws {
    let (agents, machines) = try pool.formed(agents: 1, machines: 2)
    machines[0].blockDatagrams(true)
    try stage.wait("the agent's word about TCP", within: .seconds(60), state: { agents[0].log }) {
      agents[0].says("connect to machine1 but other probes failed")
    }
    try stage.run(for: .seconds(6))
    #expect(agents[0].status(of: machines[0]) == "alive" && machines[1].status(of: machines[0]) == "alive")
    machines[0].blockDatagrams(false)
    try pool.agree(
      agents + machines, on: ["serf1": "alive", "machine1": "alive", "machine2": "alive"], "all is well again")
  }

  /// Only two: the frozen one finds itself dead when it wakes, and refutes.
  @Test func aFrozenAgentComesBack() throws {
    let (agents, machines) = try pool.formed(agents: 1, machines: 1)
    agents[0].freeze()
    try stage.wait("the frozen agent's death", within: .seconds(60), state: { "\(machines[0].view)" }) {
      machines[0].status(of: agents[0]) == "failed"
    }
    agents[0].thaw()
    try pool.agree(agents + machines, on: ["serf1": "alive", "machine1": "alive"], "the agent is back")
  }

  @Test func aQuickRestartIsNoFailure() throws {
    let (agents, machines) = try pool.formed(agents: 2, machines: 2)
    let all: [any PoolMember] = agents + machines
    let wanted = Dictionary(uniqueKeysWithValues: all.map { ($0.name, "alive") })
    machines[1].crash()
    try machines[1].start()
    _ = try machines[1].join(agents[0].address, on: stage)
    agents[1].crash()
    try agents[1].start(joining: machines[0].address)
    try pool.agree(all, on: wanted, "both are back")
    #expect(!agents[0].says("EventMemberFailed"), "\(agents[0].log)")
  }

  /// By either kind, about either kind; pruned ones are forgotten by everybody.
  @Test func failedMembersAreForcedOut() throws {
    let (agents, machines) = try pool.formed(agents: 3, machines: 3)
    var wanted = Dictionary(uniqueKeysWithValues: (agents + machines as [any PoolMember]).map { ($0.name, "alive") })
    for gone in ["serf2", "serf3", "machine2", "machine3"] { wanted[gone] = "failed" }
    agents[1].crash()
    agents[2].crash()
    machines[1].crash()
    machines[2].crash()
    let rest: [any PoolMember] = [agents[0], machines[0]]
    try pool.agree(rest, on: wanted, "four have failed")

    try agents[0].call("force-leave", "machine2", on: stage)
    #expect(machines[0].forceLeave("serf2", prune: false) == .spread(previous: .failed))
    wanted["machine2"] = "left"
    wanted["serf2"] = "left"
    try pool.agree(rest, on: wanted, "two were forced out")

    try agents[0].call("force-leave", "-prune", "machine3", on: stage)
    #expect(machines[0].forceLeave("serf3", prune: true) == .spread(previous: .failed))
    wanted["machine3"] = nil
    wanted["serf3"] = nil
    try pool.agree(rest, on: wanted, "two were forgotten")
  }

  /// A second one of either kind with a name that is taken: who has the name keeps it.
  @Test func aNameThatIsTakenStaysWhereItIs() throws {
    let (agents, machines) = try pool.formed(agents: 2, machines: 2)
    let impostors = [try pool.machine("serf1"), try pool.machine("machine1")]
    let double = try pool.agent("machine2")
    try pool.ready([double])
    for impostor in impostors { _ = try impostor.join(agents[1].address, on: stage) }
    _ = try? double.call("join", "\(machines[0].address)", on: stage)
    try stage.run(for: .seconds(8))
    for member in [agents[0], agents[1], machines[0], machines[1]] as [any PoolMember] {
      for owner in [agents[0], machines[0], machines[1]] as [any NamedPlace] {
        let entry = member.view[owner.name] ?? "absent"
        #expect(entry.hasPrefix("alive \(owner.address)"), "\(member.name) sees \(entry)\n\(agents[0].log)")
      }
    }
  }

  @Test(.enabled(if: Loopback.hasIPv6, "needs IPv6 on loopback")) func aPoolOfIPv6() throws {
    func place() throws -> SocketAddress { SocketAddress(Loopback.ipv6, port: try Loopback.freePort()) }
    let agents = [try pool.agent("serf1", at: try place()), try pool.agent("serf2", at: try place())]
    let machines = [try pool.machine("machine1", at: try place()), try pool.machine("machine2", at: try place())]
    try pool.ready(agents)
    _ = try machines[0].join(agents[0].address, on: stage)
    try agents[0].call("join", "\(machines[1].address)", on: stage)
    _ = try machines[1].join(agents[1].address, on: stage)
    var wanted = ["serf1": "alive", "serf2": "alive", "machine1": "alive", "machine2": "alive"]
    try pool.agree(agents + machines, on: wanted, "all joined")
    agents[1].crash()
    try machines[1].leave(on: stage)
    wanted["serf2"] = "failed"
    wanted["machine2"] = "left"
    try pool.agree([agents[0], machines[0]], on: wanted, "one left, one failed")
  }
}

/// Who has a name, and where.
protocol NamedPlace {
  var name: String { get }
  var address: SocketAddress { get }
}

extension SerfAgent: NamedPlace {}
extension MachineMember: NamedPlace {}
