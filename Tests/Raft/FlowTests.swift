import Base
import Testing
import Wire

@testable import Raft
@testable import RaftSimulator

/// A slow peer costs the leader little, and gets where it wants to.
@Suite struct FlowTests {
  /// Small enough for a test; a leader of three with a log of 61 entries, which server 2 has.
  private func leader() throws -> MachineFixture {
    var limits = RaftLimits()
    limits.snapshotThreshold = 10
    limits.trailingEntries = 1
    var node = try MachineFixture(
      voters: 3, log: (UInt64(2)...60).map { LogEntry.command(LogIndex($0), 1) }, limits: limits)
    node.lead()
    return node
  }

  private func append(_ count: Int, _ node: inout MachineFixture) throws {
    for _ in 0..<count { _ = try node.machine.propose(.command, [7], at: node.now, effects: &node.effects) }
    node.sync()
    while node.machine.commitIndex < node.machine.log.lastIndex {
      let before = node.machine.commitIndex
      node.confirm(2)
      try #require(node.machine.commitIndex > before)
    }
  }

  private func answer(
    _ append: AppendEntriesRequest, _ id: String, _ exchange: RaftExchange, _ node: inout MachineFixture
  ) {
    let response = AppendEntriesResponse(
      header: MachineFixture.header(2), term: append.term, lastIndex: append.previousIndex, success: true)
    node.machine.handleReply(
      RaftReply(.appendEntries(response)), from: id, to: exchange, at: node.now, effects: &node.effects)
  }

  private func snapshot(_ node: inout MachineFixture) {
    node.machine.provideSnapshot([1], at: node.machine.deliveredIndex, now: node.now, effects: &node.effects)
  }

  @Test func whatIsOnTheWayToAPeerIsBounded() throws {
    var node = try MachineFixture(voters: 3)
    node.lead()
    node.sync()
    node.confirm(2)
    node.machine.outputs.removeAll()
    for _ in 0..<5000 { _ = try node.machine.propose(.command, [7], at: node.now, effects: &node.effects) }
    let requests = node.takeRequests()
    #expect(requests.count { $0.to == "n2" } == node.machine.configuration.limits.flight)
    // Never answered, so still asked for its log with one request.
    #expect(!requests.contains { $0.to == "n3" })
    for (request, _, _) in requests {
      guard case .appendEntries(let append) = request else { continue }
      #expect(append.entries.count <= node.machine.configuration.limits.entriesPerRequest)
    }
  }

  @Test func compactionWaitsForTheReceiverOfASnapshotWithinBounds() throws {
    var node = try leader()
    // Server 3 has nothing.
    let requests = node.takeRequests()
    node.sync()
    var question: RaftExchange?
    for (request, id, exchange) in requests {
      guard case .appendEntries(let append) = request, !append.isHeartbeat else { continue }
      if id == "n3" { question = exchange } else { answer(append, id, exchange, &node) }
    }
    #expect(node.machine.commitIndex == 61)
    snapshot(&node)
    node.sync()
    #expect(node.machine.log.firstIndex == 61)
    let nothing = AppendEntriesResponse(
      header: MachineFixture.header(3), term: 2, lastIndex: 0, success: false, noRetryBackoff: true)
    node.machine.handleReply(
      RaftReply(.appendEntries(nothing)), from: "n3", to: try #require(question), at: node.now, effects: &node.effects)
    #expect(node.machine.events.contains(.snapshotWanted))
    node.machine.outputs.removeAll()
    snapshot(&node)
    let sent = try #require(node.takeRequests().first { $0.request.kind == .installSnapshot })

    try append(30, &node)
    snapshot(&node)
    node.sync()
    #expect(node.machine.log.firstIndex == 61, "what follows the snapshot under way stays")
    node.machine.handleReply(
      RaftReply(.installSnapshot(InstallSnapshotResponse(term: 2, success: true))), from: "n3", to: sent.exchange,
      at: node.now, effects: &node.effects)
    let next = try #require(node.takeRequests().first { $0.to == "n3" })
    guard case .appendEntries(let entries) = next.request else {
      Issue.record("server 3 needs another snapshot")
      return
    }
    #expect(entries.previousIndex == 61 && entries.entries.count == 30)

    // Not for ever.
    try append(30, &node)
    snapshot(&node)
    node.sync()
    #expect(node.machine.log.firstIndex == node.machine.log.lastIndex)
  }

  /// A new server with a slow disk, while the log grows and is compacted faster than it can write.
  @Test func aSlowNewServerIsNotSentOneSnapshotAfterAnother() throws {
    var limits = RaftLimits()
    limits.snapshotThreshold = 150
    limits.trailingEntries = 10
    let cluster = VirtualCluster(count: 4, seed: 5, limits: limits) { number, server in
      if number == 3 { server.diskLatency = (.milliseconds(250), .milliseconds(300)) }
    }
    cluster.form(3)
    #expect(cluster.run(for: .seconds(5)) { cluster.leader != nil })
    let leader = try #require(cluster.leader)
    func write(_ milliseconds: Int) {
      for step in 0..<milliseconds / 5 {
        cluster.call(leader) { node, effects, now in
          do throws(RaftError) { _ = try node.propose([UInt8(step & 0xFF)], at: now, effects: &effects) } catch {
            Issue.record("\(error)")
          }
        }
        cluster.run(until: cluster.now + .milliseconds(5))
      }
    }
    write(2000)
    let newcomer = cluster.raftServer(3)
    cluster.call(leader) { node, effects, now in
      do throws(RaftError) {
        _ = try node.changeConfiguration(.addNonvoter(newcomer), at: now, effects: &effects)
      } catch {
        Issue.record("\(error)")
      }
    }
    write(5000)
    // At 200 entries a second, and with half a second from write to answer.
    #expect(cluster.servers[3].appliedIndex.value + 200 > cluster.checker.lastCommitted.value)
    #expect(cluster.restores <= 2, "\(cluster.restores) snapshots")
    #expect(cluster.checker.violations.isEmpty)
  }
}
