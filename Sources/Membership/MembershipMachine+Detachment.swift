import Base
import Gossip

extension MembershipMachine {
  /// Regions that ours was detached from.
  public var detachments: Detachments { serf.detachments }

  /// Parts our region from another one, or allows it again. Everybody of ours gets to know by an event, whoever is down
  /// with his next exchange; servers of the other region are forgotten and answered no more. False: nothing was sent,
  /// because there is no such name.
  public mutating func detach(_ region: String, undo: Bool, at now: Instant, effects: inout Effects) -> Bool {
    guard isNameable(region) else { return false }
    return sendUserEvent(
      name: eventName(undo: undo), payload: Array(region.utf8), mayCoalesce: false, at: now, effects: &effects)
  }

  /// An event that arrived; those of others than nomadd and of other regions are nothing to us.
  public mutating func applyDetachment(
    _ event: String, _ payload: [UInt8], at time: UInt64, now: Instant, effects: inout Effects
  ) {
    guard let undo = [false, true].first(where: { event == eventName(undo: $0) }) else { return }
    let region = String(decoding: payload, as: UTF8.self)
    guard isNameable(region) else { return }
    let isNews = serf.detachments.note(region, isDetached: !undo, at: time)
    if let line = serf.detachments.line(of: region) { serf.emitSnapshot(line) }
    guard isNews else { return }
    if undo {
      withGossip { gossip, _ in gossip.pardonAll() }
      effects.log.log(.info, SerfLayer.logModule, "region may share the pool again", ["region": region])
    } else {
      forget(region, effects: &effects)
    }
    afterCall(at: now, effects: &effects)
  }

  /// A region beside our own, that fits into a line.
  private func isNameable(_ region: String) -> Bool {
    !region.isEmpty && region.utf8.count <= 255 && !region.contains(where: \.isNewline)
      && region != configuration.tags["region"]
  }

  private func eventName(undo: Bool) -> String {
    "nomadd:\(undo ? "attach" : "detach"):\(configuration.tags["region"] ?? "")"
  }

  private mutating func forget(_ region: String, effects: inout Effects) {
    let foreign = serf.members.ids.filter { serf.members[$0].member.tags["region"] == region }
    effects.log.log(
      .warn, SerfLayer.logModule, "detached from a region: its servers are forgotten and answered no more",
      ["region": region, "servers": "\(foreign.count)"])
    rejoin.members.removeAll { $0.name.hasSuffix(".\(region)") }
    for id in foreign {
      let name = serf.members[id].name
      serf.emitSnapshot(Snapshot.goneLine(serf.members[id].member))
      withGossip { gossip, _ in gossip.dismiss(name.bytes) }
      serf.erase(id, effects: &effects)
    }
  }
}
