import Base
import HTTP
import Harness

/// A pool of Debian's Serf agents and our membership machines, on real sockets.
final class MixedPool {
  let stage = Stage()
  private let directory: TemporaryDirectory
  private let key: [UInt8]?

  /// With `key` everybody encrypts.
  init(key: [UInt8]? = nil) throws {
    directory = try TemporaryDirectory(prefix: "interop-serf")
    self.key = key
  }

  /// A running agent; it may not serve its command line yet.
  func agent(_ name: String, tags: [String: String] = [:], at address: SocketAddress? = nil) throws -> SerfAgent {
    let agent = try SerfAgent(
      name, tags: tags, key: key.map { Base64.encode($0.bytes) }, at: address, in: directory)
    stage.enter(agent)
    try agent.start()
    return agent
  }

  func machine(
    _ name: String, tags: [String: String] = [:], keys: [[UInt8]]? = nil, at address: SocketAddress? = nil
  ) throws -> MachineMember {
    let machine = try MachineMember(name, tags: tags, keys: keys ?? key.map { [$0] } ?? [], at: address)
    stage.enter(machine)
    try machine.start()
    return machine
  }

  /// Agents `serf1`, `serf2`... and machines `machine1`, `machine2`... that all know each other. Each kind joins the
  /// other.
  func formed(agents: Int, machines: Int) throws -> ([SerfAgent], [MachineMember]) {
    let agents = try (1...agents).map { try agent("serf\($0)", tags: ["kind": "agent"]) }
    let machines = try (1...machines).map { try machine("machine\($0)", tags: ["kind": "machine"]) }
    try ready(agents)
    for agent in agents { _ = try machines[0].join(agent.address, on: stage) }
    for machine in machines.dropFirst() { try agents[0].call("join", "\(machine.address)", on: stage) }
    let everybody: [any PoolMember] = agents + machines
    try agree(everybody, on: Dictionary(uniqueKeysWithValues: everybody.map { ($0.name, "alive") }), "all joined")
    return (agents, machines)
  }

  /// Waits until agents serve their command line.
  func ready(_ agents: [SerfAgent]) throws {
    try stage.wait("agents start", state: { report(agents) }) { agents.allSatisfy { !$0.view.isEmpty } }
  }

  /// All of them believe the same, and it is this: status by name.
  func agree(_ members: [any PoolMember], on wanted: [String: String], _ what: String) throws {
    // What a broadcast missed, the next state exchange brings: every 30 s.
    try stage.wait(what, within: .seconds(45), state: { report(members) }) {
      let first = members[0].view
      let statuses = first.mapValues { $0.split(separator: " ").first.map(String.init) ?? "" }
      return statuses == wanted && members.allSatisfy { $0.view == first }
    }
  }

  func report(_ members: [any PoolMember]) -> String {
    members.map { member in
      let log = (member as? SerfAgent)?.log ?? "intents \((member as? MachineMember)?.intentTimes ?? [])"
      return "\(member.name) sees \(member.view.sorted { $0.key < $1.key }) last event \(member.lastUserEvent)\n\(log)"
    }.joined(separator: "\n")
  }
}
