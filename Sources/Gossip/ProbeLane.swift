import Base

/// Which of the two probing loops: neighbours have one of their own, at the pace of `GossipConfiguration.near`.
enum Reach: CaseIterable {
  case far, near
}

/// One probing loop.
struct ProbeLane: Sendable {
  /// The next tick.
  var next: Instant
  var current: Probe?

  var deadline: Instant { current.map { $0.deadline } ?? next }
}
