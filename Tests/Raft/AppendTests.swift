import Base
import Testing
import Wire

@testable import Raft

@Suite struct AppendTests {
  @Test func appendsAreConfirmedOnlyWhenDurable() throws {
    var node = try MachineFixture(voters: 3)
    #expect(node.heartbeat(1)?.success == true)
    #expect(node.append(1, after: 1, 1, [.command(2, 1)]) == nil)
    let replies = node.sync()
    #expect(
      replies == [
        RaftReply(
          .appendEntries(
            AppendEntriesResponse(header: MachineFixture.header(1), term: 1, lastIndex: 1, success: true)))
      ])
  }

  @Test func heartbeatsAreAnsweredWhileTheDiskIsBusy() throws {
    var node = try MachineFixture(voters: 3)
    #expect(node.append(2, after: 1, 1, [.command(2, 2)]) == nil)
    #expect(node.heartbeat(2)?.success == true)
    #expect(node.heartbeat(5, from: 3)?.term == 5)
  }

  @Test func aHeartbeatNeitherRaisesNorLowersTheCommitIndex() throws {
    var node = try MachineFixture(voters: 3)
    _ = node.append(1, after: 1, 1, [.command(2, 1)], commit: 2)
    node.sync()
    #expect(node.machine.commitIndex == 2)
    _ = node.heartbeat(1)
    #expect(node.machine.commitIndex == 2)
  }

  @Test func oldTermsAreRefused() throws {
    var node = try MachineFixture(voters: 3, term: 7)
    let response = node.heartbeat(6)
    #expect(response?.success == false && response?.term == 7)
    #expect(node.machine.leader == nil)
  }

  @Test func aGapIsRefusedWithTheLastIndex() throws {
    var node = try MachineFixture(voters: 3)
    let response = node.append(1, after: 9, 1, [.command(10, 1)])
    #expect(response?.success == false && response?.noRetryBackoff == true && response?.lastIndex == 1)
    #expect(node.machine.leader?.id == "n2", "a refusal still tells who leads")
    #expect(node.machine.lastContact == nil, "but is no contact")
  }

  @Test func aConflictSkipsTheWholeTerm() throws {
    var node = try MachineFixture(
      voters: 3, log: [.command(2, 2), .command(3, 3), .command(4, 3), .command(5, 3)], term: 4)
    let response = node.append(4, after: 5, 4)
    #expect(response?.success == false && response?.lastIndex == 2)
  }

  @Test func conflictingEntriesAreReplacedAndEqualOnesKept() throws {
    var node = try MachineFixture(voters: 3, log: [.command(2, 2), .command(3, 2), .command(4, 2)])
    _ = node.append(3, after: 1, 1, [.command(2, 2), .command(3, 3)], commit: 2)
    #expect(node.sync().count == 1)
    #expect(node.disk.durable.entries.map(\.term) == [1, 2, 3])
    #expect(node.machine.log.lastIndex == 3 && node.machine.commitIndex == 2)
  }

  @Test func aDelayedShorterRequestDoesNotShortenTheLog() throws {
    var node = try MachineFixture(voters: 3)
    _ = node.append(1, after: 1, 1, [.command(2, 1), .command(3, 1)])
    node.sync()
    let response = node.append(1, after: 1, 1, [.command(2, 1)])
    #expect(response?.success == true)
    #expect(node.machine.log.lastIndex == 3)
  }

  @Test func onlyVerifiedEntriesAreCommitted() throws {
    var node = try MachineFixture(voters: 3, log: [.command(2, 2), .command(3, 2)])
    _ = node.append(3, after: 2, 2, [], commit: 3)
    #expect(node.machine.commitIndex == 2, "entry 3 is of nobody knows whom")
  }

  @Test func committedEntriesAreNeverReplaced() throws {
    var node = try MachineFixture(voters: 3)
    _ = node.append(2, after: 1, 1, [.command(2, 2)], commit: 2)
    node.sync()
    let response = node.append(3, from: 3, after: 1, 1, [.command(2, 3)])
    node.sync()
    _ = response
    #expect(node.disk.durable.entries.map(\.term) == [1, 2])
  }

  @Test func aTruncatedConfigurationIsTakenBack() throws {
    var node = try MachineFixture(voters: 3)
    let other = RaftConfiguration((1...4).map(MachineFixture.server))
    _ = node.append(2, after: 1, 1, [LogEntry(index: 2, term: 2, kind: .configuration, data: other.encoded)])
    #expect(node.machine.history.latest.servers.count == 4)
    _ = node.append(3, from: 3, after: 1, 1, [.command(2, 3)])
    #expect(node.machine.history.latest.servers.count == 3)
    #expect(node.sync().count == 2)
  }

  @Test func writesOfOneTurnAreOneTransaction() throws {
    var node = try MachineFixture(voters: 3)
    for index in UInt64(2)...20 {
      _ = node.append(2, after: LogIndex(index - 1), index == 2 ? 1 : 2, [.command(LogIndex(index), 2)])
    }
    #expect(node.machine.storage.count == 1)
    #expect(node.sync().count == 19)
  }

  @Test(arguments: [
    [LogEntry.command(3, 1)], [.command(2, 1), .command(2, 1)], [.command(2, 9)],
    [LogEntry(index: 2, term: 1, kind: .configuration, data: [1, 2])],
  ])
  func requestsThatContradictThemselvesAreRefused(_ entries: [LogEntry]) throws {
    var node = try MachineFixture(voters: 3)
    let response = node.append(1, after: 1, 1, entries)
    #expect(response?.success == false)
    #expect(node.machine.log.lastIndex == 1 && node.machine.storage.isEmpty)
  }

  @Test func afterAFailedWriteNothingIsPromised() throws {
    var node = try MachineFixture(voters: 3)
    _ = node.append(1, after: 1, 1, [.command(2, 1)])
    #expect(node.sync(.failed("no space left on device")).isEmpty)
    #expect(node.machine.events.contains(.storageFailed("no space left on device")))
    let reply = node.request(
      .appendEntries(AppendEntriesRequest(header: MachineFixture.header(2), term: 1, leader: "a:1")))
    #expect(reply?.error == "raft storage failed")
    #expect(node.machine.deadline == nil)
  }

  @Test func aSnapshotReplacesTheLogOnlyWhenDurable() throws {
    var node = try MachineFixture(voters: 3, log: [.command(2, 1)])
    let configuration = RaftConfiguration((1...5).map(MachineFixture.server))
    let request = InstallSnapshotRequest(
      header: MachineFixture.header(2), term: 3, leader: MachineFixture.address(2), lastIndex: 50, lastTerm: 2,
      configuration: configuration, configurationIndex: 40, state: [1, 2, 3])
    #expect(node.request(.installSnapshot(request)) == nil)
    #expect(node.machine.commitIndex == 0)
    let replies = node.sync()
    #expect(replies == [RaftReply(.installSnapshot(InstallSnapshotResponse(term: 3, success: true)))])
    #expect(node.machine.commitIndex == 50 && node.machine.log.lastIndex == 50 && node.machine.log.lastTerm == 2)
    #expect(node.machine.history.latest == configuration && node.machine.history.latestIndex == 40)
    #expect(node.disk.durable.entries.isEmpty && node.disk.durable.state == [1, 2, 3])
    #expect(node.append(3, after: 50, 2, [.command(51, 3)], commit: 51) == nil)
    node.sync()
    #expect(node.disk.durable.entries.map(\.index) == [51])
    let again = try MachineFixture(voters: 0, disk: node.disk)
    #expect(again.machine.log.lastIndex == 51 && again.machine.commitIndex == 50)
  }

  @Test func aSnapshotThatReplacesTheLogClearsWhatAFailedCompactionLeft() throws {
    var node = try MachineFixture(voters: 3, log: [.command(2, 1), .command(3, 1)])
    // As after a snapshot of our own, whose entries could not be dropped from the disk.
    node.machine.log.compact(through: 2)
    let ticket = node.machine.makeTicket(.compaction)
    node.machine.storageCompleted(ticket, .failed("fsync failed"), at: node.now, effects: &node.effects)
    #expect(node.disk.durable.entries.map(\.index) == [1, 2, 3])
    let request = InstallSnapshotRequest(
      header: MachineFixture.header(2), term: 3, leader: MachineFixture.address(2), lastIndex: 50, lastTerm: 2,
      configuration: RaftConfiguration((1...3).map(MachineFixture.server)), configurationIndex: 1, state: [1])
    #expect(node.request(.installSnapshot(request)) == nil)
    node.sync()
    #expect(node.append(3, after: 50, 2, [.command(51, 3)], commit: 51) == nil)
    node.sync()
    #expect(node.disk.durable.entries.map(\.index) == [51])
  }

  @Test func aCrashBetweenSnapshotAndLogIsRepairedAtStart() throws {
    let node = try MachineFixture(voters: 3, log: [.command(2, 1), .command(3, 1)])
    let metadata = SnapshotMetadata(
      index: 50, term: 2, configuration: RaftConfiguration([MachineFixture.server(1)]), configurationIndex: 40)
    node.disk.start([.saveSnapshot(StorageTicket(number: 9), metadata, [7])])
    _ = node.disk.complete()
    var again = try MachineFixture(voters: 0, disk: node.disk)
    #expect(again.machine.log.lastIndex == 50 && again.machine.log.isEmpty)
    again.sync()
    #expect(again.disk.durable.entries.isEmpty)
  }

  @Test func unsupportedSnapshotVersionsAreRefusedInWords() throws {
    var node = try MachineFixture(voters: 3)
    var request = InstallSnapshotRequest(
      header: MachineFixture.header(2), term: 3, leader: "a:1", lastIndex: 50, lastTerm: 2,
      configuration: RaftConfiguration(), configurationIndex: 40, state: [])
    request.snapshotVersion = 2
    let reply = node.request(.installSnapshot(request))
    #expect(reply?.error == "unsupported snapshot version 2" && reply?.response != nil)
  }
}
