import Base
import Testing
import Wire

@testable import Raft

@Suite struct VoteTests {
  @Test func grantsOnlyAfterTheVoteIsDurable() throws {
    var node = try MachineFixture(voters: 3)
    let request = RequestVoteRequest(
      header: MachineFixture.header(2), term: 2, candidate: MachineFixture.address(2), lastIndex: 1, lastTerm: 1)
    #expect(node.request(.requestVote(request)) == nil)
    let replies = node.sync()
    #expect(replies.count == 1)
    #expect(node.disk.durable.hardState == HardState(term: 2, vote: MachineFixture.address(2)))
  }

  @Test func votesOncePerTermButRepeatsTheSameAnswer() throws {
    var node = try MachineFixture(voters: 3)
    #expect(node.vote(2, for: 2, last: 1, 1)?.granted == true)
    #expect(node.vote(2, for: 3, last: 1, 1)?.granted == false)
    #expect(node.vote(2, for: 2, last: 1, 1)?.granted == true)
    #expect(node.vote(3, for: 3, last: 1, 1)?.granted == true)
  }

  @Test func refusesWithoutRaisingTheTermWhileALeaderIsKnown() throws {
    var node = try MachineFixture(voters: 3)
    #expect(node.heartbeat(2)?.success == true)
    let response = node.vote(9, for: 3, last: 5, 5)
    #expect(response?.granted == false && response?.term == 2)
    #expect(node.machine.term == 2)
  }

  @Test func leadershipTransferOverridesTheKnownLeader() throws {
    var node = try MachineFixture(voters: 3)
    #expect(node.heartbeat(2)?.success == true)
    #expect(node.vote(3, for: 3, last: 1, 1, transfer: true)?.granted == true)
  }

  @Test func theKnownLeaderItselfMayAsk() throws {
    var node = try MachineFixture(voters: 3)
    #expect(node.heartbeat(2)?.success == true)
    #expect(node.vote(3, for: 2, last: 1, 1)?.granted == true)
  }

  @Test func refusesAnOlderLogButAdoptsTheTerm() throws {
    var node = try MachineFixture(voters: 3, log: [.command(2, 2)])
    let response = node.vote(5, for: 2, last: 1, 1)
    #expect(response?.granted == false && response?.term == 5)
    #expect(node.vote(6, for: 2, last: 9, 1)?.granted == false)
    #expect(node.vote(7, for: 2, last: 1, 3)?.granted == true)
  }

  @Test func refusesStrangersUnlessTheirLogIsNewer() throws {
    var node = try MachineFixture(voters: 3)
    #expect(node.vote(2, for: 9, last: 1, 1)?.granted == false)
    #expect(node.machine.term == 1)
    #expect(node.vote(2, for: 9, last: 2, 2)?.granted == true)
  }

  @Test func refusesNonvotersAfterTheTermIsAdopted() throws {
    var configuration = RaftConfiguration((1...3).map(MachineFixture.server))
    configuration.servers[1].suffrage = .nonvoter
    var node = try MachineFixture(
      voters: 0, log: [LogEntry(index: 1, term: 1, kind: .configuration, data: configuration.encoded)])
    let response = node.vote(4, for: 2, last: 1, 1)
    #expect(response?.granted == false && response?.term == 4)
  }

  @Test func aNodeWithoutConfigurationVotes() throws {
    var node = try MachineFixture(voters: 0)
    #expect(node.vote(2, for: 2, last: 1, 1)?.granted == true)
  }

  @Test func preVotesChangeNothing() throws {
    var node = try MachineFixture(voters: 3)
    let before = node.machine.hardState
    let response = node.preVote(8, for: 2, last: 1, 1)
    #expect(response?.granted == true && response?.term == 8)
    #expect(node.preVote(8, for: 9, last: 1, 1)?.granted == false)
    #expect(node.preVote(8, for: 2, last: 0, 0)?.granted == false)
    let stale = node.preVote(0, for: 2, last: 1, 1)
    #expect(stale?.granted == false && stale?.term == 1)
    #expect(node.heartbeat(1)?.success == true)
    #expect(node.preVote(8, for: 3, last: 1, 1)?.granted == false)
    #expect(node.machine.hardState == before && node.machine.storage.isEmpty)
  }

  @Test func headersOfTheOldGenerationSkipTheMembershipCheck() throws {
    var node = try MachineFixture(voters: 3)
    let request = RequestVoteRequest(
      header: RaftHeader(protocolVersion: 3), term: 2, candidate: "127.0.0.99:1", lastIndex: 1, lastTerm: 1)
    _ = node.request(.requestVote(request))
    guard case .requestVote(let response)? = node.sync().last?.response else { throw WireError.malformed }
    #expect(response.granted)
  }

  @Test(arguments: [-1, 1, 4]) func foreignProtocolVersionsAreRefusedInWords(_ version: Int64) throws {
    var node = try MachineFixture(voters: 3)
    let request = RequestVoteRequest(
      header: MachineFixture.header(2, version: version), term: 2, candidate: "a:1", lastIndex: 1, lastTerm: 1)
    #expect(node.request(.requestVote(request)) == .unsupportedVersion)
    #expect(node.machine.term == 1)
  }

  @Test func timeoutNowStartsARealElectionWithTheTransferMark() throws {
    var node = try MachineFixture(voters: 3)
    #expect(node.heartbeat(1)?.success == true)
    let reply = node.request(.timeoutNow(TimeoutNowRequest(header: MachineFixture.header(2))))
    #expect(reply == RaftReply(.timeoutNow(TimeoutNowResponse())))
    #expect(node.takeRequests().isEmpty, "the own vote is not durable yet")
    node.sync()
    let requests = node.takeRequests()
    #expect(requests.count == 2)
    for item in requests {
      guard case .requestVote(let vote) = item.request else { throw WireError.malformed }
      #expect(vote.leadershipTransfer && vote.term == 2)
    }
  }
}
