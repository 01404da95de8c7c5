import Base
import Raft
import Server
import Simulator
import Testing
import Wire

/// Checks of docs/TESTING.md, "Conformance", that nothing else covers.
@Suite struct ConformanceTests {
  private func voters(_ agent: VirtualAgent?) -> Int { agent?.server?.raft.configuration.voterCount ?? 0 }

  @Test func twoOfThreeFormNothingAndTheThirdMakesIt() throws {
    let story = Story()
    for server in story.servers.prefix(2) { story.simulation.start(server) }
    story.run(.seconds(20))
    for server in story.servers.prefix(2) {
      #expect(!server.hasRaftState)
      #expect(server.server?.statusText.contains("waiting for servers: 2 of 3 present") == true)
    }
    story.simulation.start(story.servers[2])
    try story.wait("a leader", within: .seconds(3)) { story.leader != nil }
  }

  @Test func aServerAloneLeadsAndSaysSo() throws {
    let story = Story(servers: 1)
    try story.form()
    let server = try #require(story.servers[0].server)
    #expect(server.raft.configuration.servers.map(\.id) == [story.servers[0].serverID])
    #expect(server.membership.local.tags["bootstrap"] == "1")
    #expect(server.membership.local.tags["expect"] == "1")
  }

  @Test func aLaterServerBecomesANonVoterAndThenAVoter() throws {
    let story = Story()
    try story.form()
    let later = story.addServer("later", join: [story.servers[0]])
    story.simulation.start(later)
    let started = story.simulation.now
    try story.wait("a non-voter", within: .seconds(3)) {
      story.leader?.server?.raft.configuration.server(id: later.serverID)?.isVoter == false
    }
    try story.wait("a voter") { voters(story.leader) == 4 }
    let time = story.simulation.now - started
    #expect(time >= .seconds(10) && time <= .seconds(22), "\(time.seconds) s")
  }

  @Test(arguments: [true, false]) func whoLeavesIsOutOfRaftAtOnce(isLeader: Bool) throws {
    let story = Story(servers: 5)
    try story.form()
    let leaver = try #require(isLeader ? story.leader : story.followers.first)
    story.simulation.leave(leaver)
    let began = story.simulation.now
    try story.wait("a leader among those that stay", within: .seconds(3)) {
      story.servers.contains { $0 !== leaver && $0.server?.raft.role == .leader }
    }
    try story.wait("it has left", within: .seconds(10)) { leaver.hasLeft != nil }
    #expect(leaver.hasLeft == true)
    try story.wait("four voters everywhere", within: .seconds(1)) {
      story.servers.allSatisfy { $0 === leaver || voters($0) == 4 }
    }
    #expect(story.simulation.now - began < .seconds(8))
    for server in story.servers where server !== leaver {
      #expect(server.server?.directory[leaver.plan.name + ".global"]?.status == .left)
    }
  }

  @Test func aDeadVoterIsNotRemovedBelowTheExpectedSize() throws {
    let story = Story()
    try story.form()
    let dead = try #require(story.followers.first)
    story.simulation.crash(dead)
    try story.wait("gossip knows", within: .seconds(60)) {
      story.leader?.server?.directory[dead.plan.name + ".global"]?.status == .failed
    }
    story.run(.minutes(2))
    #expect(voters(story.leader) == 3)
    // Replaced before it is removed.
    let spare = story.addServer("spare", join: [story.servers[0], story.servers[1]])
    story.simulation.start(spare)
    try story.wait("the spare one votes and the dead one is out", within: .seconds(60)) {
      let configuration = story.leader?.server?.raft.configuration
      return configuration?.server(id: spare.serverID)?.isVoter == true
        && configuration?.server(id: dead.serverID) == nil
    }
  }

  @Test func withoutAQuorumTheLeaderStepsDownAndSaysSoAfterFiveSeconds() throws {
    let story = Story()
    try story.form()
    let leader = try #require(story.leader)
    for server in story.followers { story.simulation.crash(server) }
    try story.wait("it leads no more", within: .seconds(1)) { leader.server?.raft.role != .leader }
    let asked = story.simulation.now
    #expect(try story.ask(leader, .nodeList).errorText == "No cluster leader")
    let time = story.simulation.now - asked
    #expect(time >= .seconds(5) && time <= .milliseconds(5400), "\(time.seconds) s")
    let options = QueryOptions(region: "global", allowStale: true)
    let id = story.simulation.call(leader, .nodeList) { options.encode(into: &$0) }
    #expect(leader.answers[id]?.bytes != nil)
  }

  @Test func aClientOfAnUnknownRegionIsToldSoAndTriesOn() throws {
    let story = Story(servers: 1)
    let lost = story.simulation.add(
      AgentPlan(
        name: "lost", region: "nowhere", host: AgentPlan.host(200),
        client: .init(servers: [story.servers[0].plan.rpcAddress])))
    story.simulation.start(story.servers[0])
    story.simulation.start(lost)
    story.run(.minutes(2))
    #expect(lost.client?.status.isRegistered == false)
    let said = story.logs("No path to region").count
    #expect(said > 3 && said < 200, "\(said) lines")
  }

  /// Two servers of one name: everybody keeps the first, and both sides say so.
  @Test func ofTwoServersWithOneNameTheFirstKeepsItsPlace() throws {
    let story = Story()
    try story.form()
    let first = try #require(story.followers.first)
    let leader = try #require(story.leader)
    let peers = leader.server?.raft.configuration.servers.map(\.id)
    let second = story.addServer(first.plan.name, join: [story.servers[0], story.servers[1], story.servers[2]])
    story.simulation.start(second)
    story.run(.seconds(30))
    for server in story.servers.prefix(3) {
      let entry = try #require(server.server?.directory["\(first.plan.name).global"])
      #expect(entry.id == first.serverID && entry.status == .alive, "\(server.plan.name)")
    }
    #expect(leader.server?.raft.configuration.servers.map(\.id) == peers)
    let said = story.logs("Name conflict for '\(first.plan.name).global'")
    #expect(said.contains { $0.contains("\(first.plan.gossipAddress)") && $0.contains("\(second.plan.gossipAddress)") })
    let ownComplaints = story.lines.filter { $0.contains("\(second.plan.host)") && $0.contains("conflict") }
    #expect(!ownComplaints.isEmpty)
    #expect(said.count < 20, "\(said.count) lines")
  }

  /// The rule by which Nomad's own leader calls a server healthy, applied to what each of ours answers.
  @Test func theOriginalsAutopilotWouldCallEveryServerHealthy() throws {
    let story = Story()
    story.addClient()
    try story.form()
    for _ in 0..<20 {
      story.run(.milliseconds(1_730))
      let leader = try #require(story.leader?.server)
      for agent in story.followers {
        let call = try story.ask(agent, .statusRaftStats, within: .seconds(1))
        let bytes = try #require(call.bytes)
        var reader = MessagePackReader(bytes.bytes)
        var contact = ""
        var index: UInt64 = 0
        var term: UInt64 = 0
        for _ in 0..<(try reader.readMapHeader()) {
          switch try reader.readString() {
          case "LastContact": contact = try reader.readString()
          case "LastIndex": index = try reader.readUInt64()
          case "LastTerm": term = try reader.readUInt64()
          default: try reader.skip()
          }
        }
        let micros = try #require(contact.hasSuffix("µs") ? Int(contact.dropLast(2)) : nil, "\(contact)")
        #expect(micros <= 200_000, "\(contact)")
        #expect(term == leader.raft.lastLogTerm.value)
        #expect(index + 250 >= leader.raft.lastLogIndex.value)
      }
    }
  }
}
