import Base
import Raft

// What goes wrong, and when.

extension ConsensusScenario {
  func scheduleFault() {
    let every = plan.faultEvery
    cluster.at(cluster.now + cluster.random.interval(.milliseconds(20), every * 2)) { [unowned self] in
      guard isFaulty else { return }
      fault()
      dealWithHalted()
      scheduleFault()
    }
  }

  private func fault() {
    let number = cluster.random.below(plan.servers)
    switch cluster.random.below(15) {
    case 0, 1:
      guard plan.crashes else { return }
      if cluster.servers[number].node == nil { cluster.start(number) } else { cluster.crash(number) }
    case 2, 3:
      // The leader, if there is one: the most interesting victim.
      guard plan.crashes, let leader = cluster.leader else { return }
      cluster.crash(leader)
      restart(leader, within: .seconds(2))
    case 4:
      // All at once, as in a power cut.
      guard plan.crashes, cluster.random.chance(0.3) else { return }
      for victim in cluster.servers.indices where cluster.servers[victim].node != nil {
        cluster.crash(victim)
        restart(victim, within: .seconds(1))
      }
    case 5, 6, 7:
      guard plan.partitions else { return }
      cutPaths(number)
    case 8:
      guard plan.pauses else { return }
      pause(cluster.random.chance(0.6) ? cluster.leader ?? number : number)
    case 9:
      guard plan.badDisks else { return }
      breakDisk(number)
    case 10, 11:
      guard plan.partitions, let leader = cluster.leader else { return }
      isolateAtWork(leader)
    case 12:
      guard plan.pauses, let leader = cluster.leader else { return }
      suspend(leader)
    default:
      cluster.healAll()
    }
  }

  /// The leader stands still, and then its network is gone, for as long as it takes to elect another one. Clients that
  /// know only the old one ask it meanwhile, and their questions wait in its socket.
  private func suspend(_ leader: Int) {
    guard cluster.servers[leader].pausedUntil <= cluster.now else { return }
    cluster.report.count(.suspendedLeader)
    let end = cluster.now + cluster.random.interval(.seconds(2), .seconds(6))
    cluster.servers[leader].pausedUntil = end
    cluster.at(cluster.now + cluster.random.interval(.zero, .milliseconds(60))) { [unowned self] in
      for other in cluster.servers.indices { cluster.setCut(leader, other, true) }
    }
    for key in 0..<RegisterState.count {
      cluster.at(end - cluster.random.interval(.milliseconds(1), .milliseconds(500))) { [unowned self] in
        guard isFaulty, cluster.servers[leader].node != nil else { return }
        askLate(key, of: leader, at: end)
      }
    }
    reconnect(leader, at: end + cluster.random.interval(.zero, .milliseconds(500)))
  }

  /// A question to a server that stands still until `end`; it is read then, after what came before it.
  private func askLate(_ key: Int, of server: Int, at end: Instant) {
    let operation = cluster.history.invoke(.read, key: key, client: plan.clients + 2)
    let asked = cluster.now
    cluster.at(end) { [unowned self] in
      if let value = read(key, from: server, since: asked) { cluster.history.complete(operation, result: value) }
    }
  }

  /// The machine stands still; half of the time its network is gone too, and comes back a little later.
  private func pause(_ number: Int) {
    guard cluster.servers[number].node != nil, cluster.servers[number].pausedUntil <= cluster.now else { return }
    cluster.report.count(.pause)
    let end = cluster.now + cluster.random.interval(.milliseconds(100), .seconds(4))
    cluster.servers[number].pausedUntil = end
    guard cluster.random.chance(0.5) else { return }
    cluster.at(cluster.now + cluster.random.interval(.zero, .milliseconds(50))) { [unowned self] in
      for other in cluster.servers.indices { cluster.setCut(number, other, true) }
    }
    reconnect(number, at: end + cluster.random.interval(.zero, .milliseconds(500)))
  }

  func reconnect(_ number: Int, at time: Instant) {
    cluster.at(time) { [unowned self] in
      for other in cluster.servers.indices { cluster.setCut(number, other, false) }
    }
  }

  /// The leader is cut off with entries that few or none have; others go on without it, and then it is back.
  private func isolateAtWork(_ leader: Int) {
    cluster.report.count(.isolatedLeader)
    burst(leader, 1 + cluster.random.below(20))
    cluster.at(cluster.now + cluster.random.interval(.zero, .milliseconds(8))) { [unowned self] in
      for other in cluster.servers.indices { cluster.setCut(leader, other, true) }
      burst(leader, 1 + cluster.random.below(cluster.random.chance(0.3) ? 400 : 40))
    }
    reconnect(leader, at: cluster.now + cluster.random.interval(.milliseconds(500), .seconds(4)))
  }

  private func burst(_ leader: Int, _ entries: Int) {
    cluster.call(leader) { node, effects, now in
      do throws(RaftError) {
        for number in 0..<entries { _ = try node.propose([UInt8(number & 0xFF)], at: now, effects: &effects) }
      } catch {
        // It leads no more, or too many are open.
      }
    }
  }

  private func restart(_ number: Int, within limit: Interval) {
    let limit = cluster.random.chance(0.3) ? Interval.milliseconds(50) : limit
    cluster.at(cluster.now + cluster.random.interval(.zero, limit)) { [unowned self] in
      if cluster.servers[number].node == nil { cluster.start(number) }
    }
  }

  private func cutPaths(_ number: Int) {
    let all = cluster.servers.indices
    switch cluster.random.below(6) {
    case 0:
      cluster.report.count(.isolatedServer)
      for other in all { cluster.setCut(number, other, true) }
    case 1:
      guard let leader = cluster.leader else { return }
      cluster.report.count(.isolatedLeader)
      for other in all { cluster.setCut(leader, other, true) }
    case 2:
      cluster.report.count(.split)
      let side = all.map { _ in cluster.random.chance(0.5) }
      for a in all {
        for b in all where side[a] != side[b] { cluster.setCut(a, b, true) }
      }
    case 3:
      // Two halves that see each other only through one server, which sees both.
      cluster.report.count(.bridge)
      let side = all.map { _ in cluster.random.chance(0.5) }
      for a in all where a != number {
        for b in all where b != number && side[a] != side[b] { cluster.setCut(a, b, true) }
      }
    case 4:
      cluster.report.count(.oneWay)
      let inbound = cluster.random.chance(0.5)
      for other in all {
        if inbound { cluster.setPath(other, number, false) } else { cluster.setPath(number, other, false) }
      }
    default:
      cluster.report.count(.brokenPath)
      cluster.setCut(number, cluster.random.below(plan.servers), true)
    }
  }

  private func breakDisk(_ number: Int) {
    switch cluster.random.below(4) {
    case 0: cluster.servers[number].nextWrite = .diskError
    case 1: cluster.servers[number].nextWrite = .syncFailure
    case 2: cluster.servers[number].nextWrite = .slowWrite
    default:
      cluster.servers[number].isDiskFull = true
      cluster.at(cluster.now + cluster.random.interval(.milliseconds(200), .seconds(3))) { [unowned self] in
        cluster.servers[number].isDiskFull = false
      }
    }
  }

  /// The service manager starts a server again that gave up because of its disk. One whose restored state the others
  /// never had stays away; the operator removes it.
  func dealWithHalted() {
    for number in cluster.servers.indices where cluster.servers[number].node?.isHalted == true {
      if cluster.servers[number].node?.isContradicted == true {
        cluster.report.count(.loneRestore)
        cluster.servers[number].isOutcast = true
        if !plan.restores { cluster.checker.violation("server \(number) is contradicted without any restore") }
      }
      cluster.crash(number)
      restart(number, within: .seconds(1))
    }
    for outcast in cluster.servers where outcast.isOutcast {
      guard let leader = cluster.leader else { return }
      cluster.call(leader) { node, effects, now in
        guard node.configuration.servers.contains(where: { $0.id == outcast.id }) else { return }
        do throws(RaftError) {
          _ = try node.changeConfiguration(.remove(id: outcast.id), at: now, effects: &effects)
        } catch {
          // Not now.
        }
      }
    }
  }
}
