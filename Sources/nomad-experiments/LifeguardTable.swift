import Base
import Gossip

/// S2: members that are slow, not dead. Lifeguard's question is how many healthy members are declared dead for it.
enum LifeguardTable {
  struct Outcome: Sendable {
    var all = 0
    var healthy = 0
    var packets: UInt64 = 0
    var bytes: UInt64 = 0

    static func + (a: Outcome, b: Outcome) -> Outcome {
      Outcome(
        all: a.all + b.all, healthy: a.healthy + b.healthy, packets: a.packets + b.packets, bytes: a.bytes + b.bytes)
    }
  }

  struct Anomaly: Sendable {
    let members: Int
    let length: Int64
    let gap: Int64
  }

  struct Grid: Sendable {
    var members: [Int]
    /// Milliseconds; what the paper's authors are remembered to have used.
    let lengths: [Int64] = [128, 512, 2048, 8192, 16384, 32768]
    let gaps: [Int64] = [1, 4, 16, 64, 256, 1024, 4096, 16384]
    /// Only the black squares of lengths and gaps.
    var isChequered = false
    /// For the time to their detection: so many members crash at once,
    var crashes: [Int]
    /// so often.
    var trials: Int

    var anomalies: [Anomaly] {
      members.flatMap { count in
        lengths.indices.flatMap { row in
          gaps.indices.filter { !isChequered || (row + $0).isMultiple(of: 2) }
            .map { Anomaly(members: count, length: lengths[row], gap: gaps[$0]) }
        }
      }
    }
  }

  static let poolSize = 128
  static let length = Interval.seconds(120)
  static let quick = Grid(members: [16], isChequered: true, crashes: [1, 8, 32], trials: 4)
  static let full = Grid(members: [4, 16, 32], crashes: [1, 4, 8, 16, 24, 32], trials: 20)
  /// False positives at all members by the number of blocked ones, read off the paper's figure 2.
  static let published: [Int: [Double]] = [
    1: [950, 520, 50, 1000, 19], 4: [5900, 3200, 310, 6300, 137], 8: [11300, 7200, 144, 8500, 112],
    16: [34400, 21900, 1340, 34800, 573], 24: [58700, 41800, 1760, 57900, 852], 32: [81600, 53000, 1990, 71100, 1196],
  ]

  static func run(_ scale: Scale, seed: UInt64) async -> Report {
    let grid = scale.isQuick ? quick : full
    let anomalies = grid.anomalies
    let variants = LifeguardVariant.table
    let outcomes = await inParallel(variants.count * anomalies.count) { index in
      let number = index % anomalies.count
      return trial(variants[index / anomalies.count], anomalies[number], seed: seed &+ 7919 &* UInt64(number))
    }
    let rows = variants.indices.map { Array(outcomes[$0 * anomalies.count..<($0 + 1) * anomalies.count]) }
    let latencies = await detection(variants, grid, seed: seed)

    var report = Report(title: "S2: Lifeguard's false positives", words: words(grid), header: header)
    let sums = rows.map { $0.reduce(Outcome(), +) }
    let shares = sums.map { Self.shares($0, of: sums[0]) }
    for (index, variant) in variants.enumerated() {
      let paper = variant.paper
      report.rows.append([
        variant.name, "\(sums[index].all)", "\(sums[index].healthy)", text(paper?.all), number(shares[index].all),
        text(paper?.healthy), text(shares[index].healthy), text(paper?.packets), text(shares[index].packets),
        text(paper?.bytes), text(shares[index].bytes), number(latencies[index]),
      ])
    }
    report.more.append(curves(grid, anomalies, rows))
    report.more.append(origins(grid, anomalies, rows))
    check(&report, sums, shares, latencies)
    return report
  }

  private static let header = [
    "Configuration", "FP", "FP-", "paper FP %", "ours FP %", "paper FP- %", "ours FP- %", "paper packets %",
    "packets %", "paper bytes %", "bytes %", "crash known to all, median s",
  ]

  private static func text(_ value: Double?) -> String { value.map { number($0) } ?? "-" }

  private static func shares(_ outcome: Outcome, of base: Outcome) -> LifeguardVariant.Shares {
    func percent(_ value: Double, _ base: Double) -> Double { 100 * value / max(base, 1) }
    return LifeguardVariant.Shares(
      all: percent(Double(outcome.all), Double(base.all)),
      healthy: percent(Double(outcome.healthy), Double(base.healthy)),
      packets: percent(Double(outcome.packets), Double(base.packets)),
      bytes: percent(Double(outcome.bytes), Double(base.bytes)))
  }

  // MARK: Runs

  private static func trial(_ variant: LifeguardVariant, _ anomaly: Anomaly, seed: UInt64) -> Outcome {
    let network = variant.pool(poolSize, seed: seed)
    defer { network.finish() }
    // Members are alike, so the first ones are as good as any.
    let begin = Instant.start + .seconds(5)
    let end = begin + length
    func block() {
      let released = network.now + .milliseconds(anomaly.length)
      for number in 0..<anomaly.members {
        if variant.isImproved {
          network.stall(number, until: released)
        } else {
          network.block(number, until: released)
        }
      }
      let next = released + .milliseconds(anomaly.gap)
      if next < end { network.at(next) { block() } }
    }
    network.at(begin) { block() }
    var outcome = Outcome()
    network.observer = { number in
      guard !network.members[number].layer.departures.isEmpty else { return }
      for report in network.members[number].layer.departures
      where GossipNetwork.number(of: report.name) >= anomaly.members {
        outcome.all += 1
        if number >= anomaly.members { outcome.healthy += 1 }
      }
      network.members[number].layer.departures.removeAll(keepingCapacity: true)
    }
    network.run(until: end)
    for member in network.members {
      outcome.packets += member.packetsSent
      outcome.bytes += member.bytesSent
    }
    return outcome
  }

  /// Seconds from the crash of a member until everybody left has marked it: the median over all that crashed.
  private static func detection(_ variants: [LifeguardVariant], _ grid: Grid, seed: UInt64) async -> [Double] {
    let trials = grid.crashes.flatMap { Array(repeating: $0, count: grid.trials) }
    let times = await inParallel(variants.count * trials.count) { index in
      let number = index % trials.count
      return crash(trials[number], variants[index / trials.count], seed: seed &+ 104_729 &* UInt64(number))
    }
    return variants.indices.map { Array(times[$0 * trials.count..<($0 + 1) * trials.count].joined()).median }
  }

  private static func crash(_ count: Int, _ variant: LifeguardVariant, seed: UInt64) -> [Double] {
    let network = variant.pool(poolSize, seed: seed)
    defer { network.finish() }
    let begin = Instant.start + .seconds(2) + network.random.interval(.zero, .seconds(1))
    network.run(until: begin)
    for number in 0..<count { network.crash(number) }
    var marks = Array(repeating: 0, count: count)
    var times = Array(repeating: Double.infinity, count: count)
    network.observer = { number in
      guard number >= count, !network.members[number].layer.departures.isEmpty else { return }
      for report in network.members[number].layer.departures {
        let departed = GossipNetwork.number(of: report.name)
        guard departed < count else { continue }
        marks[departed] += 1
        if marks[departed] == poolSize - count { times[departed] = (network.now - begin).seconds }
      }
      network.members[number].layer.departures.removeAll()
    }
    while times.contains(.infinity), network.now < begin + .minutes(2) {
      network.run(until: network.now + .seconds(1))
    }
    return times
  }

  // MARK: Tables

  private static func words(_ grid: Grid) -> String {
    func list<Value>(_ values: [Value]) -> String { values.map { "\($0)" }.joined(separator: ", ") }
    return """
      \(poolSize) members on LAN timing with alpha 5, beta 6, K 3, S 8. C members at once are blocked for D, again and \
      again, with gaps of I: what they send and what is sent to them is held and passes at the end of the block. As in \
      memberlist, each of their loops (probing, gossip, exchanges) hangs in its first send; the deadline of the probe \
      was set before, and suspicions end in time. Then it looks at what waited, \
      \(LifeguardVariant.handlingTime.nanoseconds / 1000) us for each packet (a guess; it decides how far a member \
      gets in a short gap). LHA-Probe is the paper's: the health score stretches the time between probes and the wait \
      for an ack as well, and not only the whole of a probe as in memberlist, with which this row hardly differs from \
      SWIM's. As in memberlist, and maybe not in the paper, who finds a suspect in an exchanged list is one more \
      accuser ("no hearsay": not so). A false positive is a death of a member that was never blocked, counted at every \
      member (FP) and at those never blocked themselves (FP-). One run of two minutes for each C of \
      \(list(grid.members)), D of \(list(grid.lengths)) ms and I of \(list(grid.gaps)) ms\
      \(grid.isChequered ? ", but of D and I only each second pair" : ""): \(grid.anomalies.count) a row, where the \
      paper has 4,320 (C up to 32 in steps of 4, ten runs each). The last column is something else: \
      \(list(grid.crashes)) members crash at once, \(grid.trials) times, nobody is blocked, median of all that \
      crashed; the paper gives only the shares 84.3 % for alpha 4 and 56.6 % for alpha 2. "Ours improved" is our \
      server: news that are sent at once, the answer "you are dead", only accusers who probed in vain, and one thread: \
      a block holds up the whole of it.
      """
  }

  private static func curves(_ grid: Grid, _ anomalies: [Anomaly], _ rows: [[Outcome]]) -> Report.Table {
    var table = Report.Table(
      words: "FP for each run, by the number C of members that are blocked: paper (figure 2) / ours.",
      header: ["C"] + LifeguardVariant.table.prefix(5).map(\.name))
    let runs = Double(anomalies.count / max(1, grid.members.count))
    for count in grid.members {
      let cells = (0..<5).map { index -> String in
        let sum = anomalies.indices.reduce(0) { $0 + (anomalies[$1].members == count ? rows[index][$1].all : 0) }
        let paper = published[count].map { number($0[index] / 480, digits: 1) } ?? "-"
        return "\(paper) / \(number(Double(sum) / runs, digits: 1))"
      }
      table.rows.append(["\(count)"] + cells)
    }
    return table
  }

  private static func origins(_ grid: Grid, _ anomalies: [Anomaly], _ rows: [[Outcome]]) -> Report.Table {
    var table = Report.Table(
      words: """
        Where they come from: FP (of them FP-) of SWIM / Lifeguard / Lifeguard with alpha 2, all C together, by D and \
        I in milliseconds.
        """,
      header: ["D \\ I"] + grid.gaps.map { "\($0)" })
    for length in grid.lengths {
      let cells = grid.gaps.map { gap -> String in
        let chosen = anomalies.indices.filter { anomalies[$0].length == length && anomalies[$0].gap == gap }
        func sum(_ row: Int) -> String {
          let outcome = chosen.reduce(Outcome()) { $0 + rows[row][$1] }
          return outcome.all == 0 ? "0" : "\(outcome.all) (\(outcome.healthy))"
        }
        return chosen.isEmpty ? "" : [0, 4, 6].map(sum).joined(separator: " / ")
      }
      table.rows.append(["\(length)"] + cells)
    }
    return table
  }

  // MARK: Checks

  /// Fewer failures at healthy members of SWIM's, and a share of them says nothing: one rumour makes dozens.
  private static let enoughEvents = 100

  private static func check(
    _ report: inout Report, _ sums: [Outcome], _ shares: [LifeguardVariant.Shares], _ latencies: [Double]
  ) {
    let bands: [(name: String, all: ClosedRange<Double>, healthy: ClosedRange<Double>?)] = [
      ("SWIM", 100...100, nil), ("LHA-Probe", 55...80, nil), ("LHA-Suspicion", 0...5, nil),
      ("Buddy System", 85...105, 35...60), ("Lifeguard", 0...2.5, nil), ("Lifeguard, alpha 4", 0...6, nil),
      ("Lifeguard, alpha 2", 0...18, nil), ("ours improved", 0...2.5, 0...2.5),
    ]
    for (index, band) in bands.enumerated() where index > 0 {
      report.check("\(band.name): FP, % of SWIM's", shares[index].all, band.all)
      if let healthy = band.healthy {
        report.check(
          "\(band.name): FP-, % of SWIM's", shares[index].healthy ?? .nan, healthy,
          isTold: sums[0].healthy >= enoughEvents)
      }
    }
    // From the most false positives to the fewest; three deviations of a count may be chance.
    let counts = [0, 3, 1, 2, 4].map { Double(sums[$0].all) }
    let inversions = zip(counts, counts.dropFirst()).count { $1 - $0 > 3 * ($0 + $1).squareRoot() }
    report.check(
      "Neighbours out of the order SWIM, Buddy, LHA-Probe, LHA-Suspicion, Lifeguard", Double(inversions), 0...0)
    report.check("Lifeguard: packets, % of SWIM's", shares[4].packets ?? .nan, 100...115)
    report.check("Lifeguard: bytes, % of SWIM's", shares[4].bytes ?? .nan, 0...110)
    report.check("Lifeguard: crash known to all, % of SWIM's time", 100 * latencies[4] / latencies[0], 98...102)
    report.check("Lifeguard, alpha 4: crash known to all, % of SWIM's time", 100 * latencies[5] / latencies[0], 80...88)
    report.check("Lifeguard, alpha 2: crash known to all, % of SWIM's time", 100 * latencies[6] / latencies[0], 53...60)
    report.check(
      "Lifeguard, alpha 2, no hearsay: crash known to all, % of SWIM's time", 100 * latencies[8] / latencies[0],
      53...60)
  }
}
