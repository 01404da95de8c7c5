import Base
import Gossip
import Wire

// Join and leave intents (gossip.md 6.6). The functions answer "is it news that must be passed on?".
extension SerfLayer {
  mutating func applyJoin(_ name: RawSpan, at time: UInt64, now: Instant, effects: inout Effects) -> Bool {
    guard LamportClock.isPlausible(time), isUsable(name) else { return false }
    clock.witness(time)
    guard let id = members.find(name) else {
      return intents.store(name, lamportTime: time, isLeave: false, at: now)
    }
    guard time > members[id].member.statusTime else { return false }
    if members[id].name == localName, lifecycle == .alive {
      // From an earlier life of ours. Whoever holds it may hold a later "left" too, or believe that we are leaving; a
      // newer word of our own settles both.
      effects.log.log(.debug, Self.logModule, "serf: Outbidding an intent about us from an earlier life")
      broadcastJoinIntent(now: now)
      return false
    }
    members[id].member.statusTime = time
    if members[id].member.status == .leaving { members[id].member.status = .alive }
    return true
  }

  mutating func applyLeave(
    _ name: RawSpan, at time: UInt64, prune: Bool, now: Instant, effects: inout Effects
  ) -> Bool {
    guard LamportClock.isPlausible(time), isUsable(name) else { return false }
    clock.witness(time)
    guard let id = members.find(name) else {
      return intents.store(name, lamportTime: time, isLeave: true, at: now)
    }
    guard time > members[id].member.statusTime else { return false }
    if members[id].name == localName, lifecycle == .alive {
      effects.log.log(.debug, Self.logModule, "serf: Refuting an older leave intent")
      broadcastJoinIntent(now: now)
      return false
    }
    members[id].member.statusTime = time
    switch members[id].member.status {
    case .alive: members[id].member.status = .leaving
    case .failed: becomeLeft(id, isForced: true, effects: &effects)
    case .none, .leaving, .left: break
    }
    if prune { self.prune(id, now: now, effects: &effects) }
    return true
  }

  /// Tells everybody that we are here to stay. The time is the clock's, which is above everything we have seen.
  mutating func broadcastJoinIntent(now: Instant) {
    let time = clock.time
    let name = localName
    clock.witness(time)
    if let id = members.find(name.bytes), time > members[id].member.statusTime {
      members[id].member.statusTime = time
      if members[id].member.status == .leaving { members[id].member.status = .alive }
    }
    var message: [UInt8] = []
    SerfIntent.encodeJoin(lamportTime: time, node: name, into: &message)
    // A later word of ours takes the place of an earlier one, so that nobody can make us fill the queue.
    Self.queue(message.bytes, in: &intentQueue, subject: Self.ownIntent)
  }

  private static let ownIntent = 0

  /// Applies a leave intent of our own making; returns what must be broadcast.
  mutating func makeLeaveIntent(_ name: [UInt8], prune: Bool, now: Instant, effects: inout Effects) -> [UInt8] {
    let time = clock.time
    clock.increment()
    var message: [UInt8] = []
    SerfIntent.encodeLeave(lamportTime: time, node: name, prune: prune, into: &message)
    _ = applyLeave(name.bytes, at: time, prune: prune, now: now, effects: &effects)
    return message
  }

  mutating func becomeLeft(_ id: Int, isForced: Bool, effects: inout Effects) {
    members[id].member.status = .left
    let member = members[id].member
    effects.log.log(
      .info, Self.logModule,
      "serf: EventMemberLeave\(isForced ? " (forced)" : ""): \(member.name) \(member.address.host)")
    events.append(.left(member))
    if members[id].name != localName { emitSnapshot(Snapshot.goneLine(member)) }
  }

  /// Removes a member for good; one that is still leaving gets the time to do so first.
  private mutating func prune(_ id: Int, now: Instant, effects: inout Effects) {
    if members[id].member.status == .leaving {
      members[id].pruneTime = now + configuration.broadcastTimeout + configuration.leavePropagateDelay
    } else {
      erase(id, effects: &effects)
    }
  }

  mutating func erase(_ id: Int, effects: inout Effects) {
    guard members[id].name != localName else { return }
    let member = members[id].member
    members.remove(id)
    effects.log.log(.info, Self.logModule, "serf: EventMemberReap: \(member.name)")
    events.append(.reaped(member))
  }

  /// Forgets members that are gone for too long, and intents about members that never came.
  mutating func reap(now: Instant, effects: inout Effects) {
    intents.expire(before: now - configuration.recentIntentTimeout)
    for id in members.ids {
      guard let leaveTime = members[id].leaveTime else { continue }
      switch members[id].member.status {
      case .failed where now - leaveTime > configuration.reconnectTimeout: erase(id, effects: &effects)
      case .left where now - leaveTime > configuration.tombstoneTimeout: erase(id, effects: &effects)
      case .none, .alive, .leaving, .left, .failed: break
      }
    }
  }

  mutating func pruneDue(now: Instant, effects: inout Effects) {
    for id in members.ids {
      guard let due = members[id].pruneTime, now >= due else { continue }
      members[id].pruneTime = nil
      if members[id].member.status != .alive { erase(id, effects: &effects) }
    }
  }

  private func isUsable(_ name: RawSpan) -> Bool {
    name.byteCount > 0 && name.byteCount <= GossipLimits.maximumNameBytes
  }
}
