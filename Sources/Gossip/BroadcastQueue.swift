import Base
import Wire

/// Messages that spread by gossip, each in a limited number of packets, the least sent first (gossip.md 5.11).
public struct BroadcastQueue: Sendable {
  /// Reported in `finished` when the message was sent often enough or was displaced.
  public struct Token: Hashable, Sendable {
    public let number: UInt64
    public init(number: UInt64) { self.number = number }
  }

  private struct Entry: Sendable {
    var bytes: [UInt8]
    /// What the message is about; a newer message about the same displaces it.
    var subject: Int?
    var token: Token?
  }

  /// Orders messages: fewer transmissions first, then larger, then newer. Apart from the entries and without
  /// references, so that moving thousands of them is one copy of memory.
  private struct Place: Comparable, Sendable {
    private var key: UInt64
    let slot: Int32

    init(transmits: Int, bytes: Int, serial: UInt64, slot: Int) {
      let size = UInt64(0xFFFF - min(bytes, 0xFFFF))
      key = UInt64(min(transmits, 0xFF)) << 56 | size << 40 | (Self.serialMask - serial & Self.serialMask)
      self.slot = Int32(slot)
    }

    private static let serialMask: UInt64 = (1 << 40) - 1
    var transmits: Int { Int(key >> 56) }
    var transmitted: Place {
      var result = self
      if transmits < 0xFF { result.key += 1 << 56 }
      return result
    }
    static func < (a: Place, b: Place) -> Bool { a.key < b.key }
  }

  /// By slot; vacant ones are in `free`.
  private var entries: [Entry] = []
  private var free: [Int32] = []
  private var places: [Place] = []
  private var taken: [Place] = []
  private var serial: UInt64 = 0
  private let maximumEntries: Int
  private let maximumMessageBytes: Int
  /// Messages that no packet could hold; they were not queued.
  public private(set) var oversized: UInt64 = 0

  /// Tokens of messages that are done; the owner takes them.
  public private(set) var finished: [Token] = []

  /// No message of the formats in use is shorter.
  static let minimumMessageBytes = 8

  /// Beyond `maximumEntries` the most transmitted message is dropped. A message longer than `maximumMessageBytes` would
  /// wait for ever, so it is not taken in.
  public init(maximumEntries: Int, maximumMessageBytes: Int = GossipLimits.packetBudget) {
    self.maximumEntries = maximumEntries
    self.maximumMessageBytes = maximumMessageBytes
  }

  public var count: Int { places.count }
  public var isEmpty: Bool { places.isEmpty }
  /// True while a message was never sent.
  public var hasFresh: Bool { places.first?.transmits == 0 }

  /// Precondition: `bytes` is not empty.
  public mutating func add(_ bytes: [UInt8], subject: Int? = nil, mayDisplace: Bool = true, token: Token? = nil) {
    precondition(!bytes.isEmpty)
    guard bytes.count <= maximumMessageBytes else {
      oversized &+= 1
      if let token { finished.append(token) }
      return
    }
    if let subject, mayDisplace, let old = places.firstIndex(where: { entries[Int($0.slot)].subject == subject }) {
      finish(places.remove(at: old))
    }
    serial += 1
    let entry = Entry(bytes: bytes, subject: subject, token: token)
    let slot = free.popLast().map { Int($0) } ?? entries.count
    if slot == entries.count { entries.append(entry) } else { entries[slot] = entry }
    insert(Place(transmits: 0, bytes: bytes.count, serial: serial, slot: slot))
    if places.count > maximumEntries { finish(places.removeLast()) }
  }

  /// Appends messages whose sizes plus `overhead` each fit into `budget`, until `parts` has `maximumParts` elements.
  /// Each is counted as sent once; at `limit` it is done. Returns the bytes used, overheads included.
  public mutating func take(
    budget: Int, overhead: Int, limit: Int, maximumParts: Int, into parts: inout [[UInt8]]
  ) -> Int {
    // Space only shrinks, so one pass in order equals "the largest that fits of the least sent tier, again and again".
    var used = 0
    var kept = 0
    var position = 0
    while position < places.count {
      if parts.count >= maximumParts || budget - used < overhead + Self.minimumMessageBytes { break }
      let place = places[position]
      let size = entries[Int(place.slot)].bytes.count + overhead
      position += 1
      if size > budget - used {
        places[kept] = place
        kept += 1
        continue
      }
      used += size
      parts.append(entries[Int(place.slot)].bytes)
      taken.append(place)
    }
    places.removeSubrange(kept..<position)
    for place in taken {
      if place.transmits + 1 >= limit { finish(place) } else { insert(place.transmitted) }
    }
    taken.removeAll(keepingCapacity: true)
    return used
  }

  public mutating func removeAll() {
    for place in places { finish(place) }
    places.removeAll()
  }

  /// The message is done; its place is no longer in `places`.
  private mutating func finish(_ place: Place) {
    let slot = Int(place.slot)
    if let token = entries[slot].token { finished.append(token) }
    entries[slot] = Entry(bytes: [])
    free.append(place.slot)
  }

  private mutating func insert(_ place: Place) {
    var low = 0
    var high = places.count
    while low < high {
      let middle = (low + high) / 2
      if places[middle] < place { low = middle + 1 } else { high = middle }
    }
    places.insert(place, at: low)
  }
}
