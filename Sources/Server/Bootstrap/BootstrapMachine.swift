import Base

/// Agrees on the first Raft configuration: one set of servers, promised durably by every one of its members.
///
/// Raft needs a configuration to start from and cannot agree on it itself. Here one server proposes the set of servers
/// it can reach, each member of the set promises it durably (and promises nothing else meanwhile), and only when all
/// have promised is the set decided and written. The argument why two different sets can never both take effect, and
/// where its limits are, is docs/decisions/0001-first-quorum.md.
///
/// Calling order: `update(view:)` whenever gossip, joining or Raft changed; `handle(request:)`, `handle(reply:)`,
/// `handleNoReply` and `persisted` as the outside happens; `handleTimeout` at `deadline`. After each call the owner
/// drains `directives`. When the view says that Raft is no longer pristine the machine rests for good.
public struct BootstrapMachine: Sendable {
  public struct Configuration: Hashable, Sendable {
    public var own: BootstrapServer
    public var name: String
    /// 0: never bootstraps. 1: alone, at once.
    public var expect: Int
    /// Servers that are added later by a leader must not form the first quorum.
    public var isVoter: Bool

    public init(own: BootstrapServer, name: String, expect: Int, isVoter: Bool = true) {
      self.own = own
      self.name = name
      self.expect = expect
      self.isVoter = isVoter
    }
  }

  /// A first configuration of more members is refused as a mistake.
  public static let maximumServers = 64
  // The following times hold on a quiet machine. Each attempt that ends in silence doubles them, up to sixteen times:
  // servers that are merely slow (a busy machine, a path of seconds) would otherwise give up on each other for ever.
  static let prepareTimeout = Interval.milliseconds(300)
  static let resendInterval = Interval.milliseconds(250)
  static let acceptTimeout = Interval.seconds(2)
  static let acceptTimeoutMax = Interval.seconds(12)
  static let queryInterval = Interval.milliseconds(500)
  static let callTimeoutMin = Interval.milliseconds(700)
  static let patienceMax = 16
  /// How long a server that is not first in line leaves the proposal to each of those before it.
  static let turnLength = Interval.milliseconds(400)

  enum Phase: Hashable, Sendable {
    /// Nothing under way. Next: `preparing`, `promised`, `done`.
    case idle
    /// Asked who is there. Next: `persisting(.accepting)` or `idle`.
    case preparing(Preparing)
    /// A record is on its way to the disk; what follows is in `afterPersist`.
    case persisting
    /// Own proposal: durable here, collecting promises. Next: `persisting` (decide or abort).
    case accepting(Accepting)
    /// Promised to another proposer. Next: `done`, or `persisting` when it is aborted.
    case promised
    /// Raft has a configuration. Final.
    case done
  }

  struct Preparing: Hashable, Sendable {
    var waiting: Set<String>
    var ready: [BootstrapServer]
    var until: Instant
  }

  struct Accepting: Hashable, Sendable {
    var missing: Set<String>
    var resendAt: Instant
    var until: Instant
  }

  enum AfterPersist: Hashable, Sendable {
    case startAccepting
    case replyToAccept([BootstrapRequestToken])
    case decide
    case announceAbort(Ballot, [BootstrapServer])
    case release([BootstrapRequestToken])
  }

  let configuration: Configuration
  var view: BootstrapView
  var record: BootstrapRecord
  var phase: Phase
  var afterPersist: AfterPersist?
  /// Writes complete in order; only the newest one says what is on the disk.
  var writesOutstanding = 0
  var nextAttempt: Instant
  var nextQuery: Instant = .distantFuture
  var attempts = 0
  /// What the times are multiplied by.
  private(set) var patience = 1
  var eligibleSince: Instant?
  var calls: [BootstrapCallID: (to: BootstrapServer, request: BootstrapRequest)] = [:]
  var nextCall: UInt64 = 1
  /// Refusals and silences of the last attempt by server id, for the quorum report.
  public internal(set) var obstacles: [String: String] = [:]
  public var directives: [BootstrapDirective] = []

  public init(
    configuration: Configuration, restoring record: BootstrapRecord, view: BootstrapView, at now: Instant
  ) {
    self.configuration = configuration
    self.record = record
    self.view = view
    nextAttempt = now
    phase = .idle
    if !view.isPristine {
      phase = .done
    } else if let promise = record.promise {
      resume(promise, at: now)
    } else if configuration.expect == 1, configuration.isVoter {
      directives.append(.bootstrap([configuration.own], campaign: true))
      phase = .done
    }
  }

  public var isFinished: Bool { phase == .done }

  /// How long the owner waits for the answer to a call before it reports `handleNoReply`.
  public var callTimeout: Interval { Self.callTimeoutMin * patience }

  /// Somebody was silent for as long as we waited.
  mutating func becomePatient() { patience = min(patience * 2, Self.patienceMax) }

  /// The time, as far as patience has stretched it, and a little at random so that servers do not stay in step.
  func stretched(_ time: Interval, random: inout RandomSource) -> Interval {
    patience == 1 ? time : time * patience + random.interval(.zero, time * patience / 4)
  }

  /// What this server is committed to, if anything: a server of the original that asks for Raft peers is told so.
  public var promisedServers: [BootstrapServer] { record.promise?.servers ?? [] }

  public var deadline: Instant? {
    switch phase {
    case .done, .persisting: nil
    case .idle: proposalInstant
    case .preparing(let preparing): preparing.until
    case .accepting(let accepting): min(accepting.resendAt, accepting.until)
    case .promised: nextQuery
    }
  }

  // MARK: The outside happened

  public mutating func update(view: BootstrapView, at now: Instant, random: inout RandomSource) {
    guard view != self.view else { return }
    self.view = view
    if !view.isPristine { return rest() }
    eligibleSince = standing == .ready ? (eligibleSince ?? now) : nil
    proposeIfDue(at: now, random: &random)
  }

  public mutating func handleTimeout(at now: Instant, random: inout RandomSource) {
    guard let deadline, now >= deadline else { return }
    switch phase {
    case .idle: proposeIfDue(at: now, random: &random)
    case .preparing: finishPreparing(at: now, random: &random)
    case .accepting(var accepting):
      if now >= accepting.until {
        becomePatient()
        nextAttempt = now + pause(random: &random)
        return abort()
      }
      accepting.resendAt = now + stretched(Self.resendInterval, random: &random)
      phase = .accepting(accepting)
      sendAccepts(to: accepting.missing, at: now)
    case .promised: askForOutcome(at: now)
    case .persisting, .done: break
    }
  }

  /// The record of the last `.persist` is durable.
  public mutating func persisted(at now: Instant) {
    writesOutstanding -= 1
    guard writesOutstanding == 0, case .persisting = phase, let next = afterPersist else { return }
    afterPersist = nil
    switch next {
    case .startAccepting:
      guard let promise = record.promise else { return }
      startAccepting(promise, at: now)
    case .replyToAccept(let tokens):
      phase = .promised
      nextQuery = now + Self.queryInterval * patience
      for token in tokens { directives.append(.reply(token, BootstrapReply(.yes))) }
    case .decide: writeDecision(campaign: true)
    case .announceAbort(let ballot, let servers):
      for server in servers where server != configuration.own {
        call(server, request(.abort, ballot: ballot, servers: servers))
      }
      phase = .idle
    case .release(let tokens):
      for token in tokens { directives.append(.reply(token, BootstrapReply(.yes))) }
      phase = .idle
    }
  }

  // MARK: Shared by the roles

  mutating func persist(_ next: AfterPersist) {
    phase = .persisting
    afterPersist = next
    writesOutstanding += 1
    directives.append(.persist(record))
  }

  mutating func writeDecision(campaign: Bool) {
    guard let promise = record.promise else { return }
    directives.append(.bootstrap(promise.servers, campaign: campaign))
    if campaign {
      for server in promise.servers where server != configuration.own {
        call(server, request(.decide, ballot: promise.ballot, servers: promise.servers))
      }
    }
    phase = .done
  }

  mutating func rest() {
    phase = .done
    afterPersist = nil
  }

  private mutating func resume(_ promise: BootstrapRecord.Promise, at now: Instant) {
    if promise.isDecided {
      writeDecision(campaign: promise.ballot.proposer == configuration.own.id)
    } else if promise.ballot.proposer == configuration.own.id {
      startAccepting(promise, at: now)
    } else {
      phase = .promised
      nextQuery = now
    }
  }

  mutating func call(_ server: BootstrapServer, _ request: BootstrapRequest) {
    let id = BootstrapCallID(number: nextCall)
    nextCall += 1
    calls[id] = (server, request)
    directives.append(.call(id, to: server, request))
  }

  func request(_ kind: BootstrapRequest.Kind, ballot: Ballot, servers: [BootstrapServer]) -> BootstrapRequest {
    BootstrapRequest(
      kind: kind, ballot: ballot, sender: configuration.own, expect: configuration.expect, servers: servers)
  }
}
