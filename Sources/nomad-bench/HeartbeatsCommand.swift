import ArgumentParser
import Base
import Harness
import Raft
import RPC
import Server
import State

/// `nomad-bench heartbeats`: a leader with very many clients, without network and disk: how long one turn of the loop
/// lasts, since gossip and consensus wait for it.
struct HeartbeatsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "heartbeats",
    abstract: "Measures a leader's work for very many clients, without network and disk.",
    discussion: """
      Clients register, send heartbeats, are taken over by a new leader, and fall silent all at once. Told is how \
      long each step takes, and its longest turn: for so long nothing else of the server can run. Exit status 1 when \
      a turn is longer than --turn-budget.
      """)

  @Option(help: "Clients.") var nodes = 100_000
  @Option(help: "Fail when a turn is longer.") var turnBudget: DurationArgument?

  func validate() throws {
    guard (1...1_000_000).contains(nodes) else { throw ValidationError("--nodes must be 1 to 1000000.") }
  }

  func run() throws {
    let requests = LoadRequests(.register, region: "global")
    var server = try ModelServer(restoring: ServerRestoredState())
    try server.lead()
    var longest = Interval.zero
    func tell(_ what: String, _ count: Int, _ server: inout ModelServer, _ elapsed: Interval) {
      let each = decimal(elapsed.milliseconds * 1000 / Double(max(1, count)), places: 2)
      print(
        "\(what): \(decimal(elapsed.milliseconds, places: 0)) ms, \(each) us each, longest turn "
          + "\(decimal(server.longestTurn.milliseconds, places: 2)) ms, \(server.turns) turns")
      longest = max(longest, server.longestTurn)
      server.forgetTurns()
    }
    let tenth = max(1, nodes / 10)
    server.forgetTurns()
    for part in 0..<((nodes + tenth - 1) / tenth) {
      let range = (part * tenth)..<min(nodes, (part + 1) * tenth)
      let elapsed = server.call("Node.Register", range.map { requests.body(of: .register, number: $0) })
      tell("register \(range.lowerBound) to \(range.upperBound)", range.count, &server, elapsed)
    }
    guard server.machine.state.nodeCount == nodes, server.failures == 0 else {
      StandardError.print("nomad-bench: \(server.machine.state.nodeCount) nodes, \(server.failures) failed calls")
      throw ExitCode(1)
    }
    let beats = (0..<nodes).map { requests.body(of: .heartbeat, number: $0) }
    tell("heartbeat of each", nodes, &server, server.call("Node.UpdateStatus", beats))

    // The next leader has the state, and no timers.
    var next = try ModelServer(restoring: server.restored)
    let start = MonotonicClock.now()
    try next.lead()
    // It sets the timers over many turns.
    let settled = next.now.instant + .seconds(5)
    while next.now.instant < settled, next.machine.deadline != nil { next.wait() }
    tell("new leader arms all timers", nodes, &next, MonotonicClock.now() - start)
    let silence = MonotonicClock.now()
    // Longer than any heartbeat can take: twice the TTL that a leader gives to so many, and a minute.
    next.pass(.seconds(Int64(nodes) / 25 + 120))
    // Every client is looked at when a second has passed without a turn for them.
    let end = next.now.instant + .seconds(60)
    while next.now.instant < end, next.machine.deadline != nil { next.wait() }
    tell("all fall silent at once", nodes, &next, MonotonicClock.now() - silence)
    print("declared down: \(next.missed)")
    guard next.missed == nodes, turnBudget.map({ longest <= $0.interval }) ?? true else { throw ExitCode(1) }
  }
}
