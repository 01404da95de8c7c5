import Base
import RPC
import Testing
import Wire

/// Bytes from hexadecimal text; blanks are for the reader.
func hex(_ text: String) -> [UInt8] {
  var bytes: [UInt8] = []
  var high: UInt8?
  for character in text {
    guard let digit = character.hexDigitValue else { continue }
    if let first = high {
      bytes.append(first << 4 | UInt8(digit))
      high = nil
    } else {
      high = UInt8(digit)
    }
  }
  return bytes
}

func hex(_ bytes: some Sequence<UInt8>) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

let serverAddress = SocketAddress(.loopback, port: 4647)
let clientAddress = SocketAddress(.loopback, port: 40_000)

/// One machine with the raw bytes of a single connection as its other side.
struct Driver {
  var machine: RPCMachine
  var effects = Effects(seed: 1)
  var now = Instant.start
  var id = ConnectionID(number: 1000)
  var isClosed = false
  var pauses = 0
  var resumes = 0
  private var sent: [UInt8] = []
  private var batch = RPCEventBatch()

  /// A machine with one accepted connection.
  init(configuration: RPCConfiguration = RPCConfiguration(), accepts: Bool = true) {
    machine = RPCMachine(configuration: configuration)
    guard accepts else { return }
    machine.handleAccepted(id, from: clientAddress, at: now, effects: &effects)
  }

  /// A machine that has dialed `serverAddress` for one call, and the call.
  static func dialed(
    _ method: RPCMethod = .statusPing, configuration: RPCConfiguration = RPCConfiguration()
  ) -> (Driver, CallID) {
    var driver = Driver(configuration: configuration, accepts: false)
    let call = driver.machine.call(
      method, to: serverAddress, deadline: driver.now + .seconds(60), at: driver.now, effects: &driver.effects
    ) { $0.packMapHeader(0) }
    driver.collect()
    driver.machine.handleConnected(driver.id, at: driver.now, effects: &driver.effects)
    return (driver, call)
  }

  mutating func receive(_ text: String, chunk: Int = .max) { receive(hex(text), chunk: chunk) }

  mutating func receive(_ bytes: [UInt8], chunk: Int = .max) {
    var offset = 0
    while offset < bytes.count {
      let end = chunk > bytes.count - offset ? bytes.count : offset + chunk
      machine.handleReceived(id, bytes.bytes(offset..<end), at: now, effects: &effects)
      offset = end
    }
  }

  mutating func advance(by interval: Interval) {
    let end = now + interval
    while let due = machine.deadline, due <= end {
      now = max(now, due)
      machine.handleTimeout(at: now, effects: &effects)
    }
    now = end
  }

  /// Carries out the directives.
  mutating func collect() {
    for directive in effects.outbox.directives {
      switch directive {
      case .send(id, let range): sent += effects.outbox.arena[range]
      case .close(id), .abort(id): isClosed = true
      case .connect(let dialed, _, _): id = dialed
      case .pauseReading: pauses += 1
      case .resumeReading: resumes += 1
      default: Issue.record("unexpected \(directive)")
      }
    }
    effects.outbox.removeAll()
  }

  /// Everything sent since the last call.
  mutating func takeSent() -> String { hex(takeSentBytes()) }

  mutating func takeSentBytes() -> [UInt8] {
    collect()
    defer { sent = [] }
    return sent
  }

  /// The number of send directives of this turn.
  var sendDirectives: Int {
    effects.outbox.directives.count { if case .send = $0 { true } else { false } }
  }

  mutating func takeEvents() -> [RPCEvent] {
    machine.takeEvents(into: &batch)
    return batch.events
  }

  /// Bytes of the events last taken.
  func bytes(_ range: Range<Int>) -> [UInt8] { Array(batch.arena[range]) }

  /// The requests among the events not taken yet.
  mutating func takeRequests() -> [(id: RequestID, method: RPCMethod, body: String)] {
    takeEvents().compactMap { event in
      guard case .request(let id, _, let method, let body) = event else { return nil }
      return (id, method, hex(bytes(body)))
    }
  }

  mutating func respond(_ request: RequestID, _ body: String = "80") {
    machine.respond(to: request, at: now, effects: &effects) { $0 += hex(body) }
  }

  mutating func session() -> SessionID? {
    for case .sessionStarted(let id, _, _) in takeEvents() { return id }
    return nil
  }
}

/// Two machines and the connections between them; bytes travel in chunks of `chunk`.
struct Pair {
  var client: RPCMachine
  var server: RPCMachine
  var clientEffects = Effects(seed: 1)
  var serverEffects = Effects(seed: 2)
  var now = Instant.start
  var chunk: Int
  var serverRefuses = false
  /// Client id to server id and back.
  private var toServer: [ConnectionID: ConnectionID] = [:]
  private var toClient: [ConnectionID: ConnectionID] = [:]
  var clientBatch = RPCEventBatch()
  var serverBatch = RPCEventBatch()

  init(chunk: Int = .max, configuration: RPCConfiguration = RPCConfiguration()) {
    client = RPCMachine(configuration: configuration)
    server = RPCMachine(configuration: configuration)
    self.chunk = chunk
  }

  mutating func call(_ method: RPCMethod, within: Interval = .seconds(60), body: String = "80") -> CallID {
    client.call(method, to: serverAddress, deadline: now + within, at: now, effects: &clientEffects) { $0 += hex(body) }
  }

  /// Lets everything arrive.
  mutating func settle() {
    while !clientEffects.outbox.isEmpty || !serverEffects.outbox.isEmpty {
      let fromClient = clientEffects.outbox
      clientEffects.outbox.removeAll()
      carry(fromClient, fromClient: true)
      let fromServer = serverEffects.outbox
      serverEffects.outbox.removeAll()
      carry(fromServer, fromClient: false)
    }
  }

  private mutating func carry(_ outbox: Outbox, fromClient: Bool) {
    for directive in outbox.directives {
      switch directive {
      case .connect(let id, _, _):
        if serverRefuses {
          client.handleDisconnected(id, .refused, at: now, effects: &clientEffects)
          continue
        }
        let other = serverEffects.outbox.makeConnectionID()
        toServer[id] = other
        toClient[other] = id
        server.handleAccepted(other, from: clientAddress, at: now, effects: &serverEffects)
        client.handleConnected(id, at: now, effects: &clientEffects)
      case .send(let id, let range):
        let bytes = Array(outbox.arena[range])
        var offset = 0
        while offset < bytes.count {
          let end = chunk > bytes.count - offset ? bytes.count : offset + chunk
          if fromClient, let other = toServer[id] {
            server.handleReceived(other, bytes.bytes(offset..<end), at: now, effects: &serverEffects)
          } else if !fromClient, let other = toClient[id] {
            client.handleReceived(other, bytes.bytes(offset..<end), at: now, effects: &clientEffects)
          }
          offset = end
        }
      case .close(let id), .abort(let id):
        if fromClient, let other = toServer[id] {
          server.handleDisconnected(other, .finished, at: now, effects: &serverEffects)
        } else if !fromClient, let other = toClient[id] {
          client.handleDisconnected(other, .finished, at: now, effects: &clientEffects)
        }
      case .pauseReading, .resumeReading: break
      case .datagram: Issue.record("a datagram")
      }
    }
  }

  /// Answers everything the server was asked with the body of the request, and settles, until nothing is left.
  mutating func echo() {
    settle()
    while server.hasEvents {
      server.takeEvents(into: &serverBatch)
      for case .request(let id, _, _, let body) in serverBatch.events {
        let bytes = Array(serverBatch.arena[body])
        server.respond(to: id, at: now, effects: &serverEffects) { $0 += bytes }
      }
      settle()
    }
  }

  /// How the client's calls ended since the last look.
  mutating func outcomes() -> [CallID: RPCOutcome] {
    client.takeEvents(into: &clientBatch)
    var result: [CallID: RPCOutcome] = [:]
    for case .response(let id, let outcome) in clientBatch.events { result[id] = outcome }
    return result
  }

  mutating func advance(by interval: Interval) {
    let end = now + interval
    while let due = earliest(client.deadline, server.deadline), due <= end {
      now = max(now, due)
      if let due = client.deadline, due <= now { client.handleTimeout(at: now, effects: &clientEffects) }
      if let due = server.deadline, due <= now { server.handleTimeout(at: now, effects: &serverEffects) }
      settle()
    }
    now = end
  }
}

extension RPCOutcome {
  var isReply: Bool { if case .reply = self { true } else { false } }
}
