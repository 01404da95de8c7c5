import Base
import Testing
import Wire

@testable import Raft

/// An operator replaces the state.
@Suite struct RestoreTests {
  private static let state: [UInt8] = [1, 2, 3]

  private func single() throws -> MachineFixture {
    var node = try MachineFixture(voters: 1)
    node.lead()
    node.sync()
    for _ in 0..<3 { _ = try node.machine.propose(.command, [7], at: node.now, effects: &node.effects) }
    node.sync()
    return node
  }

  /// A leader of three whose own entries are committed.
  private func leader() throws -> MachineFixture {
    var node = try MachineFixture(voters: 3)
    node.lead()
    node.sync()
    node.confirm(2)
    #expect(node.machine.role == .leader && node.machine.commitIndex == node.machine.log.lastIndex)
    node.machine.events = []
    return node
  }

  private func restore(_ node: inout MachineFixture, above floor: LogIndex = 0) throws -> LogIndex {
    try node.machine.restore(Self.state, above: floor, at: node.now, effects: &node.effects)
  }

  @Test func theStateStandsAboveTheLogAndTheLogGoesOn() throws {
    var node = try single()
    let last = node.machine.log.lastIndex
    let confirmed = try restore(&node)
    #expect(confirmed == last + 2)
    node.sync()
    #expect(node.machine.log.snapshotIndex == last + 1 && node.machine.commitIndex == confirmed)
    let restored = node.machine.events.compactMap { event -> LogIndex? in
      guard case .restoreSnapshot(let metadata, Self.state) = event else { return nil }
      return metadata.index
    }
    #expect(restored == [last + 1])

    // The same after a restart: the snapshot, then what came behind it.
    let disk = node.disk.restored
    #expect(disk.snapshot?.index == last + 1 && disk.bounds == confirmed...confirmed)
    #expect(node.disk.durable.state == Self.state)
    let again = try MachineFixture(voters: 1, disk: node.disk)
    #expect(again.machine.log.lastIndex == confirmed && again.machine.history.latest.servers.count == 1)
  }

  @Test func theIndexIsAboveThatOfTheArchiveToo() throws {
    var node = try single()
    #expect(try restore(&node, above: 1_000_000) == 1_000_002)
    node.sync()
    #expect(node.machine.commitIndex == 1_000_002)
  }

  @Test func followersAreSentItOnlyOnceItIsDurableHere() throws {
    var node = try leader()
    let confirmed = try restore(&node)
    node.timeout(after: .milliseconds(60))
    #expect(!node.machine.events.contains(.snapshotWanted))
    node.sync()
    #expect(node.machine.events.contains(.snapshotWanted))
    #expect(node.machine.commitIndex == confirmed.previous)
    _ = node.takeRequests()
    node.machine.provideSnapshot(Self.state, at: confirmed.previous, now: node.now, effects: &node.effects)
    var sent: [(InstallSnapshotRequest, String, RaftExchange)] = []
    for (request, id, exchange) in node.takeRequests() {
      if case .installSnapshot(let install) = request { sent.append((install, id, exchange)) }
    }
    // The other one has not answered anything yet.
    #expect(sent.map(\.1) == ["n2"])
    #expect(sent.allSatisfy { $0.0.lastIndex == confirmed.previous && $0.0.state == Self.state })

    // One follower takes it, and then the entry behind it: a majority has the new state.
    guard let (_, id, exchange) = sent.first else { return }
    let reply = RaftReply(.installSnapshot(InstallSnapshotResponse(term: node.machine.term, success: true)))
    node.machine.handleReply(reply, from: id, to: exchange, at: node.now, effects: &node.effects)
    node.confirm(2)
    #expect(node.machine.commitIndex == confirmed)
  }

  @Test func whatWasProposedAndNotCommittedFails() throws {
    var node = try leader()
    let lost = try node.machine.propose(.command, [1], at: node.now, effects: &node.effects)
    let confirmed = try restore(&node)
    #expect(confirmed == lost + 2)
    #expect(node.machine.events.first == .proposalsFailed(lost...lost))
  }

  @Test func itIsRefusedWhereItCannotBeSafe() throws {
    var follower = try MachineFixture(voters: 3)
    #expect(throws: RaftError.notLeader) { try restore(&follower) }
    var node = try leader()
    _ = try node.machine.changeConfiguration(
      .addNonvoter(MachineFixture.server(4)), at: node.now, effects: &node.effects)
    #expect(throws: RaftError.configurationChangeInProgress) { try restore(&node) }
    var twice = try leader()
    _ = try restore(&twice)
    #expect(throws: RaftError.busy) { try restore(&twice) }
  }

  @Test func aDiskThatCannotKeepItStopsTheServer() throws {
    var node = try leader()
    _ = try restore(&node)
    node.sync(.failed("no space"))
    #expect(node.machine.isHalted && !node.machine.isContradicted)
  }

  /// A restored state that never reached a majority: the others went on without it.
  @Test func aServerThatTheOthersContradictStops() throws {
    var node = try single()
    let confirmed = try restore(&node)
    node.sync()
    let term: Term = 9
    let next = LogEntry(index: confirmed, term: term, kind: .noop, data: [])
    _ = node.append(term, after: confirmed.previous, term, [next])
    #expect(node.machine.isHalted && node.machine.isContradicted)
    var other = try single()
    _ = try restore(&other)
    other.sync()
    let entries = [LogEntry(index: confirmed.previous, term: term, kind: .noop, data: [])]
    _ = other.append(term, after: confirmed.previous.previous, 1, entries)
    #expect(other.machine.isHalted && other.machine.isContradicted)
  }

  @Test func nobodyReadsAStateThatNoMajorityHas() throws {
    var node = try MachineFixture(voters: 3)
    node.lead()
    node.sync()
    node.agree()
    node.timeout(after: .milliseconds(210))
    node.agree()
    #expect(node.machine.readStanding(at: node.now, since: node.now) == .ready)
    _ = try restore(&node)
    #expect(node.machine.readStanding(at: node.now, since: node.now) == .unconfirmed)
  }

  /// A new leader without the restored state must not count what this server dropped for it.
  @Test func whatARestoredStateReplacedIsNotConfirmed() throws {
    var node = try leader()
    _ = try restore(&node, above: 100)
    node.sync()
    // The new term is on the disk before anything is answered in it.
    _ = node.append(9, after: node.machine.log.snapshotIndex, node.machine.log.snapshotTerm)
    node.sync()
    for _ in 0..<15 {
      #expect(node.append(9, after: 1, 1, [.command(2, 9)])?.success == false)
    }
    #expect(!node.machine.isHalted)
    // As soon as one shows that it has it, all is well.
    #expect(node.append(9, after: node.machine.log.snapshotIndex, node.machine.log.snapshotTerm)?.success == true)
    for _ in 0..<16 { _ = node.append(9, after: 1, 1, [.command(2, 9)]) }
    #expect(node.machine.isHalted && node.machine.isContradicted)
  }

  @Test func aRepeatOfWhatIsCommittedIsNoContradiction() throws {
    var node = try MachineFixture(voters: 3, log: [.command(2, 1), .command(3, 1)])
    _ = node.append(1, after: 3, 1, commit: 3)
    let answer = node.append(1, after: 1, 1, [.command(2, 1), .command(3, 1)], commit: 3)
    #expect(answer?.success == true && !node.machine.isHalted)
  }
}
