import Base
import Gossip
import Wire

// User events and Serf's part of a state exchange (gossip.md 6.5, 6.8).
extension SerfLayer {
  static let maximumEventBytes = 9 * 1024
  /// Serf agents raise the time of a departed member by one with every exchange, so others may hold later times than
  /// the one we are shown. When we come back, our join intent must beat them all, or they see us leaving for ever.
  static let returnMargin: UInt64 = 64

  /// Delivers an event at first sight; true when it must be passed on.
  mutating func remember(_ name: RawSpan, _ payload: RawSpan, at time: UInt64) -> Bool {
    guard LamportClock.isPlausible(time), name.byteCount + payload.byteCount <= Self.maximumEventBytes else {
      return false
    }
    eventClock.witness(time)
    guard time >= eventMinimum || isLasting(name) else { return false }
    let now = eventClock.time
    guard now <= eventRing.capacity || time >= now - eventRing.capacity else { return false }
    guard eventRing.insert(name, payload, at: time) else { return false }
    events.append(.userEvent(name: name.text(), payload: payload.copy(), lamportTime: time))
    return true
  }

  /// nomadd's own events hold until there is another one, so whoever joins late must know them as well.
  private func isLasting(_ name: RawSpan) -> Bool {
    let prefix = Array("nomadd:".utf8)
    return name.byteCount > prefix.count && name.extracting(first: prefix.count).equals(prefix)
  }

  mutating func appendLocalState(isJoin: Bool, to out: inout [UInt8]) {
    var content = SerfPushPull.Content()
    content.lamportTime = clock.time
    content.eventTime = eventClock.time
    content.queryTime = queryClock.time
    for position in 0..<members.count {
      let record = members[members.id(at: position)]
      content.statusTimes.append((record.name, record.member.statusTime))
      if record.member.status == .left { content.leftMembers.append(record.name) }
    }
    content.events = eventRing.content
    SerfPushPull.encode(content, into: &out)
  }

  mutating func mergeRemoteState(_ bytes: RawSpan, isOurJoin: Bool, at now: Instant, effects: inout Effects) {
    guard bytes.byteCount > 0, bytes.byte(at: 0) == SerfMessageKind.pushPull.rawValue else {
      return effects.log.log(.error, Self.logModule, "serf: Remote state has bad type prefix")
    }
    do throws(WireError) {
      try merge(SerfPushPull(bytes.extracting(1..<bytes.byteCount)), isOurJoin: isOurJoin, now: now, effects: &effects)
    } catch {
      effects.log.log(.error, Self.logModule, "serf: Failed to decode remote state: \(error)")
    }
  }

  private mutating func merge(
    _ remote: SerfPushPull, isOurJoin: Bool, now: Instant, effects: inout Effects
  ) throws(WireError) {
    if remote.lamportTime > 0 { clock.witness(remote.lamportTime - 1) }
    if remote.eventTime > 0 { eventClock.witness(remote.eventTime - 1) }
    if remote.queryTime > 0 { queryClock.witness(remote.queryTime - 1) }

    var left: [[UInt8]] = []
    try remote.forEachLeftMember { left.append($0.copy()) }
    var leftTimes: [[UInt8]: UInt64] = [:]
    for name in left { leftTimes[name] = 0 }
    if left.isEmpty {
      try remote.forEachStatusTime { name, time in
        _ = applyJoin(name, at: time, now: now, effects: &effects)
      }
    } else {
      try remote.forEachStatusTime { name, time in
        let copy = name.copy()
        if leftTimes[copy] != nil {
          leftTimes[copy] = time
        } else {
          _ = applyJoin(name, at: time, now: now, effects: &effects)
        }
      }
    }
    for name in left {
      let time = leftTimes[name] ?? 0
      guard LamportClock.isPlausible(time) else { continue }
      // One more than the status time, so that it beats the join it follows; but two that agree must not raise each
      // other's times with every exchange.
      let isKnown = members.find(name.bytes).map { members[$0].member.status == .left } ?? false
      if name == localName, lifecycle == .alive { clock.witness(time + Self.returnMargin) }
      _ = applyLeave(name.bytes, at: isKnown ? time : time + 1, prune: false, now: now, effects: &effects)
    }
    if isOurJoin, LamportClock.isPlausible(remote.eventTime) { eventMinimum = max(eventMinimum, remote.eventTime) }
    try remote.forEachEvent { time, name, payload in _ = remember(name, payload, at: time) }
  }
}
