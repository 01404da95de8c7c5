import Base
import Wire

/// One server's part in the consensus: the machine and its connections, composed. Does no IO.
///
/// After every call the owner carries out `effects.outbox`, drains `events` in order, and takes `storage` whenever its
/// disk is idle (leaving the directives in place meanwhile lets later writes join earlier ones: group commit).
/// `deadline` says when `handleTimeout` must be called next.
public struct RaftNode {
  var machine: RaftMachine
  var transport: RaftTransport
  /// What came of the last question to each peer, by id, while this server did not lead.
  public private(set) var contacts: [String: RaftContact] = [:]
  /// `proposeLater` appended something that `sendProposals` has not sent.
  public private(set) var hasUnsentProposals = false

  /// Precondition: if `state.snapshot` is set, the owner has restored the replicated state from it. Entries after it
  /// are delivered again as they become known to be committed.
  /// Throws `.damaged` when what is on disk contradicts itself.
  public init(
    configuration: RaftNodeConfiguration, restoring state: RaftRestoredState, reader: any LogReader,
    at now: Instant, effects: inout Effects
  ) throws(RaftError) {
    machine = try RaftMachine(
      configuration: configuration, restoring: state, reader: reader, at: now, effects: &effects)
    transport = RaftTransport(timings: configuration.timings, limits: configuration.limits)
  }

  // MARK: The outside happened

  /// True when stream events of this id are to be handed to this node.
  public func owns(_ id: ConnectionID) -> Bool { transport.owns(id) }

  /// A peer connected and sent first byte 02, which is consumed.
  public mutating func handleAccepted(
    _ id: ConnectionID, from peer: SocketAddress, at now: Instant, effects: inout Effects
  ) {
    transport.handleAccepted(id, from: peer, at: now, effects: &effects)
  }

  public mutating func handleConnected(_ id: ConnectionID, at now: Instant, effects: inout Effects) {
    transport.handleConnected(id, at: now, effects: &effects)
    settle(at: now, effects: &effects)
  }

  public mutating func handleReceived(
    _ id: ConnectionID, _ bytes: RawSpan, at now: Instant, effects: inout Effects
  ) {
    transport.handleReceived(id, bytes, at: now, effects: &effects)
    settle(at: now, effects: &effects)
  }

  public mutating func handleDisconnected(
    _ id: ConnectionID, _ end: StreamEnd, at now: Instant, effects: inout Effects
  ) {
    transport.handleDisconnected(id, end, effects: &effects)
    settle(at: now, effects: &effects)
  }

  public mutating func handleTimeout(at now: Instant, effects: inout Effects) {
    transport.handleTimeout(at: now, effects: &effects)
    settle(at: now, effects: &effects)
    machine.handleTimeout(at: now, effects: &effects)
    settle(at: now, effects: &effects)
  }

  public var deadline: Instant? { earliest(machine.deadline, transport.deadline) }

  /// A directive of `storage` is carried out. Precondition: completions come in the order of the tickets.
  public mutating func storageCompleted(
    _ ticket: StorageTicket, _ result: StorageResult, at now: Instant, effects: inout Effects
  ) {
    machine.storageCompleted(ticket, result, at: now, effects: &effects)
    settle(at: now, effects: &effects)
  }

  // MARK: Commands

  /// Writes the first configuration (index 1, term 1) of a new cluster; only on a pristine node. All servers of the
  /// cluster may do so independently with the same set.
  public mutating func bootstrap(
    _ servers: [RaftServer], at now: Instant, effects: inout Effects
  ) throws(RaftError) {
    try machine.bootstrap(servers)
    machine.restartElectionTimer(at: now, effects: &effects)
    settle(at: now, effects: &effects)
  }

  /// Stands for election now instead of after the follower timer (an ordinary election with pre-vote). For servers that
  /// were just bootstrapped: call it on all of them, they take turns by id. No effect while a leader is known.
  public mutating func campaign(at now: Instant, effects: inout Effects) {
    machine.campaign(at: now, effects: &effects)
    settle(at: now, effects: &effects)
  }

  /// Appends a command; its fate is an event: `.committed` with this index, or `.proposalsFailed`.
  public mutating func propose(
    _ data: [UInt8], at now: Instant, effects: inout Effects
  ) throws(RaftError) -> LogIndex {
    defer { settle(at: now, effects: &effects) }
    return try machine.propose(.command, data, at: now, effects: &effects)
  }

  /// As `propose`, but the entry travels with the next `sendProposals`: one request to each peer carries all that was
  /// proposed in between. Nothing is lost if that never comes, only late.
  public mutating func proposeLater(
    _ data: [UInt8], at now: Instant, effects: inout Effects
  ) throws(RaftError) -> LogIndex {
    hasUnsentProposals = true
    return try machine.propose(.command, data, sendsLater: true, at: now, effects: &effects)
  }

  /// Sends what `proposeLater` appended.
  public mutating func sendProposals(at now: Instant, effects: inout Effects) {
    guard hasUnsentProposals else { return }
    hasUnsentProposals = false
    if machine.role == .leader { machine.replicateToAll(at: now, effects: &effects) }
    settle(at: now, effects: &effects)
  }

  /// When `appliedIndex` reaches the returned index, everything proposed before is applied and leadership was valid.
  public mutating func barrier(at now: Instant, effects: inout Effects) throws(RaftError) -> LogIndex {
    defer { settle(at: now, effects: &effects) }
    return try machine.propose(.barrier, [], at: now, effects: &effects)
  }

  /// One change at a time; `.configurationChangeInProgress` means: try again when the current one is committed.
  public mutating func changeConfiguration(
    _ change: RaftConfigurationChange, at now: Instant, effects: inout Effects
  ) throws(RaftError) -> LogIndex {
    defer { settle(at: now, effects: &effects) }
    return try machine.changeConfiguration(change, at: now, effects: &effects)
  }

  /// Replaces the whole state by order of an operator, at an index above the log and above `floor`; the configuration
  /// stays. Only right after an own entry was applied (`barrier`). Emits `.restoreSnapshot`; a majority has the state
  /// when the entry with the returned index is committed.
  public mutating func restore(
    _ state: [UInt8], above floor: LogIndex, at now: Instant, effects: inout Effects
  ) throws(RaftError) -> LogIndex {
    defer { settle(at: now, effects: &effects) }
    return try machine.restore(state, above: floor, at: now, effects: &effects)
  }

  /// Hands leadership to the server with this id, or to the most advanced voter. Ends with `.leadershipLost`, or with
  /// `.transferFailed` after the election timeout.
  public mutating func transferLeadership(
    to id: String? = nil, at now: Instant, effects: inout Effects
  ) throws(RaftError) {
    defer { settle(at: now, effects: &effects) }
    try machine.transferLeadership(to: id, at: now, effects: &effects)
  }

  /// Answer to `.snapshotWanted`: the encoded state with everything up to `index` applied. May come any time later.
  /// Precondition: `index` was delivered (is at most `appliedIndex`).
  public mutating func provideSnapshot(
    _ state: [UInt8], at index: LogIndex, now: Instant, effects: inout Effects
  ) {
    precondition(index <= machine.deliveredIndex)
    machine.provideSnapshot(state, at: index, now: now, effects: &effects)
    settle(at: now, effects: &effects)
  }

  // MARK: Reads

  /// Whether a read that was asked for at `asked` may be answered from the applied state now, such that it sees
  /// everything that was acknowledged before it was asked for (linearizable). Costs no message: see `ReadStanding`.
  public func readStanding(at now: Instant, since asked: Instant) -> ReadStanding {
    machine.readStanding(at: now, since: asked)
  }

  // MARK: Outputs

  /// Disk directives, to be taken whole and carried out strictly in order.
  public var storage: [StorageDirective] { machine.storage }

  public mutating func takeStorage() -> [StorageDirective] {
    defer { machine.storage.removeAll(keepingCapacity: true) }
    return machine.storage
  }

  public var events: [RaftEvent] { machine.events }

  public mutating func takeEvents() -> [RaftEvent] {
    defer { machine.events.removeAll(keepingCapacity: true) }
    return machine.events
  }

  /// Servers that are known to have another address than the configuration gives them, by id. They are called there, so
  /// that a quorum that has moved as a whole can still elect the leader who then writes the new addresses.
  public var movedServers: [String: String] {
    get { transport.movedTo }
    set { transport.movedTo = newValue }
  }

  // MARK: Getters

  /// What the checkers of the simulations look at.
  package func storedTerm(at index: LogIndex) -> Term? { machine.log.term(at: index) }
  /// The configurations that the log holds, and the one before them, oldest first.
  package var configurations: [(index: LogIndex, configuration: RaftConfiguration)] {
    machine.history.items.map { ($0.index, $0.configuration) }
  }
  package var hardState: HardState { machine.hardState }
  package var isHalted: Bool { machine.isHalted }

  public var role: RaftRole { machine.role }
  public var term: Term { machine.term }
  public var leader: RaftLeader? { machine.leader }
  public var lastLogIndex: LogIndex { machine.log.lastIndex }
  public var lastLogTerm: Term { machine.log.lastTerm }
  public var firstLogIndex: LogIndex { machine.log.firstIndex }
  public var commitIndex: LogIndex { machine.commitIndex }
  /// Last index that was put into `events`.
  public var appliedIndex: LogIndex { machine.deliveredIndex }
  public var snapshotIndex: LogIndex { machine.log.snapshotIndex }
  public var snapshotTerm: Term { machine.log.snapshotTerm }
  /// A peer needs a snapshot before it can get entries again.
  public var isSnapshotAwaited: Bool { machine.leadership.peers.contains { $0.state == .awaitingSnapshot } }
  /// What a snapshot of everything delivered stands for; nil before the first entry.
  public var deliveredMetadata: SnapshotMetadata? {
    let index = machine.deliveredIndex
    guard index > 0, let term = machine.log.term(at: index) else { return nil }
    let item = machine.history.item(at: index)
    return SnapshotMetadata(
      index: index, term: term, configuration: item.configuration, configurationIndex: item.index)
  }
  /// Stopped because the leader's log contradicts what is committed here; a disk that failed leaves this false.
  public var isContradicted: Bool { machine.isContradicted }
  /// In force, though maybe not committed yet.
  public var configuration: RaftConfiguration { machine.history.latest }
  public var configurationIndex: LogIndex { machine.history.latestIndex }
  public var committedConfiguration: RaftConfiguration { machine.history.item(at: machine.commitIndex).configuration }
  /// No term, no log, no snapshot.
  public var isPristine: Bool { machine.isPristine }
  /// A voter in the configuration in force.
  public var isVoter: Bool { machine.isVoter }
  /// Entries that are appended and not committed, for statistics (`fsm_pending`).
  public var uncommittedCount: Int { machine.log.lastIndex - machine.commitIndex }

  /// The timeouts that hold now, which may be longer than the configured ones.
  public var heartbeatTimeout: Interval { machine.pace.heartbeatTimeout }
  public var electionTimeout: Interval { machine.pace.electionTimeout }

  /// Time since the leader was heard; zero on the leader itself, `nil` when none was ever heard.
  public func lastContact(at now: Instant) -> Interval? {
    if machine.role == .leader { return .zero }
    return machine.lastContact.map { now - $0 }
  }

  /// Empty on servers that do not lead. In the order of the configuration.
  public func peers(at now: Instant) -> [RaftPeerProgress] {
    machine.leadership.peers.map { peer in
      RaftPeerProgress(
        id: peer.server.id, address: peer.server.address, isVoter: peer.server.isVoter, matchIndex: peer.matchIndex,
        nextIndex: peer.nextIndex, lastContact: now - peer.lastContact)
    }
  }

  // MARK: Inside

  /// Moves what arrived to the machine and what it wants said to the connections, until nothing is left.
  private mutating func settle(at now: Instant, effects: inout Effects) {
    while !transport.arrivals.isEmpty || !machine.outputs.isEmpty {
      transport.electionTimeout = machine.pace.electionTimeout
      let outputs = machine.outputs
      machine.outputs.removeAll(keepingCapacity: true)
      for output in outputs { carryOut(output, at: now, effects: &effects) }
      let arrivals = transport.arrivals
      transport.arrivals.removeAll(keepingCapacity: true)
      for arrival in arrivals { hand(arrival, at: now, effects: &effects) }
    }
  }

  private mutating func carryOut(_ output: RaftOutput, at now: Instant, effects: inout Effects) {
    switch output {
    case .request(let request, let server, let channel, let exchange):
      transport.send(request, to: server, channel, exchange, at: now, effects: &effects)
    case .reply(let reply, let token): transport.reply(reply, to: token, effects: &effects)
    case .forget(let id): transport.forget(id, effects: &effects)
    case .probe(let address): transport.startProbe(of: address, effects: &effects)
    case .idle: transport.closeHeartbeats(effects: &effects)
    }
  }

  private mutating func hand(_ arrival: RaftTransport.Arrival, at now: Instant, effects: inout Effects) {
    switch arrival {
    case .request(let request, let token):
      if machine.configuration.rehearsal.isOldGeneration, case .requestPreVote = request {
        return transport.closeAccepted(token.connection, effects: &effects)
      }
      machine.noteIdentity(request.header)
      machine.handleRequest(request, token, at: now, effects: &effects)
      noteLeaderConnection(request, token)
    case .reply(let reply, let id, let exchange):
      if machine.role != .leader { contacts[id, default: RaftContact()].answeredAt = now }
      machine.handleReply(reply, from: id, to: exchange, at: now, effects: &effects)
    case .failure(let exchange, let id, let closed):
      if machine.role != .leader { contacts[id, default: RaftContact()].failedAt = now }
      machine.handleFailure(of: exchange, with: id, closed: closed, at: now, effects: &effects)
    case .leaderConnectionEnded(let address): machine.leaderConnectionEnded(address: address)
    case .nobodyListens(let address): machine.leaderIsGone(address: address, at: now, effects: &effects)
    }
  }

  /// Remembers which connections the leader uses; their end is the first sign of its death.
  private mutating func noteLeaderConnection(_ request: RaftRequest, _ token: ReplyToken) {
    guard case .appendEntries(let append) = request, let leader = machine.leader,
      leader.address == machine.address(of: append.header, or: append.leader),
      transport.accepted[token.connection]?.leader != leader.address
    else { return }
    transport.accepted[token.connection]?.leader = leader.address
  }
}
