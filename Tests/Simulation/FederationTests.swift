import Base
import Server
import Simulator
import Testing

/// Who shares a pool with whom.
@Suite struct FederationTests {
  private func names(_ agent: VirtualAgent, alive: Bool = true) -> [String] {
    (agent.server?.directory.all ?? []).filter { !alive || $0.status == .alive }.map(\.gossipName)
  }

  @Test func `a server of a region that is not federated with is refused, with a sentence`() throws {
    let story = Story(servers: 1)
    let own = story.servers[0]
    story.simulation.federate(own, with: ["west"])
    let foreign = story.addServer("d0", region: "dev", expect: 1)
    let welcome = story.addServer("w0", region: "west", expect: 1)
    for agent in [own, foreign, welcome] { story.simulation.start(agent) }
    try story.wait("three leaders") { story.servers.allSatisfy { $0.server?.raft.role == .leader } }
    for joiner in [foreign, welcome] {
      let call = story.simulation.join(joiner, to: [own.plan.gossipAddress])
      try story.wait("an answer") { joiner.joinAnswers[call] != nil }
      let answer = try #require(joiner.joinAnswers[call])
      #expect(answer.joined == (joiner === welcome ? 1 : 0))
      if joiner === foreign {
        let text = try #require(answer.failures.first)
        #expect(text.contains("'d0.dev' is of region dev, with which this server does not federate"), "\(text)")
      }
    }
    story.run(.seconds(60))
    #expect(names(own) == ["s0.global", "w0.west"])
    #expect(names(foreign) == ["d0.dev"])
  }

  /// The other side is not asked: it finds the servers of ours gone.
  @Test func `regions that were joined by mistake are parted by a restart of one side`() throws {
    let story = Story()
    let foreign = story.addServer("d0", region: "dev", expect: 1, join: [story.servers[0]])
    for agent in story.servers { story.simulation.start(agent) }
    try story.wait("one pool") { story.servers.allSatisfy { names($0).count == 4 } }
    try story.wait("leaders") {
      story.simulation.agreedLeader(of: "global") != nil && foreign.server?.raft.role == .leader
    }
    let own = story.servers.filter { $0 !== foreign }
    for agent in own {
      story.simulation.crash(agent)
      story.simulation.federate(agent, with: [])
      story.simulation.start(agent)
      try story.wait("a leader again") { story.simulation.agreedLeader(of: "global") != nil }
    }
    try story.wait("they know only each other", within: .minutes(1)) {
      own.allSatisfy { names($0, alive: false) == ["s0.global", "s1.global", "s2.global"] }
    }
    try story.wait("to the other region they are gone", within: .minutes(5)) { names(foreign) == ["d0.dev"] }
    story.run(.minutes(2))
    #expect(names(foreign) == ["d0.dev"])
    #expect(own.allSatisfy { names($0).count == 3 })
  }

  /// One that is down misses the event, and is told with its first exchange.
  @Test func `a region is detached by one command, until that is undone`() throws {
    let story = Story()
    let foreign = story.addServer("d0", region: "dev", expect: 1, join: [story.servers[0]])
    for agent in story.servers { story.simulation.start(agent) }
    try story.wait("one pool") { story.servers.allSatisfy { names($0).count == 4 } }
    try story.wait("leaders") {
      story.simulation.agreedLeader(of: "global") != nil && foreign.server?.raft.role == .leader
    }
    let own = story.servers.filter { $0 !== foreign }
    story.simulation.crash(own[2])
    #expect(!story.simulation.detach(own[0], from: "global"))
    #expect(story.simulation.detach(own[0], from: "dev"))
    try story.wait("it is gone") { own.prefix(2).allSatisfy { !names($0, alive: false).contains("d0.dev") } }
    story.simulation.start(own[2])
    try story.wait("they know only each other", within: .minutes(1)) {
      own.allSatisfy { names($0, alive: false) == ["s0.global", "s1.global", "s2.global"] }
    }
    try story.wait("to the other region they are gone", within: .minutes(5)) { names(foreign) == ["d0.dev"] }

    // It is remembered, whoever asks.
    for agent in own {
      story.simulation.crash(agent)
      story.simulation.start(agent)
    }
    try story.wait("a leader again") { story.simulation.agreedLeader(of: "global") != nil }
    let call = story.simulation.join(foreign, to: [own[1].plan.gossipAddress])
    try story.wait("an answer") { foreign.joinAnswers[call] != nil }
    let answer = try #require(foreign.joinAnswers[call])
    #expect(answer.joined == 0)
    #expect(answer.failures.first?.contains("nomad server detach -undo dev") ?? false, "\(answer.failures)")
    story.run(.minutes(2))
    #expect(names(foreign) == ["d0.dev"])
    #expect(own.allSatisfy { names($0).count == 3 })

    #expect(story.simulation.detach(own[1], from: "dev", undo: true))
    try story.wait("all know") { own.allSatisfy { $0.server?.membership.detachments.isEmpty ?? false } }
    _ = story.simulation.join(foreign, to: [own[2].plan.gossipAddress])
    try story.wait("one pool again", within: .minutes(2)) { story.servers.allSatisfy { names($0).count == 4 } }
  }
}
