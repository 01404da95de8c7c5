import Base
import Raft
import Server
import Simulator
import Testing

/// Redundancy zones in a whole cluster.
@Suite struct ZoneTests {
  private func voters(_ story: Story) -> Set<String> {
    Set(story.leader?.server?.raft.configuration.servers.filter(\.isVoter).map(\.id) ?? [])
  }

  @Test func aSpareStandsByAndTakesThePlaceOfTheVoterOfItsZone() throws {
    let story = Story()
    for (number, server) in story.servers.enumerated() { story.simulation.place(server, inZone: "zone\(number)") }
    try story.form()
    let victim = try #require(story.followers.first)
    let zone = try #require(victim.plan.server?.zone)
    let spare = story.addServer("spare", join: [story.servers[0], story.servers[1]])
    story.simulation.place(spare, inZone: zone)
    let first = voters(story)
    story.simulation.start(spare)
    // Long after a server without a zone would have been made a voter.
    story.run(.seconds(40))
    #expect(voters(story) == first)
    #expect(story.leader?.server?.raft.configuration.server(id: spare.serverID)?.isVoter == false)

    story.simulation.crash(victim)
    try story.wait("the spare votes", within: .seconds(60)) { voters(story).contains(spare.serverID) }
    try story.wait("the dead one is removed", within: .seconds(60)) { voters(story).count == 3 }

    // Back again it stands by: its zone has a voter.
    story.simulation.start(victim)
    try story.wait("a leader known to all") { story.leader != nil }
    story.run(.seconds(40))
    #expect(voters(story).contains(spare.serverID) && voters(story).count == 3)
    #expect(story.leader?.server?.raft.configuration.server(id: victim.serverID)?.isVoter == false)
  }

  @Test func aZoneWithTwoVotersKeepsOne() throws {
    let story = Story(servers: 4)
    for (number, server) in story.servers.enumerated() {
      story.simulation.place(server, inZone: "zone\(min(number, 2))")
    }
    try story.form()
    try story.wait("three voters", within: .seconds(60)) { voters(story).count == 3 }
    story.run(.seconds(30))
    #expect(voters(story).count == 3)
    #expect(story.leader?.server?.raft.configuration.servers.count == 4)
  }
}
