import Base

/// Why foreign input was not used; one counter each.
public enum DropCause: Int, Hashable, Sendable, CaseIterable {
  case empty, label, undecryptable, checksum, malformed, unknownKind, nesting, compression
  /// A ping for somebody else's name.
  case misaddressed
  /// An alive message with an unusable name, address, metadata or version vector.
  case unusable
  /// Refused by the layer above.
  case notAdmitted
  /// From a node that is not to hold us for a member.
  case shunned
  case conflict
  /// A table is full.
  case limit

  /// For the log.
  var words: String {
    switch self {
    case .empty: "it is empty"
    case .label: "it has not the label of this pool"
    case .undecryptable: "no installed key opens it"
    case .checksum: "its checksum is wrong"
    case .malformed: "it cannot be read"
    case .unknownKind: "it is of an unknown type"
    case .nesting: "it is wrapped too often"
    case .compression: "it cannot be decompressed"
    case .misaddressed: "it is meant for another name"
    case .unusable: "it announces a node with an unusable name, address, tags or versions"
    case .notAdmitted: "it announces a node that is not admitted"
    case .shunned: "it comes from a region that was detached"
    case .conflict: "it claims a name that another node has"
    case .limit: "a table is full"
    }
  }
}

/// What a gossip machine did, for telemetry. Counters wrap.
public struct GossipStatistics: Hashable, Sendable {
  public internal(set) var packetsReceived: UInt64 = 0
  public internal(set) var packetsSent: UInt64 = 0
  public internal(set) var streamsAccepted: UInt64 = 0
  public internal(set) var streamsFailed: UInt64 = 0
  public internal(set) var exchangesMerged: UInt64 = 0
  public internal(set) var exchangesRefused: UInt64 = 0
  public internal(set) var probesSucceeded: UInt64 = 0
  public internal(set) var probesFailed: UInt64 = 0
  public internal(set) var refutations: UInt64 = 0
  /// Nodes that we have begun to suspect, by our own probe or by others' word.
  public internal(set) var suspicions: UInt64 = 0
  /// How often UDP to a node was found blocked, or open again.
  public internal(set) var datagramVerdicts: UInt64 = 0
  /// Time to the direct ack of the last probe that had one, and the sum over all of them.
  public internal(set) var lastRoundTrip = Interval.zero
  public internal(set) var roundTripSum = Interval.zero
  public internal(set) var roundTrips: UInt64 = 0
  private var drops = InlineCounters()

  public init() {}

  public subscript(cause: DropCause) -> UInt64 { drops.values[cause.rawValue] }
  public var dropped: UInt64 { drops.values.reduce(0, &+) }

  mutating func count(_ cause: DropCause) { drops.values[cause.rawValue] &+= 1 }

  private struct InlineCounters: Hashable, Sendable {
    var values = [UInt64](repeating: 0, count: DropCause.allCases.count)
  }
}
