import Base
import Server
import Simulator
import State
import Testing
import Wire

/// One node id, two clients.
@Suite struct CloneTests {
  private func node(_ client: VirtualAgent, _ story: Story) throws -> Node {
    let server = try #require(story.leader?.server)
    return try #require(server.state.node(try NodeID(client.nodeID)))
  }

  /// Both clients over each pair of servers: the one that has the id may be connected anywhere.
  @Test(arguments: [(0, 0), (0, 1), (1, 0), (2, 1)]) func aCloneIsRefusedWhileTheOtherLives(
    first: Int, second: Int
  ) throws {
    let story = Story()
    let original = story.addClient("original", of: first)
    try story.form()
    story.run(.seconds(5))
    let clone = story.addClient("clone", of: second)
    story.simulation.copyIdentity(of: original, to: clone)
    story.simulation.start(clone)
    story.run(.seconds(60))
    #expect(clone.client?.status.isRegistered == false)
    #expect(try node(original, story).name == "original")
    #expect(try node(original, story).status == Node.ready)
    // Once in the log of the leader, once in the clone's own.
    let lines = story.logs("another client has the node id").filter { $0.contains("[error]") }
    #expect(lines.count == 2, "\(lines)")
    #expect(lines.allSatisfy { $0.contains("original (10.0.0.101:4646") && $0.contains("clone (10.0.0.102:4646)") })

    // It gets the id when the other is gone.
    story.simulation.crash(original)
    try story.wait("the clone has the id") { clone.client?.status.isRegistered == true }
    #expect(try node(original, story).name == "clone")
  }

  /// A copied disk on a machine of its own: the copy goes on as somebody else, and the original notices nothing.
  @Test func aCloneOnAnotherMachineTakesANewIdentity() throws {
    let story = Story()
    let original = story.addClient("original", of: 0)
    story.simulation.nameMachine(of: original, "machine 1")
    try story.form()
    story.run(.seconds(5))
    let id = original.nodeID
    let clone = story.addClient("clone", of: 1)
    story.simulation.nameMachine(of: clone, "machine 2")
    story.simulation.copyIdentity(of: original, to: clone)
    story.simulation.start(clone)
    try story.wait("the clone is registered") { clone.client?.status.isRegistered == true }
    #expect(clone.nodeID != id)
    #expect(original.nodeID == id)
    #expect(try node(clone, story).name == "clone")
    #expect(try node(original, story).name == "original")
    #expect(try node(original, story).status == Node.ready)

    // It stays who it is.
    let taken = clone.nodeID
    story.simulation.crash(clone)
    story.simulation.start(clone)
    try story.wait("the clone is back") { clone.client?.status.isRegistered == true }
    #expect(clone.nodeID == taken)
  }

  /// The disk has moved, and nobody else lives under its identity.
  @Test func aDiskInAnotherMachineKeepsItsIdentity() throws {
    let story = Story()
    let client = story.addClient("c0", of: 1)
    story.simulation.nameMachine(of: client, "machine 1")
    try story.form()
    story.run(.seconds(5))
    let id = client.nodeID
    story.simulation.crash(client)
    story.simulation.nameMachine(of: client, "machine 2")
    story.simulation.start(client)
    try story.wait("registered") { client.client?.status.isRegistered == true }
    #expect(client.nodeID == id)
  }

  @Test func ofTwoThatStartAtOnceOneIsRefused() throws {
    let story = Story()
    let first = story.addClient("first", of: 0)
    let second = story.addClient("second", of: 1)
    story.simulation.copyIdentity(of: first, to: second)
    for agent in story.servers { story.simulation.start(agent) }
    try story.wait("a leader") { story.leader != nil }
    story.run(.seconds(2))
    for client in [first, second] { story.simulation.start(client) }
    try story.wait("one is registered") {
      [first, second].contains { $0.client?.status.isRegistered ?? false }
    }
    for _ in 0..<30 {
      story.run(.seconds(1))
      #expect(first.client?.status.isRegistered != second.client?.status.isRegistered)
    }
  }

  @Test func aClientThatMovesIsTakenAtOnce() throws {
    let story = Story()
    let client = story.addClient("c0", of: 1)
    try story.form()
    story.run(.seconds(5))
    story.simulation.crash(client)
    story.simulation.move(client, to: AgentPlan.host(150))
    story.simulation.start(client)
    let started = story.simulation.now
    try story.wait("registered from its new address") { client.client?.status.isRegistered == true }
    #expect(story.simulation.now - started < .seconds(1), "\((story.simulation.now - started).seconds) s")
    #expect(story.logs("another client has the node id").isEmpty)
  }

  /// Nobody closes the old connection, but nobody answers over it either.
  @Test func aClientThatLostItsPowerIsTakenAtAnotherAddressAfterAMoment() throws {
    let story = Story()
    let client = story.addClient("c0", of: 1)
    try story.form()
    story.run(.seconds(5))
    story.simulation.crash(client, .power)
    story.simulation.move(client, to: AgentPlan.host(150))
    story.simulation.start(client)
    let started = story.simulation.now
    try story.wait("registered from its new address") { client.client?.status.isRegistered == true }
    #expect(story.simulation.now - started < .seconds(4), "\((story.simulation.now - started).seconds) s")
  }
}
