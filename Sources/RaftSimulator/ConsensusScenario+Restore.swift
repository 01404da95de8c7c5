import Base
import Raft
import Wire

// An operator restores a snapshot while everything else goes wrong.

extension ConsensusScenario {
  /// First an entry of its own, as the server has it: only a leader that a majority follows may do this.
  /// One at a time, and none after one that the others went on without: each of those costs a server, and two may cost
  /// the quorum.
  func prepareRestore(_ leader: Int) {
    guard !cluster.checker.hasUnsettled else { return }
    var accepted: (index: LogIndex, term: Term)?
    cluster.call(leader) { node, effects, now in
      do throws(RaftError) {
        accepted = (try node.barrier(at: now, effects: &effects), node.term)
      } catch {
        // Refused.
      }
    }
    guard let accepted else { return }
    restore(leader, after: accepted.index, term: accepted.term, tries: 200)
  }

  /// The worst moment: some, few or none of the others have the state when the leader is gone.
  private func isolateSoon(_ leader: Int) {
    cluster.at(cluster.now + cluster.random.interval(.zero, .milliseconds(40))) { [unowned self] in
      guard isFaulty else { return }
      cluster.report.count(.isolatedLeader)
      for other in cluster.servers.indices { cluster.setCut(leader, other, true) }
    }
    reconnect(leader, at: cluster.now + cluster.random.interval(.milliseconds(500), .seconds(4)))
  }

  private func restore(_ leader: Int, after barrier: LogIndex, term: Term, tries: Int) {
    guard let node = cluster.servers[leader].node, node.role == .leader, node.term == term, tries > 0,
      !cluster.checker.hasUnsettled
    else { return }
    if cluster.servers[leader].appliedIndex >= barrier, takeOver(leader) { return }
    cluster.at(cluster.now + .milliseconds(1)) { [unowned self] in
      guard isFaulty else { return }
      restore(leader, after: barrier, term: term, tries: tries - 1)
    }
  }

  /// For the clients it is a write of every register. False when the leader wants to be asked again.
  private func takeOver(_ leader: Int) -> Bool {
    var state = RegisterState()
    state.hash = cluster.random.next()
    for key in 0..<RegisterState.count {
      values += 1
      state.values[key] = values
    }
    let last = cluster.servers[leader].node?.lastLogIndex ?? 0
    let floor = cluster.random.chance(0.3) ? last + cluster.random.below(200) : 0
    var restored: (index: LogIndex, term: Term)?
    cluster.call(leader) { [self] node, effects, now in
      let base = node.commitIndex
      do throws(RaftError) {
        let index = try node.restore(state.encoded, above: floor, at: now, effects: &effects)
        restored = (index, node.term)
        let position = ConsensusChecker.Position(index: index.previous, term: node.term)
        cluster.checker.restoring(position, after: base, hash: state.hash)
      } catch {
        // Not now.
      }
    }
    guard let restored else { return false }
    cluster.report.restorations += 1
    let operations = (0..<RegisterState.count).map { key in
      cluster.history.invoke(.write(state.values[key]), key: key, client: plan.clients + 1)
    }
    cluster.servers[leader].restorations[restored.index] = VirtualServer.Restoration(
      operations: operations, term: restored.term)
    if plan.partitions, cluster.random.chance(0.4) { isolateSoon(leader) }
    return true
  }
}
