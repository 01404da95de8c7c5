import Base
import Raft
import Wire

/// One seed draws a cluster, a schedule of faults and what clients do. Safety is checked all the time; after the faults
/// stop, the cluster must elect a leader, accept a command and bring every server of its configuration up to date.
package final class ConsensusScenario {
  package let seed: UInt64
  package let cluster: VirtualCluster
  let plan: Plan
  var isFaulty = true
  var values: UInt32 = 0

  /// How long faults last, and how long the cluster has to recover from them.
  package static let faultyTime = Interval.seconds(8)
  package static let convergenceTime = Interval.seconds(30)

  /// What the seed decides beforehand.
  struct Plan {
    var servers: Int
    var voters: Int
    var clients: Int
    var changesMembers: Bool
    var transfers: Bool
    var crashes: Bool
    var partitions: Bool
    var pauses: Bool
    var badDisks: Bool
    var isMixed: Bool
    /// An operator restores snapshots.
    var restores: Bool
    /// Mean distance of faults.
    var faultEvery: Interval
  }

  package init(seed: UInt64, flaw: PlantedFlaw? = nil) {
    self.seed = seed
    var random = RandomSource(seed: seed &* 0x9E37_79B9 &+ 1)
    let servers = 3 + random.below(5)
    var plan = Plan(
      servers: servers, voters: random.chance(0.4) ? servers : min(3, servers), clients: 2 + random.below(4),
      changesMembers: random.chance(0.5), transfers: random.chance(0.3), crashes: random.chance(0.8),
      partitions: random.chance(0.8), pauses: random.chance(0.3), badDisks: random.chance(0.3),
      isMixed: random.chance(0.2), restores: false, faultEvery: .milliseconds(Int64(100 + random.below(900))))
    // A server that stands alone with a restored state is lost for good; with changes of members beside that, an
    // operator can make a quorum impossible.
    plan.restores = !plan.changesMembers && random.chance(0.5)
    self.plan = plan
    let skewed = random.chance(0.3)
    let isMixed = plan.isMixed
    var skews = 0
    var old = 0
    var second = 0
    var draws = RandomSource(seed: random.next())
    cluster = VirtualCluster(
      count: servers, seed: random.next(), limits: Self.drawLimits(&random), flaw: flaw
    ) { _, server in
      if skewed {
        skews += 1
        server.clockRate = 900 + Int64(draws.below(200))
        server.clockAhead = draws.interval(.zero, .hours(1))
      }
      if draws.chance(0.2) { server.diskLatency = (.milliseconds(1), .milliseconds(300)) }
      guard isMixed, draws.chance(0.5) else { return }
      second += 1
      server.protocolVersion = 2
      guard draws.chance(0.7) else { return }
      old += 1
      server.rehearsal.isOldGeneration = true
    }
    cluster.report.count(.clockSkew, skews)
    cluster.report.count(.oldServer, old)
    cluster.report.count(.protocol2, second)
    cluster.resetChance = random.chance(0.5) ? 0.01 : 0
    cluster.lateChance = random.chance(0.4) ? 0.01 : 0
    cluster.duplicateChance = random.chance(0.4) ? 0.02 : 0
    if random.chance(0.3) { cluster.latency = (.milliseconds(1), .milliseconds(100)) }
  }

  private static func drawLimits(_ random: inout RandomSource) -> RaftLimits {
    var limits = RaftLimits()
    if random.chance(0.6) {
      limits.snapshotThreshold = 5 + random.below(60)
      limits.trailingEntries = random.chance(0.5) ? random.below(4) : random.below(40)
      limits.cachedEntries = 4 + random.below(20)
      limits.entriesPerRequest = 1 + random.below(random.chance(0.5) ? 3 : 16)
      limits.entriesPerDelivery = 1 + random.below(20)
    }
    limits.flight = 2 + random.below(16)
    return limits
  }

  // MARK: Run

  /// The violations, empty when all is well.
  @discardableResult
  package func run() -> [String] {
    bootstrap()
    for client in 0..<plan.clients { schedule(client) }
    scheduleUpkeep()
    scheduleFault()
    cluster.run(until: .start + Self.faultyTime)
    stopFaults()
    converge()
    if cluster.checker.violations.isEmpty { readEverythingOnce() }
    cluster.report.undecided += cluster.checker.judge(cluster.history)
    finishReport()
    return cluster.checker.violations
  }

  package var failureText: String {
    let servers = cluster.servers.map { server in
      guard let node = server.node else { return "\(server.id) down" }
      return "\(server.id) \(node.role) term \(node.term) last \(node.lastLogIndex) commit \(node.commitIndex) "
        + "applied \(server.appliedIndex) leader \(node.leader?.id ?? "-") halted \(node.isHalted) "
        + "servers \(node.configuration.servers.map { "\($0.id)=\($0.suffrage)" })"
    }
    return """
      seed \(seed) at \(cluster.now.nanoseconds / 1_000_000) ms: \(cluster.checker.violations.joined(separator: "; "))
      \(plan)
      \(servers.joined(separator: "\n"))
      repeat it with: make sim-raft SEED=\(seed) RUNS=1
      """
  }

  private func bootstrap() {
    let servers = (0..<plan.voters).map { cluster.raftServer($0) }
    // The first entry has another form under protocol 2, so that a mixed cluster has one founder.
    for number in 0..<(plan.isMixed ? 1 : plan.voters) {
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
  }

  private func stopFaults() {
    isFaulty = false
    cluster.resetChance = 0
    cluster.lateChance = 0
    cluster.duplicateChance = 0
    // A backlog of hundreds of entries would not pass in time if each took a slow round of its own.
    cluster.latency = (.microseconds(100), .milliseconds(3))
    cluster.healAll()
    for number in cluster.servers.indices {
      cluster.servers[number].diskLatency = (.microseconds(100), .milliseconds(5))
      cluster.servers[number].nextWrite = nil
      cluster.servers[number].isDiskFull = false
      if cluster.servers[number].node?.isHalted == true { cluster.crash(number) }
      if cluster.servers[number].node == nil { cluster.start(number) }
    }
    // The founder's first write was lost, and nobody else may found: the operator tries again.
    if cluster.servers.allSatisfy({ $0.node?.isPristine == true }) { bootstrap() }
  }

  private func converge() {
    var goal: LogIndex?
    let done = cluster.run(for: Self.convergenceTime) { [unowned self] in
      dealWithHalted()
      guard let leader = cluster.leader else { return false }
      guard let index = goal, cluster.checker.lastCommitted >= index else {
        if goal == nil || cluster.servers[leader].node.map({ $0.lastLogIndex < goal ?? 0 }) == true {
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
      cluster.checker.violation("liveness: no convergence, goal \(goal?.value ?? 0)")
    }
  }

  /// What was acknowledged must still be there.
  private func readEverythingOnce() {
    for key in 0..<RegisterState.count {
      let operation = cluster.history.invoke(.read, key: key, client: plan.clients)
      let asked = cluster.now
      let done = cluster.run(for: .seconds(10)) { [unowned self] in
        guard let leader = cluster.leader, let value = read(key, from: leader, since: asked) else { return false }
        cluster.history.complete(operation, result: value)
        return true
      }
      if !done, cluster.checker.violations.isEmpty { cluster.checker.violation("liveness: no read succeeds") }
    }
  }

  private func finishReport() {
    cluster.report.seeds = 1
    cluster.report.events = cluster.eventCount
    cluster.report.elections = cluster.checker.elections
    cluster.report.committed = cluster.checker.committedEntries.count
    cluster.report.configurations = cluster.checker.committedConfigurations
    cluster.report.settledRestorations = cluster.checker.settledRestorations
    for operation in cluster.history.operations {
      cluster.report.operations += 1
      if operation.returnedAt == nil {
        cluster.report.unknownOutcomes += 1
      } else if operation.kind == .read {
        cluster.report.reads += 1
      }
    }
  }

  // MARK: Clients

  private func schedule(_ client: Int, after delay: Interval? = nil) {
    let pause = delay ?? cluster.random.interval(.milliseconds(2), .milliseconds(60))
    cluster.at(cluster.now + pause) { [unowned self] in
      guard isFaulty else { return }
      act(client)
    }
  }

  /// Asks any server that believes to lead, so that deposed leaders are asked too.
  private func act(_ client: Int) {
    let leaders = cluster.leaders
    guard !leaders.isEmpty else { return schedule(client) }
    let server = leaders[cluster.random.below(leaders.count)]
    let key = cluster.random.below(RegisterState.count)
    let draw = cluster.random.below(100)
    if draw < 45 {
      let operation = cluster.history.invoke(.read, key: key, client: client)
      return poll(operation, key, of: server, for: client, since: cluster.now, tries: 15)
    }
    guard cluster.servers[server].pausedUntil <= cluster.now else { return schedule(client) }
    values += 1
    // A swap of what this server believes to be there often succeeds.
    let kind: History.Kind =
      draw < 80 ? .write(values) : .swap(expected: cluster.servers[server].state.values[key], values)
    var accepted: (index: LogIndex, term: Term)?
    cluster.call(server) { node, effects, now in
      do throws(RaftError) {
        let command = RegisterCommand(key: key, kind: kind).encoded
        accepted = (try node.propose(command, at: now, effects: &effects), node.term)
      } catch {
        // A refusal is a definite answer: nothing happened.
      }
    }
    guard let accepted else { return schedule(client) }
    let operation = cluster.history.invoke(kind, key: key, client: client)
    cluster.servers[server].proposals[accepted.index] = VirtualServer.Proposal(
      operation: operation, term: accepted.term)
    waitFor(operation, of: server, for: client, until: cluster.now + .seconds(1))
  }

  /// A client goes on when it has its answer, or its patience ends and it never learns.
  private func waitFor(_ operation: Int, of server: Int, for client: Int, until end: Instant) {
    cluster.at(cluster.now + .milliseconds(5)) { [unowned self] in
      guard isFaulty else { return }
      if cluster.history.operations[operation].returnedAt != nil { return schedule(client) }
      guard cluster.now < end else {
        for (index, proposal) in cluster.servers[server].proposals where proposal.operation == operation {
          cluster.servers[server].proposals[index] = nil
        }
        return schedule(client)
      }
      waitFor(operation, of: server, for: client, until: end)
    }
  }

  private func poll(_ operation: Int, _ key: Int, of server: Int, for client: Int, since asked: Instant, tries: Int) {
    if let value = read(key, from: server, since: asked) {
      cluster.history.complete(operation, result: value)
      return schedule(client)
    }
    guard tries > 0 else { return schedule(client) }
    let resumed = cluster.servers[server].pausedUntil
    if resumed > cluster.now {
      // The question waits in the socket of a server that stands still; its client asks somebody else meanwhile.
      cluster.at(resumed) { [unowned self] in
        if let value = read(key, from: server, since: asked) { cluster.history.complete(operation, result: value) }
      }
      return schedule(client, after: .milliseconds(100))
    }
    cluster.at(cluster.now + .milliseconds(20)) { [unowned self] in
      guard isFaulty else { return }
      poll(operation, key, of: server, for: client, since: asked, tries: tries - 1)
    }
  }

  /// `nil` when the server may not answer, or stands still.
  func read(_ key: Int, from server: Int, since asked: Instant) -> UInt32? {
    let one = cluster.servers[server]
    guard let node = one.node, one.pausedUntil <= cluster.now,
      node.readStanding(at: one.local(cluster.now), since: one.local(asked)) == .ready
    else { return nil }
    return one.state.values[key]
  }

  // MARK: Upkeep

  private func scheduleUpkeep() {
    cluster.at(cluster.now + cluster.random.interval(.milliseconds(10), .milliseconds(400))) { [unowned self] in
      guard isFaulty else { return }
      upkeep()
      scheduleUpkeep()
    }
  }

  private func upkeep() {
    let leaders = cluster.leaders
    guard !leaders.isEmpty else { return }
    let leader = leaders[cluster.random.below(leaders.count)]
    if plan.restores, cluster.random.chance(0.25) { return prepareRestore(leader) }
    let draw = cluster.random.below(100)
    let changes = (0..<(cluster.random.chance(0.3) ? 2 : 1)).map { _ in randomChange() }
    cluster.call(leader) { [self] node, effects, now in
      do throws(RaftError) {
        if plan.changesMembers, draw < 40 {
          for change in changes { _ = try node.changeConfiguration(change, at: now, effects: &effects) }
        } else if plan.transfers, draw < 55 {
          cluster.report.transfers += 1
          try node.transferLeadership(at: now, effects: &effects)
        } else if draw < 65 {
          _ = try node.barrier(at: now, effects: &effects)
        } else if draw < 80 {
          for number in 0..<100 { _ = try node.propose([UInt8(number)], at: now, effects: &effects) }
        }
      } catch {
        // Refusals are legal answers.
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
}
