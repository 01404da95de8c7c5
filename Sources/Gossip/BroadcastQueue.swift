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
    let bytes: [UInt8]
    /// What the message is about; a newer message about the same displaces it.
    let subject: Int?
    let serial: UInt64
    let token: Token?
    var transmits = 0

    /// Fewer transmissions first, then larger, then newer.
    func precedes(_ other: Entry) -> Bool {
      if transmits != other.transmits { return transmits < other.transmits }
      if bytes.count != other.bytes.count { return bytes.count > other.bytes.count }
      return serial > other.serial
    }
  }

  /// In the order of `precedes`.
  private var entries: [Entry] = []
  private var taken: [Int] = []
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

  public var count: Int { entries.count }
  public var isEmpty: Bool { entries.isEmpty }
  /// True while a message was never sent.
  public var hasFresh: Bool { entries.first?.transmits == 0 }

  /// Precondition: `bytes` is not empty.
  public mutating func add(_ bytes: [UInt8], subject: Int? = nil, mayDisplace: Bool = true, token: Token? = nil) {
    precondition(!bytes.isEmpty)
    guard bytes.count <= maximumMessageBytes else {
      oversized &+= 1
      if let token { finished.append(token) }
      return
    }
    if let subject, mayDisplace, let old = entries.firstIndex(where: { $0.subject == subject }) {
      finish(entries.remove(at: old))
    }
    serial += 1
    insert(Entry(bytes: bytes, subject: subject, serial: serial, token: token))
    if entries.count > maximumEntries { finish(entries.removeLast()) }
  }

  /// Appends messages whose sizes plus `overhead` each fit into `budget`, until `parts` has `maximumParts` elements.
  /// Each is counted as sent once; at `limit` it is done. Returns the bytes used, overheads included.
  public mutating func take(
    budget: Int, overhead: Int, limit: Int, maximumParts: Int, into parts: inout [[UInt8]]
  ) -> Int {
    // Space only shrinks, so one pass in order equals "the largest that fits of the least sent tier, again and again".
    var used = 0
    for index in entries.indices {
      if parts.count >= maximumParts || budget - used < overhead + Self.minimumMessageBytes { break }
      let size = entries[index].bytes.count + overhead
      if size > budget - used { continue }
      used += size
      parts.append(entries[index].bytes)
      taken.append(index)
    }
    var again: [Entry] = []
    while let index = taken.popLast() {
      var entry = entries.remove(at: index)
      entry.transmits += 1
      if entry.transmits >= limit { finish(entry) } else { again.append(entry) }
    }
    for entry in again { insert(entry) }
    return used
  }

  /// True when the token's message is done; forgets the token then.
  public mutating func takeFinished(_ token: Token) -> Bool {
    guard let index = finished.firstIndex(of: token) else { return false }
    finished.remove(at: index)
    return true
  }

  public mutating func removeAll() {
    for entry in entries { finish(entry) }
    entries.removeAll()
  }

  private mutating func finish(_ entry: Entry) {
    if let token = entry.token { finished.append(token) }
  }

  private mutating func insert(_ entry: Entry) {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].precedes(entry) { low = middle + 1 } else { high = middle }
    }
    entries.insert(entry, at: low)
  }
}
