import Base
import Gossip
import Glibc

/// S4: one event, and when it has reached half, nearly all, and all members.
enum SerfConvergence {
  struct Outcome: Sendable {
    /// Seconds to 50, 99 and 99.99 %.
    var times: [Double] = []
    var missing = 0
  }

  static let shares = [0.5, 0.99, 0.9999]
  static let fanOut = 3
  static let interval = Interval.milliseconds(200)

  /// Serf's own model, as its public simulator has it, in whole gossip rounds.
  static func formula(_ size: Int, share: Double, loss: Double) -> Double {
    let rate = Double(fanOut) * (1 - loss) * 0.5
    let rounds = log(Double(size + 1) * share / (1 - share)) / rate
    return rounds.rounded(.up) * interval.seconds
  }

  static func run(_ scale: Scale, seed: UInt64) async -> Report {
    var report = Report(
      title: "S4: Serf's convergence",
      words: """
        One user event on LAN timing (fan-out 3 every 200 ms), mean of the trials; Serf's column is the formula of its \
        public simulator, which knows no retransmit limit. Up to 1,000 members every one is a real gossip machine; \
        above, tables of all members would need tens of gigabytes, and a model with the same ticks, fan-out, latency \
        and the transmit limit of the machine stands in. Rows for 100 and 1,000 members are given for both.
        """,
      header: [
        "N", "loss", "run with", "Serf 50 / 99 / 99.99 %, s", "ours, s", "ratio at 99.99 %", "improved, s",
        "never reached",
      ])
    var cases: [(size: Int, isReal: Bool, trials: Int)] = [
      (30, true, 20), (100, true, 20), (100, false, 20), (1000, true, 3), (1000, false, 20), (10_000, false, 10),
      (66_000, false, 5),
    ]
    if scale.isQuick { cases = [(100, true, 10), (300, true, 2), (10_000, false, 2), (66_000, false, 1)] }
    for item in cases where item.size <= scale.largest {
      for loss in [0, 0.05, 0.25] {
        let plain = await mean(item, loss: loss, isImproved: false, seed: seed)
        let improved = item.isReal ? await mean(item, loss: loss, isImproved: true, seed: seed) : nil
        let theory = shares.map { formula(item.size, share: $0, loss: loss) }
        let ratio = plain.times[2] / theory[2]
        report.rows.append([
          "\(item.size)", "\(Int(loss * 100)) %", item.isReal ? "machines" : "model", text(theory), text(plain.times),
          number(ratio), improved.map { text($0.times) } ?? "-", "\(plain.missing + (improved?.missing ?? 0))",
        ])
        let label = "N = \(item.size), \(item.isReal ? "machines" : "model"), loss \(Int(loss * 100)) %"
        report.check("\(label): 99.99 % over Serf's", ratio, 0.3...1.5)
        report.check("\(label): members never reached", Double(plain.missing + (improved?.missing ?? 0)), 0...0)
      }
    }
    return report
  }

  private static func text(_ times: [Double]) -> String { times.map { number($0) }.joined(separator: " / ") }

  private static func mean(
    _ item: (size: Int, isReal: Bool, trials: Int), loss: Double, isImproved: Bool, seed: UInt64
  ) async -> Outcome {
    let outcomes = await inParallel(item.trials) { trial in
      let seed = seed &+ UInt64(item.size) &* 1009 &+ UInt64(trial) &+ UInt64(loss * 1000) &* 31
      return item.isReal
        ? machines(item.size, loss: loss, isImproved: isImproved, seed: seed)
        : EpidemicModel.run(item.size, loss: loss, seed: seed)
    }
    var result = Outcome()
    result.times = shares.indices.map { index in outcomes.map { $0.times[index] }.mean }
    result.missing = outcomes.reduce(0) { $0 + $1.missing }
    return result
  }

  /// The times at which the shares of `size` are reached, from the ordered times of all who were.
  static func outcome(of arrivals: [Double], size: Int) -> Outcome {
    let ordered = arrivals.sorted()
    let times = shares.map { share -> Double in
      let count = Int((share * Double(size)).rounded(.up))
      return count <= ordered.count ? ordered[count - 1] : .infinity
    }
    return Outcome(times: times, missing: size - arrivals.count)
  }

  private static func machines(_ size: Int, loss: Double, isImproved: Bool, seed: UInt64) -> Outcome {
    var rules = GossipNetwork.Rules()
    rules.loss = loss
    rules.hasStrictTicks = !isImproved
    let network = GossipNetwork(seed: seed, rules: rules)
    defer { network.finish() }
    for _ in 0..<size {
      network.add { name, address in
        var configuration =
          isImproved
          ? GossipConfiguration.lan(name: name, address: address) : .plain(name: name, address: address)
        // The event alone: probes that fail by chance would carry it too.
        configuration.probeInterval = .hours(1)
        return configuration
      }
    }
    network.introduceAll()
    let limit = GossipTiming.retransmitLimit(multiplier: 4, nodes: size)
    for number in 0..<size { network.members[number].layer.eventLimit = limit }
    let start = Instant.start + .seconds(2)
    network.run(until: start)
    var arrivals: [Double] = []
    var isCounted = [Bool](repeating: false, count: size)
    network.observer = { number in
      guard !isCounted[number], network.members[number].layer.hasHeardEvent else { return }
      isCounted[number] = true
      arrivals.append((network.now - start).seconds)
    }
    network.with(network.random.below(size)) { member, now in
      member.layer.hear(Array("deploy 4711 to all of them".utf8))
      member.machine.noteFreshBroadcasts(at: now, above: member.layer)
    }
    network.run(until: start + .seconds(20))
    return outcome(of: arrivals, size: size)
  }
}

/// The same broadcast rules without the machines: who knows the event tells `fanOut` random others at each of his
/// ticks, until it was sent as often as the machine's limit says.
enum EpidemicModel {
  static func run(_ size: Int, loss: Double, seed: UInt64) -> SerfConvergence.Outcome {
    var random = RandomSource(seed: seed)
    let limit = GossipTiming.retransmitLimit(multiplier: 4, nodes: size)
    var events = EventHeap()
    var isReached = [Bool](repeating: false, count: size)
    var transmits = [Int](repeating: 0, count: size)
    var arrivals: [Double] = []
    func hear(_ number: Int, at now: Instant) {
      guard !isReached[number] else { return }
      isReached[number] = true
      arrivals.append((now - .start).seconds)
      events.push(.wake, subject: number, at: now + random.interval(.zero, SerfConvergence.interval))
    }
    hear(0, at: .start)
    while let event = events.pop() {
      let number = Int(event.subject)
      guard event.kind == .wake else {
        hear(number, at: event.time)
        continue
      }
      var chosen: [Int] = []
      while chosen.count < min(SerfConvergence.fanOut, size - 1) {
        let other = random.below(size)
        if other != number, !chosen.contains(other) { chosen.append(other) }
      }
      for other in chosen where transmits[number] < limit {
        transmits[number] += 1
        if loss > 0, random.chance(loss) { continue }
        let latency = random.interval(.microseconds(200), .milliseconds(1))
        events.push(.datagram, subject: other, at: event.time + latency)
      }
      if transmits[number] < limit {
        events.push(.wake, subject: number, at: event.time + SerfConvergence.interval)
      }
    }
    return SerfConvergence.outcome(of: arrivals, size: size)
  }
}
