/// Deviations that only simulations and tests ask for. Not reachable from any configuration file, flag or peer: the
/// property is of package access, and a server never sets it.
package struct Rehearsal: Hashable, Sendable {
  /// A mistake to make on purpose, so that the checkers can show that they find it.
  package var flaw: PlantedFlaw?
  /// Speaks as the generation before pre-votes and server ids in headers: closes the connection on a pre-vote, stands
  /// without asking first, and never says its id.
  package var isOldGeneration = false
  /// A candidate that meets a higher term keeps its election timer, as the Raft paper has it; ours draws a new one.
  package var keepsElectionTimer = false

  package init(flaw: PlantedFlaw? = nil, isOldGeneration: Bool = false) {
    self.flaw = flaw
    self.isOldGeneration = isOldGeneration
  }
}

/// Classic mistakes of Raft implementations. Each one is found by a simulation (`Tests/Raft/PlantedFlawTests.swift`).
package enum PlantedFlaw: String, CaseIterable, Hashable, Sendable {
  /// The vote is given before, and without, being written.
  case voteNotPersisted
  /// A vote is given to a candidate whose log lacks entries of ours.
  case voteIgnoresLog
  /// A leader commits entries of earlier terms by counting copies (figure 8 of the Raft paper).
  case oldTermCommittedByCounting
  /// A second configuration change is accepted while the first is not committed.
  case twoConfigurationChanges
  /// Entries are confirmed to the leader before they are durable.
  case answerBeforeSync
  /// Entries are accepted though the one before them differs from the leader's.
  case previousTermIgnored
  /// A follower commits up to its own last entry, verified or not.
  case commitBeyondVerified
  /// A snapshot is installed, and a log that contradicts it stays.
  case snapshotKeepsConflictingLog
  /// A leader reads its state without asking whether it still leads.
  case readWithoutLease
  /// The lease begins when the confirmation arrives instead of when the question was sent.
  case leaseFromArrival
  /// A leader answers reads from a restored state that no majority has yet.
  case restoreReadEarly
  /// A server that took over a restored state confirms entries that the state replaced, and that it does not have.
  case restoreHidesGap
}
