import Base
import Server
import Simulator
import Testing
import Wire

/// What the quorum report knows, and how soon; and who may leave.
@Suite struct QuorumTests {
  @Test func theReportNamesDeadVotersLongBeforeGossipDoes() throws {
    let story = Story()
    try story.form()
    let left = story.servers[0]
    for server in story.servers[1...] { story.simulation.crash(server) }
    let died = story.simulation.now
    let missing = story.servers[1...].map { "\($0.plan.rpcAddress)" }
    try story.wait("the report tells the truth", within: .seconds(6)) {
      let summary = left.server?.quorumReport.summary ?? ""
      return summary.hasPrefix("There is no quorum: 1 of 3 voters are reachable, 2 are needed; missing: ")
        && missing.allSatisfy { summary.contains($0) }
    }
    #expect(story.simulation.now - died < .seconds(5))
    // Gossip still believes in them.
    #expect(left.server?.directory.localAlive.count == 3)
    #expect(left.server?.quorumReport.servers.last?.note.contains("does not answer over Raft") == true)
    #expect(left.server?.statusText == left.server?.quorumReport.summary)
  }

  @Test func aFailedJoinIsNoFlood() throws {
    let story = Story(servers: 3)
    story.simulation.start(story.servers[0])
    story.run(.seconds(60))
    #expect((1...8).contains(story.logs("join failed").count), "\(story.logs("join failed").count) lines a minute")
  }

  @Test func aServerThatTheOthersNeedMayNotLeave() throws {
    let story = Story()
    try story.form()
    #expect(story.servers.allSatisfy { $0.server?.leaveObstacle == nil })
    let dead = try #require(story.followers.first)
    story.simulation.crash(dead)
    try story.wait("gossip knows", within: .seconds(60)) { story.leader?.server?.directory.localAlive.count == 2 }
    for server in story.servers where server.isRunning {
      let obstacle = server.server?.leaveObstacle ?? ""
      #expect(obstacle.hasPrefix("of the 2 voters that would stay 1 are alive and 2 are needed"), "\(obstacle)")
    }
  }

  @Test func theLastServerMayLeaveAndOneWithoutALeaderMayNot() throws {
    let story = Story(servers: 1)
    try story.form()
    #expect(story.servers[0].server?.leaveObstacle == nil)
    let three = Story()
    try three.form()
    for server in three.servers[1...] { three.simulation.crash(server) }
    three.run(.seconds(10))
    let obstacle = three.servers[0].server?.leaveObstacle ?? ""
    #expect(obstacle.hasPrefix("there is no leader that could take this server out"), "\(obstacle)")
  }

  @Test func aRegionAnswersThoughOneOfItsServersIsGone() throws {
    let story = Story(servers: 1)
    let west = [story.addServer("w0", region: "west", expect: 1, join: [story.servers[0]])]
    let second = story.addServer("w1", region: "west", join: west)
    for server in story.servers { story.simulation.start(server) }
    try story.wait("two regions") {
      story.servers[0].server?.directory.alive(inRegion: "west").count == 2
        && west[0].server?.raft.configuration.voterCount == 2
    }
    // The follower of the other region dies: gossip goes on naming it for half a minute.
    story.simulation.crash(second)
    for _ in 0..<10 {
      let options = QueryOptions(region: "west", allowStale: true)
      let id = story.simulation.call(story.servers[0], .nodeList) { options.encode(into: &$0) }
      try story.wait("an answer of west") { story.servers[0].answers[id] != nil }
      #expect(story.servers[0].answers[id]?.errorText == nil)
    }
  }
}
