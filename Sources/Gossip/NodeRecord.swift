import Base
import Wire

/// What memberlist knows about one node (gossip.md 5.1).
public struct NodeRecord: NamedRecord, Sendable {
  public let name: [UInt8]
  public internal(set) var address: SocketAddress
  /// Encoded tags.
  public internal(set) var metadata: [UInt8]
  public internal(set) var versions: ProtocolVersions
  public internal(set) var incarnation: UInt32
  public internal(set) var state: NodeState
  /// When `state` changed last.
  public internal(set) var stateChange: Instant
  /// What the layer above says about us and the node.
  var kinship = Kinship.stranger
  /// When the node last answered a probe of ours, by whatever way, or pinged us.
  var lastHeard = Instant(nanoseconds: .min)
  /// Deaths of which each followed the one before within `GossipConfiguration.probationMemory`.
  var deaths = 0
  var lastDeath = Instant(nanoseconds: .min)
  /// The node is back, and the layer above will hear of it then.
  var probationEnd: Instant?
  /// Runs while the node is suspect.
  var suspicion: Suspicion?
  /// A broadcast about the node was queued at some time, so the queue must be searched before the next one.
  var wasBroadcast = false
  /// The last probe that succeeded did so over TCP only: a firewall between us drops UDP.
  public internal(set) var areDatagramsBlocked = false

  init(
    name: [UInt8], address: SocketAddress, metadata: [UInt8], versions: ProtocolVersions, incarnation: UInt32,
    state: NodeState, stateChange: Instant
  ) {
    self.name = name
    self.address = address
    self.metadata = metadata
    self.versions = versions
    self.incarnation = incarnation
    self.state = state
    self.stateChange = stateChange
  }

  /// The name as text, for people.
  public var displayName: String { name.bytes.text() }

  public static var vacant: NodeRecord {
    NodeRecord(
      name: [], address: SocketAddress(.any4, port: 0), metadata: [], versions: .nomad, incarnation: 0, state: .dead,
      stateChange: .start)
  }
}
