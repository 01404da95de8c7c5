import ArgumentParser
import Base
import FoundationEssentials
import Harness

/// `nomad-bench form`: how fast, and how surely, agents become a cluster.
struct FormCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "form",
    abstract: "Starts servers and clients over and over and measures how a cluster forms.",
    discussion: """
      Every round starts fresh processes with empty data directories on loopback. Times count from just before the \
      last process is started. Exit status 1 when a round failed or a budget was exceeded.
      """)

  @Option(help: "Servers to start.") var servers = 3
  @Option(help: "Client agents to start.") var clients = 0
  @Option(help: "bootstrap_expect of every server; the number of servers if not given.") var expect: Int?
  @Option(help: "Rounds.") var rounds = 10
  @Option(help: "Go on with further rounds until this much time has passed, however many that makes.")
  var during: DurationArgument?
  @Option(help: "The agent's command, split at blanks; nomadd beside this program if not given.") var agent: String?
  @Option(help: "The agent's command line.") var dialect = Dialect.nomadd
  @Option(help: "Pause between two starts.") var stagger = DurationArgument(.zero)
  @Option(help: "Whom every server is told to join.") var join = JoinList.all
  @Flag(help: "Join the first server only, and start it last.") var knownLast = false
  @Flag(help: "Kill the leader at the end of each round and time its successor.") var failover = false
  @Flag(help: "Free ports on 127.0.0.1 instead of default ports on addresses of 127.64.0.0/10.") var freePorts = false
  @Option(help: "retry_interval of the servers (a Go duration); the agent's default if not given.")
  var retryInterval: String?
  @Option(help: "A file whose text is added to every agent's configuration.") var extraConfig: String?
  @Option(help: "Idle time before memory is measured.") var settle = DurationArgument(.seconds(1))
  @Option(help: "Time for each step before the round has failed.") var timeout = DurationArgument(.seconds(60))
  @Option(help: "Pause between an answer and the next question to the same agent.")
  var poll = DurationArgument(.milliseconds(3))
  @Option(help: "Write the result as JSON to this file; - for standard output instead of the table.") var json: String?
  @Option(help: "Fail when the median time to agreement is longer.") var medianBudget: DurationArgument?
  @Option(help: "Fail when the longest time to agreement is longer.") var worstBudget: DurationArgument?
  @Option(help: "Fail when an idle server's resident memory exceeds this many megabytes (10^6 bytes).")
  var residentBudget: Double?

  func validate() throws {
    guard (1...50).contains(servers) else { throw ValidationError("--servers must be 1 to 50.") }
    guard (0...100).contains(clients) else { throw ValidationError("--clients must be 0 to 100.") }
    guard (1...100_000).contains(rounds) else { throw ValidationError("--rounds must be 1 to 100000.") }
    if let expect, !(1...servers).contains(expect) {
      throw ValidationError("--expect must be 1 to the number of servers: with more, no cluster forms.")
    }
    if failover, servers < 3 { throw ValidationError("--failover needs 3 servers: fewer keep no quorum.") }
  }

  func run() throws {
    let plan = try plan()
    let signals = SignalWatch()
    var results: [FormResult] = []
    var failures: [String] = []
    var interruption: HarnessError?
    let end = during.map { MonotonicClock.now() + $0.interval }
    var number = 0
    while end.map({ MonotonicClock.now() < $0 }) ?? (number < rounds) {
      number += 1
      do {
        let result = try FormRound(plan, signals: signals).run()
        results.append(result)
        progress("round \(number): all agree after \(decimal(result.agreed.milliseconds, places: 1)) ms")
      } catch HarnessError.interrupted(let signal) {
        interruption = .interrupted(signal: signal)
        progress("interrupted by signal \(signal); results of \(results.count) rounds")
        break
      } catch {
        failures.append("round \(number): \(error)")
        progress("round \(number): \(error)")
      }
    }
    let report = FormReport(plan, results: results, failures: failures)
    switch json {
    case "-": print(try report.json, terminator: "")
    case let path?:
      try FileText.write(try report.json, to: path)
      print(report.text, terminator: "")
    case nil: print(report.text, terminator: "")
    }
    if case .interrupted(let signal) = interruption { throw ExitCode(128 + signal) }
    guard failures.isEmpty, isWithinBudgets(report.summary) else { throw ExitCode(1) }
  }

  private func plan() throws -> FormPlan {
    var words = agent?.split(separator: " ").map(String.init) ?? []
    if words.isEmpty { words = [try Self.neighbour("nomadd")] }
    return FormPlan(
      command: words, dialect: dialect, servers: servers, clients: clients, expect: expect ?? servers,
      join: knownLast ? .known : join, knownLast: knownLast, stagger: stagger.interval, failover: failover,
      freePorts: freePorts, settle: settle.interval, timeout: timeout.interval, pollPause: poll.interval,
      retryInterval: retryInterval, extraConfiguration: try extraConfig.map { try FileText.read($0) } ?? "")
  }

  private func isWithinBudgets(_ summary: FormReport.Summary) -> Bool {
    var kept = true
    func check(_ name: String, _ value: Double?, _ limit: Double?, _ unit: String) {
      guard let limit, let value, value > limit else { return }
      progress("over budget: \(name) is \(decimal(value, places: 1)) \(unit), allowed \(decimal(limit, places: 1))")
      kept = false
    }
    check("median time to agreement", summary.agreedMillis?.median, medianBudget?.interval.milliseconds, "ms")
    check("longest time to agreement", summary.agreedMillis?.max, worstBudget?.interval.milliseconds, "ms")
    check("resident memory", summary.residentBytes.map { $0.max / 1e6 }, residentBudget, "MB")
    return kept
  }

  private func progress(_ line: String) {
    StandardError.print(line)
  }

  /// A program in this program's directory.
  private static func neighbour(_ name: String) throws -> String {
    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let path = own.split(separator: "/").dropLast().map { "/\($0)" }.joined() + "/\(name)"
    guard FileManager.default.isExecutableFile(atPath: path) else {
      throw ValidationError("There is no \(path); name the agent with --agent.")
    }
    return path
  }
}
