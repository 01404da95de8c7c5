import Base
import Gossip

/// One gossip machine with what surrounds it.
struct VirtualMember {
  var machine: GossipMachine
  var layer: MemberLayer
  var effects: Effects
  var isRunning = true
  /// The wake-up that counts; others are stale.
  var wakeAt = Instant.distantFuture
  /// Nothing passes in or out until then; it is held, and passes at that time.
  var blockedUntil = Instant.start
  /// No timer runs until then.
  var stalledUntil = Instant.start
  /// Share of datagrams lost on the way in and out.
  var ingressLoss = 0.0
  var egressLoss = 0.0
  var streams: [(id: ConnectionID, index: Int)] = []
  var packetsSent: UInt64 = 0
  var bytesSent: UInt64 = 0

  init(_ configuration: GossipConfiguration, relation: Kinship, seed: UInt64, at now: Instant) {
    effects = Effects(seed: seed, minimumLogLevel: .error)
    layer = MemberLayer()
    layer.relation = relation
    machine = GossipMachine(configuration: configuration, at: now, effects: &effects)
    machine.boot(at: now, above: &layer, effects: &effects)
  }

  mutating func receive(_ bytes: [UInt8], from peer: SocketAddress, at now: Instant) {
    machine.handleDatagram(bytes.bytes, from: peer, at: now, above: &layer, effects: &effects)
  }

  mutating func wake(at now: Instant) {
    machine.handleTimeout(at: now, above: &layer, effects: &effects)
  }

  mutating func join(_ seed: SocketAddress, at now: Instant) {
    machine.exchange(with: seed, isJoin: true, token: ExchangeToken(number: 1), at: now, effects: &effects)
  }

  /// Knows the peers from now on, as if they had joined long ago.
  mutating func learn(_ peers: [(name: [UInt8], address: SocketAddress)], at now: Instant) {
    machine.adopt(peers, at: now, above: &layer, effects: &effects)
  }

  /// When the machine wants to be woken. `isStrict` keeps memberlist's ticks even while nothing waits.
  func deadline(isStrict: Bool) -> Instant? {
    let deadline = machine.deadline
    return isStrict || layer.hasBroadcasts ? min(deadline ?? .distantFuture, machine.gossipTick) : deadline
  }
}
