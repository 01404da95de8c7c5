import Base

/// The timer that turns a suspicion into a death, faster the more independent accusers there are (gossip.md 5.9).
struct Suspicion: Sendable {
  let start: Instant
  private(set) var deadline: Instant
  /// It was over, and waits for those that will be soon.
  private(set) var isHeld = false
  /// The time with all confirmations.
  let minimum: Interval
  private let maximum: Interval
  private let wanted: Int
  private(set) var confirmations = 0
  /// Everybody who accused so far, the first one included; at most `wanted + 1` names.
  private var accusers: [[UInt8]]

  /// A neighbour is judged by the rules for neighbours.
  let isNear: Bool
  /// The pace at which an end that must wait is looked at again.
  let recheckInterval: Interval

  /// `minimum` is the time with all confirmations, `wanted` their number; zero lets the suspicion last `minimum`.
  init(
    minimum: Interval, maximum: Interval, wanted: Int, isNear: Bool = false, recheckInterval: Interval,
    accuser: RawSpan, at now: Instant
  ) {
    self.minimum = minimum
    self.maximum = maximum
    self.wanted = wanted
    self.isNear = isNear
    self.recheckInterval = recheckInterval
    start = now
    deadline = now + (wanted < 1 ? minimum : maximum)
    accusers = [accuser.copy()]
  }

  mutating func postpone(until time: Instant) { deadline = time }

  mutating func hold(until time: Instant) {
    isHeld = true
    deadline = time
  }

  /// True when the accusation is news and worth passing on; `confirm` is then next. Most are none, and this changes
  /// nothing and allocates nothing.
  func isNews(from accuser: RawSpan) -> Bool {
    guard confirmations < wanted else { return false }
    for known in accusers where accuser.equals(known) { return false }
    return true
  }

  /// Precondition: `isNews(from: accuser)`.
  mutating func confirm(from accuser: RawSpan) {
    accusers.append(accuser.copy())
    confirmations += 1
    if isHeld { return }
    deadline =
      start
      + GossipTiming.suspicionTimeout(
        minimum: minimum, maximum: maximum, confirmations: confirmations, wanted: wanted)
  }
}
