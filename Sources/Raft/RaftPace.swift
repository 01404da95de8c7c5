import Base
import Wire

/// How patient this server has to be where it runs. The operator's timeouts suit a fast network and a fast disk; where
/// contacts of the leader come late, or votes take long to be stored, elections would follow one another for ever. So
/// each timeout follows the slowest that was seen lately, from its configured value up to ten times that.
///
/// It only ever waits longer than configured, and the lease that reads rely on does not change: nothing that a peer was
/// promised depends on this.
struct RaftPace: Sendable {
  /// A follower that hears nothing for a random one to two times this long asks for votes.
  private(set) var heartbeatTimeout: Interval
  /// A round of votes lasts a random one to two times this long.
  private(set) var electionTimeout: Interval
  /// A leader that a majority did not answer for this long steps down.
  private(set) var quorumTimeout: Interval

  private let configured: RaftTimings
  private var gaps = RecentSlowest()
  private var answers = RecentSlowest()
  private var roundTrips = RecentSlowest()
  private var contact: (term: Term, at: Instant)?
  /// Rounds of votes of this server, oldest first: answers may come when the next one is under way.
  private var rounds: [Round] = []
  /// The timeouts as they were last told.
  private var told: [Interval]

  private struct Round {
    let term: Term
    let isPreVote: Bool
    let startedAt: Instant
  }

  static let maximumFactor = 10
  private static let maximumRounds = 8

  init(_ timings: RaftTimings) {
    configured = timings
    heartbeatTimeout = timings.heartbeatTimeout
    electionTimeout = timings.electionTimeout
    quorumTimeout = timings.leaderLeaseTimeout
    told = [heartbeatTimeout, electionTimeout]
  }

  // MARK: What was seen

  /// The leader of this term said something. What lies between two leaders is not a pace.
  mutating func heardFromLeader(_ term: Term, at now: Instant) {
    defer { contact = (term, now) }
    guard configured.isAdaptive, let contact, contact.term == term else { return }
    gaps.note(min(now - contact.at, heartbeatTimeout * 2), at: now)
    heartbeatTimeout = Self.timeout(configured.heartbeatTimeout, gaps.level * 3 / 2)
  }

  mutating func startedRound(_ term: Term, isPreVote: Bool, at now: Instant) {
    // The same questions may still be open from the round before.
    guard !rounds.contains(where: { $0.term == term && $0.isPreVote == isPreVote }) else { return }
    if rounds.count >= Self.maximumRounds { rounds.removeFirst() }
    rounds.append(Round(term: term, isPreVote: isPreVote, startedAt: now))
  }

  /// A peer answered in this round, however late, or the own vote became durable.
  mutating func answered(_ term: Term, isPreVote: Bool, at now: Instant) {
    guard configured.isAdaptive,
      let round = rounds.first(where: { $0.term == term && $0.isPreVote == isPreVote })
    else { return }
    let length = now - round.startedAt
    answers.note(min(length, electionTimeout * 2), at: now)
    electionTimeout = Self.timeout(configured.electionTimeout, answers.level * 3 / 2)
    // The disk has no part in a pre-vote.
    if isPreVote { noteRoundTrip(length, at: now) }
  }

  /// A peer answered a heartbeat.
  mutating func noteRoundTrip(_ roundTrip: Interval, at now: Instant) {
    guard configured.isAdaptive else { return }
    roundTrips.note(min(roundTrip, quorumTimeout * 4), at: now)
    quorumTimeout = Self.timeout(configured.leaderLeaseTimeout, roundTrips.level * 2)
  }

  private static func timeout(_ configured: Interval, _ wanted: Interval) -> Interval {
    min(max(configured, wanted), configured * maximumFactor)
  }

  // MARK: Telling

  /// What the log is to say: nil while nothing has changed much since the last time.
  mutating func takeNews() -> KeyValuePairs<String, String>? {
    let current = [heartbeatTimeout, electionTimeout]
    guard zip(current, told).contains(where: { $0 * 2 > $1 * 3 || $1 * 2 > $0 * 3 }) else { return nil }
    defer { told = current }
    func text(_ interval: Interval) -> String { "\(interval.nanoseconds / 1_000_000)ms" }
    func change(_ index: Int) -> String { "\(text(told[index])) -> \(text(current[index]))" }
    return [
      "heartbeat_timeout": change(0), "election_timeout": change(1),
      "slow_contact": text(gaps.level), "slow_vote": text(answers.level),
    ]
  }
}

/// The second slowest of what was noted in the last one to two minutes: a single outlier is no pace.
struct RecentSlowest: Sendable {
  private var first = Interval.zero
  private var second = Interval.zero
  /// The second slowest of the minute before.
  private var previous = Interval.zero
  private var end = Instant.start

  static let window = Interval.minutes(1)

  /// Zero until two were noted.
  var level: Interval { max(second, previous) }

  mutating func note(_ interval: Interval, at now: Instant) {
    if now >= end {
      previous = now < end + Self.window ? second : .zero
      (first, second) = (.zero, .zero)
      end = now + Self.window
    }
    if interval > first {
      (first, second) = (interval, first)
    } else if interval > second {
      second = interval
    }
  }
}
