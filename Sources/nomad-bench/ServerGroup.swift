import ArgumentParser
import Base
import FoundationEssentials
import Glibc
import HTTP
import Harness

/// A few real server processes on addresses of their own, for the experiments that kill and add some.
final class ServerGroup {
  static let stepTimeout = Interval.seconds(60)

  struct Server {
    var settings: AgentSettings
    var process: ChildProcess?
    var log: String
  }

  private let directory: TemporaryDirectory
  private let program: String
  private(set) var servers: [Server] = []

  /// `expect`: how many servers form the cluster; all of them are told to join the first `expect`.
  init(program: String, servers count: Int, expect: Int) throws {
    self.program = program
    directory = try TemporaryDirectory(prefix: "nomad-bench")
    for number in 1...count {
      let name = "server\(number)"
      var settings = AgentSettings(
        name: name, address: try Loopback.address(), dataDirectory: try directory.makeDirectory(name),
        role: .server(expect: expect))
      settings.logLevel = "WARN"
      servers.append(Server(settings: settings, process: nil, log: "\(directory.path)/\(name).log"))
    }
    let known = servers.prefix(expect).map { "\($0.settings.address)" }
    for index in servers.indices {
      servers[index].settings.retryJoin = known
      try FileText.write(servers[index].settings.hcl, to: configuration(index))
    }
  }

  private func configuration(_ index: Int) -> String { "\(directory.path)/\(servers[index].settings.name).hcl" }

  func start(_ index: Int) throws {
    servers[index].process = try ChildProcess(
      [program, "--config", configuration(index)], output: servers[index].log)
  }

  func kill(_ index: Int) {
    servers[index].process?.end()
    servers[index].process = nil
  }

  func end() { for index in servers.indices { kill(index) } }

  /// Throws when a server that should run has ended.
  func check() throws {
    for server in servers {
      guard let end = server.process?.result else { continue }
      throw HarnessError.agentEnded(server.settings.name, "\(end)", output: FileText.tail(server.log))
    }
  }

  /// Answer of one server, waited for; nil when there is none or it is no success.
  func ask(_ index: Int, _ path: String, within limit: Interval = .seconds(10)) -> [UInt8]? {
    let caller = HTTPCaller(to: servers[index].settings.httpAddress)
    caller.send("GET", path)
    let end = MonotonicClock.now() + limit
    while MonotonicClock.now() < end {
      switch caller.advance() {
      case .answered(let answer): return answer.status == 200 ? answer.body : nil
      case .failed: return nil
      case .waiting:
        var question = pollfd(fd: caller.descriptor, events: caller.awaitedEvents, revents: 0)
        unsafe poll(&question, 1, 20)
      }
    }
    return nil
  }

  /// The index of the leader on which the running servers agree, nil when they do not.
  var leader: Int? {
    var named: Set<String> = []
    for index in servers.indices where servers[index].process != nil {
      guard let body = ask(index, "/v1/status/leader?stale", within: .seconds(1)),
        let text = try? JSON(parsing: body).text, !text.isEmpty
      else { return nil }
      named.insert(text)
    }
    guard named.count == 1 else { return nil }
    return servers.firstIndex { "\($0.settings.rpcAddress)" == named.first && $0.process != nil }
  }

  func awaitLeader() throws -> Int {
    let end = MonotonicClock.now() + Self.stepTimeout
    while MonotonicClock.now() < end {
      try check()
      if let leader { return leader }
      usleep(10_000)
    }
    throw HarnessError.timedOut("no leader on which all servers agree")
  }

  static func defaultProgram() -> String {
    let own = CommandLine.arguments[0]
    guard let slash = own.lastIndex(of: "/") else { return "nomadd" }
    return own[..<slash] + "/nomadd"
  }
}
