import Base

/// What the owner of an `HTTPMachine` reacts to.
public enum HTTPEvent: Hashable, Sendable {
  /// Answer it with `respond` (or `beginStreaming`), now or later, in any order.
  case request(HTTPRequestID, HTTPRequest)
  /// The peer has gone before its answer was complete: stop working on it. Answers to it are ignored from now on.
  case abandoned(HTTPRequestID)
}

/// How much of the server one peer may use.
public struct HTTPLimits: Hashable, Sendable {
  public var bodies = HTTPBodyLimits()
  /// `limits.http_max_conns_per_client`; 0 means no limit. The next connection is answered with 429 and closed.
  public var connectionsPerAddress = 100
  /// Connections at all; the next one is ended at once.
  public var connections = 8192
  /// A request head must be complete this long after its first byte. Upstream has no such limit and can be held open by
  /// peers that send a byte now and then; between requests a connection may idle for ever.
  public var headWithin = Interval.seconds(60)

  public init() {}
}

/// The HTTP/1.1 server over byte streams: reads requests, keeps answers in the order of the requests.
///
/// Calling order: `handleAccepted` once for each connection, then `handleReceived` for its bytes in any chunking;
/// after each call drain `takeEvents()`. Every request is answered exactly once unless `.abandoned` was emitted.
/// Requests of one connection are handed out concurrently only while all of them are `GET`; any other waits for the
/// answers before it, so that a pipelined read sees the write in front of it.
public struct HTTPMachine {
  private var connections: [ConnectionID: HTTPConnection] = [:]
  private var perAddress: [IPAddress: Int] = [:]
  private var events: [HTTPEvent] = []
  /// Connections whose request head is incomplete, in the order of their deadlines (which is the order of arrival).
  private var heads: [(deadline: Instant, id: ConnectionID, sequence: UInt64)] = []
  private let limits: HTTPLimits

  public init(limits: HTTPLimits = HTTPLimits()) { self.limits = limits }

  /// Open connections.
  public var connectionCount: Int { connections.count }

  /// The body of the answer to one connection too many, as newer Nomad words it (http.md section 12).
  static let tooManyConnections = "Your IP is issuing too many concurrent connections, please rate limit your calls\n"

  /// What a TLS listener sends, as is, when a client speaks plain HTTP to it (http.md section 1).
  public static let plainTextToTLS: StaticString =
    "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"

  /// Events since the last call, in order.
  public mutating func takeEvents() -> [HTTPEvent] {
    guard !events.isEmpty else { return [] }
    defer { events = [] }
    return events
  }

  // MARK: The outside happened

  public mutating func handleAccepted(
    _ id: ConnectionID, from remote: SocketAddress, at now: Instant, effects: inout Effects
  ) {
    guard connections.count < limits.connections else { return effects.outbox.abort(id) }
    let open = perAddress[remote.host] ?? 0
    if limits.connectionsPerAddress > 0, open >= limits.connectionsPerAddress {
      effects.log.log(.warn, "http", "too many connections from one address", ["address": "\(remote.host)"])
      effects.outbox.send(id) {
        $0.appendHead(
          status: 429, headers: [HTTPHeader("Content-Type", "text/plain")], minorVersion: 1,
          length: .exactly(Self.tooManyConnections.utf8.count), keepAlive: false)
        $0.append(contentsOf: Self.tooManyConnections.utf8)
      }
      return effects.outbox.close(id)
    }
    perAddress[remote.host] = open + 1
    connections[id] = HTTPConnection(id: id, remote: remote, limits: limits.bodies)
  }

  /// Bytes of a connection; ignored when it is unknown.
  public mutating func handleReceived(
    _ id: ConnectionID, _ bytes: RawSpan, at now: Instant, effects: inout Effects
  ) {
    guard var connection = connections[id] else { return }
    connections[id] = nil
    connection.receive(bytes, events: &events, effects: &effects)
    watchHead(of: &connection, at: now)
    putBack(connection)
  }

  /// The stream ended; its open requests are abandoned. Ignored when the connection is unknown.
  public mutating func handleDisconnected(
    _ id: ConnectionID, _ end: StreamEnd, at now: Instant, effects: inout Effects
  ) {
    guard let connection = connections.removeValue(forKey: id) else { return }
    forget(connection)
  }

  /// Ends connections whose request head took too long.
  public mutating func handleTimeout(at now: Instant, effects: inout Effects) {
    var done = 0
    for head in heads {
      guard head.deadline <= now else { break }
      done += 1
      guard let connection = connections[head.id], connection.incompleteHead == head.sequence else { continue }
      connections[head.id] = nil
      effects.outbox.abort(head.id)
      forget(connection)
    }
    heads.removeFirst(done)
  }

  /// When `handleTimeout` is due.
  public var deadline: Instant? { heads.first?.deadline }

  // MARK: Commands

  /// Answers a request. Ignored when the request was abandoned.
  public mutating func respond(
    _ id: HTTPRequestID, _ response: HTTPResponse, at now: Instant, effects: inout Effects
  ) {
    change(id, at: now, effects: &effects) { $0.respond(id.sequence, response) }
  }

  /// Begins an answer whose body comes in pieces: follow with `stream` and `endStreaming`. The head is sent at once.
  public mutating func beginStreaming(
    _ id: HTTPRequestID, status: Int, headers: [HTTPHeader], at now: Instant, effects: inout Effects
  ) {
    change(id, at: now, effects: &effects) { $0.beginStreaming(id.sequence, status: status, headers: headers) }
  }

  /// Sends a piece of a streamed body; empty pieces are ignored.
  public mutating func stream(_ id: HTTPRequestID, _ bytes: [UInt8], at now: Instant, effects: inout Effects) {
    guard !bytes.isEmpty else { return }
    change(id, at: now, effects: &effects) { $0.stream(id.sequence, bytes) }
  }

  /// Completes a streamed answer.
  public mutating func endStreaming(_ id: HTTPRequestID, at now: Instant, effects: inout Effects) {
    change(id, at: now, effects: &effects) { $0.endStreaming(id.sequence) }
  }

  /// Ends every connection once its queued answers are sent; open requests are abandoned. For the agent's shutdown.
  public mutating func closeAll(effects: inout Effects) {
    for id in connections.keys.sorted() {
      guard let connection = connections.removeValue(forKey: id) else { continue }
      effects.outbox.close(id)
      forget(connection)
    }
    heads.removeAll()
  }

  // MARK: Helpers

  private mutating func change(
    _ id: HTTPRequestID, at now: Instant, effects: inout Effects, _ body: (inout HTTPConnection) -> Void
  ) {
    guard var connection = connections.removeValue(forKey: id.connection) else { return }
    body(&connection)
    connection.advance(events: &events, effects: &effects)
    watchHead(of: &connection, at: now)
    putBack(connection)
  }

  private mutating func putBack(_ connection: HTTPConnection) {
    if connection.isClosed { forget(connection) } else { connections[connection.id] = connection }
  }

  /// Precondition: the connection is no longer in the table.
  private mutating func forget(_ connection: HTTPConnection) {
    for sequence in connection.openRequests {
      events.append(.abandoned(HTTPRequestID(connection: connection.id, sequence: sequence)))
    }
    let open = (perAddress[connection.remote.host] ?? 1) - 1
    perAddress[connection.remote.host] = open > 0 ? open : nil
  }

  private mutating func watchHead(of connection: inout HTTPConnection, at now: Instant) {
    guard let sequence = connection.incompleteHead, connection.watchedHead != sequence else { return }
    connection.watchedHead = sequence
    // Heads that became complete leave their entry behind; sweep when most entries are such.
    if heads.count > 64, heads.count > connections.count * 4 {
      heads.removeAll { connections[$0.id]?.incompleteHead != $0.sequence }
    }
    heads.append((now + limits.headWithin, connection.id, sequence))
  }
}
