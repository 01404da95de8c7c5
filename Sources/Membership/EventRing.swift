import Base
import Wire

/// Remembers the user events of the last Lamport times, so that each is delivered and passed on once (gossip.md 6.8).
struct EventRing {
  private struct Slot {
    var time: UInt64
    var items: [(name: [UInt8], payload: [UInt8])]

    var byteCount: Int { items.reduce(0) { $0 + $1.name.count + $1.payload.count } }
  }

  private var slots: [Slot?]
  private let maximumItems: Int
  private let maximumBytes: Int
  private(set) var byteCount = 0

  init(configuration: MembershipConfiguration) {
    slots = Array(repeating: nil, count: max(1, configuration.bufferSlots))
    maximumItems = configuration.maximumEntriesPerSlot
    maximumBytes = configuration.maximumRememberedEventBytes
  }

  var capacity: UInt64 { UInt64(slots.count) }

  /// False for an event that is known, and when its slot or the whole ring is full.
  mutating func insert(_ name: RawSpan, _ payload: RawSpan, at time: UInt64) -> Bool {
    let index = Int(time % capacity)
    let size = name.byteCount + payload.byteCount
    let replaced = slots[index].map { $0.time == time ? 0 : $0.byteCount } ?? 0
    guard byteCount - replaced + size <= maximumBytes else { return false }
    if let slot = slots[index], slot.time == time {
      for item in slot.items where name.equals(item.name) && payload.equals(item.payload) { return false }
      guard slot.items.count < maximumItems else { return false }
      slots[index]?.items.append((name.copy(), payload.copy()))
    } else {
      slots[index] = Slot(time: time, items: [(name.copy(), payload.copy())])
    }
    byteCount += size - replaced
    return true
  }

  /// Filled slots, for a state exchange.
  var content: [(time: UInt64, items: [(name: [UInt8], payload: [UInt8])])] {
    slots.compactMap { slot in slot.map { ($0.time, $0.items) } }
  }
}

/// Remembers the ids of the queries of the last Lamport times (gossip.md 6.7).
struct QueryRing {
  private struct Slot {
    var time: UInt64
    var ids: [UInt32]
  }

  private var slots: [Slot?]
  private let maximumIDs: Int

  init(configuration: MembershipConfiguration) {
    slots = Array(repeating: nil, count: max(1, configuration.bufferSlots))
    maximumIDs = configuration.maximumEntriesPerSlot
  }

  var capacity: UInt64 { UInt64(slots.count) }

  /// False for a query that is known, and when its slot is full.
  mutating func insert(_ id: UInt32, at time: UInt64) -> Bool {
    let index = Int(time % capacity)
    if let slot = slots[index], slot.time == time {
      guard !slot.ids.contains(id), slot.ids.count < maximumIDs else { return false }
      slots[index]?.ids.append(id)
    } else {
      slots[index] = Slot(time: time, ids: [id])
    }
    return true
  }
}
