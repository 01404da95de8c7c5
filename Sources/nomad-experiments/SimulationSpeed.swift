import Base
import Gossip

/// How fast the virtual network is: two minutes of a large pool in which nothing happens but the protocol.
enum SimulationSpeed {
  static let size = 2000
  static let length = Interval.seconds(120)

  /// One line for people. The clock is left to the shell: `time nomad-experiments --speed`.
  static func run(seed: UInt64) -> String {
    let network = GossipNetwork(seed: seed)
    for _ in 0..<size { network.add { .plain(name: $0, address: $1) } }
    network.introduceAll()
    network.run(until: .start + length)
    let packets = network.members.reduce(0) { $0 + $1.packetsSent }
    return """
      \(size) members, \(Int(length.seconds)) s of LAN gossip in a steady pool: \(packets) packets, \
      \(network.eventCount) events
      """
  }
}
