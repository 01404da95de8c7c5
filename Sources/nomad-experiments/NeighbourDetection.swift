import Base
import Gossip

/// N1: servers of one region in the pool of all regions. How soon is a dead one noticed, and is a slow one left alone?
enum NeighbourDetection {
  struct Outcome: Sendable {
    /// From the crash until the first, and until every other server has marked it.
    var first: Double?
    var all: Double?
    var falsePositives = 0
  }

  /// What is wrong with one of the servers, besides the ordinary.
  enum Trouble: Sendable {
    case crash
    /// The process stands still for the time, then goes on, again and again.
    case stalls(Interval)
    /// Datagrams and segments are lost everywhere.
    case loss(Double)
  }

  static func run(_ scale: Scale, seed: UInt64) async -> Report {
    let trials = scale.isQuick ? 40 : 200
    var report = Report(
      title: "N1: servers of one region",
      words: """
        N servers of one region under the WAN timing that Nomad's pools have, first by memberlist's rules, then with \
        ours, where servers of our making in one region watch each other at the pace of a local network. Crash: time \
        until the first, and until every other server has marked the dead one, median and worst of \(trials) trials. \
        Stalls: one server stands still for 2, 8 or 20 s, again and again for five minutes, with gaps as long; loss: a \
        part of all packets is lost for five minutes. There the figure is the number of deaths of healthy servers, \
        counted at every server, over all trials together.
        """,
      header: ["N", "what", "memberlist's rules", "ours improved", "ratio"])
    for size in [3, 5, 7] {
      var crashes: [[Outcome]] = []
      for isImproved in [false, true] {
        crashes.append(
          await inParallel(trials) { trial(size, .crash, isImproved: isImproved, seed: seed &+ 31 &* UInt64($0)) })
      }
      func row(_ name: String, _ value: (Outcome) -> Double?) {
        let (old, new) = (crashes[0].map { value($0) ?? .infinity }, crashes[1].map { value($0) ?? .infinity })
        report.rows.append([
          "\(size)", name, "\(number(old.median)) / \(number(old.quantile(1))) s",
          "\(number(new.median)) / \(number(new.quantile(1))) s", number(new.median / old.median),
        ])
      }
      row("crash, first to mark it: median / worst") { $0.first }
      row("crash, all have marked it: median / worst") { $0.all }
      report.check(
        "N = \(size): worst time until all have marked a crashed server, s",
        crashes[1].map { $0.all ?? .infinity }.quantile(1), 0...20)
      var marked = [0, 0]
      let troubles: [(String, Trouble)] = [
        ("stalls of 2 s", .stalls(.seconds(2))), ("stalls of 8 s", .stalls(.seconds(8))),
        ("stalls of 20 s", .stalls(.seconds(20))), ("loss of 10 %", .loss(0.1)), ("loss of 30 %", .loss(0.3)),
      ]
      for (name, trouble) in troubles {
        var sums: [Int] = []
        for isImproved in [false, true] {
          let outcomes = await inParallel(trials) {
            trial(size, trouble, isImproved: isImproved, seed: seed &+ 77 &* UInt64($0))
          }
          sums.append(outcomes.reduce(0) { $0 + $1.falsePositives })
        }
        report.rows.append(["\(size)", "\(name): healthy servers marked", "\(sums[0])", "\(sums[1])", "-"])
        marked[0] += sums[0]
        marked[1] += sums[1]
      }
      report.check(
        "N = \(size): healthy servers marked, share of memberlist's", Double(marked[1]) / Double(max(1, marked[0])),
        0...0.2)
    }
    return report
  }

  private static func trial(_ size: Int, _ trouble: Trouble, isImproved: Bool, seed: UInt64) -> Outcome {
    var rules = GossipNetwork.Rules()
    rules.hasStrictTicks = !isImproved
    if case .loss(let loss) = trouble { rules.loss = loss }
    let network = GossipNetwork(seed: seed, rules: rules)
    defer { network.finish() }
    for _ in 0..<size {
      network.add(relation: isImproved ? .neighbour : .stranger) { name, address in
        var configuration = GossipConfiguration.wan(name: name, address: address)
        if !isImproved {
          configuration.urgentGossipBurst = 0
          configuration.tellsDead = false
          configuration.settlesDoubts = false
          configuration.catchUpInterval = nil
          configuration.near = nil
        }
        return configuration
      }
    }
    network.introduceAll()
    var outcome = Outcome()
    let begin = Instant.start + .seconds(10) + network.random.interval(.zero, .seconds(5))
    network.run(until: begin)
    switch trouble {
    case .crash:
      network.crash(0)
      var marked = 0
      network.observer = { number in
        guard !network.members[number].layer.departures.isEmpty else { return }
        network.members[number].layer.departures.removeAll()
        marked += 1
        let time = (network.now - begin).seconds
        if outcome.first == nil { outcome.first = time }
        if marked == size - 1 { outcome.all = time }
      }
      while marked < size - 1, network.now < begin + .minutes(5) { network.run(until: network.now + .seconds(1)) }
    case .stalls(let length):
      count(network, healthyFrom: 1, into: { outcome.falsePositives += $0 })
      func stall() {
        network.stall(0, until: network.now + length)
        network.at(network.now + length * 2) { stall() }
      }
      stall()
      network.run(until: begin + .minutes(5))
    case .loss:
      count(network, healthyFrom: 0, into: { outcome.falsePositives += $0 })
      network.run(until: begin + .minutes(5))
    }
    network.observer = nil
    return outcome
  }

  private static func count(_ network: GossipNetwork, healthyFrom first: Int, into add: @escaping (Int) -> Void) {
    network.observer = { number in
      guard !network.members[number].layer.departures.isEmpty else { return }
      let deaths = network.members[number].layer.departures
      network.members[number].layer.departures.removeAll()
      add(deaths.count { GossipNetwork.number(of: $0.name) >= first })
    }
  }
}
