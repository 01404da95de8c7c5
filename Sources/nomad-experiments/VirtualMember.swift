import Base
import Gossip

/// One gossip machine with what surrounds it.
struct VirtualMember {
  var machine: GossipMachine
  var layer: MemberLayer
  var effects: Effects
  var isRunning = true
  /// memberlist's gossip ticks: news wait for the next one even after a quiet time.
  let hasStrictTicks: Bool
  /// The wake-up that counts; others are stale.
  var wakeAt = Instant.distantFuture
  /// Nothing passes in or out until then; it is held, and passes at that time.
  var blockedUntil = Instant.start
  /// Until then it looks at the packets that waited.
  var busyUntil = Instant.start
  /// While blocked: loops that hang in their first send since then.
  var hanging: GossipActivities = []
  /// No timer runs until then.
  var stalledUntil = Instant.start
  /// Share of datagrams lost on the way in and out.
  var ingressLoss = 0.0
  var egressLoss = 0.0
  var streams: [(id: ConnectionID, index: Int)] = []
  var packetsSent: UInt64 = 0
  var bytesSent: UInt64 = 0

  init(_ configuration: GossipConfiguration, relation: Kinship, hasStrictTicks: Bool, seed: UInt64, at now: Instant) {
    self.hasStrictTicks = hasStrictTicks
    effects = Effects(seed: seed, minimumLogLevel: .error)
    layer = MemberLayer()
    layer.relation = relation
    machine = GossipMachine(configuration: configuration, at: now, effects: &effects)
    machine.boot(at: now, above: &layer, effects: &effects)
  }

  mutating func receive(_ bytes: [UInt8], from peer: SocketAddress, at now: Instant) {
    passTicks(at: now)
    machine.handleDatagram(bytes.bytes, from: peer, at: now, above: &layer, effects: &effects)
  }

  mutating func wake(at now: Instant) {
    passTicks(at: now)
    machine.handleTimeout(at: now, above: &layer, effects: &effects)
  }

  /// What goes on inside of a blocked member: suspicions end, and each loop goes on up to its first send.
  mutating func wakeBlocked(at now: Instant) {
    passTicks(at: now)
    machine.paused = .all
    machine.handleTimeout(at: now, above: &layer, effects: &effects)
    for activity: GossipActivities in [.probing, .exchanging, .gossiping] where !hanging.contains(activity) {
      let sent = effects.outbox.directives.count
      machine.paused = GossipActivities.all.subtracting(activity)
      machine.handleTimeout(at: now, above: &layer, effects: &effects)
      if effects.outbox.directives.count > sent { hanging.insert(activity) }
    }
    machine.paused = hanging
  }

  /// The block is over: every loop comes back from its send.
  mutating func unblock(at now: Instant) {
    if !hanging.contains(.gossiping) { passTicks(at: now) }
    hanging = []
    machine.paused = []
    machine.handleTimeout(at: now, above: &layer, effects: &effects)
  }

  /// Ticks with nothing to say need no wake-up.
  mutating func passTicks(at now: Instant) {
    if hasStrictTicks, !layer.hasBroadcasts, machine.queueDepth == 0 { machine.passGossipTicks(until: now) }
  }

  mutating func join(_ seed: SocketAddress, at now: Instant) {
    machine.exchange(with: seed, isJoin: true, token: ExchangeToken(number: 1), at: now, effects: &effects)
  }

  /// Knows the peers from now on, as if they had joined long ago.
  mutating func learn(_ peers: [(name: [UInt8], address: SocketAddress)], at now: Instant) {
    machine.adopt(peers, at: now, above: &layer, effects: &effects)
  }

  /// When the machine wants to be woken.
  var deadline: Instant? {
    let deadline = machine.deadline
    guard layer.hasBroadcasts, !hanging.contains(.gossiping) else { return deadline }
    return min(deadline ?? .distantFuture, machine.gossipTick)
  }
}
