import Base
import Harness
import Membership
import Testing

/// Pools of Debian's Serf agents and our membership machines, on real sockets.
@Suite(.serialized, .enabled(if: SerfAgent.isInstalled, "needs Debian's package serf"), .timeLimit(.minutes(2)))
struct SerfTests {
  let pool: MixedPool
  var stage: Stage { pool.stage }

  init() throws { pool = try MixedPool() }

  @Test func joinsTagsAndEventsWorkBothWays() throws {
    let serf = try pool.agent("serf1", tags: ["role": "web", "zone": "a"])
    let first = try pool.machine("machine1", tags: ["role": "nomad", "id": "1"])
    let second = try pool.machine("machine2", tags: ["role": "nomad", "id": "2"])
    try pool.ready([serf])

    #expect(try first.join(serf.address, on: stage).map(\.result) == [.joined(nodes: 1)])
    try serf.call("join", "\(second.address)", on: stage)
    let everybody: [any PoolMember] = [serf, first, second]
    try pool.agree(everybody, on: ["serf1": "alive", "machine1": "alive", "machine2": "alive"], "all joined")
    #expect(first.view["serf1"] == "alive \(serf.address) role=web zone=a")
    #expect(serf.view["machine2"] == "alive \(second.address) id=2 role=nomad")

    try serf.call("tags", "-set", "zone=b", "-delete", "role", on: stage)
    try first.setTags(["role": "nomad", "id": "1", "leader": "yes"])
    try stage.wait("new tags are everywhere", state: { pool.report(everybody) }) {
      everybody.allSatisfy {
        $0.view["serf1"]?.hasSuffix(" zone=b") == true && $0.view["machine1"]?.contains("leader=yes") == true
          && $0.view["serf1"]?.contains("role") == false
      }
    }

    second.sendUserEvent("deploy", "from a machine")
    try stage.wait("the machine's event", state: { pool.report(everybody) }) {
      everybody.dropLast().allSatisfy { $0.lastUserEvent == "deploy from a machine" }
    }
    try serf.call("event", "-coalesce=false", "restart", "from serf", on: stage)
    try stage.wait("the agent's event", state: { pool.report(everybody) }) {
      everybody.allSatisfy { $0.lastUserEvent == "restart from serf" }
    }
  }

  @Test func leavesAreNoFailures() throws {
    let agents = [try pool.agent("serf1"), try pool.agent("serf2")]
    let machines = [try pool.machine("machine1"), try pool.machine("machine2")]
    try pool.ready(agents)
    for peer in [agents[1].address, machines[0].address, machines[1].address] {
      try agents[0].call("join", "\(peer)", on: stage)
    }
    let names = ["serf1", "serf2", "machine1", "machine2"]
    var wanted = Dictionary(uniqueKeysWithValues: names.map { ($0, "alive") })
    try pool.agree(agents + machines, on: wanted, "all joined")

    try machines[1].leave(on: stage)
    wanted["machine2"] = "left"
    try pool.agree([agents[0], agents[1], machines[0]], on: wanted, "the machine has left")
    try agents[1].leave(on: stage)
    wanted["serf2"] = "left"
    try pool.agree([agents[0], machines[0]], on: wanted, "the agent has left")
  }

  @Test func crashesAreNoticedAndHealByRestart() throws {
    let agents = [try pool.agent("serf1"), try pool.agent("serf2")]
    let machines = [try pool.machine("machine1"), try pool.machine("machine2")]
    try pool.ready(agents)
    for peer in [agents[0].address, agents[1].address, machines[1].address] {
      _ = try machines[0].join(peer, on: stage)
    }
    var wanted = ["serf1": "alive", "serf2": "alive", "machine1": "alive", "machine2": "alive"]
    try pool.agree(agents + machines, on: wanted, "all joined")

    agents[1].crash()
    machines[1].crash()
    wanted["serf2"] = "failed"
    wanted["machine2"] = "failed"
    try pool.agree([agents[0], machines[0]], on: wanted, "both crashes are noticed")

    try agents[1].start(joining: machines[0].address)
    try machines[1].start()
    _ = try machines[1].join(agents[0].address, on: stage)
    wanted["serf2"] = "alive"
    wanted["machine2"] = "alive"
    try pool.agree(agents + machines, on: wanted, "both are back")
  }

  @Test func aMixedPoolAgreesAfterChurn() throws {
    let agents = try (1...3).map { try pool.agent("serf\($0)", tags: ["kind": "agent"]) }
    let machines = try (1...3).map { try pool.machine("machine\($0)", tags: ["kind": "machine"]) }
    try pool.ready(agents)
    // Every join is the other kind's: a chain.
    for (agent, machine) in zip(agents, machines) { _ = try machine.join(agent.address, on: stage) }
    for (agent, machine) in zip(agents.dropFirst(), machines) {
      try agent.call("join", "\(machine.address)", on: stage)
    }
    var wanted: [String: String] = [:]
    for number in 1...3 {
      wanted["serf\(number)"] = "alive"
      wanted["machine\(number)"] = "alive"
    }
    try pool.agree(agents + machines, on: wanted, "all joined")

    agents[0].crash()
    try machines[1].leave(on: stage)
    machines[2].crash()
    try machines[0].setTags(["kind": "machine", "round": "2"])
    try agents[2].call("tags", "-set", "round=2", on: stage)
    wanted["serf1"] = "failed"
    wanted["machine2"] = "left"
    wanted["machine3"] = "failed"
    try pool.agree([agents[1], agents[2], machines[0]], on: wanted, "one left, two failed")

    try agents[0].start(joining: machines[0].address)
    for number in [1, 2] {
      try machines[number].start()
      _ = try machines[number].join(agents[number].address, on: stage)
      wanted["machine\(number + 1)"] = "alive"
    }
    wanted["serf1"] = "alive"
    try pool.agree(agents + machines, on: wanted, "everybody is back")
    #expect(agents[0].view["machine1"] == "alive \(machines[0].address) kind=machine round=2")

    try agents[1].leave(on: stage)
    wanted["serf2"] = "left"
    try pool.agree([agents[0], agents[2]] + machines, on: wanted, "one agent has left")
  }
}
