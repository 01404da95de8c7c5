import Base
import Testing
import Wire

@testable import Raft

@Suite struct LeaderTests {
  @Test func aSingleServerLeadsAndCommitsAlone() throws {
    var node = try MachineFixture(voters: 0)
    try node.machine.bootstrap([MachineFixture.server(1)])
    node.sync()
    node.machine.campaign(at: node.now, effects: &node.effects)
    node.sync()
    #expect(node.machine.role == .leader && node.machine.commitIndex == 2)
    let index = try node.machine.propose(.command, [1], at: node.now, effects: &node.effects)
    #expect(node.machine.commitIndex < index)
    node.sync()
    #expect(node.machine.commitIndex == index)
  }

  @Test func bootstrapIsForPristineNodesOnly() throws {
    var node = try MachineFixture(voters: 0)
    #expect(throws: RaftError.invalidConfiguration(.noVoter)) { try node.machine.bootstrap([]) }
    try node.machine.bootstrap([MachineFixture.server(1)])
    #expect(throws: RaftError.notPristine) { try node.machine.bootstrap([MachineFixture.server(1)]) }
    var old = try MachineFixture(voters: 3)
    #expect(throws: RaftError.notPristine) { try old.machine.bootstrap([MachineFixture.server(1)]) }
  }

  @Test func protocol2BootstrapsWithTheLegacyEntry() throws {
    var node = try MachineFixture(voters: 0, version: 2)
    let servers = (1...2).map { RaftServer(id: MachineFixture.address($0), address: MachineFixture.address($0)) }
    try node.machine.bootstrap(servers)
    node.sync()
    #expect(node.disk.durable.entries.map(\.kind) == [.removePeer])
    #expect(node.machine.history.latest.servers == servers && node.machine.isVoter)
  }

  @Test func preVoteComesFirstAndRaisesNoTerm() throws {
    var node = try MachineFixture(voters: 3)
    node.timeout(after: .seconds(3))
    #expect(node.machine.role == .preCandidate && node.machine.term == 1 && node.machine.storage.isEmpty)
    let kinds = node.takeRequests().map(\.request.kind)
    #expect(kinds == [.requestPreVote, .requestPreVote])
  }

  @Test func oldPeersThatCloseOnAPreVoteCountAsGranting() throws {
    var node = try MachineFixture(voters: 2)
    node.timeout(after: .seconds(3))
    let (_, id, exchange) = node.takeRequests()[0]
    node.machine.handleFailure(of: exchange, with: id, closed: true, at: node.now, effects: &node.effects)
    #expect(node.machine.role == .candidate && node.machine.term == 2)
  }

  /// They still know the leader that is gone, and would refuse.
  @Test func oldPeersDoNotGrantAnEarlyElection() throws {
    var node = try MachineFixture(voters: 3)
    _ = node.heartbeat(1)
    node.machine.leaderIsGone(address: MachineFixture.address(2), at: node.now, effects: &node.effects)
    node.timeout(after: .milliseconds(200))
    let (_, id, exchange) = node.takeRequests()[1]
    #expect(id == "n3")
    node.machine.handleFailure(of: exchange, with: id, closed: true, at: node.now, effects: &node.effects)
    for _ in 0..<3 {
      node.timeout(after: .milliseconds(200))
      #expect(node.machine.role == .preCandidate && node.machine.term == 1)
    }
    // By then the own timer has expired.
    for _ in 0..<6 { node.timeout(after: .milliseconds(200)) }
    #expect(node.machine.term == 2)
  }

  /// It refused while it still knew the old leader, and then stood in the same term.
  @Test func aVoteSplitWithAnOldPeerIsRepeatedSoon() throws {
    var node = try MachineFixture(voters: 2)
    node.timeout(after: .seconds(3))
    let (_, id, exchange) = node.takeRequests()[0]
    node.machine.handleFailure(of: exchange, with: id, closed: true, at: node.now, effects: &node.effects)
    node.sync()
    #expect(node.vote(2, for: 2, last: 1, 1)?.granted == false)
    node.timeout(after: node.machine.timings.campaignStagger)
    #expect(node.machine.role == .candidate && node.machine.term == 3)
  }

  /// Its log is too old, so it must vote for us; its higher term does not start our timer again.
  @Test func anOldPeerThatStandsInVainIsAskedForItsVoteSoon() throws {
    var node = try MachineFixture(voters: 3, log: [.command(2, 1)])
    _ = node.heartbeat(1)
    node.machine.leaderIsGone(address: MachineFixture.address(2), at: node.now, effects: &node.effects)
    node.timeout(after: .milliseconds(200))
    let (_, id, exchange) = node.takeRequests()[1]
    node.machine.handleFailure(of: exchange, with: id, closed: true, at: node.now, effects: &node.effects)
    #expect(node.machine.role == .preCandidate)
    #expect(node.vote(5, for: 3, last: 1, 1)?.granted == false)
    node.timeout(after: node.machine.timings.campaignStagger)
    #expect(node.machine.role == .candidate && node.machine.term == 6)
  }

  @Test func peersOfTheNewGenerationThatCloseDoNot() throws {
    var node = try MachineFixture(voters: 2)
    node.machine.noteIdentity(MachineFixture.header(2))
    node.timeout(after: .seconds(3))
    let (_, id, exchange) = node.takeRequests()[0]
    node.machine.handleFailure(of: exchange, with: id, closed: true, at: node.now, effects: &node.effects)
    #expect(node.machine.role == .preCandidate && node.machine.term == 1)
  }

  @Test func aNewLeaderWritesANoopAndHeartbeats() throws {
    var node = try MachineFixture(voters: 3)
    node.lead()
    #expect(node.machine.role == .leader && node.machine.term == 2)
    #expect(node.machine.log.lastIndex == 2)
    let requests = node.takeRequests()
    let heartbeats = requests.filter { if case .heartbeat = $0.exchange { true } else { false } }
    #expect(heartbeats.count == 2 && requests.count == 4)
  }

  /// Figure 8 of the Raft paper: an entry of an older term, stored by a majority, may still be lost.
  @Test func entriesOfOlderTermsAreNotCommittedByCounting() throws {
    var node = try MachineFixture(voters: 3, log: [.command(2, 2)], term: 3)
    node.lead()
    #expect(node.machine.role == .leader && node.machine.term == 4)
    // Server 2 turns out to hold the old entry, but not yet the no-op of this term.
    let exchange = RaftExchange.append(4, epoch: 0, previous: 2, count: 0, commit: 0)
    let response = AppendEntriesResponse(header: MachineFixture.header(2), term: 4, lastIndex: 2, success: true)
    node.sync()
    node.machine.handleReply(
      RaftReply(.appendEntries(response)), from: "n2", to: exchange, at: node.now, effects: &node.effects)
    #expect(node.machine.leadership.peers[0].matchIndex == 2)
    #expect(node.machine.commitIndex == 0)
    node.confirm(2)
    #expect(node.machine.commitIndex == 3, "with the no-op the old entry commits along")
  }

  @Test func theOwnDiskIsNotNeededForAMajority() throws {
    var node = try MachineFixture(voters: 3)
    node.lead()
    let requests = node.takeRequests()
    for (request, id, exchange) in requests {
      guard case .appendEntries(let append) = request, !append.isHeartbeat else { continue }
      let response = AppendEntriesResponse(header: MachineFixture.header(2), term: 2, lastIndex: 1, success: true)
      node.machine.handleReply(
        RaftReply(.appendEntries(response)), from: id, to: exchange, at: node.now, effects: &node.effects)
    }
    #expect(node.machine.commitIndex == 2)
    #expect(node.machine.log.durableIndex == 1)
  }

  @Test func aRefusalWithAHintGoesBackAtOnce() throws {
    var node = try MachineFixture(voters: 3, log: (UInt64(2)...50).map { LogEntry.command(LogIndex($0), 1) })
    node.lead()
    let request = node.takeRequests().first {
      $0.to == "n2" && $0.request.kind == .appendEntries && $0.exchange != .heartbeat(2)
    }
    let exchange = try #require(request?.exchange)
    let refusal = AppendEntriesResponse(
      header: MachineFixture.header(2), term: 2, lastIndex: 10, success: false, noRetryBackoff: true)
    node.machine.handleReply(
      RaftReply(.appendEntries(refusal)), from: "n2", to: exchange, at: node.now, effects: &node.effects)
    guard case .appendEntries(let retry)? = node.takeRequests().first?.request else { throw WireError.malformed }
    #expect(retry.previousIndex == 10 && retry.entries.first?.index == 11)
  }

  @Test func withoutAMajorityTheLeaderStepsDownAfterTheLease() throws {
    var node = try MachineFixture(voters: 3)
    node.lead()
    node.timeout(after: .milliseconds(499))
    #expect(node.machine.role == .leader)
    node.timeout(after: .milliseconds(2))
    #expect(node.machine.role == .follower && node.machine.leader == nil)
    #expect(node.machine.events.contains(.leadershipLost(term: 2)))
    #expect(node.machine.events.contains(.proposalsFailed(1...2)))
  }

  @Test func anyAnswerKeepsTheLease() throws {
    var node = try MachineFixture(voters: 3)
    node.lead()
    for _ in 0..<10 {
      node.timeout(after: .milliseconds(200))
      let refusal = AppendEntriesResponse(header: MachineFixture.header(3), term: 2, lastIndex: 0, success: false)
      node.machine.handleReply(
        RaftReply(.appendEntries(refusal)), from: "n3", to: .heartbeat(2), at: node.now, effects: &node.effects)
    }
    #expect(node.machine.role == .leader)
  }

  @Test func aHigherTermInAnAnswerEndsLeadership() throws {
    var node = try MachineFixture(voters: 3)
    node.lead()
    let response = AppendEntriesResponse(header: MachineFixture.header(2), term: 9, lastIndex: 0, success: false)
    node.machine.handleReply(
      RaftReply(.appendEntries(response)), from: "n2", to: .heartbeat(2), at: node.now, effects: &node.effects)
    #expect(node.machine.role == .follower && node.machine.term == 9)
  }

  // MARK: Membership

  @Test func oneChangeAtATimeAndOnlyAfterTheOwnTermCommitted() throws {
    var node = try MachineFixture(voters: 3)
    node.lead()
    let newcomer = RaftConfigurationChange.addNonvoter(MachineFixture.server(4))
    #expect(throws: RaftError.configurationChangeInProgress) {
      try node.machine.changeConfiguration(newcomer, at: node.now, effects: &node.effects)
    }
    node.sync()
    node.confirm(2)
    let index = try node.machine.changeConfiguration(newcomer, at: node.now, effects: &node.effects)
    #expect(index == 3 && node.machine.leadership.peers.map(\.server.id) == ["n2", "n3", "n4"])
    #expect(throws: RaftError.configurationChangeInProgress) {
      try node.machine.changeConfiguration(newcomer, at: node.now, effects: &node.effects)
    }
  }

  @Test func nonvotersDoNotCount() throws {
    var node = try MachineFixture(voters: 2)
    node.lead()
    node.sync()
    node.confirm(2)
    _ = try node.machine.changeConfiguration(
      .addNonvoter(MachineFixture.server(3)), at: node.now, effects: &node.effects)
    node.sync()
    let before = node.machine.commitIndex
    node.confirm(3)
    #expect(node.machine.commitIndex == before)
  }

  @Test func changesHaveTheirEffectOnAConfiguration() throws {
    let base = RaftConfiguration((1...3).map(MachineFixture.server))
    let moved = RaftServer(id: "n2", address: "10.0.0.2:4647", suffrage: .nonvoter)
    #expect(try base.applying(.addNonvoter(moved)).server(id: "n2") == RaftServer(id: "n2", address: "10.0.0.2:4647"))
    let demoted = try base.applying(.demote(id: "n3"))
    #expect(demoted.voterCount == 2)
    #expect(try demoted.applying(.addVoter(MachineFixture.server(3))) == base)
    #expect(try base.applying(.remove(id: "n1")).servers.map(\.id) == ["n2", "n3"])
    #expect(throws: RaftError.unknownServer) { try base.applying(.remove(id: "n9")) }
    #expect(
      try base.applying(.addVoter(RaftServer(id: "n9", address: MachineFixture.address(1)))).defect == .duplicateAddress
    )
  }

  @Test func aLeaderThatRemovesItselfLeadsUntilThatIsCommitted() throws {
    var node = try MachineFixture(voters: 3)
    node.lead()
    node.sync()
    node.confirm(2)
    _ = try node.machine.changeConfiguration(.remove(id: "n1"), at: node.now, effects: &node.effects)
    node.sync()
    node.confirm(2)
    #expect(node.machine.role == .leader, "one of two voters is no majority")
    node.machine.replicateToAll(at: node.now, effects: &node.effects)
    let exchange = RaftExchange.append(2, epoch: 0, previous: 1, count: 2, commit: 0)
    let response = AppendEntriesResponse(header: MachineFixture.header(3), term: 2, lastIndex: 1, success: true)
    node.machine.handleReply(
      RaftReply(.appendEntries(response)), from: "n3", to: exchange, at: node.now, effects: &node.effects)
    #expect(node.machine.role == .follower && node.machine.commitIndex == 3)
    node.timeout(after: .seconds(5))
    #expect(node.machine.role == .follower, "and does not stand again")
  }

  // MARK: Transfer

  @Test func transferWaitsForTheTargetAndRefusesProposalsMeanwhile() throws {
    var node = try MachineFixture(voters: 3)
    node.lead()
    try node.machine.transferLeadership(to: "n2", at: node.now, effects: &node.effects)
    #expect(throws: RaftError.leadershipTransferInProgress) {
      try node.machine.propose(.command, [1], at: node.now, effects: &node.effects)
    }
    node.sync()
    node.confirm(2)
    #expect(node.takeRequests().contains { $0.to == "n2" && $0.request.kind == .timeoutNow })
    for step in 1...11 {
      _ = step
      node.timeout(after: .milliseconds(100))
      let alive = AppendEntriesResponse(header: MachineFixture.header(2), term: 2, lastIndex: 2, success: true)
      node.machine.handleReply(
        RaftReply(.appendEntries(alive)), from: "n2", to: .heartbeat(2), at: node.now, effects: &node.effects)
    }
    #expect(node.machine.events.contains(.transferFailed))
    _ = try node.machine.propose(.command, [1], at: node.now, effects: &node.effects)
  }

  @Test func thereIsNoTransferToStrangers() throws {
    var node = try MachineFixture(voters: 3)
    node.lead()
    #expect(throws: RaftError.noTransferTarget) {
      try node.machine.transferLeadership(to: "n9", at: node.now, effects: &node.effects)
    }
  }

  @Test func followersRefuseCommands() throws {
    var node = try MachineFixture(voters: 3)
    #expect(throws: RaftError.notLeader) {
      try node.machine.propose(.command, [1], at: node.now, effects: &node.effects)
    }
  }
}
