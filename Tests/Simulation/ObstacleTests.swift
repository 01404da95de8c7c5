import Base
import Server
import Simulator
import Testing

/// What stands in a server's way besides missing servers, as the quorum report tells it.
@Suite struct ObstacleTests {
  @Test func blockedUDPIsNamedWithItsRemedyAndForgottenWhenItIsGone() throws {
    let story = Story()
    try story.form()
    story.simulation.conditions.dropsDatagrams = true
    let server = story.servers[0]
    let others = story.servers[1...].map { "\($0.plan.name).global" }
    try story.wait("both are named", within: .seconds(30)) {
      let summary = server.server?.quorumReport.summary ?? ""
      return summary.contains("UDP is blocked between this server and")
        && others.allSatisfy { summary.contains($0) }
    }
    let report = try #require(server.server?.quorumReport)
    #expect(report.remedy.contains("Allow UDP on port 4648"))
    #expect(report.servers.count { $0.note.contains("UDP blocked, TCP works") } == 2)
    story.run(.seconds(60))
    // Nobody is lost over it.
    #expect(story.servers.allSatisfy { $0.server?.directory.localAlive.count == 3 })
    story.simulation.conditions.dropsDatagrams = false
    try story.wait("it is over", within: .seconds(30)) { server.server?.quorumReport.remedy == "" }
  }

  @Test func withoutALeaderTheStatusNamesBlockedUDP() throws {
    let story = Story(servers: 3)
    for server in story.servers[0...1] { story.simulation.start(server) }
    try story.wait("two see each other") {
      story.servers[0...1].allSatisfy { $0.server?.directory.localAlive.count == 2 }
    }
    story.simulation.conditions.dropsDatagrams = true
    try story.wait("the status tells", within: .seconds(30)) {
      story.servers[0].server?.statusText.contains("UDP is blocked between this server and s1.global") ?? false
    }
  }

  @Test func twoServersOfOneNameAreBothToldAndTheFirstStays() throws {
    let story = Story()
    try story.form()
    let original = story.servers[1]
    let second = story.addServer("s1", join: [story.servers[0]])
    story.simulation.start(second)
    try story.wait("the second knows that it is one", within: .seconds(60)) {
      second.server?.quorumReport.summary.contains("This server is not in the pool: its name 's1.global'") ?? false
    }
    #expect(second.server?.quorumReport.remedy.contains("a name of its own") == true)
    // The pool does not pass the second one's claims on: the first hears of them when it is talked to.
    _ = story.simulation.join(second, to: [original.plan.gossipAddress])
    try story.wait("the first knows of it", within: .seconds(60)) {
      original.server?.quorumReport.servers.contains { $0.note.contains("also claimed by") } ?? false
    }
    #expect(!story.logs("this server keeps it; give the other one another name").isEmpty)
    #expect(!story.logs("the other one keeps it; give this server a name of its own").isEmpty)
    for server in [story.servers[0], story.servers[2]] {
      let addresses = server.server?.directory.localAlive.map { "\($0.address)" } ?? []
      #expect(addresses.contains("\(original.plan.rpcAddress)"))
      #expect(!addresses.contains("\(second.plan.rpcAddress)"))
      #expect(server.server?.raft.configuration.servers.count == 3)
    }
  }
}
