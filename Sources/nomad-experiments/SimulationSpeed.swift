import Base
import Gossip

/// How fast the virtual network is: two minutes of a large pool in which nothing happens but the protocol.
enum SimulationSpeed {
  static let size = 2000
  static let length = Interval.seconds(120)

  /// One line for people, as the machine's speed is no part of an experiment.
  static func run(seed: UInt64) -> String {
    let clock = ContinuousClock()
    let start = clock.now
    let network = GossipNetwork(seed: seed)
    for _ in 0..<size { network.add { .plain(name: $0, address: $1) } }
    network.introduceAll()
    let built = clock.now
    network.run(until: .start + length)
    let finished = clock.now
    let packets = network.members.reduce(0) { $0 + $1.packetsSent }
    let seconds = (finished - built) / .seconds(1)
    return """
      \(size) members, \(Int(length.seconds)) s of LAN gossip in a steady pool: \(number(seconds)) s, after \
      \(number((built - start) / .seconds(1))) s to make it; \(packets) packets and \(network.eventCount) events, \
      \(number(seconds * 1e6 / Double(network.eventCount))) us each
      """
  }
}
