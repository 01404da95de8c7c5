import Base
import Client
import Testing
import Wire

/// Random faults, then calm. While faults run the client must not spin; in calm it must beat again soon.
@Suite struct ChaosTests {
  @Test(arguments: 1...25) func clientRecoversFromAnyFaults(_ seed: UInt64) {
    var random = RandomSource(seed: seed)
    let world = World(World.configuration([1, 2, 3]), seed: seed)
    for number in 1...5 { world.addServer(number, list: [1, 2, 3, 4, 5]).knowsNode = true }
    for _ in 0..<60 {
      let server = world.servers[World.address(1 + random.below(5))]!
      switch random.below(8) {
      case 0: world.kill(server.number)
      case 1: server.isUp = true
      case 2: server.isUnreachable.toggle()
      case 3: server.isSilent = random.chance(0.3)
      case 4: server.errors[.nodeUpdateStatus] = random.chance(0.5) ? "No cluster leader" : nil
      case 5: server.errors[.nodeRegister] = random.chance(0.5) ? "rpc error: Permission denied" : nil
      case 6: server.knowsNode.toggle()
      default: server.list = (1...5).filter { _ in random.chance(0.6) }
      }
      world.run(random.interval(.milliseconds(1), .seconds(40)))
    }
    let elapsed = world.now.nanoseconds / 1_000_000_000
    let requests = world.count(.nodeRegister) + world.count(.nodeUpdateStatus)
    #expect(Int64(requests) < 4 * elapsed + 100, "seed \(seed): \(requests) requests in \(elapsed) s")
    for server in world.servers.values {
      server.isUp = true
      server.isUnreachable = false
      server.isSilent = false
      server.errors = [:]
      server.knowsNode = true
      server.list = [1, 2, 3, 4, 5]
    }
    world.run(.seconds(45))
    let status = world.client.status
    #expect(status.isRegistered, "seed \(seed)")
    #expect(status.lastHeartbeat.map { world.now - $0 < .seconds(12) } == true, "seed \(seed)")
    #expect(Set(status.servers) == Set((1...5).map { World.address($0) }), "seed \(seed)")
    let before = world.turns
    world.run(.minutes(4))
    #expect(world.turns - before < 120, "seed \(seed): \(world.turns - before) turns in calm")
  }

  @Test func leaderlessRegionThatHoldsRequestsIsServedWhenTheLeaderIsBack() {
    let world = World(World.configuration([1, 2, 3]))
    for number in 1...3 { world.addServer(number, list: [1, 2, 3]).knowsNode = true }
    world.run(.seconds(1))
    for server in world.servers.values { server.holds = [.nodeUpdateStatus] }
    world.run(.minutes(2))
    #expect(world.count(.nodeUpdateStatus) < 40)
    for server in world.servers.values { server.holds = [] }
    world.run(.seconds(40))
    #expect(world.client.status.lastHeartbeat.map { world.now - $0 < .seconds(11) } == true)
    #expect(world.count(.nodeRegister) == 1)
  }

  @Test func garbageFromAServerCostsOnlyThatServer() {
    let world = World(World.configuration([1, 2]))
    world.addServer(1, list: [1, 2]).garbles = true
    world.addServer(2, list: [1, 2])
    world.run(.seconds(30))
    #expect(world.client.status.isRegistered)
    #expect(world.client.status.lastHeartbeat != nil)
  }

  @Test func statisticsAreAnsweredByTheShell() {
    var configuration = World.configuration([1])
    configuration.servesStatistics = true
    let world = World(configuration)
    let server = world.addServer(1, list: [1])
    world.run(.seconds(1))
    server.call(.clientStatsStats, at: world.now)
    world.run(.milliseconds(10))
    for case .statisticsRequested(let request) in world.events {
      world.client.answer(request, at: world.now, effects: &world.clientEffects) { $0.packMapHeader(0) }
    }
    world.run(.milliseconds(10))
    #expect(server.pushAnswers == 1)
    server.call(.agentHost, at: world.now)
    world.run(.milliseconds(10))
    #expect(server.pushAnswers == 1)
  }
}
