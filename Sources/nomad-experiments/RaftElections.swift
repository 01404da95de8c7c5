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
    var broadcast = Interval.milliseconds(15)
    var trials: Int
    /// What the paper tells, in milliseconds.
    var published: [(Figure, Double)] = []
  }

  enum Rules: Sendable {
    /// Pre-votes first, and a new timeout for a candidate that meets a higher term.
    case ours
    /// Neither of the two.
    case paper
  }

  enum Figure: String, Sendable {
    case median, mean, worst, shortest

    func of(_ times: [Double]) -> Double {
      switch self {
      case .median: times.median
      case .mean: times.mean
      case .worst: times.quantile(1)
      case .shortest: times.quantile(0)
      }
    }

    /// How far ours may be from the paper's: a tenth, the worst of all trials a quarter.
    func band(_ published: Double) -> ClosedRange<Double> {
      switch self {
      case .median, .mean: published * 0.9...published * 1.1
      case .worst: published * 0.75...published * 1.25
      case .shortest: published...published
      }
    }
  }

  static let limit = Interval.seconds(10)

  private static let words = """
    Five servers; the leader crashes at a random time within half the shortest timeout (its heartbeat interval) after \
    a heartbeat that reached everybody at once; the logs of the four others differ in length, so that only two of \
    them can win. 1,000 trials a row, 100 of the one without randomness, as in the paper. The network is the same in \
    all rows of 15 ms: a request, the write it causes and the answer take each a time drawn evenly from nothing to \
    7.4 ms, so that the slowest of four answers comes after 15 ms on average, which is the paper's broadcast time. \
    The paper tells no more than that mean; the shape is our one choice, made once for all rows, and matters: with \
    constant times votes are split far more often, with a few long ones less. A candidate's own vote is written while \
    it asks the others.

    The paper's columns are ours with two rules switched off: no pre-votes, and a candidate that meets a higher term \
    keeps its timer instead of drawing a new one. The last columns are the servers as they run, which ask for \
    pre-votes: one exchange more, and far fewer split votes. The worst of 1,000 trials is itself a matter of luck: the \
    range beside it is that of twenty such thousands.
    """

  private static func rows() -> [Row] {
    // Cheap, and the worst of fewer trials could not be compared.
    let full = 1000
    let milli = { (value: Int64) in Interval.milliseconds(value) }
    return [
      Row(
        name: "150-150 ms", paper: "> 10 s, repeated split votes", minimum: milli(150), spread: .zero,
        trials: 100, published: [(.shortest, limit.seconds * 1000)]),
      Row(
        name: "150-155 ms", paper: "median 287 ms", minimum: milli(150), spread: milli(5), trials: full,
        published: [(.median, 287)]),
      Row(name: "150-175 ms", paper: "-", minimum: milli(150), spread: milli(25), trials: full),
      Row(
        name: "150-200 ms", paper: "worst 513 ms", minimum: milli(150), spread: milli(50), trials: full,
        published: [(.worst, 513)]),
      Row(name: "150-300 ms", paper: "recommended", minimum: milli(150), spread: milli(150), trials: full),
      Row(
        name: "12-24 ms", paper: "mean 35 ms, worst 152 ms", minimum: milli(12), spread: milli(12), trials: full,
        published: [(.mean, 35), (.worst, 152)]),
      Row(name: "our default, 1-2 s", paper: "-", minimum: .seconds(1), spread: .seconds(1), trials: full),
      Row(
        name: "our default, broadcast 1 ms", paper: "-", minimum: .seconds(1), spread: .seconds(1),
        broadcast: milli(1), trials: full),
    ]
  }

  static func run(_ scale: Scale, seed: UInt64) async -> Report {
    var report = Report(
      title: "S5: elections of Raft, figure 16", words: words,
      header: [
        "Election timeout", "paper", "paper's rules: median", "mean", "worst", "worst of other thousands",
        "ours / paper", "as we run: median", "mean", "worst",
      ])
    for (position, row) in rows().enumerated() {
      let first = seed &+ UInt64(position) &* 1_000_003
      let plain = await play(row, .paper, first..<first + UInt64(row.trials))
      let ours = await play(row, .ours, first..<first + UInt64(row.trials))
      let ratios = row.published.map { number($0.0.of(plain) / $0.1) }
      report.rows.append(
        [row.name, row.paper, text(plain.median), text(plain.mean), text(plain.quantile(1))]
          + [await others(row, scale, from: first + UInt64(row.trials)), ratios.joined(separator: ", ")]
          + [text(ours.median), text(ours.mean), text(ours.quantile(1))])
      for (figure, published) in row.published {
        report.check("\(row.name): \(figure.rawValue)", figure.of(plain), figure.band(published), unit: " ms")
      }
    }
    return report
  }

  private static func play(_ row: Row, _ rules: Rules, _ seeds: Range<UInt64>) async -> [Double] {
    await inParallel(seeds.count) { number in
      var trial = RaftTrial(row, rules, seed: seeds.lowerBound &+ UInt64(number))
      return trial.run().seconds * 1000
    }
  }

  /// The least and the greatest worst of further rounds of trials; only where the paper tells the worst.
  private static func others(_ row: Row, _ scale: Scale, from first: UInt64) async -> String {
    guard row.published.contains(where: { $0.0 == .worst }), !scale.isQuick else { return "-" }
    var worst: [Double] = []
    for round in 0..<UInt64(20) {
      let start = first + round * UInt64(row.trials)
      worst.append(await play(row, .paper, start..<start + UInt64(row.trials)).quantile(1))
    }
    return "\(text(worst.quantile(0))) to \(text(worst.quantile(1)))"
  }

  private static func text(_ value: Double) -> String {
    value >= limit.seconds * 1000 ? "> 10 s" : "\(Int(value.rounded())) ms"
  }
}
