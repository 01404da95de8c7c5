import ArgumentParser
import Base

@main struct NomadExperiments: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nomad-experiments",
    abstract: "Repeats published experiments with our protocol machines, on a virtual network.",
    discussion: """
      Prints Markdown. Exit status 1 when a figure is outside of its pass band and was not known to be.
      """)

  @Flag(help: "Fewer trials and smaller pools: enough to notice that something broke.") var quick = false
  @Option(help: "Everything random is drawn from it.") var seed: UInt64 = 1
  @Option(help: "Only these, for instance S1,S4; all if not given.") var only: String?
  @Option(help: "Leave out pools of more members than this.") var largest = Int.max
  @Flag(help: "Read checks that are known to be outside from standard input, a line each, as they are printed here.")
  var known = false
  @Flag(help: "Only two minutes of a large steady pool, to be timed by the shell.") var speed = false

  func run() async throws {
    if speed { return print(SimulationSpeed.run(seed: seed)) }
    let scale = Scale(isQuick: quick, largest: largest)
    let expected = known ? Self.linesOfInput() : []
    let experiments: [(name: String, run: @Sendable (Scale, UInt64) async -> Report)] = [
      ("S1", { await SwimDetection.run($0, seed: $1) }),
      ("S2", { await LifeguardTable.run($0, seed: $1) }),
      ("S3a", { await RapidBootstrap.run($0, seed: $1) }),
      ("S3b", { await RapidFailures.run($0, seed: $1) }),
      ("S4", { await SerfConvergence.run($0, seed: $1) }),
      ("S5", { await RaftElections.run($0, seed: $1) }),
      ("N1", { await NeighbourDetection.run($0, seed: $1) }),
    ]
    let wanted = only.map { $0.split(separator: ",").map(String.init) }
    print(Self.preface(command: command, seed: seed))
    var failures: [String] = []
    var notes: [String] = []
    for experiment in experiments where wanted?.contains(experiment.name) ?? true {
      let report = await experiment.run(scale, seed)
      print(report.markdown)
      for check in report.checks {
        let name = "\(experiment.name): \(check.name)"
        switch (check.passes, expected.contains(name)) {
        case (false, false): failures.append(name)
        case (false, true): notes.append("\(name) (known)")
        case (true, true), (nil, true): notes.append("\(name): does not fail now, take it off the list")
        case (true, false), (nil, false): break
        }
      }
    }
    if !notes.isEmpty || !failures.isEmpty {
      print("## Outside of the bands\n\n" + (failures + notes).map { "- \($0)\n" }.joined())
    }
    if !failures.isEmpty { throw ChecksFailed(count: failures.count) }
  }

  /// "#" begins a comment.
  private static func linesOfInput() -> Set<String> {
    var result: Set<String> = []
    while let line = readLine() { if !line.hasPrefix("#") { result.insert(line) } }
    return result
  }

  private var command: String {
    var words = ["nomad-experiments"]
    if quick { words.append("--quick") }
    if largest < Int.max { words.append("--largest \(largest)") }
    if let only { words.append("--only \(only)") }
    return (words + ["--seed \(seed)"]).joined(separator: " ")
  }

  private static func preface(command: String, seed: UInt64) -> String {
    """
    # Experiments

    What papers about group membership and consensus measured, repeated with our own protocol machines: the very code
    of the server, on a network and with clocks that are simulated. Each section says what was done, gives the published
    figures beside ours, and holds ours against a band that stays where it is. A figure outside of its band
    is marked FAIL and listed at the end.

    "Memberlist's rules" are the ones every agent of the pool follows; "ours improved" are the rules of our servers,
    which peers cannot tell apart on the wire. Times are virtual, so they do not depend on the machine, and the same
    seed gives the same figures everywhere. This is the output of `\(command)`.

    The runs are reduced ones, small enough for every change to be held against them. Without `--quick` the pools have
    up to 2,000 members and S2 a grid of 144 blocks (`make experiments FULL=1`; figures in EXPERIMENTS-LARGE.md).

    """
  }
}

struct ChecksFailed: Error, CustomStringConvertible {
  let count: Int
  var description: String { "\(count) checks failed" }
}
