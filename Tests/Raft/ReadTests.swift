import Base
import RaftSimulator
import Testing
import Wire

@testable import Raft

/// When a leader may answer a read from its own state, and what protects that promise.
@Suite struct ReadTests {
  /// A leader of three whose no-op is committed.
  private func leader() throws -> MachineFixture {
    var node = try MachineFixture(voters: 3)
    node.lead()
    node.sync()
    node.confirm(2)
    #expect(node.machine.role == .leader && node.machine.commitIndex == 2)
    return node
  }

  private func answerHeartbeat(_ node: inout MachineFixture, from peer: Int) {
    let response = AppendEntriesResponse(
      header: MachineFixture.header(peer), term: node.machine.term, lastIndex: 2, success: true)
    node.machine.handleReply(
      RaftReply(.appendEntries(response)), from: "n\(peer)", to: .heartbeat(node.machine.term), at: node.now,
      effects: &node.effects)
  }

  @Test func aLeaderReadsOnlyAfterAMajorityAnsweredAHeartbeat() throws {
    var node = try leader()
    #expect(node.machine.readStanding(at: node.now, since: node.now) == .unconfirmed)
    answerHeartbeat(&node, from: 2)
    #expect(node.machine.readStanding(at: node.now, since: node.now) == .ready)
  }

  @Test func theLeaseCountsFromTheSendingOfTheHeartbeat() throws {
    var node = try leader()
    let sent = node.now
    node.now += .milliseconds(400)
    answerHeartbeat(&node, from: 2)
    let asked = node.now
    #expect(node.machine.readStanding(at: sent + .milliseconds(499), since: asked) == .ready)
    #expect(node.machine.readStanding(at: sent + .milliseconds(500), since: asked) == .unconfirmed)
    // What was asked for before the heartbeat was sent is confirmed by it, however late.
    #expect(node.machine.readStanding(at: sent + .milliseconds(900), since: sent) == .ready)
  }

  @Test func aFollowerDoesNotRead() throws {
    let node = try MachineFixture(voters: 3)
    #expect(node.machine.readStanding(at: node.now, since: node.now) == .notLeader)
  }

  @Test func aSingleServerNeedsNobody() throws {
    var node = try MachineFixture(voters: 1)
    node.timeout(after: .seconds(3))
    node.sync()
    node.sync()
    #expect(node.machine.readStanding(at: node.now + .hours(1), since: node.now + .hours(1)) == .ready)
  }

  @Test func aTransferEndsTheLeaseForTheTerm() throws {
    var node = try leader()
    answerHeartbeat(&node, from: 2)
    try node.machine.transferLeadership(to: "n2", at: node.now, effects: &node.effects)
    #expect(node.machine.leadership.hasHandedOver)
    let later = node.now + .milliseconds(1)
    #expect(node.machine.readStanding(at: later, since: later) == .unconfirmed)
  }

  @Test func aRestartedServerVotesForNobodyWhileALeaseMayRest() throws {
    var node = try MachineFixture(voters: 3, isJustRestarted: true)
    #expect(node.preVote(2, for: 3, last: 5, 1)?.granted == false)
    #expect(node.vote(2, for: 3, last: 5, 1)?.granted == false)
    #expect(node.machine.term == 1)
    node.now += .milliseconds(500)
    #expect(node.preVote(2, for: 3, last: 5, 1)?.granted == true)
    #expect(node.vote(2, for: 3, last: 5, 1)?.granted == true)
  }

  @Test func aTransferOfAFormerLeaderIsIgnored() throws {
    var node = try MachineFixture(voters: 3)
    _ = node.heartbeat(2, from: 2)
    _ = node.request(.timeoutNow(TimeoutNowRequest(header: MachineFixture.header(3))))
    #expect(node.machine.role == .follower)
    _ = node.request(.timeoutNow(TimeoutNowRequest(header: MachineFixture.header(2))))
    #expect(node.machine.role == .candidate)
  }

  /// Found by the simulation: what waited for the disk when a write failed was written after it, and left a hole.
  @Test func afterAFailedWriteNothingMoreIsWritten() throws {
    var node = try MachineFixture(voters: 3)
    _ = node.append(2, after: 1, 1, [.command(2, 2)])
    node.disk.start(node.machine.storage)
    node.machine.storage.removeAll()
    _ = node.append(2, after: 2, 2, [.command(3, 2)])
    #expect(!node.machine.storage.isEmpty)
    for directive in node.disk.complete() {
      node.machine.storageCompleted(directive.ticket, .failed("no space"), at: node.now, effects: &node.effects)
    }
    #expect(node.machine.isHalted && node.machine.storage.isEmpty)
  }
}
