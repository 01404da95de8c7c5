import Base
import RPC
import Wire

@testable import Client

/// One client and some scripted servers on a virtual network with a virtual clock.
final class World {
  var now = Instant.start
  var client: ClientMachine
  var clientEffects: Effects
  var servers: [SocketAddress: FakeServer] = [:]
  var events: [ClientEvent] = []
  /// Turns of the client; bounds how busy it may be.
  var turns = 0
  private var queue: [(at: Instant, order: Int, action: Action)] = []
  private var order = 0
  /// Streams by both of their names.
  private var links: [Link] = []

  static let latency = Interval.milliseconds(1)

  private enum Action {
    case connected(Link)
    case refused(ConnectionID, StreamEnd)
    case toServer(Link, [UInt8])
    case toClient(Link, [UInt8])
    case serverEnd(Link)
    case clientEnd(Link, StreamEnd)
  }

  private struct Link: Equatable {
    let client: ConnectionID
    let server: ConnectionID
    let address: SocketAddress
  }

  init(_ configuration: ClientConfiguration, restoring: ClientPersistedState = World.identity, seed: UInt64 = 1) {
    clientEffects = Effects(seed: seed, minimumLogLevel: .trace)
    client = ClientMachine(configuration: configuration, restoring: restoring, at: now, effects: &clientEffects)
  }

  static let identity = ClientPersistedState(
    nodeID: "11111111-2222-3333-4444-555555555555", secretID: "66666666-7777-8888-9999-000000000000")

  static func address(_ number: Int) -> SocketAddress {
    SocketAddress(.v4(0x7F00_0000 + UInt32(number)), port: 4647)
  }

  static func configuration(_ numbers: [Int], names: [String] = []) -> ClientConfiguration {
    var node = NodeDescription(id: "", secretID: "", name: "n1", datacenter: "dc1", httpAddress: "127.0.0.9:4646")
    node.attributes = [NodeAttribute("kernel.name", "linux")]
    var configuration = ClientConfiguration(node: node)
    configuration.servers = numbers.map { address($0) }
    configuration.serverNames = names
    return configuration
  }

  @discardableResult
  func addServer(_ number: Int, list: [Int]) -> FakeServer {
    let server = FakeServer(number, list: list)
    servers[server.address] = server
    return server
  }

  /// Runs until the time has passed.
  func run(_ interval: Interval) {
    let end = now + interval
    drain()
    while true {
      var next = queue.map { ($0.at, $0.order) }.min { $0 < $1 }?.0
      next = earliest(next, client.deadline)
      for server in servers.values { next = earliest(next, server.rpc.deadline) }
      guard let next, next <= end else { break }
      now = max(now, next)
      step()
    }
    now = end
  }

  private func step() {
    let due = queue.filter { $0.at <= now }.sorted { ($0.at, $0.order) < ($1.at, $1.order) }
    queue.removeAll { $0.at <= now }
    for item in due { carryOut(item.action) }
    if let deadline = client.deadline, deadline <= now {
      turns += 1
      client.handleTimeout(at: now, effects: &clientEffects)
    }
    for server in servers.values.sorted(by: { $0.number < $1.number }) {
      if let deadline = server.rpc.deadline, deadline <= now {
        server.rpc.handleTimeout(at: now, effects: &server.effects)
      }
    }
    drain()
  }

  private func carryOut(_ action: Action) {
    switch action {
    case .connected(let link):
      guard let server = servers[link.address], server.isUp else { return }
      links.append(link)
      server.rpc.handleAccepted(link.server, from: Self.address(200), at: now, effects: &server.effects)
      client.handleConnected(link.client, at: now, effects: &clientEffects)
    case .refused(let id, let end):
      client.handleDisconnected(id, end, at: now, effects: &clientEffects)
    case .toServer(let link, let bytes):
      guard let server = servers[link.address], links.contains(link), !server.isSilent else { return }
      server.rpc.handleReceived(link.server, bytes.bytes, at: now, effects: &server.effects)
    case .toClient(let link, let bytes):
      guard links.contains(link) else { return }
      client.handleReceived(link.client, bytes.bytes, at: now, effects: &clientEffects)
    case .serverEnd(let link):
      guard let server = servers[link.address], links.contains(link) else { return }
      links.removeAll { $0 == link }
      server.rpc.handleDisconnected(link.server, .finished, at: now, effects: &server.effects)
    case .clientEnd(let link, let end):
      guard links.contains(link) else { return }
      links.removeAll { $0 == link }
      client.handleDisconnected(link.client, end, at: now, effects: &clientEffects)
    }
  }

  /// Carries out what the machines want until they want nothing.
  private func drain() {
    for server in servers.values.sorted(by: { $0.number < $1.number }) { server.answer(at: now) }
    takeClient()
    for server in servers.values.sorted(by: { $0.number < $1.number }) { take(server) }
    events += client.takeEvents()
  }

  private func after(_ interval: Interval, _ action: Action) {
    order += 1
    queue.append((now + interval, order, action))
  }

  private func takeClient() {
    let outbox = clientEffects.outbox
    clientEffects.outbox.removeAll()
    for directive in outbox.directives {
      switch directive {
      case .connect(let id, let address, let within):
        guard let server = servers[address], server.isUp else {
          after(Self.latency, .refused(id, .refused))
          continue
        }
        if server.isUnreachable {
          after(within, .refused(id, .timedOut))
        } else {
          after(
            Self.latency,
            .connected(Link(client: id, server: server.effects.outbox.makeConnectionID(), address: address)))
        }
      case .send(let id, let range):
        if let link = links.first(where: { $0.client == id }) {
          after(Self.latency, .toServer(link, Array(outbox.arena[range])))
        }
      case .close(let id), .abort(let id):
        if let link = links.first(where: { $0.client == id }) { after(Self.latency, .serverEnd(link)) }
      case .datagram, .pauseReading, .resumeReading: break
      }
    }
  }

  private func take(_ server: FakeServer) {
    let outbox = server.effects.outbox
    server.effects.outbox.removeAll()
    for directive in outbox.directives {
      switch directive {
      case .send(let id, let range):
        if let link = links.first(where: { $0.server == id && $0.address == server.address }) {
          after(Self.latency, .toClient(link, Array(outbox.arena[range])))
        }
      case .close(let id), .abort(let id):
        if let link = links.first(where: { $0.server == id && $0.address == server.address }) {
          after(Self.latency, .clientEnd(link, .finished))
        }
      case .connect, .datagram, .pauseReading, .resumeReading: break
      }
    }
  }

  /// The process of a server dies: its connections end.
  func kill(_ number: Int) {
    guard let server = servers[Self.address(number)] else { return }
    server.isUp = false
    for link in links where link.address == server.address { after(Self.latency, .clientEnd(link, .reset)) }
  }

  /// Bytes to and from the server vanish from now on.
  func silence(_ number: Int) { servers[Self.address(number)]?.isSilent = true }

  var logs: [LogLine] {
    var lines: [LogLine] = []
    clientEffects.log.drain { lines.append($0) }
    return lines
  }

  /// Requests of one kind that all servers got.
  func count(_ method: RPCMethod) -> Int { servers.values.reduce(0) { $0 + $1.count(method) } }
}

/// A server that answers what a region would, or what the test says.
final class FakeServer {
  let number: Int
  let address: SocketAddress
  var rpc = RPCMachine()
  var effects: Effects
  var isUp = true
  /// Dials run into their timeout.
  var isUnreachable = false
  var isSilent = false
  /// Servers of the region, as answers tell.
  var list: [Int]
  var ttl = Interval.seconds(10)
  /// Node ids that the region knows.
  var knowsNode = false
  /// Texts to answer with instead, by method.
  var errors: [RPCMethod: String] = [:]
  /// Requests that are never answered.
  var holds: Set<RPCMethod> = []
  var allocationIndex: UInt64 = 1
  var answersPollsAtOnce = false
  var updateIndex: UInt64 = 0
  private(set) var requests: [(method: RPCMethod, at: Instant, body: [UInt8])] = []
  private(set) var session: SessionID?
  private(set) var pushAnswers = 0
  private var batch = RPCEventBatch()

  init(_ number: Int, list: [Int]) {
    self.number = number
    self.list = list
    address = World.address(number)
    effects = Effects(seed: UInt64(number))
  }

  func count(_ method: RPCMethod) -> Int { requests.count { $0.method == method } }

  func answer(at now: Instant) {
    while rpc.hasEvents {
      rpc.takeEvents(into: &batch)
      for event in batch.events {
        switch event {
        case .request(let id, let session, let method, let range):
          self.session = session
          requests.append((method, now, batch.bytes(range).copy()))
          answer(id, method, batch.bytes(range).copy(), at: now)
        case .response(_, .reply): pushAnswers += 1
        case .response: break
        default: break
        }
      }
    }
  }

  private func answer(_ id: RequestID, _ method: RPCMethod, _ body: [UInt8], at now: Instant) {
    if holds.contains(method) { return }
    if let error = errors[method] { return rpc.fail(id, error: error, at: now, effects: &effects) }
    switch method {
    case .nodeRegister:
      knowsNode = true
      respond(id, at: now)
    case .nodeUpdateStatus:
      guard knowsNode else { return rpc.fail(id, error: "rpc error: node not found", at: now, effects: &effects) }
      respond(id, at: now)
    case .nodeGetClientAllocations:
      var reader = MessagePackReader(body.bytes)
      let wanted = (try? QueryOptions(&reader))?.minimumQueryIndex ?? 0
      guard wanted < allocationIndex || answersPollsAtOnce else { return }
      let meta = QueryMeta(index: allocationIndex, knownLeader: true)
      rpc.respond(to: id, at: now, effects: &effects) { meta.encode(into: &$0) }
    default:
      rpc.reject(id, at: now, effects: &effects)
    }
  }

  private func respond(_ id: RequestID, at now: Instant) {
    var response = NodeUpdateResponse()
    response.heartbeatTTL = ttl
    response.index = updateIndex
    response.numNodes = 1
    response.leaderRPCAddress = "127.0.0.1:4647"
    response.servers = infos
    rpc.respond(to: id, at: now, effects: &effects) { response.encode(into: &$0) }
  }

  private var infos: [ServerInfo] {
    list.map { ServerInfo(rpcAdvertiseAddress: World.address($0).description, datacenter: "dc1") }
  }

  func push(_ list: [Int], index: UInt64, at now: Instant) {
    self.list = list
    guard let session else { return }
    let push = ServersChanged(servers: infos, leaderRPCAddress: "127.0.0.2:4647", index: index)
    _ = rpc.call(.clientServersChanged, overSession: session, deadline: now + .seconds(5), at: now, effects: &effects) {
      push.encode(into: &$0)
    }
  }
}
