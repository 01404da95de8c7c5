import Base
import Server
import Simulator
import State
import Testing
import Wire

/// How the leader watches clients: it looks before it declares one down.
@Suite struct HeartbeatTests {
  private func status(_ client: VirtualAgent, at server: VirtualAgent?) -> String? {
    guard let server, let id = try? NodeID(client.nodeID) else { return nil }
    return server.server?.state.node(id)?.status
  }

  @Test func aKilledClientIsDownAfterItsTimeAndNotBefore() throws {
    let story = Story()
    let client = story.addClient()
    try story.form()
    story.run(.seconds(30))
    let last = try #require(client.client?.status.lastHeartbeat)
    story.simulation.crash(client)
    try story.wait("the client is down", within: .seconds(40)) { status(client, at: story.leader) == Node.down }
    let silence = story.simulation.now - last
    #expect(silence >= .seconds(20) && silence <= .seconds(34), "\(silence.seconds) s")
  }

  /// Before: five minutes. Now: as long as any heartbeat can take.
  @Test func aClientThatDiesWithTheLeaderIsFoundOutWithinAMinute() throws {
    let story = Story()
    let client = story.addClient()
    try story.form()
    let leader = try #require(story.leader)
    story.simulation.crash(leader)
    story.simulation.crash(client)
    let died = story.simulation.now
    try story.wait("the client is down", within: .seconds(80)) {
      story.leader.map { status(client, at: $0) == Node.down } ?? false
    }
    let time = story.simulation.now - died
    #expect(time >= .seconds(30) && time <= .seconds(70), "\(time.seconds) s")
  }

  @Test func noClientGoesDownWhenTheLeaderChanges() throws {
    let story = Story()
    let clients = (0..<4).map { story.addClient("c\($0)", of: $0 % 3) }
    try story.form()
    for _ in 0..<2 {
      let leader = try #require(story.leader)
      story.simulation.crash(leader)
      for _ in 0..<20 {
        story.run(.seconds(5))
        for client in clients { #expect(status(client, at: story.leader) == Node.ready) }
      }
      story.simulation.start(leader)
      try story.wait("the server is back") { story.leader != nil && story.followers.count == 2 }
    }
  }

  @Test func aPurgedClientRegistersAgainAndADownOneIsCollected() throws {
    let story = Story()
    let (living, dead) = (story.addClient("living"), story.addClient("dead", of: 1))
    try story.form()
    _ = try story.ask(story.servers[1], .nodeDeregister, ("NodeID", living.nodeID))
    try story.wait("the purged client is back", within: .seconds(40)) {
      status(living, at: story.leader) == Node.ready
    }
    story.simulation.crash(dead)
    try story.wait("the dead client is down", within: .seconds(60)) { status(dead, at: story.leader) == Node.down }
    #expect(try story.ask(story.servers[0], .systemGarbageCollect).errorText == nil)
    try story.wait("it is forgotten") { status(dead, at: story.leader) == nil }
    #expect(status(living, at: story.leader) == Node.ready)
  }
}
