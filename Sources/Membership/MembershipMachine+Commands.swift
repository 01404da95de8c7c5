import Base
import Gossip
import Wire

extension MembershipMachine {
  /// Dials every address at once and exchanges state. `joinFinished` follows when all are decided; our own address is
  /// never dialled and never a success.
  public mutating func join(_ addresses: [SocketAddress], at now: Instant, effects: inout Effects) -> JoinID {
    let id = JoinID(number: serf.takeNumber())
    serf.joins.append(
      PendingJoin(id: id, addresses: addresses, results: Array(repeating: nil, count: addresses.count)))
    for (position, address) in addresses.enumerated() {
      if serf.lifecycle != .alive {
        serf.settle(id, position: position, .refused("the member is leaving"))
      } else if isOwn(address) {
        serf.settle(id, position: position, .ownAddress)
      } else {
        serf.requestExchange(with: address, .join(id, position: position))
      }
    }
    if addresses.isEmpty, let index = serf.joins.firstIndex(where: { $0.id == id }) { serf.finishIfComplete(index) }
    afterCall(at: now, effects: &effects)
    return id
  }

  /// Leaves in order: the intent spreads first, then memberlist's own farewell, then a second passes while probes are
  /// still answered. `leaveFinished` follows. Final for this machine.
  public mutating func leave(at now: Instant, effects: inout Effects) {
    guard serf.lifecycle == .alive else { return }
    serf.emitSnapshot("leave")
    serf.lifecycle = .leaving
    rejoin.due = nil
    let hasAudience = gossip.hasLivePeer
    let message = serf.makeLeaveIntent(serf.localName, prune: false, now: now, effects: &effects)
    if hasAudience {
      SerfLayer.queue(message.bytes, in: &serf.intentQueue, token: Self.leaveIntentToken)
      departure = .spreadingIntent(
        notBefore: now + configuration.leaveIntentLeadTime, until: now + configuration.broadcastTimeout)
    } else {
      departure = .spreadingIntent(notBefore: now, until: now)
    }
    withGossip { gossip, _ in gossip.isHurried = true }
    afterCall(at: now, effects: &effects)
  }

  /// Declares another member gone. A failed one becomes left everywhere; a live one refutes. `prune` makes everybody
  /// forget it.
  public mutating func forceLeave(
    _ name: String, prune: Bool, at now: Instant, effects: inout Effects
  ) -> ForceLeaveOutcome {
    let bytes = Array(name.utf8)
    guard bytes != serf.localName else { return .ourselves }
    guard let id = serf.members.find(bytes.bytes) else { return .unknown }
    let previous = serf.members[id].member.status
    let hasAudience = gossip.hasLivePeer
    let message = serf.makeLeaveIntent(bytes, prune: prune, now: now, effects: &effects)
    if hasAudience { SerfLayer.queue(message.bytes, in: &serf.intentQueue) }
    afterCall(at: now, effects: &effects)
    return .spread(previous: previous)
  }

  /// Announces new tags.
  public mutating func setTags(
    _ tags: [String: String], at now: Instant, effects: inout Effects
  ) throws(TagError) {
    let metadata = SerfTags(tags).metadata
    guard metadata.count <= GossipLimits.maximumMetadataBytes else { throw .tooLarge(bytes: metadata.count) }
    guard serf.lifecycle == .alive else { throw .leaving }
    serf.configuration.tags = tags
    withGossip { gossip, serf in gossip.setMetadata(metadata, at: now, above: &serf, effects: &effects) }
    afterCall(at: now, effects: &effects)
  }

  /// Floods an application event. Throws nothing: an event that is too large is refused by `false`.
  public mutating func sendUserEvent(
    name: String, payload: [UInt8], mayCoalesce: Bool, at now: Instant, effects: inout Effects
  ) -> Bool {
    guard name.utf8.count + payload.count <= Self.maximumUserEventBytes else { return false }
    let time = serf.eventClock.time
    serf.eventClock.increment()
    let bytes = Array(name.utf8)
    var message: [UInt8] = []
    SerfUserEvent.encode(lamportTime: time, name: bytes, payload: payload, mayCoalesce: mayCoalesce, into: &message)
    _ = serf.remember(bytes.bytes, payload.bytes, at: time)
    SerfLayer.queue(message.bytes, in: &serf.eventQueue)
    afterCall(at: now, effects: &effects)
    return true
  }

  static let maximumUserEventBytes = 512

  func isOwn(_ address: SocketAddress) -> Bool {
    address == configuration.gossip.address || configuration.localAddresses.contains(address)
  }

  // MARK: Leaving

  mutating func advanceDeparture(at now: Instant, effects: inout Effects) {
    while true {
      switch departure {
      case .none, .finished: return
      case .spreadingIntent(let notBefore, let until):
        guard now >= until || (now >= notBefore && isIntentSpread) else { return }
        let isAlone = withGossip { gossip, serf in gossip.leave(at: now, above: &serf, effects: &effects) }
        departure = isAlone ? .propagating(until: now) : .leavingGossip(until: now + configuration.broadcastTimeout)
      case .leavingGossip(let until):
        guard now >= until || gossip.hasSpreadLeave else { return }
        departure = .propagating(until: now + configuration.leavePropagateDelay)
      case .propagating(let until):
        guard now >= until else { return }
        departure = .finished
        serf.lifecycle = .left
        serf.events.append(.leaveFinished)
      }
    }
  }

  // MARK: Finding the pool again

  /// All members of the snapshot that are not back yet are dialled together, again and again with growing pauses, until
  /// each was reached or has come by itself: peers that restart at the same moment must not miss each other for good.
  mutating func advanceRejoin(at now: Instant, effects: inout Effects) {
    guard let due = rejoin.due, now >= due else { return }
    rejoin.members.removeAll { entry in
      let name = Array(entry.name.utf8)
      return serf.members.find(name.bytes).map { serf.members[$0].member.status == .alive } ?? false
    }
    guard !rejoin.members.isEmpty, rejoin.round < configuration.maximumRejoinRounds else {
      rejoin.due = nil
      if !rejoin.members.isEmpty {
        effects.log.log(.warn, SerfLayer.logModule, "serf: Failed to re-join any previously known node")
      }
      rejoin.members = []
      return
    }
    rejoin.members.shuffle(using: &effects.random)
    for entry in rejoin.members.prefix(configuration.maximumRejoinMembers) where !isOwn(entry.address) {
      if rejoin.round == 0 {
        effects.log.log(
          .info, SerfLayer.logModule,
          "serf: Attempting re-join to previously known node: \(entry.name): \(entry.address)")
      }
      serf.requestExchange(with: entry.address, .rejoin(entry.address))
    }
    let delays = configuration.rejoinDelays
    let pause = delays.isEmpty ? Interval.seconds(15) : delays[min(rejoin.round, delays.count - 1)]
    rejoin.round += 1
    rejoin.due = now + pause
  }
}
