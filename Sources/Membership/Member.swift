import Base
import Gossip
import Wire

/// What a member is to the pool (gossip.md 6.6). The numbers are Serf's.
public enum MemberStatus: Int, Hashable, Sendable, CustomStringConvertible {
  case none = 0
  case alive = 1
  /// Said that it leaves, and is still there.
  case leaving = 2
  case left = 3
  case failed = 4

  public var description: String {
    switch self {
    case .none: "none"
    case .alive: "alive"
    case .leaving: "leaving"
    case .left: "left"
    case .failed: "failed"
    }
  }
}

/// One member of the pool, as applications see it.
public struct Member: Hashable, Sendable {
  /// Bytes that are no UTF-8 are shown as U+FFFD.
  public var name: String
  public var address: SocketAddress
  public var tags: SerfTags
  public var status: MemberStatus
  public var versions: ProtocolVersions
  /// Lamport time of the newest intent about the member; 0 when there was none.
  public var statusTime: UInt64
}

/// A member with what only this module needs.
struct MemberRecord: NamedRecord, Sendable {
  let name: [UInt8]
  var member: Member
  /// When the member failed or left.
  var leaveTime: Instant?
  /// When a pruning leave intent takes effect on a member that is still leaving.
  var pruneTime: Instant?
  /// Where the member was in the last ack.
  var coordinate: NetworkCoordinate?
  /// Seconds, the newest last; at most `CoordinateTracker.latencySamples`.
  var roundTrips: [Double] = []

  static var vacant: MemberRecord {
    MemberRecord(
      name: [],
      member: Member(
        name: "", address: SocketAddress(.any4, port: 0), tags: SerfTags(), status: .none, versions: .nomad,
        statusTime: 0))
  }
}
