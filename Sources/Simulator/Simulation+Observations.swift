import Base
import Client
import Raft
import Server
import State

/// What an operator would ask, and the answer in words when it is not the wanted one.
extension Simulation {
  public func servers(of region: String) -> [VirtualAgent] {
    agents.filter { $0.isServing && $0.plan.region == region }
  }

  /// The leader that every running server of the region agrees on.
  public func agreedLeader(of region: String) -> VirtualAgent? {
    let servers = servers(of: region)
    let leaders = servers.filter { $0.server?.raft.role == .leader }
    guard leaders.count == 1, let leader = leaders.first else { return nil }
    let address = "\(leader.plan.rpcAddress)"
    return servers.allSatisfy { $0.server?.raft.leader?.address == address } ? leader : nil
  }

  /// Why the region is not whole; nil when it is: one leader that all know, every running server a voter of the same
  /// committed configuration and nobody else in it, all of them alive in everybody's directory, the leader's settings
  /// applied everywhere.
  public func defect(of region: String) -> String? {
    let servers = servers(of: region)
    guard let leader = agreedLeader(of: region), let raft = leader.server?.raft else { return "no agreed leader" }
    guard raft.configuration == raft.committedConfiguration else { return "a configuration change is under way" }
    let members = raft.configuration.servers
    guard Set(members.map(\.id)) == Set(servers.map(\.serverID)) else {
      return "the configuration lists \(members.map(\.address)), running are \(servers.map { "\($0.plan.rpcAddress)" })"
    }
    if let other = members.first(where: { !$0.isVoter }) { return "\(other.address) is no voter" }
    let names = servers.map { $0.plan.name + "." + region }.sorted()
    for agent in servers {
      guard let server = agent.server else { continue }
      if server.raft.committedConfiguration != raft.committedConfiguration {
        return "\(agent.plan.name) has another committed configuration"
      }
      if server.directory.localAlive.map(\.gossipName) != names {
        return "\(agent.plan.name) sees alive \(server.directory.localAlive.map(\.gossipName)), not \(names)"
      }
      if server.state.cluster == nil { return "\(agent.plan.name) knows no cluster id" }
    }
    return nil
  }

  /// One line for each agent.
  public var description: String {
    agents.map { agent in
      var text = "  \(agent.plan.name) \(agent.plan.host) "
      guard agent.isRunning else { return text + (agent.isWithoutPower ? "has no power" : "is not running") }
      if let server = agent.server {
        let raft = server.raft
        let configuration = raft.configuration.servers.map { "\($0.address)\($0.isVoter ? "" : "(nonvoter)")" }
        let members = server.directory.all.map { "\($0.gossipName)=\($0.status.rawValue)" }
        text += "\(raft.role.rawValue) term \(raft.term) last \(raft.lastLogIndex) commit \(raft.commitIndex) "
          + "leader \(raft.leader?.address ?? "-")\n    configuration \(configuration)\n    members \(members)\n"
          + "    status: \(server.statusText)"
      }
      if let client = agent.client {
        text += " client registered \(client.status.isRegistered), servers \(client.status.servers)"
      }
      return text
    }.joined(separator: "\n")
  }
}
