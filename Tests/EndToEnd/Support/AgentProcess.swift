import Base
import Glibc
import HTTP
import Harness

/// One agent of a test: its settings, its files, its process while it runs, its HTTP API.
final class AgentProcess {
  /// How the settings reach the agent.
  enum Style {
    /// Everything in a configuration file.
    case file
    /// Everything as options.
    case flags
    /// Exactly these words after the program's name.
    case words([String])
  }

  var settings: AgentSettings
  var style: Style
  var environment: [String: String] = [:]
  let standardOutputPath: String
  let standardErrorPath: String
  private let configurationPath: String
  private(set) var process: ChildProcess?

  init(_ settings: AgentSettings, style: Style, directory: String) {
    self.settings = settings
    self.style = style
    configurationPath = "\(directory)/\(settings.name).hcl"
    standardOutputPath = "\(directory)/\(settings.name).out"
    standardErrorPath = "\(directory)/\(settings.name).err"
  }

  var name: String { settings.name }
  /// As `/v1/status/leader` and `/v1/status/peers` name this server.
  var rpcAddress: String { "\(settings.rpcAddress)" }
  /// As gossip names this server.
  var memberName: String { "\(settings.name).\(settings.region)" }
  var isRunning: Bool { process.map { $0.result == nil } ?? false }
  var log: String { (try? FileText.read(standardOutputPath)) ?? "" }
  var errorText: String { (try? FileText.read(standardErrorPath)) ?? "" }

  /// Starts the process. Precondition: it does not run.
  func start() throws {
    precondition(!isRunning)
    process = try ChildProcess(
      [try Programs.path("nomadd")] + arguments(), environment: environment, output: standardOutputPath,
      error: standardErrorPath)
  }

  /// SIGKILL, as when the machine's power fails.
  func kill() { process?.end() }

  /// Sends a signal and waits for the end.
  func stop(signal: Int32 = SIGTERM, within limit: Interval = .seconds(20)) async throws -> ChildProcess.End {
    guard let process else { throw HarnessError.system("stop \(name)", "it was never started") }
    process.send(signal: signal)
    return try await end(within: limit)
  }

  /// Waits for the process to end by itself.
  func end(within limit: Interval = .seconds(20)) async throws -> ChildProcess.End {
    var end: ChildProcess.End?
    try await eventually("the end of \(name)", within: limit) {
      end = process?.result
      return end != nil
    }
    return end ?? .exited(-1)
  }

  /// One HTTP request on a connection of its own.
  /// - Throws: `HarnessError.agentEnded` when the process does not run, which no amount of waiting changes.
  func request(
    _ method: String = "GET", _ target: String, body: [UInt8] = [], within limit: Interval = .seconds(15)
  ) async throws -> HTTPResponse {
    if let end = process?.result {
      throw HarnessError.agentEnded(name, "\(end)", output: errorText + FileText.tail(standardOutputPath, lines: 5))
    }
    let connection = HTTPCaller(to: settings.httpAddress)
    connection.send(method, target, body: body)
    let deadline = MonotonicClock.now() + limit
    while true {
      switch connection.advance() {
      case .answered(let answer): return answer
      case .failed(let error): throw error
      case .waiting: break
      }
      guard MonotonicClock.now() < deadline else {
        throw HarnessError.timedOut("\(method) \(target) of \(name) within \(limit.seconds) s")
      }
      try await Task.sleep(for: .milliseconds(1))
    }
  }

  /// The JSON body of an answer with status 200.
  /// - Throws: `HarnessError.badAnswer` for every other status.
  func get(_ target: String) async throws -> JSON {
    let answer = try await request("GET", target)
    guard answer.status == 200 else { throw HarnessError.badAnswer("\(answer.status) \(answer.text)") }
    return try JSON(parsing: answer.body)
  }

  private func arguments() throws -> [String] {
    switch style {
    case .file:
      try FileText.write(settings.hcl, to: configurationPath)
      return ["--config", configurationPath]
    case .words(let words):
      return words
    case .flags:
      var words = [
        "--bind", "\(settings.address)", "--advertise", "\(settings.address)", "--data-dir", settings.dataDirectory,
        "--name", settings.name, "--region", settings.region, "--dc", settings.datacenter, "--log-level",
        settings.logLevel,
      ]
      switch settings.role {
      case .server(let expect):
        words.append("--server")
        if expect > 0 { words += ["--bootstrap-expect", "\(expect)"] }
      case .client(let servers):
        words += ["--client", "--servers", servers.joined(separator: ",")]
      }
      for address in settings.retryJoin { words += ["--retry-join", address] }
      return words
    }
  }
}
