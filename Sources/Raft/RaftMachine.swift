import Base
import Wire

/// Consensus as a value: requests, replies, time and finished disk writes go in; requests, replies, disk directives and
/// events come out. Knows servers by id; connections are the transport's business.
///
/// Everything that a peer may rely on (a vote, a term, a stored entry) is durable before it is said: such answers wait
/// in `deferred` for the ticket of their write. Heartbeats promise nothing and never wait.
struct RaftMachine {
  let configuration: RaftNodeConfiguration
  var log: RaftLog
  var history: ConfigurationHistory
  /// As issued; durable when `hardTicket` is nil.
  var hardState: HardState
  var role = RaftRole.follower
  var leader: RaftLeader?
  var commitIndex: LogIndex
  /// Last entry handed to the owner.
  var deliveredIndex: LogIndex
  /// When a server that is not leader acts on its own.
  var electionDeadline: Instant
  /// Last success of a leader with us.
  var lastContact: Instant?
  /// The timeouts that hold here.
  var pace: RaftPace
  /// Votes of the round under way, while role is candidate or pre-candidate.
  var ballot = Ballot()
  /// Replication state, while role is leader.
  var leadership = Leadership()
  /// Rounds are short until then: the cluster was just bootstrapped.
  var earlyUntil: Instant?
  /// Addresses of servers that closed the connection on a pre-vote, as nodes of the old generation do.
  var withoutPreVote: Set<String> = []
  /// When our own timer would have expired, had we not found the leader gone; until then they count as refusing.
  var assentFrom: Instant?
  /// Those of them that stood for election since we last heard from a leader: they know none.
  var withoutLeader: Set<String> = []
  /// Ids of servers of the newer generation, seen in their headers.
  var peersWithIdentity: Set<String> = []

  var storage: [StorageDirective] = []
  var events: [RaftEvent] = []
  var outputs: [RaftOutput] = []

  var nextTicket: UInt64 = 1
  /// Issued and not completed, oldest first.
  var operations: [StorageOperation] = []
  var deferred: [DeferredAction] = []
  var lastWriteTicket: StorageTicket?
  var hardTicket: StorageTicket?
  /// A snapshot from the leader that is being written.
  var incoming: IncomingSnapshot?
  /// The owner was asked for a snapshot when this was the delivered index.
  var snapshotAskedAt: LogIndex?
  var isSavingSnapshot = false
  /// The disk holds entries from before the start of `log`.
  var hasFailedCompaction = false
  /// A restored snapshot that is not durable yet; nobody is sent it before.
  var restoreTicket: StorageTicket?
  var isHalted = false
  /// Halted because the leader's log contradicts what is committed here.
  var isContradicted = false
  /// Requests in a row that were refused because of `isUnproven`.
  var unprovenRequests = 0
  /// Before the restart we may have told a leader that we follow it; until then nobody else gets our vote.
  var promisedUntil: Instant?

  init(
    configuration: RaftNodeConfiguration, restoring state: RaftRestoredState, reader: any LogReader, at now: Instant,
    effects: inout Effects
  ) throws(RaftError) {
    self.configuration = configuration
    log = try RaftLog(restoring: state, reader: reader, limits: configuration.limits)
    hardState = state.hardState
    commitIndex = state.snapshot?.index ?? 0
    deliveredIndex = commitIndex
    history = ConfigurationHistory(
      state.snapshot?.configuration ?? RaftConfiguration(), at: state.snapshot?.configurationIndex ?? 0)
    electionDeadline = now
    pace = RaftPace(configuration.timings)
    discardLogBehindSnapshot()
    try restoreHistory()
    // A log from a higher term than the stored one cannot be: the term is written first.
    if log.lastTerm > hardState.term { hardState = HardState(term: log.lastTerm) }
    restartElectionTimer(at: now, effects: &effects)
    if !isPristine { promisedUntil = now + timings.leaderLeaseTimeout }
  }

  var flaw: PlantedFlaw? { configuration.rehearsal.flaw }
  var timings: RaftTimings { configuration.timings }
  var header: RaftHeader { configuration.header }
  var term: Term { hardState.term }

  /// No term, no log, no snapshot: bootstrap is allowed.
  var isPristine: Bool { hardState.term == 0 && log.lastIndex == 0 && log.snapshotIndex == 0 }

  var ownServer: RaftServer? { history.latest.servers.first { configuration.isSelf($0) } }
  var isVoter: Bool { ownServer?.isVoter ?? false }

  /// Without a configuration there is nothing to stand for, but a leader that fell silent must be forgotten all the
  /// same: as long as it is known, nobody else gets our vote.
  private var hasElectionTimer: Bool { !history.latest.isEmpty || leader != nil }

  var deadline: Instant? {
    if isHalted { return nil }
    if deliveredIndex < commitIndex { return .start }
    if role == .leader { return leaderDeadline }
    guard hasElectionTimer else { return nil }
    return earliest(electionDeadline, ballotRetryDeadline)
  }

  mutating func handleTimeout(at now: Instant, effects: inout Effects) {
    guard !isHalted else { return }
    deliver(effects: &effects)
    if role == .leader {
      leaderTimeout(at: now, effects: &effects)
    } else if hasElectionTimer {
      if now >= electionDeadline {
        electionTimeout(at: now, effects: &effects)
      } else {
        retryBallot(at: now, effects: &effects)
        countVotes(at: now, effects: &effects)
      }
    }
  }

  // MARK: Role changes

  /// Adopts `newTerm` if it is higher, and follows. Persists the term.
  mutating func becomeFollower(term newTerm: Term, at now: Instant, effects: inout Effects) {
    let before = role
    let beforeTerm = term
    if newTerm > term { persist(HardState(term: newTerm)) }
    if before == .leader { endLeadership(term: beforeTerm, effects: &effects) }
    role = .follower
    ballot = Ballot()
    setLeader(nil)
    if before != .follower {
      effects.log.log(.info, "nomad.raft", "entering follower state", ["term": "\(term)"])
      if before == .candidate, configuration.rehearsal.keepsElectionTimer { return }
      restartElectionTimer(at: now, effects: &effects)
    }
  }

  private mutating func endLeadership(term: Term, effects: inout Effects) {
    let transferring = leadership.transfer != nil
    leadership = Leadership()
    outputs.append(.idle)
    events.append(.leadershipLost(term: term))
    if commitIndex < log.lastIndex { events.append(.proposalsFailed(commitIndex.next...log.lastIndex)) }
    if transferring { events.append(.transferFailed) }
    effects.log.log(.info, "nomad.raft", "leadership lost", ["term": "\(term)"])
  }

  mutating func setLeader(_ new: RaftLeader?) {
    guard new != leader else { return }
    leader = new
    events.append(.leaderChanged(new))
  }

  /// So many times longer waits who stands last, so that others get two rounds before.
  static let lastFactor = 4

  mutating func restartElectionTimer(at now: Instant, effects: inout Effects) {
    let shortest = pace.heartbeatTimeout * (configuration.standsLast ? Self.lastFactor : 1)
    electionDeadline = now + effects.random.interval(shortest, shortest + (timings.timeoutSpread ?? shortest))
  }

  // MARK: Commit

  /// Precondition: `index` is in the log and agreed on.
  mutating func advanceCommit(to index: LogIndex, effects: inout Effects) {
    guard index > commitIndex else { return }
    precondition(index <= log.lastIndex)
    let configurationCommitted = commitIndex < history.latestIndex && history.latestIndex <= index
    commitIndex = index
    if configurationCommitted { events.append(.configurationChanged) }
    deliver(effects: &effects)
  }

  /// Hands committed entries to the owner, a bounded number per call; `deadline` asks for another call.
  mutating func deliver(effects: inout Effects) {
    guard deliveredIndex < commitIndex, !isHalted else { return }
    var budget = configuration.limits.entriesPerDelivery
    while deliveredIndex < commitIndex, budget > 0 {
      let entries = log.entries(from: deliveredIndex.next, through: commitIndex, count: budget, bytes: 4 << 20)
      guard let last = entries.last else {
        return halt("cannot read entry \(deliveredIndex.next) of the log", effects: &effects)
      }
      budget -= entries.count
      deliveredIndex = last.index
      events.append(.committed(entries: entries))
    }
    askForSnapshotWhenLogHasGrown()
  }

  private mutating func askForSnapshotWhenLogHasGrown() {
    let grown = deliveredIndex - log.snapshotIndex
    guard grown >= configuration.limits.snapshotThreshold, !isSavingSnapshot else { return }
    // A snapshot that failed is asked for again, but not at every entry.
    if let asked = snapshotAskedAt, deliveredIndex - asked < configuration.limits.snapshotThreshold / 4 { return }
    snapshotAskedAt = deliveredIndex
    events.append(.snapshotWanted)
  }

  /// The disk cannot be trusted any more: say nothing further, so that nothing false is promised.
  mutating func halt(_ reason: String, effects: inout Effects) {
    guard !isHalted else { return }
    isHalted = true
    effects.log.log(.error, "nomad.raft", "storage failed, raft stops", ["error": reason])
    if role == .leader { endLeadership(term: term, effects: &effects) }
    role = .follower
    setLeader(nil)
    deferred.removeAll()
    // What waits for the disk would follow what is missing there: a hole in the log.
    if let first = storage.first?.ticket { operations.removeAll { $0.ticket >= first } }
    storage.removeAll()
    events.append(.storageFailed(reason))
  }
}

/// What the machine wants said to peers.
enum RaftOutput {
  case request(RaftRequest, to: RaftServer, RaftChannel, RaftExchange)
  case reply(RaftReply, ReplyToken)
  /// The server is no longer ours to talk to: its connections may go.
  case forget(id: String)
  /// Find out whether anything listens at the address of a leader whose connection ended.
  case probe(address: String)
  /// Leadership ended: what is queued for sending is void.
  case idle
}

/// Heartbeats have a connection of their own, so that a large append or a slow disk never delays them.
enum RaftChannel: Hashable, Sendable {
  case heartbeat, replication
}

/// Which question a reply answers.
enum RaftExchange: Hashable {
  case heartbeat(Term)
  case append(Term, epoch: Int, previous: LogIndex, count: Int, commit: LogIndex)
  case snapshot(Term, epoch: Int, index: LogIndex)
  case vote(Term)
  case preVote(Term)
  case timeoutNow(Term)
}

/// Names an open request of a peer; each is answered exactly once.
struct ReplyToken: Hashable, Sendable {
  var connection: ConnectionID
  var sequence: UInt64
}
