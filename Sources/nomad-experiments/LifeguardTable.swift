import Base
import Gossip

/// S2: members that are slow, not dead. Lifeguard's question is how many healthy members are declared dead for it.
enum LifeguardTable {
  /// Which of Lifeguard's three parts are on.
  struct Variant: Sendable {
    let name: String
    let hasProbe: Bool
    let hasSuspicion: Bool
    let hasBuddy: Bool
    /// The paper's shares of SWIM's false positives, at all members and at healthy ones.
    let paper: (all: Double, healthy: Double)
  }

  struct Outcome: Sendable {
    var all = 0
    var healthy = 0
    var packets: UInt64 = 0
    var bytes: UInt64 = 0
  }

  struct Anomaly: Sendable {
    let members: Int
    let length: Interval
    let gap: Interval
  }

  static let variants = [
    Variant(name: "SWIM", hasProbe: false, hasSuspicion: false, hasBuddy: false, paper: (100, 100)),
    Variant(name: "LHA-Probe", hasProbe: true, hasSuspicion: false, hasBuddy: false, paper: (67.72, 32.88)),
    Variant(name: "LHA-Suspicion", hasProbe: false, hasSuspicion: true, hasBuddy: false, paper: (3, 6.71)),
    Variant(name: "Buddy System", hasProbe: false, hasSuspicion: false, hasBuddy: true, paper: (94.08, 44.57)),
    Variant(name: "Lifeguard", hasProbe: true, hasSuspicion: true, hasBuddy: true, paper: (1.53, 1.89)),
  ]

  static let poolSize = 128
  static let length = Interval.seconds(120)

  static func grid(_ scale: Scale) -> [Anomaly] {
    let members = scale.isQuick ? [16] : [4, 16, 32]
    let lengths: [Int64] = scale.isQuick ? [16384, 32768] : [8192, 16384, 32768]
    let gaps: [Int64] = scale.isQuick ? [64, 1024] : [1, 64, 1024, 16384]
    return members.flatMap { count in
      lengths.flatMap { length in
        gaps.map { Anomaly(members: count, length: .milliseconds(length), gap: .milliseconds($0)) }
      }
    }
  }

  static func run(_ scale: Scale, seed: UInt64) async -> Report {
    let grid = grid(scale)
    var report = Report(
      title: "S2: Lifeguard's false positives",
      words: """
        128 members on LAN timing with alpha 5, beta 6, K 3, S 8. C members at once are blocked, again and again, for \
        D with gaps of I: what they send and what is sent to them is held and passes at the end of the block, their \
        timers run on. A false positive is a death of a member that was never blocked, counted at every member \
        (FP) and at those never blocked themselves (FP-). \(grid.count) runs of two minutes for each row, one for each \
        C of \(scale.isQuick ? "16" : "4, 16, 32"), D of \(scale.isQuick ? "16.4, 32.8" : "8.2, 16.4, 32.8") s \
        and I of \(scale.isQuick ? "64 ms, 1 s" : "1 ms, 64 ms, 1 s, 16 s"). The paper's grid is larger; the shares \
        are what can be compared. "Ours improved" adds news that are sent at once and the answer "you are dead".
        """,
      header: [
        "Configuration", "FP", "FP-", "paper FP %", "ours FP %", "paper FP- %", "ours FP- %", "packets %", "bytes %",
      ])
    var rows: [Outcome] = []
    for index in 0...variants.count {
      let variant = variants[min(index, variants.count - 1)]
      let isImproved = index == variants.count
      let outcomes = await inParallel(grid.count) { number in
        trial(variant, grid[number], isImproved: isImproved, seed: seed &+ 7919 &* UInt64(number))
      }
      var sum = Outcome()
      for outcome in outcomes {
        sum.all += outcome.all
        sum.healthy += outcome.healthy
        sum.packets += outcome.packets
        sum.bytes += outcome.bytes
      }
      rows.append(sum)
      func share(_ value: UInt64, _ base: UInt64) -> Double { 100 * Double(value) / Double(max(base, 1)) }
      let all = share(UInt64(sum.all), UInt64(rows[0].all))
      let healthy = share(UInt64(sum.healthy), UInt64(rows[0].healthy))
      report.rows.append([
        isImproved ? "Lifeguard, ours improved" : variant.name, "\(sum.all)", "\(sum.healthy)",
        number(variant.paper.all), number(all), number(variant.paper.healthy), number(healthy),
        number(share(sum.packets, rows[0].packets)), number(share(sum.bytes, rows[0].bytes)),
      ])
      switch index {
      case 1: report.check("LHA-Probe, FP % of SWIM", all, 55...80)
      case 2: report.check("LHA-Suspicion, FP % of SWIM", all, 0...5)
      case 3:
        report.check("Buddy System, FP % of SWIM", all, 85...105)
        report.check("Buddy System, FP- % of SWIM", healthy, 35...60)
      case 4: report.check("Lifeguard, FP % of SWIM", all, 0...2.5)
      case 5:
        report.check("Ours improved, FP % of SWIM", all, 0...2.5)
        report.check("Ours improved, FP- % of SWIM", healthy, 0...2.5)
      default: break
      }
    }
    return report
  }

  static func configure(
    _ variant: Variant, isImproved: Bool, alpha: Int, name: String, address: SocketAddress
  ) -> GossipConfiguration {
    var configuration =
      isImproved
      ? GossipConfiguration.lan(name: name, address: address) : .plain(name: name, address: address)
    configuration.suspicionMultiplier = alpha
    configuration.awarenessMaximum = variant.hasProbe ? 9 : 1
    configuration.suspicionMaximumMultiplier = variant.hasSuspicion ? 6 : 1
    configuration.tellsSuspects = variant.hasBuddy
    configuration.nackTimeout = .milliseconds(400)
    return configuration
  }

  private static func trial(_ variant: Variant, _ anomaly: Anomaly, isImproved: Bool, seed: UInt64) -> Outcome {
    var rules = GossipNetwork.Rules()
    rules.hasStrictTicks = !isImproved
    let network = GossipNetwork(seed: seed, rules: rules)
    for _ in 0..<poolSize {
      network.add { configure(variant, isImproved: isImproved, alpha: 5, name: $0, address: $1) }
    }
    network.introduceAll()
    // Members are alike, so the first ones are as good as any.
    let end = Instant.start + length
    func block() {
      for number in 0..<anomaly.members { network.members[number].blockedUntil = network.now + anomaly.length }
      let next = network.now + anomaly.length + anomaly.gap
      if next < end { network.at(next) { block() } }
    }
    network.at(.start + .seconds(5)) { block() }
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
}
