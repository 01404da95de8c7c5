import Base

/// Keeps a complaint that repeats itself out of the log: the first is written, then one a pause that tells how often it
/// was made since. The pauses double.
struct Complaint: Hashable, Sendable {
  static let firstPause = Interval.seconds(5)
  static let longestPause = Interval.minutes(5)

  private var text = ""
  private var made = 0
  private var pause = Self.firstPause
  private var quietUntil = Instant.start

  /// Notes one more. Returns how often it was made since it was last written, when it is to be written now. Another
  /// text is written at once, unless that too happens more than once a second.
  mutating func count(_ text: String, at now: Instant) -> Int? {
    made += 1
    let isNew = text != self.text && now >= quietUntil - pause + .seconds(1)
    guard now >= quietUntil || isNew || self.text.isEmpty else { return nil }
    if isNew || self.text.isEmpty { pause = Self.firstPause } else { pause = min(pause * 2, Self.longestPause) }
    self.text = text
    quietUntil = now + pause
    defer { made = 0 }
    return made
  }
}
