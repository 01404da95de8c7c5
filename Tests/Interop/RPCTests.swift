import Base
import HTTP
import Harness
import Testing

/// Programs on HashiCorp's yamux and net-rpc-msgpackrpc (Debian's packages) at the RPC port of a whole agent.
@Suite(
  .serialized,
  .enabled(
    if: GoClient.isInstalled,
    "needs Debian's golang-go, golang-github-hashicorp-yamux-dev and golang-github-hashicorp-net-rpc-msgpackrpc-dev"),
  .timeLimit(.minutes(3)))
struct RPCTests {
  /// What each plays is told in `go/rpcclient/main.go`.
  static let scenarios = [
    "heartbeats", "blocking", "pipelined", "half-close", "streams", "windows", "reverse", "hostile", "old-modes",
  ]

  @Test(arguments: scenarios) func aGoClientIsServed(scenario: String) throws {
    let directory = try TemporaryDirectory(prefix: "nomadd-go")
    let stage = Stage()
    let program = try GoClient.build(in: directory, on: stage)
    let agent = try WholeAgent(in: directory)
    defer { agent.end() }
    try stage.wait("a leader", state: { agent.tail }) { try agent.isReady() }
    try GoClient.play(scenario, program: program, at: agent, in: directory, on: stage)
    #expect(agent.isRunning)
  }
}

/// One server in a process of its own, alone.
final class WholeAgent {
  let settings: AgentSettings
  private let process: ChildProcess
  private let log: String
  private var caller: HTTPCaller
  private var isAsking = false

  init(in directory: TemporaryDirectory) throws {
    settings = AgentSettings(
      name: "alone", address: try Loopback.address(), dataDirectory: "\(directory.path)/data", role: .server(expect: 1))
    log = "\(directory.path)/agent"
    try FileText.write(settings.hcl, to: "\(directory.path)/agent.hcl")
    process = try ChildProcess(
      [try Installed.ownProgram("nomadd"), "--config", "\(directory.path)/agent.hcl"], output: log)
    caller = HTTPCaller(to: settings.httpAddress)
  }

  var isRunning: Bool { process.result == nil }
  var tail: String { FileText.tail(log) }
  func end() { process.end() }

  /// Asks for the leader once a turn.
  func isReady() throws -> Bool {
    guard isRunning else { throw HarnessError.agentEnded("nomadd", "\(process.end())", output: tail) }
    if !isAsking { caller.send("GET", "/v1/status/leader") }
    isAsking = true
    switch caller.advance() {
    case .waiting: return false
    case .failed:
      isAsking = false
      return false
    case .answered(let answer):
      isAsking = false
      return answer.text == "\"\(settings.rpcAddress)\""
    }
  }
}

/// The program `go/rpcclient`.
enum GoClient {
  static let isInstalled =
    Installed.command("go") && Installed.path("\(GoPeer.libraryPath)/src/github.com/hashicorp/yamux")
    && Installed.path("\(GoPeer.libraryPath)/src/github.com/hashicorp/net-rpc-msgpackrpc")

  static func build(in directory: TemporaryDirectory, on stage: Stage) throws -> String {
    try GoPeer.build("rpcclient", in: directory, on: stage)
  }

  static func play(
    _ scenario: String, program: String, at agent: WholeAgent, in directory: TemporaryDirectory, on stage: Stage
  ) throws {
    let output = "\(directory.path)/output"
    let process = try ChildProcess(
      [program, "-address", "\(agent.settings.rpcAddress)", "-http", "\(agent.settings.httpAddress)", scenario],
      output: output)
    try stage.wait("the end of \(scenario)", within: .seconds(65), state: { FileText.tail(output) + agent.tail }) {
      process.result != nil
    }
    #expect(process.result == .exited(0) && FileText.tail(output) == "ok", "\(FileText.tail(output))\n\(agent.tail)")
  }
}
