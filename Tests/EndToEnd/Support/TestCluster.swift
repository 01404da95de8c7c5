import Base
import Harness
import Testing

/// The agents of one test and the commands that are run at them. Made by `withCluster`, which ends everything.
final class TestCluster {
  let directory: TemporaryDirectory
  private(set) var agents: [AgentProcess] = []
  private var commands = 0

  fileprivate init() throws {
    directory = try TemporaryDirectory(prefix: "nomadd-test")
  }

  /// A server, not started, on an address of its own with the default ports.
  func server(
    _ name: String, expect: Int = 3, join: [AgentProcess] = [], region: String = "global", datacenter: String = "dc1",
    style: AgentProcess.Style = .file
  ) throws -> AgentProcess {
    try agent(name, .server(expect: expect), style) { settings in
      settings.retryJoin = join.map { "\($0.settings.address)" }
      settings.region = region
      settings.datacenter = datacenter
    }
  }

  /// A client, not started, told the servers' addresses without port.
  func client(
    _ name: String = "client", of servers: [AgentProcess], region: String = "global", datacenter: String = "dc1",
    style: AgentProcess.Style = .file
  ) throws -> AgentProcess {
    try agent(name, .client(servers: servers.map { "\($0.settings.address)" }), style) { settings in
      settings.region = region
      settings.datacenter = datacenter
    }
  }

  /// Servers `server1`... that all join the first one, started; returned once they agree on a leader.
  func formed(_ count: Int = 3) async throws -> [AgentProcess] {
    var servers = [try server("server1", expect: count)]
    servers[0].settings.retryJoin = ["\(servers[0].settings.address)"]
    for number in 2..<(count + 1) { servers.append(try server("server\(number)", expect: count, join: [servers[0]])) }
    for server in servers { try server.start() }
    try await leader(of: servers)
    return servers
  }

  /// Runs the operator's command against an agent and waits for its end.
  func nomad(
    _ words: String..., at agent: AgentProcess, within limit: Interval = .seconds(30)
  ) async throws -> CommandResult {
    try await run(
      "nomad", words, environment: ["NOMAD_ADDR": "http://\(agent.settings.httpAddress)"], within: limit)
  }

  /// Runs a program of ours and waits for its end.
  func run(
    _ program: String, _ words: [String], environment: [String: String] = [:], within limit: Interval = .seconds(30)
  ) async throws -> CommandResult {
    commands += 1
    let output = "\(directory.path)/command\(commands)"
    let process = try ChildProcess(
      [try Programs.path(program)] + words, environment: environment, output: "\(output).out",
      error: "\(output).err")
    try await eventually("the end of \(program) \(words.joined(separator: " "))", within: limit) {
      process.result != nil
    }
    guard case .exited(let status) = process.end() else {
      throw HarnessError.agentEnded(program, "\(process.end())", output: FileText.tail("\(output).err"))
    }
    return CommandResult(
      status: status, output: try FileText.read("\(output).out"), error: try FileText.read("\(output).err"))
  }

  private func agent(
    _ name: String, _ role: AgentSettings.Role, _ style: AgentProcess.Style, _ change: (inout AgentSettings) -> Void
  ) throws -> AgentProcess {
    var settings = AgentSettings(
      name: name, address: try Loopback.address(), dataDirectory: "\(directory.path)/\(name)", role: role)
    settings.logLevel = "DEBUG"
    change(&settings)
    let agent = AgentProcess(settings, style: style, directory: directory.path)
    agents.append(agent)
    return agent
  }

  fileprivate func end() { for agent in agents { agent.kill() } }

  fileprivate func printLogs() {
    for agent in agents {
      print("--- \(agent.name): last output")
      print(FileText.tail(agent.standardOutputPath, lines: 25))
      print(FileText.tail(agent.standardErrorPath, lines: 5))
    }
  }
}

/// What a finished command left.
struct CommandResult: Equatable {
  var status: Int32
  var output: String
  var error: String
}

/// Gives `body` a cluster whose processes and files are gone when this returns, however it returns. A failure shows the
/// agents' last lines.
func withCluster(_ body: (TestCluster) async throws -> Void) async throws {
  let cluster = try TestCluster()
  defer { cluster.end() }
  do {
    try await body(cluster)
  } catch {
    cluster.printLogs()
    throw error
  }
}
