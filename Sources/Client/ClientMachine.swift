import Base
import RPC
import Wire

/// A client agent without workloads: it registers its node, sends heartbeats, keeps its server list current and takes
/// pushes of it. Does no IO.
///
/// Calling order: the shell passes what happened to the `handle...` methods and calls `handleTimeout` when `deadline`
/// has passed; after each it takes `takeEvents()`. It starts by itself: call `handleTimeout` once after `init`.
///
/// One *round* asks the servers of the list one after the other until one answers: at once when one fails, in parallel
/// when one is silent for a second. Only when every known server has failed in it, those of the configuration and the
/// resolved names are asked as well, and the next round waits (100 ms doubling to 15 s).
public struct ClientMachine: Sendable {
  public let configuration: ClientConfiguration
  /// Identity and last server list, to be kept on disk.
  public private(set) var persisted: ClientPersistedState
  public internal(set) var status: ClientStatus

  var rpc: RPCMachine
  private var batch = RPCEventBatch()
  private var events: [ClientEvent] = []

  var servers: ServerList
  /// Answers of the shell to `.resolve`, one row per name.
  var resolved: [(name: String, addresses: [SocketAddress])] = []
  var nextResolve: Instant
  var isStopped = false

  var round: Round?
  /// When the next round starts; nil while one runs.
  var nextRound: Instant?
  var backoff = Backoff(minimum: ClientTiming.retryMin, maximum: ClientTiming.retryMax)
  /// Registrations that the servers have forgotten since the last heartbeat that went well.
  var losses = 0
  /// The log says that another agent has the node id.
  var hasToldOfRival = false
  var nextRebalance: Instant
  var poll = AllocationPoll()
  var sessions: [(id: SessionID, peer: SocketAddress)] = []
  /// The last push taken, to recognise an older one that was overtaken on the same session.
  var lastPush: (session: SessionID, index: UInt64)?
  var lastPushAt: Instant?
  var forwards: [Forward] = []
  var nextForward: UInt64 = 1
  var streams: [ClientStream] = []
  var followers: [ClientFollower] = []

  static let logModule = "client"
  static let serverLogModule = "client.server_mgr"

  /// The first round is due at once. The servers known are the configured addresses and the persisted list; names are
  /// asked for in the first events.
  public init(
    configuration: ClientConfiguration, restoring persisted: ClientPersistedState, at now: Instant,
    effects: inout Effects
  ) {
    self.configuration = configuration
    self.persisted = persisted
    if persisted.machineID.isEmpty { self.persisted.machineID = configuration.machineID }
    rpc = RPCMachine(configuration: configuration.rpc)
    servers = ServerList(configuration.servers + persisted.servers)
    status = ClientStatus(
      isRegistered: false, lastHeartbeat: nil, heartbeatPeriod: ClientTiming.heartbeatDefault,
      servers: servers.addresses, nodeCount: 0, leaderAddress: "")
    nextResolve = now
    nextRound = now
    nextRebalance = now + ClientTiming.rebalanceMin + effects.random.interval(.zero, ClientTiming.rebalanceMin)
    requestResolution(at: now)
  }

  public mutating func takeEvents() -> [ClientEvent] {
    defer { events.removeAll() }
    return events
  }

  public var hasEvents: Bool { !events.isEmpty }

  public var deadline: Instant? {
    var due = rpc.deadline
    guard !isStopped else { return due }
    due = earliest(due, earliest(nextRound, round?.hedgeAt))
    due = earliest(due, earliest(nextRebalance, poll.nextAt))
    return due
  }

  public func owns(_ id: ConnectionID) -> Bool { rpc.owns(id) }

  // MARK: What happened

  public mutating func handleConnected(_ id: ConnectionID, at now: Instant, effects: inout Effects) {
    rpc.handleConnected(id, at: now, effects: &effects)
    takeRPCEvents(at: now, effects: &effects)
  }

  public mutating func handleReceived(_ id: ConnectionID, _ bytes: RawSpan, at now: Instant, effects: inout Effects) {
    rpc.handleReceived(id, bytes, at: now, effects: &effects)
    takeRPCEvents(at: now, effects: &effects)
  }

  public mutating func handleDisconnected(
    _ id: ConnectionID, _ end: StreamEnd, at now: Instant, effects: inout Effects
  ) {
    rpc.handleDisconnected(id, end, at: now, effects: &effects)
    takeRPCEvents(at: now, effects: &effects)
  }

  /// The look-up of a name is done; an empty list means that it failed.
  public mutating func handleResolved(
    _ name: String, _ addresses: [SocketAddress], at now: Instant, effects: inout Effects
  ) {
    noteResolved(name, addresses, at: now, effects: &effects)
    takeRPCEvents(at: now, effects: &effects)
  }

  public mutating func handleTimeout(at now: Instant, effects: inout Effects) {
    rpc.handleTimeout(at: now, effects: &effects)
    takeRPCEvents(at: now, effects: &effects)
    guard !isStopped else { return }
    if now >= nextRebalance { rebalance(at: now, effects: &effects) }
    if let due = nextRound, now >= due { startRound(at: now, effects: &effects) }
    if let due = round?.hedgeAt, now >= due { hedge(at: now, effects: &effects) }
    if let due = poll.nextAt, now >= due { startPoll(at: now, effects: &effects) }
    takeRPCEvents(at: now, effects: &effects)
  }

  // MARK: Commands

  /// Ends all activity; no event follows. The node record stays and goes down when its heartbeats are missed, as with
  /// every client of Nomad.
  public mutating func stop(at now: Instant, effects: inout Effects) {
    isStopped = true
    nextRound = nil
    endRound(at: now, effects: &effects)
    endPoll(at: now, effects: &effects)
    for forward in forwards {
      if let call = forward.call { rpc.cancel(call, at: now, effects: &effects) }
    }
    forwards = []
    for stream in streams { if let handle = stream.handle { rpc.resetStream(handle, at: now, effects: &effects) } }
    streams = []
    for follower in followers { rpc.resetStream(follower.handle, at: now, effects: &effects) }
    followers = []
    events = []
  }

  /// Goes on as somebody else: both are UUID texts of 36 characters. The answer to `.identityWanted`.
  public mutating func adopt(nodeID: String, secretID: String, at now: Instant, effects: inout Effects) {
    guard !isStopped else { return }
    effects.log.log(
      .warn, Self.logModule, "another machine lives under this node id, of which this disk is a copy: taking a new one",
      ["old_id": persisted.nodeID, "new_id": nodeID])
    persisted = ClientPersistedState(
      nodeID: nodeID, secretID: secretID, machineID: configuration.machineID, servers: persisted.servers)
    emit(.identityChanged)
    endPoll(at: now, effects: &effects)
    endRound(at: now, effects: &effects)
    status.isRegistered = false
    status.lastHeartbeat = nil
    backoff.reset()
    nextRound = now
  }

  /// Answers a request of a server; `body` appends exactly one encoded value. Ignored when the request is gone.
  public mutating func answer(
    _ request: RequestID, at now: Instant, effects: inout Effects, body: (inout [UInt8]) -> Void
  ) {
    rpc.respond(to: request, at: now, effects: &effects, body: body)
    takeRPCEvents(at: now, effects: &effects)
  }

  /// Answers a request of a server with an error text.
  public mutating func refuse(_ request: RequestID, error: String, at now: Instant, effects: inout Effects) {
    rpc.fail(request, error: error, at: now, effects: &effects)
    takeRPCEvents(at: now, effects: &effects)
  }

  // MARK: Events of the RPC machine

  mutating func takeRPCEvents(at now: Instant, effects: inout Effects) {
    while rpc.hasEvents {
      var taken = RPCEventBatch()
      swap(&taken, &batch)
      rpc.takeEvents(into: &taken)
      for event in taken.events { handle(event, taken, at: now, effects: &effects) }
      taken.removeAll()
      swap(&taken, &batch)
    }
  }

  private mutating func handle(
    _ event: RPCEvent, _ batch: borrowing RPCEventBatch, at now: Instant, effects: inout Effects
  ) {
    switch event {
    case .response(let call, let outcome):
      if let attempt = round?.attempts.first(where: { $0.call == call }) {
        finish(attempt, Answer(outcome, batch, from: attempt.address), at: now, effects: &effects)
      } else if poll.call == call {
        finishPoll(Answer(outcome, batch, from: poll.address), at: now, effects: &effects)
      } else {
        finishForward(call, outcome, batch, at: now, effects: &effects)
      }
    case .request(let request, let session, .clientServersChanged, let body):
      takePush(request, session, batch.bytes(body), at: now, effects: &effects)
    case .request(let request, _, .clientStatsStats, _) where configuration.servesStatistics && !isStopped:
      emit(.statisticsRequested(request))
    case .request(let request, _, _, _):
      rpc.reject(request, at: now, effects: &effects)
    case .sessionStarted(let session, let peer, _):
      sessions.append((session, peer))
      emit(.connectedTo(peer))
    case .sessionEnded(let session):
      sessionEnded(session, at: now, effects: &effects)
    case .streamingRequest, .streamingAnswer, .streamBytes, .streamFinished, .streamDrained, .streamEnded:
      handleStream(event, batch, at: now, effects: &effects)
    case .requestAbandoned, .raftConnection: break
    }
  }

  mutating func emit(_ event: ClientEvent) { events.append(event) }

  mutating func remember(servers list: [SocketAddress]) {
    persisted.servers = list
    status.servers = list
    emit(.serversChanged(list))
  }
}

/// How a call ended, with its bytes.
enum Answer: Hashable, Sendable {
  case reply([UInt8])
  case remoteError(String)
  case failure(RPCFailure, SocketAddress?)

  init(_ outcome: RPCOutcome, _ batch: borrowing RPCEventBatch, from address: SocketAddress?) {
    switch outcome {
    case .reply(let range): self = .reply(batch.bytes(range).copy())
    case .remoteError(let range): self = .remoteError(batch.bytes(range).text())
    case .failure(let failure): self = .failure(failure, address)
    }
  }

  /// As a log line shows it; empty for a reply.
  var errorText: String {
    switch self {
    case .reply: ""
    case .remoteError(let text): text
    case .failure(let failure, let address): failure.text(address: address)
    }
  }
}
