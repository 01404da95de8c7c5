import Base
import Foundation
import Testing
import Wire

@testable import Raft

/// Each seed draws a cluster, a schedule of faults and a workload. Safety is checked all the time; after the faults
/// stop, the cluster must elect a leader, accept a command and bring every server of its configuration up to date.
///
/// A failure names its seed: `make sim SEED=n` or `Scenario(seed: n).run()` repeats it exactly.
@Suite struct SimulationTests {
  /// `NOMADD_SIM_SEED` names the first seed and `NOMADD_SIM_RUNS` how many are run; `make sim` sets them.
  static let seeds: Range<UInt64> = {
    let environment = ProcessInfo.processInfo.environment
    let first = environment["NOMADD_SIM_SEED"].flatMap(UInt64.init) ?? 0
    return first..<first + (environment["NOMADD_SIM_RUNS"].flatMap(UInt64.init) ?? 200)
  }()

  /// Dealt out to blocks, which run side by side.
  @Test(arguments: 0..<20) func survivesFaultsAndConvergesAfterThem(_ block: UInt64) {
    for seed in Self.seeds where (seed - Self.seeds.lowerBound) % 20 == block {
      let scenario = Scenario(seed: seed)
      scenario.run()
      #expect(scenario.cluster.checker.violations.isEmpty, "seed \(seed)")
    }
  }

  @Test func sameSeedGivesTheSameRun() {
    let runs = (0..<2).map { _ in
      let scenario = Scenario(seed: 4711)
      scenario.run()
      return scenario
    }
    #expect(runs[0].cluster.eventCount == runs[1].cluster.eventCount)
    #expect(runs[0].cluster.checker.committedEntries == runs[1].cluster.checker.committedEntries)
    #expect(!runs[0].cluster.checker.committedEntries.isEmpty)
  }
}

final class Scenario {
  let cluster: VirtualCluster
  private var proposals = 0
  private let voters: Int
  private let changesMembers: Bool
  private let crashes: Bool
  private let partitions: Bool
  private var isFaulty = true
  static let faultyTime = Interval.seconds(8)
  static let convergenceTime = Interval.seconds(30)

  init(seed: UInt64) {
    var random = RandomSource(seed: seed &* 0x9E37_79B9 &+ 1)
    let count = 3 + random.below(4)
    voters = random.chance(0.3) ? count : min(3, count)
    changesMembers = random.chance(0.5)
    crashes = random.chance(0.8)
    partitions = random.chance(0.8)
    var limits = RaftLimits()
    if random.chance(0.6) {
      limits.snapshotThreshold = 10 + random.below(60)
      limits.trailingEntries = random.below(40)
      limits.cachedEntries = 4 + random.below(20)
      limits.entriesPerRequest = 4 + random.below(16)
      limits.entriesPerDelivery = 1 + random.below(20)
    }
    limits.flight = 2 + random.below(16)
    cluster = VirtualCluster(count: count, seed: random.next(), limits: limits)
    cluster.resetChance = random.chance(0.5) ? 0.01 : 0
    if random.chance(0.3) { cluster.latency = (.milliseconds(1), .milliseconds(100)) }
    for number in 0..<count where random.chance(0.2) {
      cluster.servers[number].diskLatency = (.milliseconds(1), .milliseconds(300))
    }
  }

  func run() {
    let servers = (0..<voters).map { cluster.raftServer($0) }
    for number in 0..<voters {
      cluster.at(cluster.now + .milliseconds(Int64(cluster.random.below(200)))) { [unowned self] in
        cluster.call(number) { node, effects, now in
          do throws(RaftError) {
            try node.bootstrap(servers, at: now, effects: &effects)
            node.campaign(at: now, effects: &effects)
          } catch {
            // Another one was faster and already leads us.
          }
        }
      }
    }
    scheduleWork()
    if crashes || partitions { scheduleFault() }
    cluster.run(until: .start + Self.faultyTime)
    isFaulty = false
    cluster.resetChance = 0
    cluster.healAll()
    for number in cluster.servers.indices {
      cluster.servers[number].diskLatency = (.microseconds(100), .milliseconds(5))
      if cluster.servers[number].node == nil { cluster.start(number) }
    }
    converge()
  }

  private func converge() {
    var goal: LogIndex?
    let done = cluster.run(for: Self.convergenceTime) { [unowned self] in
      guard let leader = cluster.leader else { return false }
      guard let index = goal, cluster.checker.lastCommitted >= index else {
        if goal == nil || cluster.servers[leader].node.map({ $0.lastLogIndex < goal! }) == true {
          cluster.call(leader) { node, effects, now in
            do throws(RaftError) { goal = try node.propose([1, 2, 3], at: now, effects: &effects) } catch { goal = nil }
          }
        }
        return false
      }
      guard let configuration = cluster.servers[leader].node?.configuration else { return false }
      return configuration.servers.allSatisfy { server in
        cluster.servers.contains { $0.id == server.id && $0.appliedIndex >= index }
      }
    }
    if !done, cluster.checker.violations.isEmpty {
      let roles = cluster.servers.map { server in
        guard let node = server.node else { return "down" }
        return "\(server.id) \(node.role) term \(node.term) last \(node.lastLogIndex) commit \(node.commitIndex) "
          + "applied \(server.appliedIndex) leader \(node.leader?.id ?? "-") "
          + "servers \(node.configuration.servers.map { "\($0.id)=\($0.suffrage)" })"
      }
      cluster.checker.violation("no convergence, goal \(goal?.value ?? 0):\n" + roles.joined(separator: "\n"))
    }
  }

  // MARK: Work

  private func scheduleWork() {
    cluster.at(cluster.now + cluster.random.interval(.milliseconds(2), .milliseconds(60))) { [unowned self] in
      guard isFaulty else { return }
      work()
      scheduleWork()
    }
  }

  private func work() {
    // Any server that believes to lead, so that deposed leaders are asked too.
    guard !cluster.leaders.isEmpty else { return }
    let leader = cluster.leaders[cluster.random.below(cluster.leaders.count)]
    let draw = cluster.random.below(100)
    let change = changesMembers && draw < 6 ? randomChange() : nil
    let burst = draw > 95 ? 100 : 1
    cluster.call(leader) { [self] node, effects, now in
      do throws(RaftError) {
        if let change {
          _ = try node.changeConfiguration(change, at: now, effects: &effects)
        } else if draw < 8 {
          try node.transferLeadership(at: now, effects: &effects)
        } else if draw < 12 {
          _ = try node.barrier(at: now, effects: &effects)
        } else {
          for _ in 0..<burst {
            proposals += 1
            _ = try node.propose(Array("command \(proposals)".utf8), at: now, effects: &effects)
          }
        }
      } catch {
        // Refusals are legal answers; the checker looks at what is committed.
      }
    }
  }

  private func randomChange() -> RaftConfigurationChange {
    let number = cluster.random.below(cluster.servers.count)
    let server = cluster.raftServer(number)
    switch cluster.random.below(4) {
    case 0: return .addNonvoter(server)
    case 1: return .remove(id: server.id)
    case 2: return .demote(id: server.id)
    default: return .addVoter(server)
    }
  }

  // MARK: Faults

  private func scheduleFault() {
    cluster.at(cluster.now + cluster.random.interval(.milliseconds(50), .milliseconds(1500))) { [unowned self] in
      guard isFaulty else { return }
      fault()
      scheduleFault()
    }
  }

  private func fault() {
    let count = cluster.servers.count
    let number = cluster.random.below(count)
    switch cluster.random.below(6) {
    case 0, 1:
      guard crashes else { return }
      if cluster.servers[number].node == nil { cluster.start(number) } else { cluster.crash(number) }
    case 2:
      // The leader, if there is one: the most interesting victim.
      guard crashes, let leader = cluster.leader else { return }
      cluster.crash(leader)
      cluster.at(cluster.now + cluster.random.interval(.zero, .seconds(2))) { [unowned self] in
        if cluster.servers[leader].node == nil { cluster.start(leader) }
      }
    case 3:
      guard partitions else { return }
      for other in 0..<count where other != number { cluster.setCut(number, other, true) }
    case 4:
      guard partitions else { return }
      cluster.setCut(number, cluster.random.below(count), true)
    default:
      cluster.healAll()
    }
  }
}
