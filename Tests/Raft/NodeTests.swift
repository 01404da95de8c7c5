import Base
import RaftSimulator
import Testing
import Wire

@testable import Raft

/// Whole nodes over the virtual network, without faults.
@Suite struct NodeTests {
  private func formed(_ count: Int, seed: UInt64 = 1) -> VirtualCluster {
    let cluster = VirtualCluster(count: count, seed: seed)
    cluster.form(count)
    return cluster
  }

  private func lead(_ cluster: VirtualCluster) -> Int? {
    guard cluster.run(for: .seconds(5), until: { cluster.leaders.count == 1 }) else { return nil }
    return cluster.leader
  }

  @Test(arguments: [1, 2, 3, 5, 7]) func aBootstrappedClusterHasALeaderInTensOfMilliseconds(_ count: Int) {
    for seed in UInt64(0)..<5 {
      let cluster = formed(count, seed: seed)
      let done = cluster.run(for: .milliseconds(60)) {
        cluster.leader != nil && cluster.servers.allSatisfy { $0.node?.commitIndex ?? 0 >= 2 }
      }
      #expect(done, "seed \(seed)")
    }
  }

  @Test func theFirstLeaderAppearsSoonEvenWhenTheFirstCandidateIsDown() {
    let cluster = VirtualCluster(count: 3, seed: 5)
    cluster.crash(0)
    cluster.form(3, absent: [0])
    #expect(cluster.run(for: .milliseconds(400)) { cluster.leader != nil })
  }

  @Test func commandsReachEveryServerWithinARoundTripOrTwo() throws {
    let cluster = formed(3)
    let leader = try #require(lead(cluster))
    cluster.run(until: cluster.now + .seconds(1))
    var index: LogIndex = 0
    cluster.call(leader) { node, effects, now in
      do throws(RaftError) { index = try node.propose([9], at: now, effects: &effects) } catch {
        Issue.record("\(error)")
      }
    }
    // Three ways of at most 3 ms, two disks of at most 5 ms: no timer is involved in learning the commit index.
    #expect(cluster.run(for: .milliseconds(25)) { cluster.servers.allSatisfy { $0.appliedIndex >= index } })
  }

  @Test func aNewServerIsBroughtUpToDateAndPromoted() throws {
    let cluster = VirtualCluster(count: 4, seed: 3)
    cluster.form(3)
    let leader = try #require(lead(cluster))
    cluster.run(until: cluster.now + .seconds(1))
    for change in [RaftConfigurationChange.addNonvoter(cluster.raftServer(3)), .addVoter(cluster.raftServer(3))] {
      cluster.call(leader) { node, effects, now in
        do throws(RaftError) { _ = try node.changeConfiguration(change, at: now, effects: &effects) } catch {
          Issue.record("\(error)")
        }
      }
      cluster.run(until: cluster.now + .seconds(1))
    }
    #expect(cluster.servers[3].node?.isVoter == true)
    #expect(cluster.servers[3].appliedIndex == cluster.checker.lastCommitted)
  }

  @Test func aRemovedServerLearnsOfItAndStaysQuiet() throws {
    let cluster = formed(4)
    let leader = try #require(lead(cluster))
    cluster.run(until: cluster.now + .seconds(1))
    let victim = (leader + 1) % 4
    cluster.call(leader) { node, effects, now in
      do throws(RaftError) {
        _ = try node.changeConfiguration(.remove(id: "server-\(victim)"), at: now, effects: &effects)
      } catch {
        Issue.record("\(error)")
      }
    }
    let term = cluster.servers[leader].node?.term
    cluster.run(until: cluster.now + .seconds(10))
    #expect(cluster.servers[victim].node?.committedConfiguration.servers.count == 3)
    #expect(cluster.servers[victim].node?.role == .follower)
    #expect(cluster.servers[leader].node?.term == term)
  }

  /// A process that dies closes its connections: nobody needs to wait for the heartbeat timeout.
  @Test(arguments: UInt64(0)..<8) func aLeaderThatDiesIsReplacedInAFractionOfASecond(_ seed: UInt64) throws {
    let cluster = formed(3, seed: seed)
    let leader = try #require(lead(cluster))
    cluster.run(until: cluster.now + .seconds(3))
    cluster.crash(leader)
    #expect(cluster.run(for: .milliseconds(600)) { cluster.leader != nil })
    #expect(cluster.checker.violations.isEmpty)
  }

  /// A server that knows a leader only from its requests (it holds no configuration yet) must forget a silent one, or
  /// it would refuse its vote to everybody for ever.
  @Test func aServerWithoutConfigurationForgetsASilentLeader() throws {
    var node = try MachineFixture(voters: 0)
    #expect(node.heartbeat(2, from: 2)?.success == true)
    #expect(node.preVote(3, for: 3, last: 5, 2)?.granted == false)
    #expect(node.machine.deadline != nil)
    node.timeout(after: .seconds(3))
    #expect(node.machine.leader == nil && node.machine.deadline == nil && node.machine.role == .follower)
    #expect(node.preVote(3, for: 3, last: 5, 2)?.granted == true)
  }

  /// Ends of connections alone change nothing.
  @Test func aLeaderThatOnlyLosesConnectionsStaysLeader() throws {
    let cluster = formed(3)
    let leader = try #require(lead(cluster))
    cluster.run(until: cluster.now + .seconds(1))
    let term = cluster.servers[leader].node?.term
    cluster.resetChance = 0.05
    cluster.run(until: cluster.now + .seconds(20))
    #expect(cluster.leader == leader && cluster.servers[leader].node?.term == term)
  }

  @Test func leadershipMovesWithinMilliseconds() throws {
    let cluster = formed(3)
    let leader = try #require(lead(cluster))
    cluster.run(until: cluster.now + .seconds(1))
    let target = (leader + 1) % 3
    cluster.call(leader) { node, effects, now in
      do throws(RaftError) { try node.transferLeadership(to: "server-\(target)", at: now, effects: &effects) } catch {
        Issue.record("\(error)")
      }
    }
    #expect(cluster.run(for: .milliseconds(60)) { cluster.leader == target })
  }

  @Test func aServerBehindTheLogReceivesASnapshot() throws {
    var limits = RaftLimits()
    limits.snapshotThreshold = 50
    limits.trailingEntries = 10
    let cluster = VirtualCluster(count: 3, seed: 8, limits: limits)
    cluster.form(3)
    let leader = try #require(lead(cluster))
    let victim = (leader + 1) % 3
    cluster.crash(victim)
    for step in 0..<200 {
      cluster.call(leader) { node, effects, now in
        do throws(RaftError) { _ = try node.propose([UInt8(step)], at: now, effects: &effects) } catch {
          Issue.record("\(error)")
        }
      }
      cluster.run(until: cluster.now + .milliseconds(10))
    }
    #expect(cluster.servers[leader].node?.firstLogIndex ?? 0 > 100)
    cluster.start(victim)
    #expect(cluster.run(for: .seconds(3)) { cluster.servers[victim].appliedIndex == cluster.checker.lastCommitted })
    #expect(cluster.restores == 1)
    #expect(cluster.checker.violations.isEmpty)
  }

  /// Nothing to do: heartbeats and rare refreshes only.
  @Test func anIdleClusterIsQuiet() throws {
    let cluster = formed(3)
    _ = try #require(lead(cluster))
    cluster.run(until: cluster.now + .seconds(2))
    let before = cluster.eventCount
    cluster.run(until: cluster.now + .seconds(10))
    // 2 peers, about 7 heartbeats a second each, two segments and some wake-ups per heartbeat.
    #expect((cluster.eventCount - before) / 10 < 100)
  }
}
