import ArgumentParser
import Base
import Harness

/// How an agent's command line differs between the two programs.
enum Dialect: String, ExpressibleByArgument, CaseIterable {
  /// `COMMAND --config FILE`
  case nomadd
  /// `COMMAND -config=FILE`, where COMMAND ends in `agent`
  case nomad
}

/// Which servers each server is told to join.
enum JoinList: String, ExpressibleByArgument, CaseIterable {
  /// The addresses of all servers.
  case all
  /// The first server's address only, the first server's own list included.
  case known
}

/// One experiment, as the command line describes it.
struct FormPlan {
  var command: [String]
  var dialect: Dialect
  var servers: Int
  var clients: Int
  var expect: Int
  var join: JoinList
  /// The first server, which `JoinList.known` names, starts after the others.
  var knownLast: Bool
  var stagger: Interval
  var failover: Bool
  /// Free ports on 127.0.0.1 instead of the default ports on addresses of their own.
  var freePorts: Bool
  var settle: Interval
  var timeout: Interval
  var pollPause: Interval
  var retryInterval: String?
  var extraConfiguration: String

  /// Agents in order of their start; the servers come before the clients, but for a known server that starts last.
  func settings(in directory: TemporaryDirectory) throws -> [AgentSettings] {
    var servers: [AgentSettings] = []
    for number in 1...self.servers { servers.append(try server(number, directory)) }
    let addresses = servers.map { freePorts ? "\($0.serfAddress)" : "\($0.address)" }
    let list = join == .all ? addresses : [addresses[0]]
    for index in servers.indices { servers[index].retryJoin = list }

    var agents = servers
    for number in 0..<clients {
      let known = servers[0]
      let address = freePorts ? "\(known.rpcAddress)" : "\(known.address)"
      agents.append(try agent("client\(number + 1)", .client(servers: [address]), directory))
    }
    if knownLast { agents.append(agents.removeFirst()) }
    return agents
  }

  private func server(_ number: Int, _ directory: TemporaryDirectory) throws -> AgentSettings {
    var settings = try agent("server\(number)", .server(expect: expect), directory)
    settings.retryInterval = retryInterval
    return settings
  }

  private func agent(
    _ name: String, _ role: AgentSettings.Role, _ directory: TemporaryDirectory
  ) throws -> AgentSettings {
    let address = freePorts ? IPAddress.loopback : try Loopback.address()
    var settings = AgentSettings(
      name: name, address: address, dataDirectory: try directory.makeDirectory(name), role: role)
    if freePorts {
      settings.ports = .init(
        http: try Loopback.freePort(), rpc: try Loopback.freePort(), serf: try Loopback.freePort())
    }
    settings.extra = extraConfiguration
    return settings
  }

  /// The words that start the agent with this configuration file.
  func arguments(configuration: String) -> [String] {
    switch dialect {
    case .nomadd: command + ["--config", configuration]
    case .nomad: command + ["-config=\(configuration)"]
    }
  }
}
