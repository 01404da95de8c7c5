import Base
import Gossip
import Membership
import RPC
import Raft
import State
import Wire

/// A Nomad server without IO: gossip membership, consensus, RPC and the replicated state, composed.
///
/// Calling order: the shell passes what happened to the `handle...` methods and calls `handleTimeout` when `deadline`
/// has passed. After every call it carries out `effects.outbox`, takes `storage` when the disk is idle, and drains
/// `events`. Commands (`call`, `join`, `leave`, ...) are answered by events too.
public struct ServerMachine {
  /// Announced in the gossip tag `nomadd`; peers without it are Nomad's own servers and get none of our extensions.
  public static let bootstrapProtocolVersion = 1

  public enum Listener: Hashable, Sendable {
    case gossip, rpc
  }

  public let configuration: ServerConfiguration
  public internal(set) var membership: MembershipMachine
  public internal(set) var raft: RaftNode
  public internal(set) var rpc: RPCMachine
  public internal(set) var state: StateStore
  public internal(set) var directory: ServerDirectory
  var bootstrap: BootstrapMachine
  var joining: JoinLoop
  var leadership = Leadership()
  var requests = RequestTable()
  var streams = StreamTable()
  var watches = WatchTable()
  var pushes = ServerListPush()
  var clientSearches = ClientSearches()
  var leaving = Leaving.no
  var now: Moment
  var batch = RPCEventBatch()
  /// What the shell must do or tell; drained by it.
  public var events: [ServerEvent] = []
  /// The committed configuration that was told last.
  var reportedConfiguration = RaftConfiguration()
  var refusedMembers: Set<String> = []
  var hasJoinedOnce = false
  /// Since when this server stands against at least as many others in `bootstrap_expect`, and when
  /// that is looked at again.
  var expectationSince: Instant?
  var expectationDue: Instant?
  /// The join of the join loop that is under way.
  var ownJoin: JoinID?
  var keyringCommands: [QueryID: LocalCallID] = [:]
  var joinComplaint = Complaint()
  var conflictComplaint = Complaint()
  var cloneChecks = CloneChecks()
  /// What the pool last said about our name, which another server claims as well.
  var nameVerdict: (verdict: NameVerdict, at: Instant)?
  /// How far the counter of gossip's verdicts about UDP was reported.
  var reportedDatagramVerdicts: UInt64 = 0
  var joinCommands: [JoinID: LocalCallID] = [:]
  var transferCallers: [(Caller, RaftServer)] = []
  /// Leadership is gone, and those callers wait for the name of the new leader until then.
  var transferDue: Instant?
  var bootstrapCalls: [CallID: BootstrapCallID] = [:]
  var bootstrapCallers: [BootstrapRequestToken: Caller] = [:]
  var nextBootstrapToken: UInt64 = 1
  /// A `.encodeState` is not answered yet; who else waits for a snapshot gets the same.
  var isEncodingState = false
  var snapshotBegunAt: Instant?
  /// The cluster id that gossip was told.
  var announcedCluster: String?
  /// Conflicts of identity that were logged.
  var identityConflicts: Set<String> = []
  var lastStanding: BootstrapMachine.Standing?
  var lastStatus = ""
  var isStatusStale = true
  /// Every alive server of the region as clients are told of it; follows the directory.
  var clientServers: [ServerInfo] = []

  /// `restored` is what the disk held; the replicated state in it must come from the snapshot that it names.
  public init(
    configuration: ServerConfiguration, restoring restored: ServerRestoredState, reader: any LogReader,
    at now: Moment, effects: inout Effects
  ) throws(RaftError) {
    self.configuration = configuration
    self.now = now
    state = restored.state
    directory = ServerDirectory(ownRegion: configuration.region)
    rpc = RPCMachine(configuration: configuration.rpc)
    raft = try RaftNode(
      configuration: RaftNodeConfiguration(
        id: configuration.raftID, address: "\(configuration.raftAddress)",
        protocolVersion: Int64(configuration.raftProtocol), multiplier: configuration.raftMultiplier,
        limits: configuration.raftLimits, standsLast: configuration.isWitness),
      restoring: restored.raft, reader: reader, at: now.instant, effects: &effects)
    membership = MembershipMachine(
      configuration: Self.membershipConfiguration(configuration, cluster: restored.state.cluster?.clusterID),
      cipher: configuration.keyring,
      restoring: configuration.federated(restored.gossipSnapshot), at: now.instant, effects: &effects)
    joining = JoinLoop(
      configuration: configuration.join,
      own: [configuration.gossipAdvertise] + configuration.ownGossipAddresses, at: now.instant)
    bootstrap = BootstrapMachine(
      configuration: .init(
        own: BootstrapServer(id: configuration.raftID, address: "\(configuration.raftAddress)"),
        name: configuration.gossipName, expect: configuration.bootstrapExpect, isVoter: configuration.isVoter),
      restoring: restored.bootstrap,
      view: BootstrapView(peers: [], unreachedJoinAddresses: 0, isPristine: raft.isPristine), at: now.instant)
    announcedCluster = restored.state.cluster?.clusterID
    reportConfiguration()
    settle(&effects)
  }

  // MARK: The outside happened

  public mutating func handleDatagram(
    _ bytes: RawSpan, from: SocketAddress, at now: Moment, effects: inout Effects
  ) {
    self.now = now
    membership.handleDatagram(bytes, from: from, at: now.instant, effects: &effects)
    // Most packets bring no news, and then nothing else has anything to do.
    if !membership.events.isEmpty { settle(&effects) }
  }

  public mutating func handleAccepted(
    _ id: ConnectionID, from: SocketAddress, on listener: Listener, at now: Moment, effects: inout Effects
  ) {
    self.now = now
    switch listener {
    case .gossip: membership.handleAccepted(id, from: from, at: now.instant, effects: &effects)
    case .rpc: rpc.handleAccepted(id, from: from, at: now.instant, effects: &effects)
    }
    settle(&effects)
  }

  public mutating func handleConnected(_ id: ConnectionID, at now: Moment, effects: inout Effects) {
    self.now = now
    if rpc.owns(id) {
      rpc.handleConnected(id, at: now.instant, effects: &effects)
    } else if raft.owns(id) {
      raft.handleConnected(id, at: now.instant, effects: &effects)
    } else {
      membership.handleConnected(id, at: now.instant, effects: &effects)
    }
    settle(&effects)
  }

  public mutating func handleReceived(
    _ id: ConnectionID, _ bytes: RawSpan, at now: Moment, effects: inout Effects
  ) {
    self.now = now
    if rpc.owns(id) {
      rpc.handleReceived(id, bytes, at: now.instant, effects: &effects)
    } else if raft.owns(id) {
      raft.handleReceived(id, bytes, at: now.instant, effects: &effects)
    } else {
      membership.handleReceived(id, bytes, at: now.instant, effects: &effects)
    }
    settle(&effects)
  }

  public mutating func handleDisconnected(
    _ id: ConnectionID, _ end: StreamEnd, at now: Moment, effects: inout Effects
  ) {
    self.now = now
    if rpc.owns(id) {
      rpc.handleDisconnected(id, end, at: now.instant, effects: &effects)
    } else if raft.owns(id) {
      raft.handleDisconnected(id, end, at: now.instant, effects: &effects)
    } else {
      membership.handleDisconnected(id, end, at: now.instant, effects: &effects)
    }
    settle(&effects)
  }

  public mutating func handleTimeout(at now: Moment, effects: inout Effects) {
    self.now = now
    let instant = now.instant
    if membership.deadline.map({ $0 <= instant }) ?? false { membership.handleTimeout(at: instant, effects: &effects) }
    if raft.deadline.map({ $0 <= instant }) ?? false { raft.handleTimeout(at: instant, effects: &effects) }
    if rpc.deadline.map({ $0 <= instant }) ?? false { rpc.handleTimeout(at: instant, effects: &effects) }
    bootstrap.handleTimeout(at: instant, random: &effects.random)
    pollJoining(&effects)
    if expectationDue.map({ $0 <= instant }) ?? false { checkExpectation() }
    expireRequests(&effects)
    expireStreams(&effects)
    if transferDue.map({ $0 <= instant }) ?? false { failTransferCallers(&effects) }
    runLeaderDuties(&effects)
    continueLeaving(&effects)
    // Whom Raft reaches changes without any other sign.
    if raft.leader == nil { isStatusStale = true }
    settle(&effects)
  }

  /// When `handleTimeout` must be called next.
  public var deadline: Instant? {
    var first = earliest(earliest(membership.deadline, raft.deadline), earliest(rpc.deadline, bootstrap.deadline))
    first = earliest(first, earliest(joining.deadline, requests.deadline))
    first = earliest(first, earliest(leadership.deadline, expectationDue))
    first = earliest(first, earliest(streams.deadline, transferDue))
    return earliest(first, leaving.deadline)
  }

  /// A directive of `takeStorage` is carried out; completions come in order.
  public mutating func storageCompleted(
    _ ticket: StorageTicket, _ result: StorageResult, at now: Moment, effects: inout Effects
  ) {
    self.now = now
    raft.storageCompleted(ticket, result, at: now.instant, effects: &effects)
    settle(&effects)
  }

  /// Raft's disk directives, in order; to be taken when the disk is idle, so that later writes join earlier ones.
  public mutating func takeStorage() -> [StorageDirective] { raft.takeStorage() }
  public var hasStorage: Bool { !raft.storage.isEmpty }

  /// The record of the last `.persistBootstrap` is durable.
  public mutating func bootstrapPersisted(at now: Moment, effects: inout Effects) {
    self.now = now
    bootstrap.persisted(at: now.instant)
    settle(&effects)
  }

  // MARK: Inside

  /// Carries events from machine to machine until all are quiet.
  mutating func settle(_ effects: inout Effects) {
    while true {
      let worked =
        drainMembership(&effects) || drainRaft(&effects) || drainBootstrap(&effects) || drainRPC(&effects)
        || drainWatches(&effects)
      if worked { continue }
      // All requests of this call are proposed: they travel together.
      if raft.hasUnsentProposals {
        raft.sendProposals(at: now.instant, effects: &effects)
      } else if canServeHeldReads {
        retryHeld(&effects)
      } else {
        break
      }
    }
    reportStatus()
  }

  private static func membershipConfiguration(
    _ configuration: ServerConfiguration, cluster: String?
  ) -> MembershipConfiguration {
    let name = configuration.gossipName
    let address = configuration.gossipAdvertise
    var result = MembershipConfiguration(
      gossip: .wan(name: name, address: address),
      tags: ServerEntry.tags(of: configuration, cluster: cluster))
    result.localAddresses = configuration.ownGossipAddresses
    result.rejoinAfterLeave = configuration.rejoinAfterLeave
    result.federation = configuration.federation
    result.awaitsKeyringStorage = true
    if let port = configuration.gossipBindPort { result.gossip.bindPort = port }
    return result
  }
}

/// What the disk held at start. An empty data directory gives the default value.
public struct ServerRestoredState: Sendable {
  public var raft = RaftRestoredState()
  /// Restored from the snapshot named in `raft`, else empty.
  public var state = StateStore()
  public var bootstrap = BootstrapRecord()
  /// Lines of the gossip snapshot file.
  public var gossipSnapshot: [String] = []

  public init() {}
}

/// Names a request that the shell makes of its own server, for HTTP or the combined client.
public struct LocalCallID: Hashable, Sendable {
  public var number: UInt64
  public init(number: UInt64) { self.number = number }
}

/// What the shell must do or tell.
public enum ServerEvent: Sendable {
  /// Write the record to the disk, then call `bootstrapPersisted`.
  case persistBootstrap(BootstrapRecord)
  /// Append a line to the gossip snapshot file.
  case gossipSnapshotLine(String)
  /// Resolve the configured join entries and call `joinAddressesResolved`.
  case resolveJoinEntries
  case answered(LocalCallID, Result<[UInt8], RPCErrorMessage>)
  /// The answer to `join(command:)`.
  case joinCommandFinished(LocalCallID, joined: Int, failures: [String])
  /// The answer to `changeKeyring`.
  case keyringCommandFinished(LocalCallID, KeyringResult)
  /// Store the keys, primary first: they changed. Then call `keyringStored`.
  case keyringChanged([[UInt8]])
  /// The agent must end with status 1 and this sentence.
  case fatal(String)
  /// The text for the service manager changed.
  case status(String)
  /// The server has left; the agent may end. False: it did not come to an orderly end in time.
  case left(clean: Bool)
  /// Bytes for a stream that the shell opened.
  case streamBytes(LocalStreamID, [UInt8])
  /// The end of a stream that the shell opened; with a text when it could not begin.
  case streamEnded(LocalStreamID, String?)
  /// Encode the state as a snapshot, off the loop: with many nodes it takes a second. Then call `stateEncoded`.
  case encodeState(StateStore, at: LogIndex)
  /// Make an archive of the state and call `snapshotPacked`.
  case packSnapshot(SnapshotJob, SnapshotMetadata, StateStore)
  /// Check an archive wholly, take the state out of it and call `snapshotUnpacked`.
  case unpackSnapshot(SnapshotJob, [UInt8])
  /// Call `monitored` for the log lines of at least this level, and with nothing about once a second.
  case monitorStarted(MonitorID, level: LogLevel, json: Bool, plain: Bool)
  case monitorEnded(MonitorID)
  /// The committed Raft configuration is another one: keep the recovery file current.
  case configurationCommitted(RaftConfiguration)
  case leadership(Bool)
  case leaderChanged(String?)
}

/// The text of a failed call as a peer or an HTTP client sees it.
public struct RPCErrorMessage: Error, Hashable, Sendable {
  public var text: String
  public init(_ text: String) { self.text = text }
}
