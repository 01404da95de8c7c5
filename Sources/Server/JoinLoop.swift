import Base

/// Finds the other servers and never gives up: joins the configured addresses until the cluster is whole, then looks
/// after those that are missing for as long as the server lives.
///
/// Joining the own address is no success. Attempts begin at 100 ms and stay under half a second for the first minute,
/// so that it hardly matters which server starts first; then they back off to `retryInterval`.
///
/// Calling order: the owner calls `poll` when `deadline` is reached and after each answer, and carries out the
/// directive it returns: `.resolve` is answered by `resolved`, `.join` by `joined` for every address and then
/// `roundFinished`.
public struct JoinLoop: Sendable {
  public struct Configuration: Hashable, Sendable {
    /// Whether there is anything to resolve: `retry_join` or `start_join` entries, kept by the shell.
    public var hasEntries = false
    /// `start_join`: the first round decides, and failing it ends the agent.
    public var firstRoundIsFatal = false
    public var retryInterval = Interval.seconds(30)
    /// 0: for ever. K: the agent ends after K intervals without a success.
    public var retryMax = 0
    /// Members of the last life, from the gossip snapshot.
    public var remembered: [SocketAddress] = []

    public init() {}
  }

  public enum Directive: Hashable, Sendable {
    case resolve
    case join([SocketAddress])
    /// No success within the configured limit; the agent ends with this sentence.
    case giveUp(String)
  }

  enum State: Hashable, Sendable {
    /// Next: `resolving` or `joining` at the instant.
    case waiting(until: Instant)
    case resolving
    case joining
    case stopped
  }

  /// Fast attempts last this long after the start or after the cluster stopped being whole.
  static let eagerPeriod = Interval.minutes(1)
  static let firstDelay = Interval.milliseconds(100)
  static let eagerDelayMax = Interval.milliseconds(400)
  /// Addresses kept from one round of names.
  public static let maximumAddresses = 256

  let configuration: Configuration
  let own: Set<SocketAddress>
  private(set) var state: State
  private var addresses: [SocketAddress] = []
  private var eagerSince: Instant
  private var startedAt: Instant
  private var delay = Self.firstDelay
  public private(set) var attempts = 0
  public private(set) var hasSucceeded = false
  /// Addresses that answered a join at least once.
  private var reached: Set<SocketAddress> = []
  public private(set) var lastFailure = ""

  public init(configuration: Configuration, own: [SocketAddress], at now: Instant) {
    self.configuration = configuration
    self.own = Set(own)
    eagerSince = now
    startedAt = now
    state = configuration.hasEntries || !configuration.remembered.isEmpty ? .waiting(until: now) : .stopped
    addresses = configuration.remembered.filter { !self.own.contains($0) }
  }

  public var deadline: Instant? {
    if case .waiting(let until) = state { return until }
    return nil
  }

  /// Addresses that never answered: there may be servers behind them. `known` are the gossip addresses of members.
  public func unreached(known: Set<SocketAddress>) -> [SocketAddress] {
    addresses.filter { !reached.contains($0) && !known.contains($0) }
  }

  /// What to do now, if anything. `missing` lists members to look for beside the configured addresses (Raft peers that
  /// gossip does not show); `present` the addresses of alive members; `isWhole` says that a leader is known and that no
  /// expected server is missing.
  public mutating func poll(
    isWhole: Bool, present: Set<SocketAddress>, missing: [SocketAddress], at now: Instant, random: inout RandomSource
  ) -> Directive? {
    guard case .waiting(let until) = state, now >= until else { return nil }
    if configuration.hasEntries, !(isWhole && hasSucceeded) {
      state = .resolving
      return .resolve
    }
    return startRound(isWhole: isWhole, present: present, missing: missing, at: now, random: &random)
  }

  /// The configured entries as addresses; names that did not resolve are simply missing.
  public mutating func resolved(
    _ answer: [SocketAddress], isWhole: Bool, present: Set<SocketAddress>, missing: [SocketAddress], at now: Instant,
    random: inout RandomSource
  ) -> Directive? {
    guard state == .resolving else { return nil }
    var all: [SocketAddress] = []
    for address in answer + configuration.remembered where !own.contains(address) && !all.contains(address) {
      if all.count < Self.maximumAddresses { all.append(address) }
    }
    addresses = all
    return startRound(isWhole: isWhole, present: present, missing: missing, at: now, random: &random)
  }

  public mutating func joined(_ address: SocketAddress, failure: String?) {
    if let failure {
      lastFailure = failure
    } else if !own.contains(address) {
      hasSucceeded = true
      reached.insert(address)
    }
  }

  public mutating func roundFinished(isWhole: Bool, at now: Instant, random: inout RandomSource) -> Directive? {
    guard state == .joining else { return nil }
    attempts += 1
    if !hasSucceeded, configuration.firstRoundIsFatal {
      state = .stopped
      return .giveUp(
        "start_join: no server could be joined (\(lastFailure)); start one of them first, or use retry_join")
    }
    if !hasSucceeded, configuration.retryMax > 0,
      now - startedAt >= configuration.retryInterval * configuration.retryMax
    {
      state = .stopped
      return .giveUp(
        "max join retry exhausted, exiting: retry_join found no server in \(configuration.retryMax) intervals "
          + "(\(lastFailure)); check the addresses or raise retry_max")
    }
    wait(isWhole: isWhole, at: now, random: &random)
    return nil
  }

  /// Something changed for the worse (a member failed, the leader is gone): look again soon.
  public mutating func hurry(at now: Instant) {
    guard case .waiting(let until) = state else { return }
    eagerSince = now
    delay = Self.firstDelay
    state = .waiting(until: min(until, now + delay))
  }

  private mutating func startRound(
    isWhole: Bool, present: Set<SocketAddress>, missing: [SocketAddress], at now: Instant, random: inout RandomSource
  ) -> Directive? {
    var targets = addresses.filter { !present.contains($0) }
    for address in missing where !own.contains(address) && !targets.contains(address) { targets.append(address) }
    // While no leader is known a join to a present member can still bring news that gossip lost.
    if targets.isEmpty, !isWhole { targets = addresses }
    guard !targets.isEmpty else {
      wait(isWhole: isWhole, at: now, random: &random)
      return nil
    }
    state = .joining
    return .join(targets)
  }

  private mutating func wait(isWhole: Bool, at now: Instant, random: inout RandomSource) {
    let pause: Interval
    if isWhole {
      pause = configuration.retryInterval
      eagerSince = now
      delay = Self.firstDelay
    } else {
      pause = delay
      let limit = now - eagerSince < Self.eagerPeriod ? Self.eagerDelayMax : configuration.retryInterval
      delay = min(delay * 1.5, limit)
    }
    state = .waiting(until: now + random.interval(pause * 0.75, pause * 1.25))
  }
}
