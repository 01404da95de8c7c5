import Base
import Raft

/// A witness votes, so that two sites get along with one full server each and a small machine elsewhere. It keeps log
/// and state like everybody else, so nothing is lost if it is the last one; but it stands for election last, hands
/// leadership over as soon as another voter can take it, and is not told to clients.
extension ServerMachine {
  /// The voter that should lead after this server: of those that answer the one that knows most, a witness only when
  /// there is no other. Raft id.
  var successor: String? {
    let peers = raft.peers(at: now.instant).filter { peer in
      peer.isVoter && peer.lastContact < raft.heartbeatTimeout
    }
    let full = peers.filter { !isWitness($0.id) }
    return (full.isEmpty ? peers : full).max { $0.matchIndex < $1.matchIndex }?.id
  }

  private func isWitness(_ raftID: String) -> Bool {
    directory.local.contains { $0.isWitness && $0.raftID == raftID }
  }

  /// A witness was elected: nobody else could be, or nobody else has all that is committed.
  mutating func stepAside(_ effects: inout Effects) {
    guard configuration.isWitness, transferCallers.isEmpty else { return }
    guard let target = successor, !isWitness(target) else {
      if !leadership.isStopgap {
        effects.log.log(.warn, "nomad", "this witness leads: no other voter answers, start one")
      }
      leadership.isStopgap = true
      return
    }
    leadership.isStopgap = false
    do throws(RaftError) {
      try raft.transferLeadership(to: target, at: now.instant, effects: &effects)
      effects.log.log(.info, "nomad", "this is a witness, handing leadership over", ["id": target])
    } catch {
      // Tried again soon.
      effects.log.log(.debug, "nomad", "cannot hand leadership over yet", ["error": error.text])
    }
  }
}
