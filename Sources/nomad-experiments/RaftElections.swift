import Base
import Raft
import Wire

/// S5: figure 16 of the Raft paper. The leader of five servers crashes; how long until there is a new one?
enum RaftElections {
  struct Row: Sendable {
    let name: String
    let paper: String
    let minimum: Interval
    let spread: Interval
    let broadcast: Interval
    let trials: Int
    /// The paper's median or worst, and how far ours may be from it.
    var median: ClosedRange<Double>?
    var worst: ClosedRange<Double>?
    var mean: ClosedRange<Double>?
  }

  static let limit = Interval.seconds(10)

  static func run(_ scale: Scale, seed: UInt64) async -> Report {
    var report = Report(
      title: "S5: elections of Raft, figure 16",
      words: """
        Five servers whose logs differ, so that only some can win; the leader crashes at a random time within half the \
        shortest timeout after a heartbeat that reached everybody at once. A message takes 0 to 10 ms, a broadcast \
        with its answers about 15. Our servers ask for pre-votes before each election, which the paper's did not: one \
        more exchange, which shows where the timeout is hardly longer than an exchange, and far fewer split votes.
        """,
      header: ["Election timeout", "paper", "median", "mean", "99 %", "worst", "trials"])
    let full = scale.isQuick ? 200 : 1000
    let milli = { (value: Int64) in Interval.milliseconds(value) }
    let rows = [
      Row(
        name: "150-150 ms", paper: "> 10 s, repeated split votes", minimum: milli(150), spread: .zero,
        broadcast: milli(15), trials: scale.isQuick ? 20 : 100),
      Row(
        name: "150-155 ms", paper: "median 287 ms", minimum: milli(150), spread: milli(5), broadcast: milli(15),
        trials: full, median: 143...316),
      Row(name: "150-175 ms", paper: "-", minimum: milli(150), spread: milli(25), broadcast: milli(15), trials: full),
      Row(
        name: "150-200 ms", paper: "worst 513 ms", minimum: milli(150), spread: milli(50), broadcast: milli(15),
        trials: full, worst: 150...641),
      Row(name: "150-300 ms", paper: "recommended", minimum: milli(150), spread: milli(150), broadcast: milli(15),
        trials: full),
      Row(
        name: "12-24 ms", paper: "mean 35 ms, worst 152 ms", minimum: milli(12), spread: milli(12),
        broadcast: milli(15), trials: full, mean: 17...70),
      Row(
        name: "our default, 1-2 s", paper: "-", minimum: .seconds(1), spread: .seconds(1), broadcast: milli(15),
        trials: full, median: 500...1500),
      Row(
        name: "our default, 1 ms network", paper: "-", minimum: .seconds(1), spread: .seconds(1), broadcast: milli(1),
        trials: full, median: 500...1500),
    ]
    for (number, row) in rows.enumerated() {
      let first = seed &+ UInt64(number) &* 1_000_003
      let times = await inParallel(row.trials) { number in
        var trial = RaftTrial(row, seed: first &+ UInt64(number))
        return trial.run().seconds * 1000
      }
      func text(_ value: Double) -> String { value >= limit.seconds * 1000 ? "> 10 s" : "\(Int(value.rounded())) ms" }
      report.rows.append([
        row.name, row.paper, text(times.median), text(times.mean), text(times.quantile(0.99)), text(times.quantile(1)),
        "\(row.trials)",
      ])
      if let band = row.median { report.check("\(row.name): median", times.median, band, unit: " ms") }
      if let band = row.mean { report.check("\(row.name): mean", times.mean, band, unit: " ms") }
      if let band = row.worst { report.check("\(row.name): worst", times.quantile(1), band, unit: " ms") }
    }
    return report
  }
}
