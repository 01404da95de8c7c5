import Base
import Raft
import Server
import Simulator
import Testing
import Wire

/// A server is its id wherever it is, and a cluster is its id whoever is in it.
@Suite struct IdentityTests {
  private func configuration(_ story: Story, at agent: VirtualAgent) -> [String: String] {
    var result: [String: String] = [:]
    for server in agent.server?.raft.configuration.servers ?? [] where server.isVoter {
      result[server.id] = server.address
    }
    return result
  }

  private func expected(_ story: Story) -> [String: String] {
    var result: [String: String] = [:]
    for server in story.servers { result[server.serverID] = "\(server.plan.rpcAddress)" }
    return result
  }

  @Test func aServerThatMovesKeepsItsVoteAndIsBackInSeconds() throws {
    let story = Story()
    try story.form()
    let mover = try #require(story.followers.first)
    story.simulation.crash(mover)
    story.run(.seconds(1))
    story.simulation.move(mover, to: AgentPlan.host(50))
    story.simulation.start(mover)
    let started = story.simulation.now
    try story.wait("the new address in every configuration", within: .seconds(40)) {
      story.servers.allSatisfy { configuration(story, at: $0) == expected(story) }
    }
    #expect(story.simulation.now - started < .seconds(25), "\((story.simulation.now - started).seconds) s")
    try story.wait("everybody agrees on the leader") { story.leader != nil }
    #expect(story.logs("removed server with duplicate").isEmpty)
    #expect(story.logs("as non-voter").isEmpty)
  }

  @Test func aSingleServerSurvivesANewAddress() throws {
    let story = Story(servers: 1)
    try story.form()
    let server = story.servers[0]
    let cluster = server.server?.state.cluster?.clusterID
    story.simulation.crash(server)
    story.simulation.move(server, to: AgentPlan.host(50))
    story.simulation.start(server)
    try story.wait("its own new address in Raft") { configuration(story, at: server) == expected(story) }
    #expect(server.server?.raft.role == .leader)
    #expect(server.server?.state.cluster?.clusterID == cluster)
  }

  @Test func aClusterThatMovesAsAWholeHealsThroughGossip() throws {
    let story = Story()
    try story.form()
    let cluster = story.servers[0].server?.state.cluster?.clusterID
    for server in story.servers { story.simulation.crash(server) }
    let known = SocketAddress(AgentPlan.host(60), port: AgentPlan.gossipPort)
    for (number, server) in story.servers.enumerated() {
      story.simulation.move(server, to: AgentPlan.host(60 + number), joining: [known])
    }
    for server in story.servers { story.simulation.start(server) }
    let started = story.simulation.now
    try story.wait("a leader and the new addresses") {
      story.leader != nil && story.servers.allSatisfy { configuration(story, at: $0) == expected(story) }
    }
    #expect(story.simulation.now - started < .seconds(15), "\((story.simulation.now - started).seconds) s")
    #expect(story.servers.allSatisfy { $0.server?.state.cluster?.clusterID == cluster })
  }

  @Test func aWipedServerIsANewOneAndTakesThePlaceOfTheOld() throws {
    let story = Story()
    try story.form()
    let server = try #require(story.followers.first)
    let old = server.serverID
    story.simulation.crash(server)
    story.simulation.wipe(server)
    story.simulation.start(server)
    try story.wait("the new id votes, the old one is gone", within: .seconds(60)) {
      story.servers.allSatisfy { configuration(story, at: $0) == expected(story) }
    }
    #expect(configuration(story, at: server)[old] == nil)
    #expect(server.server?.state.cluster != nil)
  }

  // MARK: Clusters

  @Test func twoEstablishedClustersOfOneRegionRefuseEachOther() throws {
    let story = Story(servers: 1)
    let other = story.addServer("other", expect: 1)
    // That there are two is the point.
    story.simulation.checker.isBlind = true
    for server in story.servers { story.simulation.start(server) }
    try story.wait("two clusters") { story.servers.allSatisfy { $0.server?.state.cluster != nil } }
    let call = story.simulation.join(story.servers[0], to: [other.plan.gossipAddress])
    try story.wait("an answer") { story.servers[0].joinAnswers[call] != nil }
    let answer = try #require(story.servers[0].joinAnswers[call])
    #expect(answer.joined == 0)
    #expect(answer.failures.joined().contains("two established clusters of one region are not joined"))
    story.run(.seconds(5))
    for server in story.servers {
      #expect(server.server?.raft.configuration.servers.count == 1)
      #expect(server.server?.directory.localAlive.count == 1)
    }
  }

  /// It would end up in both, as it does with the original.
  @Test func aNewServerThatMeetsTwoClustersOfItsRegionEndsWithASentence() throws {
    let story = Story(servers: 1)
    let other = story.addServer("other", expect: 1)
    story.simulation.checker.isBlind = true
    for server in story.servers { story.simulation.start(server) }
    try story.wait("two clusters") { story.servers.allSatisfy { $0.server?.state.cluster != nil } }
    let third = story.addServer("third", join: [story.servers[0], other])
    story.simulation.start(third)
    try story.wait("it ends") { third.fatal != nil }
    #expect(third.fatal?.hasPrefix("split brain: region \"global\" has more than one established cluster") == true)
    story.run(.seconds(2))
    for server in story.servers.prefix(2) { #expect(server.server?.state.cluster != nil) }
  }

  @Test func theLeaderLeavesACopiedIdentityAlone() throws {
    let story = Story()
    try story.form()
    let original = try #require(story.followers.first)
    let copy = story.addServer("copy", join: [story.servers[0]])
    story.simulation.copyIdentity(of: original, to: copy)
    let before = configuration(story, at: story.servers[0])
    story.simulation.start(copy)
    story.run(.seconds(5))
    #expect(configuration(story, at: story.servers[0]) == before)
    #expect(!story.logs("two servers have the node id \(original.serverID)").isEmpty)
  }
}
