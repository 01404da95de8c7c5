import Base
import Testing
import Wire

@testable import Raft
@testable import RaftSimulator

/// The checkers are checked: each classic mistake, made on purpose, must be found. How many seeds it takes from seed 1
/// on is told in docs/TESTING.md; here the search begins at one that finds it, to keep the suite short.
@Suite struct PlantedFlawTests {
  static let seeds: [PlantedFlaw: UInt64] = [
    .voteNotPersisted: 1, .voteIgnoresLog: 7, .oldTermCommittedByCounting: 1, .twoConfigurationChanges: 1,
    .answerBeforeSync: 1, .previousTermIgnored: 6, .snapshotKeepsConflictingLog: 57, .commitBeyondVerified: 43,
    .restoreReadEarly: 46, .restoreHidesGap: 618, .readWithoutLease: 48, .leaseFromArrival: 48,
  ]

  /// A leader stands still while its network is gone, and others go on without it. Back again, it is asked for what
  /// they wrote meanwhile, before its timers tell it how late it is. True when the history of the clients shows it.
  private func readsStale(seed: UInt64, flaw: PlantedFlaw?) -> Bool {
    let cluster = VirtualCluster(count: 3, seed: seed, flaw: flaw)
    cluster.form(3)
    guard cluster.run(for: .seconds(5), until: { cluster.leader != nil }), let old = cluster.leader else {
      return false
    }
    cluster.run(until: cluster.now + .milliseconds(1000 + Int64(seed) * 7))
    let resumed = cluster.now + .seconds(6)
    cluster.servers[old].pausedUntil = resumed
    // What its followers had sent arrives in its socket.
    cluster.run(until: cluster.now + .milliseconds(10))
    for other in 0..<3 { cluster.setCut(old, other, true) }
    guard cluster.run(for: .seconds(5), until: { cluster.leaders.count == 2 }),
      let new = cluster.leaders.first(where: { $0 != old })
    else { return false }
    let write = cluster.history.invoke(.write(7), key: 0, client: 0)
    cluster.call(new) { node, effects, now in
      let command = RegisterCommand(key: 0, kind: .write(7)).encoded
      guard let index = try? node.propose(command, at: now, effects: &effects) else { return }
      #expect(index > 0)
    }
    guard cluster.run(for: .seconds(1), until: { cluster.servers[new].state.values[0] == 7 }) else { return false }
    cluster.history.complete(write, result: 0)
    let asked = cluster.now
    let read = cluster.history.invoke(.read, key: 0, client: 1)
    cluster.run(until: resumed)
    let one = cluster.servers[old]
    if one.node?.readStanding(at: one.local(cluster.now), since: one.local(asked)) == .ready {
      cluster.history.complete(read, result: one.state.values[0])
    }
    return cluster.history.byKey.contains { Linearizability.check($0) == .violated }
  }

  @Test(arguments: [PlantedFlaw.readWithoutLease, .leaseFromArrival])
  func aStaleReadIsFound(_ flaw: PlantedFlaw) {
    #expect((1...20).contains { readsStale(seed: $0, flaw: flaw) })
    #expect(!(1...20).contains { readsStale(seed: $0, flaw: nil) })
  }

  @Test(arguments: PlantedFlaw.allCases.filter { seeds[$0] != nil })
  func aPlantedFlawIsFound(_ flaw: PlantedFlaw) throws {
    let first = try #require(Self.seeds[flaw])
    let found = (first..<first + 3).contains { seed in
      !ConsensusScenario(seed: seed, flaw: flaw).run().isEmpty
    }
    #expect(found, "\(flaw) is not found from seed \(first) on: look for another with nomad-simulate --flaw \(flaw)")
  }

  @Test func theSameSeedsAreCleanWithoutFlaws() {
    for seed in Set(Self.seeds.values).sorted() {
      let scenario = ConsensusScenario(seed: seed)
      #expect(scenario.run().isEmpty, "\(scenario.failureText)")
    }
  }

  /// No configuration of a server asks for one.
  @Test func serversHaveNoFlaws() {
    #expect(RaftNodeConfiguration(id: "a", address: "127.0.0.1:4647").rehearsal == Rehearsal())
  }
}
