import Base
import Gossip

/// Intents about members that are not known yet: gossip has no order, so "X joins" may come before X (gossip.md 6.6).
struct IntentBuffer {
  struct Intent: NamedRecord {
    let name: [UInt8]
    var lamportTime: UInt64
    var isLeave: Bool
    var received: Instant

    static var vacant: Intent { Intent(name: [], lamportTime: 0, isLeave: false, received: .start) }
  }

  private var table = NameTable<Intent>()

  static let maximumIntents = 10_000

  /// True when the intent is newer than what is buffered. A full buffer loses its oldest eighth.
  mutating func store(_ name: RawSpan, lamportTime: UInt64, isLeave: Bool, at now: Instant) -> Bool {
    if let id = table.find(name) {
      guard lamportTime > table[id].lamportTime else { return false }
      table[id].lamportTime = lamportTime
      table[id].isLeave = isLeave
      table[id].received = now
      return true
    }
    if table.count >= Self.maximumIntents {
      // Many at once, so that a flood of names does not search the whole buffer for each.
      let byAge = table.ids.sorted { table[$0].received < table[$1].received }
      for id in byAge.prefix(Self.maximumIntents / 8) { table.remove(id) }
    }
    table.insert(Intent(name: name.copy(), lamportTime: lamportTime, isLeave: isLeave, received: now))
    return true
  }

  /// The buffered intent about a member that has just become known.
  mutating func take(_ name: [UInt8]) -> Intent? {
    guard let id = table.find(name.bytes) else { return nil }
    let intent = table[id]
    table.remove(id)
    return intent
  }

  mutating func expire(before time: Instant) {
    for id in table.ids where table[id].received < time { table.remove(id) }
  }
}
