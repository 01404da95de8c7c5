import Base
import Wire

/// Whether a server may answer a consistent read from its own state.
public enum ReadStanding: Hashable, Sendable {
  /// Answer now.
  case ready
  /// It leads, but has not heard from a majority recently enough, or has not applied everything yet: ask again after
  /// the next event, at the latest when the next round of heartbeats is answered.
  case unconfirmed
  case notLeader
}

extension RaftMachine {
  /// Reads without a message (Raft dissertation, 6.4).
  ///
  /// A follower that answers a heartbeat promises not to vote for another server for at least `heartbeatTimeout`, so no
  /// other leader can exist until that long after the *sending* of the oldest of a majority's newest answered
  /// heartbeats. The lease ends after `leaderLeaseTimeout`, half of it: clocks may run twice as fast as ours. Where the
  /// lease does not help (it ran out, or leadership was handed over in this term), a heartbeat sent after the read was
  /// asked for, and answered by a majority, proves the same: ReadIndex, carried by the heartbeats that go out anyhow.
  ///
  /// The promise has two exceptions. A leadership transfer overrides it, so TimeoutNow ends the lease for the term. And
  /// a server that finds nothing listening at the leader's address takes it for dead at once: something on the path
  /// that refuses connections in the name of a living leader, after ending those it had, could break the lease.
  func readStanding(at now: Instant, since asked: Instant) -> ReadStanding {
    guard role == .leader, !isHalted else { return .notLeader }
    // Everything that earlier leaders acknowledged, and that we told anybody to be committed, is applied.
    guard commitIndex >= leadership.firstIndex, deliveredIndex == commitIndex else { return .unconfirmed }
    if flaw == .readWithoutLease { return .ready }
    guard let followed = followedByMajorityAt else { return .unconfirmed }
    if followed >= asked { return .ready }
    return !leadership.hasHandedOver && now < followed + timings.leaderLeaseTimeout ? .ready : .unconfirmed
  }

  /// A majority followed us at this time or later.
  private var followedByMajorityAt: Instant? {
    let followed = quorumValue(own: Instant.distantFuture, none: Instant(nanoseconds: .min)) {
      $0.followedAt ?? Instant(nanoseconds: .min)
    }
    return followed == Instant(nanoseconds: .min) ? nil : followed
  }
}
