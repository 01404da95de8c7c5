import Base
import Gossip

/// Who may be in the pool (gossip.md 7.3, 7.4).
public enum AdmissionRule: Hashable, Sendable {
  /// Only Nomad servers: tag `role` is `nomad`, and the tags that peers insist on are well formed.
  case nomadServers
  /// Everybody; for tests against plain Serf agents.
  case anybody
}

/// Settings of a membership machine (gossip.md 6.12). The gossip part holds name, address and timing of the layer
/// below.
public struct MembershipConfiguration: Sendable {
  public var gossip: GossipConfiguration
  /// At most 512 bytes when encoded; `MembershipMachine.fits` tells.
  public var tags: [String: String]
  public var admission = AdmissionRule.nomadServers
  /// Regions beside our own whose servers may be in the pool; nil: all.
  public var federation: [String]?
  /// Further addresses that are ours, for instance those of all interfaces when bound to the unspecified address.
  public var localAddresses: [SocketAddress] = []
  /// Whether members recorded before a graceful leave are joined again after a restart.
  public var rejoinAfterLeave = false

  public var broadcastTimeout: Interval = .seconds(5)
  /// At least this long before memberlist's farewell, our leave intent is out: a peer that hears the farewell first
  /// takes it for a failure, and datagrams overtake each other.
  public var leaveIntentLeadTime: Interval = .milliseconds(200)
  public var leavePropagateDelay: Interval = .seconds(1)
  public var reapInterval: Interval = .seconds(15)
  public var reconnectInterval: Interval = .seconds(30)
  /// How long a failed member is remembered.
  public var reconnectTimeout: Interval = .hours(72)
  /// How long a left member is remembered.
  public var tombstoneTimeout: Interval = .hours(24)
  public var recentIntentTimeout: Interval = .minutes(5)
  public var queryTimeoutMultiplier = 16
  /// A change of the keyring is answered only after `MembershipMachine.keyringStored`.
  public var awaitsKeyringStorage = false
  /// Lamport times of events and queries that are remembered.
  public var bufferSlots = 512
  /// Different events or queries remembered for one Lamport time.
  public var maximumEntriesPerSlot = 64
  public var maximumQueuedBroadcasts = 4096
  /// Members in any status. More than memberlist's nodes, because failed and left ones are remembered for days.
  public var maximumMembers = 20_000
  /// Names and payloads of all remembered user events together.
  public var maximumRememberedEventBytes = 8 << 20
  public var snapshotClockInterval: Interval = .milliseconds(500)
  /// Dials at the same time, over all joins.
  public var maximumConcurrentDials = 32
  /// Waiting times between rounds of re-joining the members of the snapshot; the last one repeats.
  public var rejoinDelays: [Interval] = [
    .milliseconds(200), .milliseconds(500), .seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(15),
  ]
  public var maximumRejoinRounds = 20
  /// Members of the snapshot dialled in one round.
  public var maximumRejoinMembers = 16

  public init(gossip: GossipConfiguration, tags: [String: String]) {
    self.gossip = gossip
    self.tags = tags
  }
}
