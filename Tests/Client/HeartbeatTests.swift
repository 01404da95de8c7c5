import Base
import Client
import Testing
import Wire

@Suite struct HeartbeatTests {
  @Test func beatsAtThePaceOfTheServer() {
    let world = World(World.configuration([1]))
    let server = world.addServer(1, list: [1])
    server.ttl = .seconds(15)
    world.run(.minutes(10))
    #expect((39...42).contains(server.count(.nodeUpdateStatus)), "\(server.count(.nodeUpdateStatus))")
    #expect(server.count(.nodeRegister) == 1)
  }

  @Test(arguments: [Int64(0), -1, 1, .max, .min])
  func anyPeriodIsBounded(_ nanoseconds: Int64) {
    let world = World(World.configuration([1]))
    let server = world.addServer(1, list: [1])
    server.ttl = Interval(nanoseconds: nanoseconds)
    world.run(.minutes(1))
    #expect((1...62).contains(server.count(.nodeUpdateStatus)))
  }

  @Test func survivesTheLossOfItsServer() {
    let world = World(World.configuration([1, 2, 3]))
    for number in 1...3 { world.addServer(number, list: [1, 2, 3]).knowsNode = true }
    world.run(.seconds(1))
    let first = world.client.status.servers[0]
    world.kill(Int(truncatingIfNeeded: first.host.networkBytes[3]))
    let before = world.count(.nodeUpdateStatus)
    world.run(.seconds(1))
    #expect(world.count(.nodeUpdateStatus) == before + 1)
    #expect(world.client.status.servers.count == 3)
    #expect(world.count(.nodeRegister) == 1)
    #expect(world.client.status.lastHeartbeat.map { world.now - $0 < .seconds(1) } == true)
  }

  @Test func survivesAServerThatFallsSilent() {
    let world = World(World.configuration([1, 2]))
    for number in 1...2 { world.addServer(number, list: [1, 2]).knowsNode = true }
    world.run(.seconds(1))
    let beforeSilence = world.client.status.lastHeartbeat
    world.silence(1)
    world.run(.seconds(11))
    #expect(world.servers[World.address(2)]?.count(.nodeUpdateStatus) == 1)
    #expect(world.client.status.lastHeartbeat != beforeSilence)
  }

  @Test func regionWithoutLeaderIsAskedPatiently() {
    let world = World(World.configuration([1, 2, 3]))
    for number in 1...3 {
      let server = world.addServer(number, list: [1, 2, 3])
      server.knowsNode = true
    }
    world.run(.seconds(1))
    for server in world.servers.values { server.errors[.nodeUpdateStatus] = "No cluster leader" }
    world.run(.minutes(10))
    let count = world.count(.nodeUpdateStatus)
    #expect(count < 300, "\(count) heartbeats in ten minutes without leader")
    for server in world.servers.values { server.errors = [:] }
    world.run(.seconds(24))
    #expect(world.client.status.lastHeartbeat.map { world.now - $0 < .seconds(24) } == true)
    #expect(world.count(.nodeRegister) == 1)
  }

  @Test func allServersMoveAndTheConfiguredOneIsFoundAgain() {
    let world = World(World.configuration([1]))
    world.addServer(1, list: [2])
    world.addServer(2, list: [2]).knowsNode = true
    world.run(.seconds(1))
    #expect(world.client.persisted.servers == [World.address(2)])
    world.run(.seconds(30))
    world.kill(2)
    world.servers[World.address(1)]?.list = [1, 3]
    world.run(.seconds(5))
    #expect(Set(world.client.status.servers) == [World.address(1), World.address(3)])
  }

  @Test func answerWithoutValidServersKeepsTheList() {
    let world = World(World.configuration([1]))
    world.addServer(1, list: [])
    world.run(.seconds(60))
    #expect(world.client.status.servers == [World.address(1)])
    #expect(world.logs.contains { $0.message == "heartbeat response returned no valid servers" })
    #expect(world.count(.nodeUpdateStatus) < 10)
  }

  @Test func answerWithAnIndexIsLoggedAsMissed() {
    let world = World(World.configuration([1]))
    let server = world.addServer(1, list: [1])
    world.run(.seconds(1))
    server.updateIndex = 7
    world.run(.seconds(10))
    #expect(world.logs.contains { $0.message == "missed heartbeat" })
  }

  @Test func pushedListIsTakenAtOnceAndAnswered() {
    let world = World(World.configuration([1]))
    let server = world.addServer(1, list: [1])
    world.addServer(2, list: [1, 2])
    world.run(.seconds(1))
    world.events = []
    server.push([1, 2], index: 5, at: world.now)
    world.run(.milliseconds(5))
    #expect(world.events == [.serversChanged([World.address(1), World.address(2)])])
    #expect(world.client.status.leaderAddress == "127.0.0.2:4647")
    #expect(server.pushAnswers == 1)
    // An older one that was overtaken changes nothing.
    server.push([1], index: 4, at: world.now)
    world.run(.milliseconds(5))
    #expect(server.pushAnswers == 2)
    #expect(world.client.status.servers.count == 2)
  }

  @Test func aServerThatLeftTheListIsLeftBeforeTheNextHeartbeatIsDue() {
    let world = World(World.configuration([1]))
    let server = world.addServer(1, list: [1, 2])
    for number in 2...3 { world.addServer(number, list: [2, 3]).knowsNode = true }
    world.run(.seconds(1))
    let before = world.count(.nodeUpdateStatus)
    server.push([2, 3], index: 5, at: world.now)
    world.run(.milliseconds(700))
    #expect(world.count(.nodeUpdateStatus) == before + 1)
    // Whoever is first in the list has a session with the client, over which it can push.
    guard let first = world.client.status.servers.first, let next = world.servers[first] else {
      Issue.record("no server left")
      return
    }
    #expect(next !== server)
    next.push([1, 2, 3], index: 6, at: world.now)
    world.run(.milliseconds(5))
    #expect(next.pushAnswers == 1)
  }

  @Test func pollIsHeldAndNeverSpins() {
    let world = World(World.configuration([1]))
    let server = world.addServer(1, list: [1])
    world.run(.minutes(4))
    #expect(server.count(.nodeGetClientAllocations) == 2)
    server.answersPollsAtOnce = true
    server.allocationIndex = 9
    world.run(.minutes(10))
    #expect(server.count(.nodeGetClientAllocations) < 610)
  }

  @Test func pollWithAnotherSecretRegistersAgain() {
    let world = World(World.configuration([1]))
    let server = world.addServer(1, list: [1])
    server.errors[.nodeGetClientAllocations] = "node secret ID does not match"
    world.run(.seconds(2))
    #expect(server.count(.nodeRegister) >= 2)
    let before = server.requests.count
    world.run(.minutes(5))
    #expect(server.requests.count - before < 120, "\(server.requests.count - before)")
  }

  @Test func oneSessionIsEnough() {
    let world = World(World.configuration([1, 2, 3]))
    for number in 1...3 { world.addServer(number, list: [1, 2, 3]).knowsNode = true }
    world.run(.minutes(4))
    let connected = world.events.count { if case .connectedTo = $0 { true } else { false } }
    #expect(connected == 1)
  }

  @Test func rebalancingMovesToOtherServersInTime() {
    let world = World(World.configuration([1, 2, 3]))
    for number in 1...3 { world.addServer(number, list: [1, 2, 3]).knowsNode = true }
    world.run(.hours(2))
    for number in 1...3 { #expect(world.servers[World.address(number)]?.count(.nodeUpdateStatus) ?? 0 > 0) }
    #expect(world.count(.nodeRegister) == 1)
  }

  @Test func forwardGoesToAServerThatCanBeReached() {
    let world = World(World.configuration([1, 2]))
    world.addServer(1, list: [1, 2])
    world.addServer(2, list: [1, 2]).isUp = false
    world.run(.seconds(1))
    world.kill(1)
    world.run(.milliseconds(2))
    world.servers[World.address(2)]?.isUp = true
    world.servers[World.address(2)]?.errors[.nodeList] = "No path to region"
    let id = world.client.forward(
      "Node.List", body: [0x80], deadline: world.now + .seconds(5), at: world.now, effects: &world.clientEffects)
    world.run(.milliseconds(20))
    #expect(world.events.contains(.answered(id, .error("rpc error: No path to region"))))
  }

  @Test func stoppedClientIsQuiet() {
    let world = World(World.configuration([1]))
    let server = world.addServer(1, list: [1])
    world.run(.seconds(1))
    world.client.stop(at: world.now, effects: &world.clientEffects)
    world.events = []
    let before = server.requests.count
    world.run(.minutes(10))
    #expect(server.requests.count == before)
    #expect(world.events.isEmpty)
  }

  @Test func oneSeedGivesOneHistory() {
    func history() -> [String] {
      let world = World(World.configuration([1, 2, 3]), seed: 42)
      for number in 1...3 { world.addServer(number, list: [3, 2, 1]).knowsNode = true }
      world.run(.minutes(20))
      world.kill(2)
      world.run(.minutes(20))
      return world.events.map { "\($0)" }
        + (1...3).map { "\(world.servers[World.address($0)]?.requests.map { "\($0.method) \($0.at)" } ?? [])" }
    }
    #expect(history() == history())
  }
}
