import Base
import Server
import Simulator
import State
import Testing
import Wire

/// Two full servers, and a witness at a third place.
@Suite struct WitnessTests {
  private func formed(seed: UInt64 = 1) throws -> (story: Story, witness: VirtualAgent) {
    let story = Story(seed: seed)
    let witness = story.servers[2]
    story.simulation.makeWitness(witness)
    story.addClient("c0", of: 0)
    try story.form()
    return (story, witness)
  }

  @Test(arguments: [UInt64(1), 2, 3]) func `clients are never told of a witness, and it never stays leader`(
    _ seed: UInt64
  ) throws {
    let (story, witness) = try formed(seed: seed)
    let client = try #require(story.clients.first)
    for turn in 0..<6 {
      try story.wait("a leader that is no witness") { story.leader.map { $0 !== witness } ?? false }
      story.run(.seconds(20))
      let leader = try #require(story.leader)
      #expect(leader !== witness, "turn \(turn)")
      let full = story.servers.filter { $0 !== witness }.map(\.plan.rpcAddress)
      #expect(Set(client.client?.status.servers ?? []) == Set(full))
      #expect(client.client?.status.isRegistered == true)
      story.simulation.crash(leader)
      try story.wait("the other one leads") {
        story.servers.contains { $0.isRunning && $0 !== witness && $0.server?.raft.role == .leader }
      }
      story.simulation.start(leader)
    }
    #expect(story.logs("this witness leads").isEmpty)
  }

  /// The last full server is behind, and only the witness has what was acknowledged.
  @Test func `what only a witness has is not lost`() throws {
    let (story, witness) = try formed()
    let first = try #require(story.leader)
    let second = try #require(story.servers.first { $0 !== first && $0 !== witness })
    story.simulation.isolate([second.number])
    story.run(.seconds(5))
    let late = story.addClient("late", of: first.number)
    story.simulation.start(late)
    try story.wait("registered") { late.client?.status.isRegistered == true }
    story.simulation.crash(first, .power)
    story.simulation.heal()
    try story.wait("the server that was behind leads") { second.server?.raft.role == .leader }
    #expect(try second.server?.state.node(NodeID(late.nodeID))?.name == "late")
    #expect(!story.logs("this is a witness, handing leadership over").isEmpty)
  }

  @Test func `a server that leaves hands over to another than the witness`() throws {
    let (story, witness) = try formed()
    let fourth = story.addServer("s3", join: [story.servers[0]])
    story.simulation.start(fourth)
    try story.wait("four voters") { story.leader?.server?.raft.configuration.voterCount == 4 }
    let leader = try #require(story.leader)
    story.simulation.leave(leader)
    try story.wait("it has left") { leader.hasLeft == true }
    try story.wait("a full server leads") { story.leader.map { $0 !== witness } ?? false }
    #expect(story.logs("handing leadership over").isEmpty)
  }

  @Test func `a witness says that it leads because nobody else answers`() throws {
    let story = Story(servers: 2)
    let witness = story.servers[1]
    story.simulation.makeWitness(witness)
    try story.form()
    let leader = try #require(story.leader)
    #expect(leader !== witness)
    let other = story.addServer("w2", join: [leader])
    story.simulation.makeWitness(other)
    story.simulation.start(other)
    try story.wait("three voters") { story.leader?.server?.raft.configuration.voterCount == 3 }
    story.simulation.crash(leader)
    try story.wait("a witness leads", within: .seconds(60)) {
      [witness, other].contains { $0.server?.quorumReport.summary.contains("a witness, because") ?? false }
    }
    story.simulation.start(leader)
    try story.wait("it leads no longer") { leader.server?.raft.role == .leader }
  }
}
