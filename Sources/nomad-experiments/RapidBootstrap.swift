import Base
import Gossip

/// S3, first part: one seed, and ten seconds later everybody else at once.
enum RapidBootstrap {
  struct Outcome: Sendable {
    /// From the start of the joiners until every member counts everybody; nil: not in time.
    var seconds: Double?
    /// Different counts that members reported, once a second each.
    var sizes = 0
    var kilobytes = 0.0
  }

  static let published: [(size: Int, memberlist: Double, rapid: Double, memberlistSizes: Int, rapidSizes: Int)] = [
    (1000, 45.7, 29.6, 901, 4), (1500, 68.6, 40.0, 1383, 8), (2000, 97.6, 53.5, 1858, 4),
  ]

  static func run(_ scale: Scale, seed: UInt64) async -> Report {
    var report = Report(
      title: "S3a: bootstrap of a large pool",
      words: """
        One seed member; ten seconds later N-1 processes join it at once, and try again after a second when they are \
        refused. Seconds count from their start until every member counts N. Memberlist's and Rapid's columns are read \
        off the figures of the Rapid paper, whose machines were also busy computing, which ours are not; "sizes" are \
        the different counts that anybody reported, once a second.
        """,
      header: [
        "N", "Memberlist (paper)", "ours, memberlist's rules", "ratio", "Rapid (paper)", "ours improved", "ratio",
        "sizes: Memberlist / Rapid", "sizes: ours / improved", "KB sent a member: ours / improved",
      ])
    let cases = scale.isQuick ? [(300, 0.0, 0.0, 0, 0)] : published.filter { $0.0 <= scale.largest }
    for published in cases {
      let outcomes = await inParallel(2) { kind in
        trial(published.0, isImproved: kind == 1, seed: seed &+ UInt64(published.0))
      }
      let plain = outcomes[0].seconds ?? .infinity
      let improved = outcomes[1].seconds ?? .infinity
      report.rows.append([
        "\(published.0)", scale.isQuick ? "-" : number(published.1), number(plain), number(plain / published.1),
        scale.isQuick ? "-" : number(published.2), number(improved), number(improved / published.2),
        scale.isQuick ? "-" : "\(published.3) / \(published.4)",
        "\(outcomes[0].sizes) / \(outcomes[1].sizes)",
        "\(number(outcomes[0].kilobytes)) / \(number(outcomes[1].kilobytes))",
      ])
      let bound = scale.isQuick ? (60.0, 15.0) : (published.1, published.2)
      report.check("Memberlist's rules, N = \(published.0), seconds", plain, 0...bound.0)
      report.check("Improved, N = \(published.0), seconds", improved, 0...bound.1)
    }
    return report
  }

  private static func trial(_ size: Int, isImproved: Bool, seed: UInt64) -> Outcome {
    var rules = GossipNetwork.Rules()
    rules.hasStrictTicks = !isImproved
    let network = GossipNetwork(seed: seed, rules: rules)
    defer { network.finish() }
    func configure(_ name: String, _ address: SocketAddress) -> GossipConfiguration {
      isImproved ? .lan(name: name, address: address) : .plain(name: name, address: address)
    }
    network.add(configure)
    let start = Instant.start + .seconds(10)
    network.run(until: start)
    for _ in 1..<size { network.add(configure) }
    for number in 1..<size {
      // Processes do not start in the same microsecond.
      network.at(start + network.random.interval(.zero, .milliseconds(100))) {
        network.with(number) { $0.join(GossipNetwork.address(0), at: $1) }
      }
    }
    var seen: Set<Int> = []
    var outcome = Outcome()
    for second in 1...300 {
      network.run(until: start + .seconds(Int64(second)))
      var isComplete = true
      for number in 0..<size {
        let view = network.members[number].layer.viewSize
        seen.insert(view)
        if view != size { isComplete = false }
        if network.members[number].layer.hasFailedJoin {
          network.members[number].layer.hasFailedJoin = false
          network.with(number) { $0.join(GossipNetwork.address(0), at: $1) }
        }
      }
      if isComplete {
        outcome.seconds = Double(second)
        break
      }
    }
    outcome.sizes = seen.count
    outcome.kilobytes = Double(network.members.reduce(0) { $0 + $1.bytesSent }) / 1000 / Double(size)
    return outcome
  }
}
