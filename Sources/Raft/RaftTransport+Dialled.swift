import Base
import Wire

/// A connection to a peer, for one purpose.
struct DialledChannel {
  struct Exchange {
    var kind: RaftRequestKind
    var exchange: RaftExchange
    var deadline: Instant
  }

  struct Waiting {
    var request: RaftRequest
    var exchange: RaftExchange
    var within: Interval
  }

  var server: RaftServer
  var kind: RaftChannel
  var connection: ConnectionID
  var isOpen = false
  /// Until the connection is open.
  var waiting: [Waiting] = []
  /// Sent and not answered, oldest first.
  var open: [Exchange] = []
  var decoder = RaftReplyDecoder()

  var deadline: Instant? { open.first?.deadline }
}

extension RaftTransport {
  func position(of id: String, _ kind: RaftChannel) -> Int? {
    channels.firstIndex { $0.server.id == id && $0.kind == kind }
  }

  /// Sends a request, dialling first if necessary. Its end is an arrival: a reply or a failure.
  mutating func send(
    _ request: RaftRequest, to server: RaftServer, _ kind: RaftChannel, _ exchange: RaftExchange, at now: Instant,
    effects: inout Effects
  ) {
    var server = server
    if let address = movedTo[server.id] { server.address = address }
    if let position = position(of: server.id, kind), channels[position].server.address != server.address {
      fail(position, closed: false, effects: &effects)
    }
    guard let position = position(of: server.id, kind) ?? dial(server, kind, effects: &effects) else {
      effects.log.log(
        .error, "nomad.raft", "failed to make requestVote RPC", ["error": "no IP address", "address": server.address])
      return arrivals.append(.failure(exchange, with: server.id, closed: false))
    }
    let within = patience(for: request)
    if channels[position].isOpen {
      transmit(position, request, exchange, within, at: now, effects: &effects)
    } else {
      channels[position].waiting.append(
        DialledChannel.Waiting(request: request, exchange: exchange, within: within))
    }
  }

  /// Longest time until the reply.
  private func patience(for request: RaftRequest) -> Interval {
    switch request {
    case .appendEntries(let append):
      append.isHeartbeat ? timings.heartbeatTimeout : timings.ioTimeout
    case .installSnapshot(let snapshot):
      timings.ioTimeout * max(1, snapshot.state.count / 262_144)
    case .requestPreVote, .timeoutNow: timings.votePatience ?? electionTimeout
    case .requestVote: timings.votePatience ?? electionTimeout * 3
    }
  }

  private mutating func dial(_ server: RaftServer, _ kind: RaftChannel, effects: inout Effects) -> Int? {
    guard let address = SocketAddress(server.address) else { return nil }
    let connection = effects.outbox.connect(to: address, within: timings.heartbeatTimeout)
    channels.append(DialledChannel(server: server, kind: kind, connection: connection))
    return channels.count - 1
  }

  mutating func handleConnected(_ id: ConnectionID, at now: Instant, effects: inout Effects) {
    if probe?.connection == id {
      probe = nil
      return effects.outbox.close(id)
    }
    guard let position = channels.firstIndex(where: { $0.connection == id }) else { return }
    channels[position].isOpen = true
    effects.outbox.send(id) { $0.append(RaftWire.streamByte) }
    let waiting = channels[position].waiting
    channels[position].waiting.removeAll()
    for item in waiting {
      transmit(position, item.request, item.exchange, item.within, at: now, effects: &effects)
    }
  }

  private mutating func transmit(
    _ position: Int, _ request: RaftRequest, _ exchange: RaftExchange, _ within: Interval, at now: Instant,
    effects: inout Effects
  ) {
    channels[position].open.append(
      DialledChannel.Exchange(kind: request.kind, exchange: exchange, deadline: now + within))
    effects.outbox.send(channels[position].connection) { request.encode(into: &$0) }
  }

  mutating func receiveReplies(_ position: Int, _ bytes: RawSpan, effects: inout Effects) {
    channels[position].decoder.append(bytes)
    let id = channels[position].server.id
    while let first = channels[position].open.first {
      do throws(WireError) {
        guard let reply = try channels[position].decoder.next(to: first.kind) else { return }
        channels[position].open.removeFirst()
        arrivals.append(.reply(reply, from: id, first.exchange))
      } catch {
        effects.log.log(.warn, "nomad.raft", "undecodable reply", ["id": id, "error": "\(error)"])
        return fail(position, closed: false, effects: &effects)
      }
      if first.kind == .installSnapshot {
        // Peers expect a connection that carried a snapshot to end.
        effects.outbox.close(channels[position].connection)
        return drop(position, closed: false)
      }
    }
    if channels[position].decoder.bufferedBytes > 0 { fail(position, closed: false, effects: &effects) }
  }

  /// Dials and hangs up, one address at a time.
  mutating func startProbe(of text: String, effects: inout Effects) {
    guard probe == nil, let address = SocketAddress(text) else { return }
    probe = (effects.outbox.connect(to: address, within: timings.heartbeatTimeout), text)
  }

  /// Ends a connection at once.
  mutating func fail(_ position: Int, closed: Bool, effects: inout Effects) {
    effects.outbox.abort(channels[position].connection)
    drop(position, closed: closed)
  }

  /// Forgets a connection; everything unanswered has failed.
  mutating func drop(_ position: Int, closed: Bool) {
    let channel = channels.remove(at: position)
    for item in channel.open { arrivals.append(.failure(item.exchange, with: channel.server.id, closed: closed)) }
    for item in channel.waiting { arrivals.append(.failure(item.exchange, with: channel.server.id, closed: false)) }
  }

  /// The server is none of ours any more.
  mutating func forget(_ id: String, effects: inout Effects) {
    while let position = channels.firstIndex(where: { $0.server.id == id }) {
      fail(position, closed: false, effects: &effects)
    }
  }

  /// Leadership ended: no heartbeats are due.
  mutating func closeHeartbeats(effects: inout Effects) {
    while let position = channels.firstIndex(where: { $0.kind == .heartbeat }) {
      fail(position, closed: false, effects: &effects)
    }
  }
}
