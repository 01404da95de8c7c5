import Base
import Server
import Simulator
import Testing
import Wire

/// Requests that a client answers over the connection that it opened.
@Suite struct ClientCallTests {
  @Test func everyServerRelaysStatisticsOverTheConnectionThatTheClientOpened() throws {
    let story = Story()
    let client = story.addClient()
    try story.form()
    var expected: [UInt8] = []
    expected.packMapHeader(1)
    expected.pack("HostStats")
    expected.pack("c0")
    for server in story.servers {
      let answer = try story.ask(server, .clientStatsStats, ("NodeID", client.nodeID))
      #expect(answer.bytes == expected, "\(server.plan.name)")
    }
  }

  @Test func aClientWithoutAConnectionIsSaidToHaveNoPath() throws {
    let story = Story()
    let client = story.addClient()
    try story.form()
    story.simulation.crash(client)
    story.run(.seconds(1))
    for server in story.servers {
      #expect(try story.ask(server, .clientStatsStats, ("NodeID", client.nodeID)).errorText == "No path to node")
    }
  }

  @Test func unknownNodesAndMissingNamesAreRefusedInNomadsWords() throws {
    let story = Story()
    try story.form()
    let id = "00000000-1111-2222-3333-444444444444"
    #expect(try story.ask(story.servers[0], .clientStatsStats, ("NodeID", id)).errorText == "Unknown node \"\(id)\"")
    #expect(try story.ask(story.servers[0], .clientStatsStats, ("NodeID", "x")).errorText == "Unknown node \"x\"")
    #expect(try story.ask(story.servers[0], .clientStatsStats).errorText == "Must provide the NodeID")
  }
}
