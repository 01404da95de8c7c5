import Base
import Gossip

/// S3b: one per cent of a large pool is faulty, in three ways. Rapid's question is how many views the others pass
/// through, and whether they settle.
enum RapidFailures {
  enum Fault: String, CaseIterable, Sendable {
    case crash = "crash"
    /// Nothing reaches the member for 20 s, then everything for 20 s, and so on.
    case deafness = "20 s deaf, 20 s not"
    /// Four of five packets that the member sends are lost.
    case egressLoss = "80 % of what it sends is lost"
  }

  enum Rules: String, CaseIterable, Sendable {
    case memberlist = "memberlist's"
    case ours = "ours improved"

    func configuration(name: String, address: SocketAddress) -> GossipConfiguration {
      switch self {
      case .memberlist: .plain(name: name, address: address)
      case .ours: .lan(name: name, address: address)
      }
    }
  }

  struct Outcome: Sendable {
    /// Until the first healthy member removes somebody, and until the last change of any healthy member's view.
    var first: Double?
    var settled = 0.0
    /// Sizes that healthy members reported, once a second each.
    var sizes = 0
    /// Changes of size that a healthy member reports: mean.
    var changes = 0.0
    /// Removals and returns at a healthy member, mean: of faulty members, and removals of healthy ones.
    var removals = 0.0
    var returns = 0.0
    var falseRemovals = 0
    var finalViews: Set<Int> = []
    /// Kilobytes a second that a member sends: mean, 99 %, and most, over members and seconds.
    var load = (mean: 0.0, most: 0.0, percentile: 0.0)
  }

  static let paper: [Fault: String] = [
    .crash:
      "Memberlist passes many sizes; Rapid goes from 1000 to 990 in one step, ten seconds after Memberlist's first",
    .deafness: "Memberlist swings between 990 and 1000 to the end; Rapid removes the ten",
    .egressLoss: "Memberlist never removes them for good, views differ; Rapid removes the ten",
  ]

  static func run(_ scale: Scale, seed: UInt64) async -> Report {
    let size = scale.isQuick ? 200 : min(1000, max(100, scale.largest))
    let faulty = size / 100
    let length: Int64 = scale.isQuick ? 150 : 200
    var report = Report(
      title: "S3b: one per cent of a large pool is faulty",
      words: """
        \(size) members in a steady pool on LAN timing, of which \(faulty) become faulty at the same time, for \
        \(length) s. What is counted is seen by the healthy ones: seconds to the first removal and to the last change \
        of anybody's view; different sizes that anybody reported, and changes of size that each reported, once a \
        second; removals and returns of faulty members by each; removals of healthy members, all together; kilobytes \
        sent by a member in a second. Rapid's paper (N = 1000, figures): \
        \(Fault.allCases.map { "\($0.rawValue): \(paper[$0] ?? "")" }.joined(separator: ". ")). Its table 2, crashes: \
        Memberlist sends 0.64 KB/s in the mean, 6.40 at 99 %, 8.04 at most, Rapid 0.71, 3.72, 11.37. In large \
        pools ours doubt a death of a node that was not suspected, which is a suspicion first (`doubtsDeaths`), and \
        report a node that died twice within ten minutes as back after it has stayed for a minute (`probation`).
        """,
      header: [
        "fault", "rules", "first removal, s", "settled, s", "sizes", "changes each", "removals each", "returns each",
        "healthy removed", "final sizes", "KB/s mean / 99 % / most",
      ])
    let faults = Fault.allCases
    let kinds = Rules.allCases
    let outcomes = await inParallel(faults.count * kinds.count) { index in
      trial(
        faults[index / kinds.count], kinds[index % kinds.count], size: size, faulty: faulty, seconds: length,
        seed: seed)
    }
    for (index, outcome) in outcomes.enumerated() {
      let fault = faults[index / kinds.count]
      let rules = kinds[index % kinds.count]
      report.rows.append([
        fault.rawValue, rules.rawValue, outcome.first.map { number($0) } ?? "-",
        number(outcome.settled), "\(outcome.sizes)", number(outcome.changes), number(outcome.removals),
        number(outcome.returns), "\(outcome.falseRemovals)",
        outcome.finalViews.sorted().map { "\($0)" }.joined(separator: ", "),
        "\(number(outcome.load.mean)) / \(number(outcome.load.percentile)) / \(number(outcome.load.most))",
      ])
      guard rules != .memberlist else { continue }
      let plain = outcomes[index / kinds.count * kinds.count]
      let label = "\(rules.rawValue), \(fault.rawValue)"
      report.check("\(label): healthy members removed", Double(outcome.falseRemovals), 0...0)
      report.check("\(label): settled after, s", outcome.settled, 0...60)
      report.check("\(label): different final views", Double(outcome.finalViews.count), 1...1)
      report.check("\(label): bytes over memberlist's", outcome.load.mean / plain.load.mean, 0...2)
      if fault == .crash { report.check("\(label): changes of size each", outcome.changes, 1...2) }
    }
    return report
  }

  private static func trial(
    _ fault: Fault, _ kind: Rules, size: Int, faulty: Int, seconds: Int64, seed: UInt64
  ) -> Outcome {
    var rules = GossipNetwork.Rules()
    rules.hasStrictTicks = kind == .memberlist
    let network = GossipNetwork(seed: seed, rules: rules)
    defer { network.finish() }
    for _ in 0..<size { network.add { kind.configuration(name: $0, address: $1) } }
    network.introduceAll()
    let begin = Instant.start + .seconds(5)
    network.run(until: begin)
    start(fault, network, faulty)

    let healthy = faulty..<size
    var outcome = Outcome()
    var removals = 0
    var returns = 0
    network.observer = { number in
      guard number >= faulty else { return }
      let layer = network.members[number].layer
      guard !layer.departures.isEmpty || !layer.returns.isEmpty else { return }
      outcome.settled = (network.now - begin).seconds
      if outcome.first == nil { outcome.first = outcome.settled }
      for report in layer.departures {
        if GossipNetwork.number(of: report.name) < faulty { removals += 1 } else { outcome.falseRemovals += 1 }
      }
      returns += layer.returns.count { GossipNetwork.number(of: $0) < faulty }
      network.members[number].layer.departures.removeAll(keepingCapacity: true)
      network.members[number].layer.returns.removeAll(keepingCapacity: true)
    }
    var sizes: Set<Int> = [size]
    var views = network.members.map(\.layer.viewSize)
    var sent = network.members.map(\.bytesSent)
    var changes = 0
    var loads: [Double] = []
    for second in 1...seconds {
      network.run(until: begin + .seconds(second))
      for number in healthy {
        let view = network.members[number].layer.viewSize
        sizes.insert(view)
        if view != views[number] { changes += 1 }
        views[number] = view
        loads.append(Double(network.members[number].bytesSent - sent[number]) / 1000)
        sent[number] = network.members[number].bytesSent
      }
    }
    let count = Double(healthy.count)
    outcome.sizes = sizes.count
    outcome.changes = Double(changes) / count
    outcome.removals = Double(removals) / count
    outcome.returns = Double(returns) / count
    outcome.finalViews = Set(views[healthy])
    outcome.load = (loads.mean, loads.quantile(1), loads.quantile(0.99))
    return outcome
  }

  private static func start(_ fault: Fault, _ network: GossipNetwork, _ faulty: Int) {
    func deafen(_ isDeaf: Bool) {
      for number in 0..<faulty { network.members[number].ingressLoss = isDeaf ? 1 : 0 }
      network.at(network.now + .seconds(20)) { deafen(!isDeaf) }
    }
    switch fault {
    case .crash: for number in 0..<faulty { network.crash(number) }
    case .deafness: deafen(true)
    case .egressLoss: for number in 0..<faulty { network.members[number].egressLoss = 0.8 }
    }
  }
}
