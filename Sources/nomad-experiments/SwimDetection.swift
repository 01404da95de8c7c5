import Base
import Gossip

/// S1: one member crashes in a pool that is otherwise well. SWIM promises that the time to the first detection and the
/// load of a member do not depend on the size of the pool.
enum SwimDetection {
  struct Outcome: Sendable {
    /// From the crash to the first ping that stays without an answer, in whole periods.
    var periods = 0.0
    /// From the crash to the first suspicion.
    var suspected = 0.0
    /// Packets of a member in one period, before the crash.
    var packets = 0.0
  }

  static let sizes = [16, 32, 64, 128, 1024]

  static func run(_ scale: Scale, seed: UInt64) async -> Report {
    var report = Report(
      title: "S1: SWIM's detection time",
      words: """
        One of N members crashes at a random time; memberlist's LAN timing (period 1 s, 0.5 s to the ack), Lifeguard \
        off, no loss. Periods are counted whole, from the crash to the one in which the member is first pinged in \
        vain, as in the paper's e/(e-1) = 1.58; the suspicion follows when that period ends.
        """,
      header: [
        "N", "paper, periods", "ours, mean", "ratio", "worst (bound 2N-1)", "suspected after",
        "packets/member/period",
      ])
    var means: [Double] = []
    var packets: [Double] = []
    for size in (scale.isQuick ? [16, 32, 64, 128] : sizes).filter({ $0 <= scale.largest }) {
      let trials = scale.isQuick ? 100 : (size > 500 ? 30 : 400)
      let outcomes = await inParallel(trials) { trial in
        self.trial(size, seed: seed &+ UInt64(size) &* 100_003 &+ UInt64(trial))
      }
      let periods = outcomes.map(\.periods)
      means.append(periods.mean)
      packets.append(outcomes.map(\.packets).mean)
      report.rows.append([
        "\(size)", "1.58", number(periods.mean), number(periods.mean / 1.58), "\(Int(periods.quantile(1)))",
        number(outcomes.map(\.suspected).mean) + " s", number(packets[packets.count - 1]),
      ])
      report.check("Mean periods, N = \(size)", periods.mean, 1.3...1.9)
    }
    report.check("Load at the largest N over the smallest", (packets.last ?? 0) / (packets.first ?? 1), 0.9...1.1)
    return report
  }

  private static func trial(_ size: Int, seed: UInt64) -> Outcome {
    let network = GossipNetwork(seed: seed)
    defer { network.finish() }
    for _ in 0..<size {
      network.add { name, address in
        var configuration = GossipConfiguration.plain(name: name, address: address)
        configuration.awarenessMaximum = 1
        configuration.suspicionMaximumMultiplier = 1
        configuration.tellsSuspects = false
        return configuration
      }
    }
    network.introduceAll()
    network.run(until: .start + .seconds(3))
    let before = network.members.reduce(0) { $0 + $1.packetsSent }
    network.run(until: .start + .seconds(6))
    let sent = network.members.reduce(0) { $0 + $1.packetsSent } - before
    var outcome = Outcome()
    outcome.packets = Double(sent) / 3 / Double(size)
    let crash = network.now + network.random.interval(.zero, .seconds(1))
    network.run(until: crash)
    let victim = network.random.below(size)
    network.crash(victim)
    let name = Array(GossipNetwork.name(victim).utf8)
    var first: Instant?
    network.observer = { number in
      guard first == nil, number != victim else { return }
      let machine = network.members[number].machine
      if let id = machine.nodes.find(name.bytes), machine.nodes[id].state == .suspect { first = network.now }
    }
    while first == nil, network.now < crash + .seconds(60) { network.run(until: network.now + .milliseconds(10)) }
    outcome.suspected = ((first ?? network.now) - crash).seconds
    // The suspicion comes one period after the ping.
    outcome.periods = max(1, (outcome.suspected - 1).rounded(.up))
    return outcome
  }
}

/// How much is run: everything, or enough to notice that something broke.
struct Scale: Sendable {
  var isQuick = false
  /// Pools of more members are left out.
  var largest = Int.max
}

extension GossipConfiguration {
  /// memberlist's LAN defaults and nothing of our own.
  static func plain(name: String, address: SocketAddress) -> GossipConfiguration {
    var configuration = GossipConfiguration.lan(name: name, address: address)
    configuration.urgentGossipBurst = 0
    configuration.tellsDead = false
    configuration.settlesDoubts = false
    configuration.catchUpInterval = nil
    configuration.doubtsDeaths = false
    configuration.probation = nil
    configuration.removalHold = .zero
    configuration.stretchesPeriods = false
    configuration.hearsayConfirms = true
    return configuration
  }
}
