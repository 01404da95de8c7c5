import Base
import Wire

/// Identity, timing and limits of a gossip machine (gossip.md 5.16). Start from `wan` (what Nomad uses) or `lan`.
public struct GossipConfiguration: Sendable {
  /// Unique name in the pool, as bytes: peers compare names byte by byte.
  public var name: [UInt8]
  /// The address that is announced to peers.
  public var address: SocketAddress
  /// Port that stands in for a missing one in foreign messages: our own bind port.
  public var bindPort: UInt16
  /// Encoded tags announced at start; at most 512 bytes.
  public var metadata: [UInt8] = []
  public var versions = ProtocolVersions.nomad
  /// Separates pools that share a network. Nomad has none.
  public var label: [UInt8] = []

  /// For a whole inbound stream, and for an outbound one after it is connected.
  public var streamTimeout: Interval = .seconds(30)
  /// For the dial alone.
  public var dialTimeout: Interval = .seconds(3)
  public var indirectChecks = 3
  public var retransmitMultiplier = 4
  public var suspicionMultiplier = 6
  public var suspicionMaximumMultiplier = 6
  /// Independent accusers, besides the first, that end a suspicion soonest; nil: `suspicionMultiplier` less two.
  public var suspicionConfirmations: Int?
  /// Whether a suspect in a list that is exchanged has one more accuser in us, as with memberlist. It is hearsay: with
  /// it, one accusation that goes round soon has all the witnesses it wants.
  public var hearsayConfirms = false
  public var pushPullInterval: Interval = .seconds(60)
  public var pushPullScaleThreshold = 32
  /// While the pool grows fast, about this long passes between exchanges of ours with random nodes; nil: only those
  /// that are due anyhow.
  public var catchUpInterval: Interval? = .seconds(1)
  /// So many unknown nodes since the last such exchange make the next one worth its bytes.
  public var catchUpStrangers = 16
  public var probeInterval: Interval = .seconds(5)
  public var probeTimeout: Interval = .seconds(3)
  public var usesStreamPings = true
  /// A suspect is told of the suspicion together with the next ping (Lifeguard's buddy system).
  public var tellsSuspects = true
  /// A node that we hold for dead is told so when it pings us, so that it comes back at once.
  public var tellsDead = true
  /// In a large pool, somebody else's word that a node is dead, of which we had no suspicion, is a suspicion first, so
  /// that one member whose packets get lost cannot remove a healthy one everywhere. Peers do the same with lists they
  /// exchange.
  public var doubtsDeaths = true
  /// In a large pool, a suspicion that is over waits up to this long for others that will be.
  public var removalHold: Interval = .seconds(5)
  /// In a large pool, a node that died again within `probationMemory` is reported as back only when it has stayed for
  /// this long, twice as long after each further death; nil: always at once. Never a neighbour.
  public var probation: Interval? = .seconds(60)
  public var probationMemory: Interval = .minutes(10)
  /// In a large pool, the health score also stretches the time between probes and the wait for a direct ack, as in the
  /// Lifeguard paper, and not only the whole of a probe, as in memberlist.
  public var stretchesPeriods = true
  /// A pool of more nodes is a large one. In a small one everybody watches everybody, and a server that is back is
  /// wanted at once.
  public var smallPoolMaximum = 32
  /// Outdated news about us is put right with whoever sent it, and a suspect that answers us is asked for its state
  /// instead of being held for dead: where packets are lost, its contradiction may be what was lost.
  public var settlesDoubts = true
  /// How long a helper waits before it says that its ping had no answer; nil: `probeTimeout`.
  public var nackTimeout: Interval?
  /// Timing among neighbours; nil: the same for everybody. Neighbours are named by the layer above.
  public var near: NearTiming? = NearTiming()
  /// The health score stays below this.
  public var awarenessMaximum = 8
  public var gossipInterval: Interval = .milliseconds(500)
  /// Gossip tick while we leave: our last messages should be out soon, and peers cannot tell.
  public var leaveGossipInterval: Interval = .milliseconds(100)
  public var gossipNodes = 4
  public var gossipToTheDeadTime: Interval = .seconds(60)
  public var packetBudget = GossipLimits.packetBudget
  /// How long a dead node keeps its name against a claim from another address; zero means until it is purged.
  public var deadNodeReclaimTime: Interval = .zero

  /// Something new is gossiped at once instead of at the next tick, but not more often than this.
  public var urgentGossipSpacing: Interval = .milliseconds(10)
  /// Fan-out of such a round in a small pool; larger ones use `gossipNodes`.
  public var urgentGossipNodes = 10
  /// Packets to each node in such a round.
  public var urgentGossipPackets = 8
  /// Such rounds in a row; each takes `urgentGossipRefill` to be earned again. Foreign messages cause them too, so
  /// without this bound a stranger could make us flood the pool.
  public var urgentGossipBurst = 50
  public var urgentGossipRefill: Interval = .milliseconds(200)

  /// Without a key, replies go only to the packet's source or to addresses of known members (gossip.md 9.4).
  public var verifiesReplyAddresses = true
  public var maximumNodes = 10_000
  public var maximumStreams = 128
  public var maximumStreamsPerHost = 16
  /// Streams that one host may open at once, and then each second; not for loopback.
  public var streamBurst = 64
  public var streamsPerSecond = 16
  /// Bytes that compressed packets and streams of one host may expand to at once, and then each second.
  public var expansionBurstBytes = 64 << 20
  public var expandedBytesPerSecond = 8 << 20
  /// Indirect pings that we carry out for others at the same time.
  public var maximumRelays = 1024
  /// Bytes of unfinished inbound messages over all streams.
  public var maximumBufferedBytes = 128 << 20

  /// The longest message that fits into a packet of its own, with compound, label and encryption around it.
  public var maximumBroadcastBytes: Int {
    packetBudget - 4 - (label.isEmpty ? 0 : 2 + label.count) - Self.encryptionBytes
  }

  private static let encryptionBytes = 29

  public init(name: String, address: SocketAddress) {
    self.name = Array(name.utf8)
    self.address = address
    self.bindPort = address.port
  }

  /// Timing for servers of regions that are far apart. Nomad uses it everywhere.
  public static func wan(name: String, address: SocketAddress) -> GossipConfiguration {
    GossipConfiguration(name: name, address: address)
  }

  /// Timing for one local network, the default of Serf agents.
  public static func lan(name: String, address: SocketAddress) -> GossipConfiguration {
    var configuration = GossipConfiguration(name: name, address: address)
    configuration.near = nil
    configuration.streamTimeout = .seconds(10)
    configuration.suspicionMultiplier = 4
    configuration.pushPullInterval = .seconds(30)
    configuration.probeInterval = .seconds(1)
    configuration.probeTimeout = .milliseconds(500)
    configuration.gossipInterval = .milliseconds(200)
    configuration.gossipNodes = 3
    configuration.gossipToTheDeadTime = .seconds(30)
    return configuration
  }
}

/// Failure detection among neighbours: as fast as in one local network, while the rest of the pool is far away.
public struct NearTiming: Hashable, Sendable {
  public var probeInterval: Interval = .seconds(1)
  public var probeTimeout: Interval = .milliseconds(500)
  /// Shorter than what is left of `probeInterval` after `probeTimeout`, so that the answer of a helper comes in time.
  public var nackTimeout: Interval = .milliseconds(400)
  public var suspicionMultiplier = 8
  /// Direct pings of one probe: the first, one when the others are asked for help, and the rest between.
  public var pings = 3

  public init() {}
}
