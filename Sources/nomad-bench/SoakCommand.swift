import ArgumentParser
import Base
import Harness

/// `nomad-bench soak`: no acknowledged write may be lost, whoever is killed and when.
struct SoakCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "soak",
    abstract: "Kills servers under write load and looks for lost writes.",
    discussion: """
      Three servers; clients register all the time. Every round kills one, two or all three servers with SIGKILL at a \
      random moment, starts them again, waits until writes are acknowledged again, and asks the leader for all nodes: \
      each must have the last acknowledged version or a later one. Exit status 1 when one has not, or when the cluster \
      does not come back. Every round prints a line; --seed repeats a run's choices, not its timing.
      """)

  @Option(help: "Rounds.") var rounds = 10
  @Option(help: "Streams that write, for each server.") var streams = 16
  @Option(help: "Seed of the choices; random if not given.") var seed: UInt64?
  @Option(help: "The server program; nomadd beside this program if not given.") var agent: String?

  func validate() throws {
    guard (1...100_000).contains(rounds) else { throw ValidationError("--rounds must be 1 to 100000.") }
    guard (1...256).contains(streams) else { throw ValidationError("--streams must be 1 to 256.") }
  }

  func run() throws {
    let seed = seed ?? UInt64.random(in: 1...999_999)
    var random = RandomSource(seed: seed)
    print("seed \(seed)")
    let signals = SignalWatch()
    let group = try ServerGroup(program: agent ?? ServerGroup.defaultProgram(), servers: 3, expect: 3)
    defer { group.end() }
    do {
      for index in group.servers.indices { try group.start(index) }
      _ = try group.awaitLeader()
      let writers = try SoakWriters(group.servers.map(\.settings.rpcAddress), streams: streams)
      defer { writers.end() }
      for round in 1...rounds {
        try signals.check()
        print(try self.round(round, group, writers, &random))
      }
      print(
        "\(rounds) rounds, \(writers.writes) writes acknowledged, \(writers.refusals) refused, none of "
          + "\(writers.acknowledged.count) nodes behind its last acknowledged write")
    } catch let error as HarnessError {
      StandardError.print("nomad-bench: \(error)")
      for server in group.servers { StandardError.print("\(server.settings.name):\n\(FileText.tail(server.log))") }
      throw ExitCode(1)
    }
  }

  private func round(
    _ round: Int, _ group: ServerGroup, _ writers: SoakWriters, _ random: inout RandomSource
  ) throws -> String {
    let before = writers.writes
    writers.run(for: random.interval(.milliseconds(30), .milliseconds(400)))
    // Mostly one server; all three at once is what only the disks survive.
    let count = [1, 1, 1, 2, 2, 3][random.below(6)]
    var victims = [0, 1, 2]
    while victims.count > count { victims.remove(at: random.below(victims.count)) }
    for victim in victims {
      group.kill(victim)
      writers.run(for: random.interval(.zero, .milliseconds(30)))
    }
    writers.run(for: random.interval(.zero, .milliseconds(200)))
    let down = MonotonicClock.now()
    for victim in victims { try group.start(victim) }
    guard writers.run(until: 3 * streams, within: .seconds(40)) else {
      try group.check()
      throw HarnessError.timedOut("no writes acknowledged after round \(round)")
    }
    let back = MonotonicClock.now() - down
    try group.check()
    let nodes = try verify(group, writers)
    return "round \(round): \(writers.writes - before) writes, killed \(victims.map { $0 + 1 }), writing again after "
      + "\(decimal(back.milliseconds, places: 0)) ms, \(nodes) nodes as acknowledged"
  }

  private func verify(_ group: ServerGroup, _ writers: SoakWriters) throws -> Int {
    let acknowledged = writers.acknowledged
    let end = MonotonicClock.now() + ServerGroup.stepTimeout
    while MonotonicClock.now() < end {
      // Not stale: whoever is asked, the leader answers.
      guard let body = group.ask(0, "/v1/nodes"), let list = try? JSON(parsing: body) else { continue }
      var found: [Int: Int] = [:]
      for element in list.elements {
        let parts = (element["Name"].text ?? "").split(separator: "-")
        guard parts.count == 3, parts[0] == "soak", let node = Int(parts[1]), let version = Int(parts[2]) else {
          continue
        }
        found[node] = version
      }
      for (node, version) in acknowledged.sorted(by: { $0.key < $1.key }) {
        guard let stored = found[node], stored >= version else {
          throw HarnessError.timedOut(
            "LOST WRITE: node \(node) was acknowledged with version \(version) and is stored with "
              + (found[node].map { "version \($0)" } ?? "nothing"))
        }
      }
      return acknowledged.count
    }
    throw HarnessError.timedOut("the nodes could not be read")
  }
}
