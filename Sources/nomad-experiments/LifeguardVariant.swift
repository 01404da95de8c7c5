import Base
import Gossip

/// One row of the Lifeguard table: which parts are on, and what was published for it.
struct LifeguardVariant: Sendable {
  /// False positives at all members and at healthy ones, packets, bytes: percent of SWIM's.
  struct Shares: Sendable {
    var all: Double
    var healthy: Double?
    var packets: Double?
    var bytes: Double?
  }

  let name: String
  var hasProbe = false
  var hasSuspicion = false
  var hasBuddy = false
  var alpha = 5
  /// Whether who finds a suspect in an exchanged list is one more accuser, as in memberlist.
  var isHearsayHeard = true
  /// Our server: news that are sent at once, exchanges while the pool grows, the answer "you are dead", and one thread,
  /// so that a block holds up the whole process, and not only what it sends and gets.
  var isImproved = false
  var paper: Shares?

  static let swim = LifeguardVariant(name: "SWIM", paper: Shares(all: 100, healthy: 100, packets: 100, bytes: 100))
  static let table = [
    swim,
    LifeguardVariant(
      name: "LHA-Probe", hasProbe: true, paper: Shares(all: 67.72, healthy: 32.88, packets: 98.46, bytes: 90.03)),
    LifeguardVariant(
      name: "LHA-Suspicion", hasSuspicion: true, paper: Shares(all: 3, healthy: 6.71, packets: 111.31, bytes: 106.52)),
    LifeguardVariant(
      name: "Buddy System", hasBuddy: true, paper: Shares(all: 94.08, healthy: 44.57, packets: 100.07, bytes: 99.01)),
    lifeguard("Lifeguard", paper: Shares(all: 1.53, healthy: 1.89, packets: 110.59, bytes: 97.97)),
    lifeguard("Lifeguard, alpha 4", alpha: 4, paper: Shares(all: 4.5)),
    lifeguard("Lifeguard, alpha 2", alpha: 2, paper: Shares(all: 13.4)),
    lifeguard("ours improved", isImproved: true),
    lifeguard("Lifeguard, alpha 2, no hearsay", alpha: 2, isHearsayHeard: false),
  ]

  static func lifeguard(
    _ name: String, alpha: Int = 5, isHearsayHeard: Bool = true, isImproved: Bool = false, paper: Shares? = nil
  ) -> LifeguardVariant {
    LifeguardVariant(
      name: name, hasProbe: true, hasSuspicion: true, hasBuddy: true, alpha: alpha,
      isHearsayHeard: isHearsayHeard, isImproved: isImproved, paper: paper)
  }

  func configuration(name: String, address: SocketAddress) -> GossipConfiguration {
    var configuration =
      isImproved
      ? GossipConfiguration.lan(name: name, address: address) : .plain(name: name, address: address)
    configuration.suspicionMultiplier = alpha
    configuration.suspicionConfirmations = 3
    configuration.hearsayConfirms = isHearsayHeard && !isImproved
    // The paper's rule, for the paper's rows.
    configuration.stretchesPeriods = hasProbe
    configuration.awarenessMaximum = hasProbe ? 9 : 1
    configuration.suspicionMaximumMultiplier = hasSuspicion ? 6 : 1
    configuration.tellsSuspects = hasBuddy
    configuration.nackTimeout = .milliseconds(400)
    return configuration
  }

  /// The paper does not tell. It matters after gaps of a millisecond, in which a member does not get to all that is
  /// waiting. Chosen by SWIM's row.
  static let handlingTime = Interval.microseconds(10)

  /// A pool of these in which everybody knows everybody.
  func pool(_ size: Int, seed: UInt64) -> GossipNetwork {
    var rules = GossipNetwork.Rules()
    rules.hasStrictTicks = !isImproved
    rules.handlingTime = Self.handlingTime
    // Machines of one data centre: an answer fits into the shortest gap.
    rules.latencyMin = .microseconds(100)
    rules.latencyMax = .microseconds(300)
    let network = GossipNetwork(seed: seed, rules: rules)
    for _ in 0..<size { network.add { configuration(name: $0, address: $1) } }
    network.introduceAll()
    return network
  }
}
