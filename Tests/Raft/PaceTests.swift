import Base
import RaftSimulator
import Testing
import Wire

@testable import Raft

/// Slow networks and slow disks.
@Suite struct PaceTests {
  private let timings = RaftTimings()

  @Test func `what is seen once changes nothing`() {
    var pace = RaftPace(timings)
    pace.heardFromLeader(1, at: .start)
    pace.heardFromLeader(1, at: .start + .seconds(5))
    #expect(pace.heartbeatTimeout == timings.heartbeatTimeout)
    let news = pace.takeNews()
    #expect(news == nil)
  }

  @Test func `patience follows slow contacts, up to ten times, and comes back`() {
    var pace = RaftPace(timings)
    var now = Instant.start
    func contacts(_ count: Int, every gap: Interval, _ pace: inout RaftPace) {
      for _ in 0..<count {
        now = now + gap
        pace.heardFromLeader(1, at: now)
      }
    }
    contacts(3, every: .milliseconds(1200), &pace)
    #expect(pace.heartbeatTimeout == .milliseconds(1800))
    let news = pace.takeNews()
    #expect(news?.first?.value == "1000ms -> 1800ms")
    let again = pace.takeNews()
    #expect(again == nil)
    contacts(20, every: .seconds(30), &pace)
    #expect(pace.heartbeatTimeout == timings.heartbeatTimeout * 10)
    let most = pace.takeNews()
    #expect(most?.first?.value == "1800ms -> 10000ms")
    contacts(1300, every: .milliseconds(100), &pace)
    #expect(pace.heartbeatTimeout == timings.heartbeatTimeout)
    let last = pace.takeNews()
    #expect(last?.first?.value == "10000ms -> 1000ms")
  }

  @Test func `the time between two leaders is not a pace`() {
    var pace = RaftPace(timings)
    for term in UInt64(1)...20 { pace.heardFromLeader(Term(term), at: .start + .seconds(Int64(term) * 5)) }
    #expect(pace.heartbeatTimeout == timings.heartbeatTimeout)
  }

  @Test func `a round waits as long as answers took, also those that came too late for theirs`() {
    var pace = RaftPace(timings)
    pace.startedRound(2, isPreVote: false, at: .start)
    pace.startedRound(3, isPreVote: false, at: .start + .seconds(1))
    pace.answered(2, isPreVote: false, at: .start + .milliseconds(1600))
    #expect(pace.electionTimeout == timings.electionTimeout)
    pace.answered(3, isPreVote: false, at: .start + .milliseconds(2600))
    #expect(pace.electionTimeout == .milliseconds(2400))
    // A question that nobody asked.
    pace.answered(9, isPreVote: false, at: .start + .seconds(90))
    #expect(pace.electionTimeout == .milliseconds(2400))
  }

  struct Place: Sendable, CustomTestStringConvertible {
    let name: String
    var disk = (Interval.microseconds(100), Interval.milliseconds(5))
    var network = (Interval.microseconds(100), Interval.milliseconds(3))
    var testDescription: String { name }
  }

  static let places = [
    Place(name: "slow disks", disk: (.milliseconds(700), .milliseconds(1500))),
    Place(name: "slow network", network: (.milliseconds(200), .milliseconds(420))),
    Place(
      name: "both", disk: (.milliseconds(300), .milliseconds(900)), network: (.milliseconds(150), .milliseconds(350))),
  ]

  /// How often somebody became leader in five minutes, in which the leader crashes once, and the entries committed.
  private func elections(in place: Place, isAdaptive: Bool, seed: UInt64) -> (leaders: Int, committed: LogIndex) {
    let cluster = VirtualCluster(count: 3, seed: seed) { _, server in
      server.diskLatency = place.disk
      server.isAdaptive = isAdaptive
    }
    cluster.latency = place.network
    cluster.form(3)
    var terms: Set<Term> = []
    var crashed: Int?
    for second in 0..<300 {
      for _ in 0..<10 {
        cluster.run(until: cluster.now + .milliseconds(100))
        if let leader = cluster.leader, let term = cluster.servers[leader].node?.term { terms.insert(term) }
      }
      if second == 100, let leader = cluster.leader {
        cluster.crash(leader)
        crashed = leader
      }
      if second == 160, let crashed { cluster.start(crashed) }
      guard let leader = cluster.leader else { continue }
      cluster.call(leader) { node, effects, now in
        // Refused while leadership changes, which the count of entries shows.
        _ = try? node.propose([1], at: now, effects: &effects)
      }
    }
    #expect(cluster.checker.violations.isEmpty)
    return (terms.count, cluster.checker.lastCommitted)
  }

  @Test(arguments: places) func `where everything is slow there is one leader, and one after its crash`(
    _ place: Place
  ) {
    var adaptive = (leaders: 0, committed: 0)
    var fixed = (leaders: 0, committed: 0)
    for seed in UInt64(1)...5 {
      let with = elections(in: place, isAdaptive: true, seed: seed)
      #expect(with.leaders <= 6, "seed \(seed): \(with.leaders) leaders")
      #expect(with.committed > 180, "seed \(seed): \(with.committed) entries")
      adaptive = (adaptive.leaders + with.leaders, adaptive.committed + Int(with.committed.value))
      let without = elections(in: place, isAdaptive: false, seed: seed)
      fixed = (fixed.leaders + without.leaders, fixed.committed + Int(without.committed.value))
    }
    #expect(adaptive.committed * 10 > fixed.committed * 13, "\(adaptive), with fixed timeouts \(fixed)")
  }
}
