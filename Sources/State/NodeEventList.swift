import Base
import Wire

/// The last events of a node, oldest first, kept encoded (fields of any version included).
struct NodeEventList: Hashable, Sendable {
  /// Events kept per node (raft.md 7.3).
  static let maximumCount = 10

  /// Concatenated event maps.
  private(set) var encoded: [UInt8] = []
  private(set) var count = 0

  init() {}

  /// Reads a Go `[]*NodeEvent`; nil elements are dropped, of a longer list the last ten stay.
  init(decoding reader: inout MessagePackReader) throws(WireError) {
    let total = try reader.readArrayHeader()
    for _ in 0..<total {
      if try reader.readNil() { continue }
      guard try reader.peekKind() == .map else { throw .typeMismatch }
      append(encoded: try reader.skip())
    }
  }

  /// Appends one encoded event as it is.
  private mutating func append(encoded event: RawSpan) {
    if count == Self.maximumCount { removeFirst() }
    encoded.append(contentsOf: event)
    count += 1
  }

  /// Appends an event of a log entry, which gets the entry's index as `CreateIndex`.
  mutating func append(_ event: RawSpan, createIndex: UInt64) throws(WireError) {
    let stamped = try [UInt8].patched(event) { $0.set("CreateIndex", unsigned: createIndex) }
    append(encoded: stamped.bytes)
  }

  /// Appends an event that the store itself makes.
  mutating func append(_ event: NodeEvent, createIndex: UInt64) {
    var bytes: [UInt8] = []
    event.pack(into: &bytes, createIndex: createIndex)
    append(encoded: bytes.bytes)
  }

  private mutating func removeFirst() {
    let rest: [UInt8]
    do throws(WireError) {
      var reader = MessagePackReader(encoded.bytes)
      try reader.skip()
      rest = encoded.bytes.copy(reader.offset..<encoded.count)
    } catch {
      preconditionFailure("only whole values are stored")
    }
    encoded = rest
    count -= 1
  }

  /// As Go's `[]*NodeEvent`; nil when there is none.
  func pack(into out: inout [UInt8]) {
    guard count > 0 else { return out.packNil() }
    out.packArrayHeader(count)
    out.append(contentsOf: encoded)
  }
}

/// An event of a node as the server creates it.
public struct NodeEvent: Hashable, Sendable {
  public var message: String
  public var subsystem: String
  public var time: WallTime

  public init(_ message: String, subsystem: String = NodeEvent.cluster, at time: WallTime) {
    self.message = message
    self.subsystem = subsystem
    self.time = time
  }

  public static let cluster = "Cluster"
  public static let drain = "Drain"

  public static let registered = "Node registered"
  public static let reregistered = "Node re-registered"
  public static let heartbeatMissed = "Node heartbeat missed"
  public static let reregisteredByHeartbeat = "Node reregistered by heartbeat"
  public static let markedEligible = "Node marked as eligible for scheduling"
  public static let markedIneligible = "Node marked as ineligible for scheduling"
  public static let drainSet = "Node drain strategy set"
  /// Spelled as Nomad spells it.
  public static let drainUpdated = "Node drain stategy updated"
  public static let drainDisabled = "Node drain disabled"
  public static let drainComplete = "Node drain complete"

  func pack(into out: inout [UInt8], createIndex: UInt64 = 0) {
    out.packMapHeader(5)
    out.pack("CreateIndex")
    out.pack(unsigned: createIndex)
    out.pack("Details")
    out.packNil()
    out.pack("Message")
    out.pack(message)
    out.pack("Subsystem")
    out.pack(subsystem)
    out.pack("Timestamp")
    out.pack(GoTime(time))
  }
}
