import Base
import Wire

/// What a node is told about itself once, at start.
public struct RaftNodeConfiguration: Hashable, Sendable {
  /// Server id: a UUID under protocol 3, the address under protocol 2.
  public var id: String
  /// `ip:port` of the own RPC listener as peers know it.
  public var address: String
  /// 2 or 3; written in every header.
  public var protocolVersion: Int64
  public var timings: RaftTimings
  public var limits: RaftLimits
  /// Stands for election only when everybody else had ample time to.
  public var standsLast: Bool
  /// What a simulation does differently; nothing in a server.
  package var rehearsal = Rehearsal()

  public init(
    id: String, address: String, protocolVersion: Int64 = 3, multiplier: Int = 1, limits: RaftLimits = RaftLimits(),
    standsLast: Bool = false
  ) {
    self.id = id
    self.address = address
    self.protocolVersion = protocolVersion
    self.timings = RaftTimings(multiplier: multiplier)
    self.limits = limits
    self.standsLast = standsLast
  }

  var header: RaftHeader {
    RaftHeader(
      protocolVersion: protocolVersion,
      identity: rehearsal.isOldGeneration ? nil : RaftHeader.Identity(id: id, address: address))
  }

  /// Under protocol 2, or in a region that mixes both, an entry may name us by address.
  func isSelf(_ server: RaftServer) -> Bool {
    server.id == id || (server.address == address && server.id == server.address)
  }
}

/// Timers (raft.md 5.1), all multiplied by the operator's `raft_multiplier`. Where peers or the disk are slow the first
/// three, and how long a vote is waited for, are longer than that: see `RaftPace`.
public struct RaftTimings: Hashable, Sendable {
  /// A follower that hears nothing for a random one to two times this long asks for votes.
  public var heartbeatTimeout = Interval.seconds(1)
  /// A round of votes lasts a random one to two times this long.
  public var electionTimeout = Interval.seconds(1)
  /// Whether timeouts follow what is seen; not in an experiment about the timeouts themselves.
  package var isAdaptive = true
  /// How much longer than the shortest the two timeouts above may be; nil: twice as long.
  public var timeoutSpread: Interval?
  /// How long an answer of a voter is waited for before its connection counts as broken; nil: `electionTimeout`, and
  /// three times that for what has to be stored first.
  public var votePatience: Interval?
  /// A leader that a majority did not answer for this long steps down.
  public var leaderLeaseTimeout = Interval.milliseconds(500)
  /// How long a new commit index waits for entries to travel with, before it is told alone. Under load it never is,
  /// and while one write follows the other the peers are not woken twice for each.
  public var commitNotice = Interval.milliseconds(2)
  /// A peer that has not confirmed the commit index is told again after a random one to two times this long.
  public var commitTimeout = Interval.milliseconds(50)
  /// Longest exchange on a replication connection.
  public var ioTimeout = Interval.seconds(10)

  /// First delay after a failed exchange; doubles up to `retryDelayMax`.
  public var retryDelayMin = Interval.milliseconds(10)
  public var retryDelayMax = Interval.milliseconds(500)
  /// Distance between the first attempts of servers that bootstrap together; the one with the least id goes first.
  public var campaignStagger = Interval.milliseconds(150)

  /// `multiplier` is 1 ... 10; other values are brought into that range.
  public init(multiplier: Int = 1) {
    let factor = min(max(multiplier, 1), 10)
    heartbeatTimeout = heartbeatTimeout * factor
    electionTimeout = electionTimeout * factor
    leaderLeaseTimeout = leaderLeaseTimeout * factor
    commitTimeout = commitTimeout * factor
    retryDelayMax = retryDelayMax * factor
  }
}

/// Sizes (raft.md section 6).
public struct RaftLimits: Hashable, Sendable {
  /// Entries in one request.
  public var entriesPerRequest = 64
  /// Bytes of entries in one request; a single larger entry still travels alone.
  public var bytesPerRequest = 1 << 20
  /// Requests on the way to one peer.
  public var flight = 16
  /// Entries kept behind a snapshot, so that followers rarely need one.
  public var trailingEntries = 10_240
  /// Entries after the last snapshot before the owner is asked for the next.
  public var snapshotThreshold = 8192
  /// Largest command, in bytes.
  public var commandBytes = 32 << 20
  /// Commands proposed and not yet committed.
  public var uncommittedEntries = 16_384
  /// Entries handed to the owner per call.
  public var entriesPerDelivery = 1024
  /// Entries and bytes kept in memory once they are durable.
  public var cachedEntries = 512
  public var cachedBytes = 4 << 20
  /// Largest snapshot accepted from a leader, in bytes.
  public var snapshotBytes = RaftWire.maximumSnapshotBytes

  public init() {}
}
