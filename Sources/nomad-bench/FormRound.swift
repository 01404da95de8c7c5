import Base
import HTTP
import Harness

/// What one round measured. Times count from just before the last process of the round is started, but for `failover`,
/// which counts from the kill.
struct FormResult {
  /// Some server's HTTP API names a leader.
  var leaderKnown = Interval.zero
  /// All servers name the same leader.
  var agreed = Interval.zero
  /// The leader lists a client as ready; all of them.
  var firstRegistration: Interval?
  var allRegistered: Interval?
  /// The remaining servers name the same new leader.
  var failover: Interval?
  /// Resident bytes of each server after the settling time.
  var resident: [Int] = []
}

/// Starts the agents of one round, watches them, and ends them.
final class FormRound {
  private let plan: FormPlan
  private let signals: SignalWatch
  private let directory: TemporaryDirectory
  private let prober: Prober
  private var agents: [Agent] = []
  private var lastStart = Instant.start

  private struct Agent {
    var settings: AgentSettings
    var process: ChildProcess
    var log: String
    var number: Int
    /// The leader that it named last.
    var leader: String?
  }

  init(_ plan: FormPlan, signals: SignalWatch) throws {
    self.plan = plan
    self.signals = signals
    directory = try TemporaryDirectory(prefix: "nomad-bench")
    prober = Prober(pause: plan.pollPause)
  }

  func run() throws -> FormResult {
    defer { for agent in agents { agent.process.end() } }
    var result = FormResult()
    try start()
    (result.leaderKnown, result.agreed) = try awaitLeader()
    if plan.clients > 0 { (result.firstRegistration, result.allRegistered) = try awaitClients() }
    result.resident = try measureResident()
    if plan.failover { result.failover = try measureFailover() }
    return result
  }

  private func start() throws {
    var first = true
    for settings in try plan.settings(in: directory) {
      if !first { try pause(plan.stagger) }
      first = false
      let configuration = "\(directory.path)/\(settings.name).hcl"
      let log = "\(directory.path)/\(settings.name).log"
      try FileText.write(settings.hcl, to: configuration)
      lastStart = MonotonicClock.now()
      let process = try ChildProcess(plan.arguments(configuration: configuration), output: log)
      agents.append(
        Agent(settings: settings, process: process, log: log, number: prober.add(settings.httpAddress), leader: nil))
    }
  }

  private var servers: [Int] { agents.indices.filter { agents[$0].settings.isServer } }

  private func awaitLeader() throws -> (known: Interval, agreed: Interval) {
    var known: Interval?
    // `stale` has the server answer from what it knows; otherwise a server without leader holds the request for 5 s.
    for server in servers { prober.ask(agents[server].number, "/v1/status/leader?stale") }
    var agreed: Interval?
    try watch("no leader that all servers agree on", seen: { self.leadersSeen }) { index, answer in
      self.agents[index].leader = Self.leader(in: answer)
      let elapsed = MonotonicClock.now() - self.lastStart
      if known == nil, self.agents[index].leader != nil { known = elapsed }
      guard self.commonLeader(of: self.servers) != nil else { return false }
      agreed = elapsed
      return true
    }
    return (known ?? .zero, agreed ?? .zero)
  }

  private func awaitClients() throws -> (first: Interval, all: Interval) {
    for server in servers { prober.ask(agents[server].number, nil) }
    var first: Interval?
    var all = Interval.zero
    var ready = 0
    let leader = commonLeader(of: servers)
    guard let asked = servers.first(where: { "\(agents[$0].settings.rpcAddress)" == leader }) else {
      throw HarnessError.timedOut("the leader \(leader ?? "") is none of the servers")
    }
    prober.ask(agents[asked].number, "/v1/nodes?stale")
    try watch("not \(plan.clients) ready clients", seen: { "\(ready) are ready" }) { _, answer in
      guard answer.status == 200, let nodes = try? JSON(parsing: answer.body) else { return false }
      ready = nodes.elements.count { $0["Status"].text == "ready" }
      let elapsed = MonotonicClock.now() - self.lastStart
      if ready > 0, first == nil { first = elapsed }
      all = elapsed
      return ready >= self.plan.clients
    }
    prober.ask(agents[asked].number, nil)
    return (first ?? .zero, all)
  }

  /// Unwatched, so that the agents are idle.
  private func measureResident() throws -> [Int] {
    for server in servers { prober.ask(agents[server].number, nil) }
    try pause(plan.settle)
    return servers.compactMap { agents[$0].process.residentBytes }
  }

  private func measureFailover() throws -> Interval {
    let old = commonLeader(of: servers)
    guard let victim = servers.first(where: { "\(agents[$0].settings.rpcAddress)" == old }) else {
      throw HarnessError.timedOut("the leader \(old ?? "") is none of the servers")
    }
    prober.ask(agents[victim].number, nil)
    agents[victim].process.end()
    let killed = MonotonicClock.now()
    agents.remove(at: victim)
    for server in servers {
      agents[server].leader = nil
      prober.ask(agents[server].number, "/v1/status/leader?stale")
    }
    var elapsed = Interval.zero
    try watch("no new leader after the old one was killed", seen: { self.leadersSeen }) { index, answer in
      self.agents[index].leader = Self.leader(in: answer)
      elapsed = MonotonicClock.now() - killed
      guard let leader = self.commonLeader(of: self.servers) else { return false }
      return leader != old
    }
    return elapsed
  }

  /// Feeds answers to `isDone` until it says so.
  private func watch(
    _ goal: String, seen: () -> String, _ isDone: (Int, HTTPResponse) -> Bool
  ) throws {
    let deadline = MonotonicClock.now() + plan.timeout
    while true {
      for (number, answer) in prober.turn() {
        guard let index = agents.firstIndex(where: { $0.number == number }) else { continue }
        if isDone(index, answer) { return }
      }
      try checkAgents()
      if MonotonicClock.now() >= deadline {
        throw HarnessError.timedOut("\(goal) within \(DurationArgument(plan.timeout)); \(seen())")
      }
    }
  }

  /// Lets time pass while looking for signals and ended agents.
  private func pause(_ length: Interval) throws {
    let end = MonotonicClock.now() + length
    while MonotonicClock.now() < end {
      _ = prober.turn()
      try checkAgents()
    }
  }

  private func checkAgents() throws {
    try signals.check()
    for agent in agents {
      guard let end = agent.process.result else { continue }
      throw HarnessError.agentEnded(agent.settings.name, "\(end)", output: FileText.tail(agent.log))
    }
  }

  private func commonLeader(of servers: [Int]) -> String? {
    guard let first = servers.first, let leader = agents[first].leader else { return nil }
    return servers.allSatisfy { agents[$0].leader == leader } ? leader : nil
  }

  private var leadersSeen: String {
    servers.map { "\(agents[$0].settings.name): \(agents[$0].leader ?? "none")" }.joined(separator: ", ")
  }

  private static func leader(in answer: HTTPResponse) -> String? {
    guard answer.status == 200, let text = try? JSON(parsing: answer.body).text, !text.isEmpty else { return nil }
    return text
  }
}
