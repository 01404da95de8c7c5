import Base
import Server
import Simulator
import State
import Testing

/// Civil clocks that jump. Nothing but what is shown to people may depend on them.
@Suite struct ClockTests {
  private static let jumps: [Interval] = [.hours(24), .hours(-24), .hours(24 * 3650), .hours(-24 * 3650)]

  @Test(arguments: jumps) func aJumpOfTheLeadersClockChangesNothing(jump: Interval) throws {
    try expectNothing(after: jump) { story in [try #require(story.leader)] }
  }

  @Test(arguments: jumps) func aJumpOfEverybodysClockChangesNothing(jump: Interval) throws {
    try expectNothing(after: jump) { story in story.servers + story.clients }
  }

  @Test(arguments: jumps) func aJumpOfTheClientsClockChangesNothing(jump: Interval) throws {
    try expectNothing(after: jump) { story in story.clients }
  }

  private func expectNothing(after jump: Interval, of agents: (Story) throws -> [VirtualAgent]) throws {
    let story = Story()
    for number in 0..<3 { story.addClient("c\(number)", of: number) }
    try story.form()
    story.run(.seconds(20))
    let leader = try #require(story.leader)
    let term = leader.server?.raft.term
    let lines = story.lines.count
    for agent in try agents(story) { story.simulation.jumpClock(of: agent, by: jump) }
    for _ in 0..<60 {
      story.run(.seconds(2))
      try #require(story.leader === leader && leader.server?.raft.term == term)
      for server in story.servers { #expect(server.server?.directory.localAlive.count == 3) }
      for client in story.clients {
        #expect(client.client?.status.isRegistered == true)
        #expect(leader.server?.state.node(try NodeID(client.nodeID))?.status == Node.ready)
      }
    }
    let complaints = story.lines[lines...].filter { $0.contains("[warn]") || $0.contains("[error]") }
    #expect(complaints.isEmpty, "\(complaints)")
  }

  /// A clock that is a day ahead for some minutes must not clear the table of nodes.
  @Test func aDownNodeIsNotCollectedForAPassingJump() throws {
    let story = Story()
    let client = story.addClient()
    try story.form()
    story.simulation.crash(client)
    story.run(.seconds(120))
    let id = try NodeID(client.nodeID)
    for _ in 0..<6 {
      let leader = try #require(story.leader)
      story.simulation.jumpClock(of: leader, by: .hours(48))
      story.run(.seconds(250))
      story.simulation.jumpClock(of: leader, by: .hours(-48))
      // The leader looks every five minutes, and must have found the node twice in a row.
      story.run(.seconds(350))
    }
    #expect(story.leader?.server?.state.node(id)?.status == Node.down)
  }

  @Test func aClusterFormsThoughNoTwoClocksAgree() throws {
    let story = Story()
    for number in 0..<2 { story.addClient("c\(number)", of: number) }
    for (number, agent) in (story.servers + story.clients).enumerated() {
      story.simulation.jumpClock(of: agent, by: .hours(Int64(number) * 400 - 900))
    }
    try story.form()
    let leader = try #require(story.leader)
    story.simulation.crash(leader)
    try story.wait("the next leader") { story.leader != nil && story.leader !== leader }
    story.run(.seconds(90))
    for client in story.clients {
      #expect(story.leader?.server?.state.node(try NodeID(client.nodeID))?.status == Node.ready)
    }
  }
}
