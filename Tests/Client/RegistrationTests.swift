import Base
import Client
import Testing
import Wire

@Suite struct RegistrationTests {
  @Test func registersAndBeatsWithinMilliseconds() throws {
    let world = World(World.configuration([1]))
    let server = world.addServer(1, list: [1])
    world.run(.milliseconds(10))
    #expect(server.requests.map(\.method) == [.nodeRegister, .nodeUpdateStatus, .nodeGetClientAllocations])
    #expect(world.events.contains(.registered))
    #expect(world.events.contains(.connectedTo(World.address(1))))
    #expect(world.events.contains(.serversChanged([World.address(1)])))
    #expect(world.client.status.isRegistered)
    #expect(world.client.persisted.servers == [World.address(1)])
    #expect(world.logs.contains { $0.message == "node registration complete" })
  }

  @Test func registrationCarriesTheWholeNode() throws {
    let world = World(World.configuration([1]))
    let server = world.addServer(1, list: [1])
    world.run(.milliseconds(10))
    let body = try #require(server.requests.first?.body)
    var attributes: [String: String] = [:]
    var texts: [String: String] = [:]
    var reader = MessagePackReader(body.bytes)
    for _ in 0..<(try reader.readMapHeader()) {
      guard try reader.readString() == "Node" else {
        try reader.skip()
        continue
      }
      let count = try reader.readMapHeader()
      #expect(count == 28)
      for _ in 0..<count {
        let key = try reader.readString()
        if key == "Attributes" {
          for _ in 0..<(try reader.readMapHeader()) { attributes[try reader.readString()] = try reader.readString() }
        } else if try reader.peekKind() == .raw {
          texts[key] = try reader.readString()
        } else {
          try reader.skip()
        }
      }
    }
    #expect(attributes["nomadd.push"] == "1")
    #expect(attributes["kernel.name"] == "linux")
    #expect(texts["ID"] == World.identity.nodeID)
    #expect(texts["SecretID"] == World.identity.secretID)
    #expect(texts["Status"] == "ready")
  }

  @Test func asksAnotherServerAtOnceWhenOneRefuses() {
    let world = World(World.configuration([1, 2]))
    world.addServer(1, list: [1, 2]).isUp = false
    let second = world.addServer(2, list: [1, 2])
    world.run(.milliseconds(10))
    #expect(second.count(.nodeRegister) == 1)
    #expect(world.client.status.isRegistered)
    #expect(world.client.status.servers.first == World.address(2))
  }

  @Test func asksASecondServerInParallelAfterASecondOfSilence() {
    let world = World(World.configuration([1, 2, 3]))
    world.addServer(1, list: [1, 2, 3]).isUnreachable = true
    let second = world.addServer(2, list: [1, 2, 3])
    let third = world.addServer(3, list: [1, 2, 3])
    world.run(.milliseconds(999))
    #expect(second.count(.nodeRegister) == 0)
    world.run(.milliseconds(10))
    #expect(second.count(.nodeRegister) == 1)
    #expect(third.count(.nodeRegister) == 0)
    #expect(world.client.status.isRegistered)
  }

  @Test func retriesFastFirstAndThenSlower() {
    let world = World(World.configuration([1]))
    world.run(.seconds(1))
    #expect((4...14).contains(world.turns), "\(world.turns) turns in the first second")
    world.run(.minutes(5))
    let before = world.turns
    world.run(.minutes(5))
    #expect((13...45).contains(world.turns - before), "\(world.turns - before) turns in five minutes")
    world.addServer(1, list: [1])
    world.run(.seconds(23))
    #expect(world.client.status.isRegistered)
  }

  @Test func refusedSecretIsNotTakenToOtherServers() {
    let world = World(World.configuration([1, 2]))
    let first = world.addServer(1, list: [1, 2])
    let second = world.addServer(2, list: [1, 2])
    first.errors[.nodeRegister] = "rpc error: node secret ID does not match. Not registering node."
    world.run(.milliseconds(40))
    #expect(first.count(.nodeRegister) == 1)
    #expect(second.count(.nodeRegister) == 0)
    #expect(world.logs.contains { $0.message == "error registering" })
    first.errors = [:]
    world.run(.seconds(1))
    #expect(world.client.status.isRegistered)
  }

  @Test func forgottenNodeRegistersAgainAtOnce() {
    let world = World(World.configuration([1]))
    let server = world.addServer(1, list: [1])
    world.run(.seconds(1))
    server.knowsNode = false
    world.run(.seconds(10))
    #expect(server.count(.nodeRegister) == 2)
    #expect(world.client.status.isRegistered)
    #expect(world.logs.contains { $0.message == "re-registering node" })
  }

  @Test func nodeThatIsAlwaysForgottenDoesNotSpin() {
    let world = World(World.configuration([1]))
    let server = world.addServer(1, list: [1])
    server.errors[.nodeUpdateStatus] = "node not found"
    world.run(.minutes(10))
    #expect(server.requests.count < 250, "\(server.requests.count) requests in ten minutes")
    server.errors = [:]
    world.run(.seconds(24))
    #expect(world.client.status.lastHeartbeat != nil)
  }

  @Test func namesAreResolvedAndUsed() {
    let world = World(World.configuration([], names: ["s1.example:4647"]))
    world.addServer(5, list: [5])
    world.run(.milliseconds(300))
    #expect(world.events.first == .resolve(["s1.example:4647"]))
    #expect(!world.client.status.isRegistered)
    world.client.handleResolved(
      "s1.example:4647", [World.address(5)], at: world.now, effects: &world.clientEffects)
    world.run(.milliseconds(10))
    #expect(world.client.status.isRegistered)
  }

  @Test func nameThatLeadsNowhereIsAskedForSlowly() {
    let world = World(World.configuration([], names: ["s1"]))
    var lookups = 0
    for _ in 0..<600 {
      world.run(.milliseconds(100))
      for case .resolve(let names) in world.events {
        lookups += 1
        for name in names {
          world.client.handleResolved(name, [World.address(7)], at: world.now, effects: &world.clientEffects)
        }
      }
      world.events = []
    }
    #expect((2...20).contains(lookups), "\(lookups) look-ups in a minute")
    #expect(world.turns < 40)
  }

  @Test func persistedServersAreTriedWhenTheConfiguredOnesAreGone() {
    var identity = World.identity
    identity.servers = [World.address(3)]
    let world = World(World.configuration([1]), restoring: identity)
    world.addServer(3, list: [3, 4])
    world.run(.milliseconds(50))
    #expect(world.client.status.isRegistered)
    #expect(Set(world.client.persisted.servers) == [World.address(3), World.address(4)])
  }

  @Test func persistedStateRoundTrips() throws {
    var state = World.identity
    state.servers = [World.address(1), SocketAddress(.v6(high: 1, low: 2, zone: 0), port: 9)]
    let encoded = state.encoded()
    #expect(try ClientPersistedState(decoding: encoded.bytes) == state)
    for count in 0..<encoded.count {
      let part = Array(encoded.prefix(count))
      let decoded = try? ClientPersistedState(decoding: part.bytes)
      #expect(decoded == nil)
    }
  }
}
