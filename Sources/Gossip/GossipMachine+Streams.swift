import Base
import Wire

/// One TCP connection of the gossip port; each carries one exchange (gossip.md section 3).
struct GossipStream {
  enum Role: Hashable {
    /// Accepted from a peer.
    case inbound
    /// We dialled to exchange state; the token names a caller who waits.
    case exchange(isJoin: Bool, token: ExchangeToken?)
    /// We dialled because a probe got no ack.
    case probe(sequence: UInt32, node: Int)
  }

  let id: ConnectionID
  let peer: SocketAddress
  let role: Role
  var deadline: Instant
  var reader: StreamReader
}

extension GossipMachine {
  // MARK: Events

  public mutating func handleAccepted(
    _ id: ConnectionID, from peer: SocketAddress, at now: Instant, effects: inout Effects
  ) {
    let perHost = streams.reduce(0) { $0 + ($1.role == .inbound && $1.peer.host == peer.host ? 1 : 0) }
    // All servers of a test pool on one machine share the loopback address.
    let isHostFull = perHost >= configuration.maximumStreamsPerHost && !peer.host.isLoopback
    let isOften = !peer.host.isLoopback && !streamLimiter.take(1, from: peer.host, at: now)
    // A host whose streams have expanded to more than its share waits, too.
    let isCostly = !expansionLimiter.take(0, from: peer.host, at: now)
    guard streams.count < configuration.maximumStreams, !isHostFull, !isOften, !isCostly else {
      count(.limit)
      return effects.outbox.abort(id)
    }
    count(\.streamsAccepted)
    streams.append(
      GossipStream(
        id: id, peer: peer, role: .inbound, deadline: now + configuration.streamTimeout,
        reader: StreamReader(expectsLabel: true)))
  }

  public mutating func handleConnected(
    _ id: ConnectionID, at now: Instant, above: inout some GossipLayer, effects: inout Effects
  ) {
    guard let index = streams.firstIndex(where: { $0.id == id }) else { return }
    switch streams[index].role {
    case .inbound: break
    case .exchange(let isJoin, _):
      streams[index].deadline = now + configuration.streamTimeout
      sendState(on: id, isJoin: isJoin, isDialer: true, above: &above, effects: &effects)
    case .probe(let sequence, let node):
      var message: [UInt8] = []
      PingMessage.encode(
        sequence: sequence, node: nodes[node].name, source: local.address, sourceNode: configuration.name,
        into: &message)
      sendMessage(message, on: id, isDialer: true, effects: &effects)
    }
  }

  public mutating func handleReceived(
    _ id: ConnectionID, _ bytes: RawSpan, at now: Instant, above: inout some GossipLayer, effects: inout Effects
  ) {
    guard let index = streams.firstIndex(where: { $0.id == id }) else { return }
    do throws(StreamFailure) {
      let buffered = streams.reduce(0) { $0 + $1.reader.buffer.count }
      guard buffered + bytes.byteCount <= configuration.maximumBufferedBytes else { throw .envelope(.tooLarge) }
      try streams[index].reader.append(bytes)
      guard
        let message = try streams[index].reader.next(
          cipher: &cipher, label: configuration.label, expander: &expander)
      else { return }
      let stream = streams.remove(at: index)
      if stream.role == .inbound {
        _ = expansionLimiter.take(stream.reader.buffer.count, from: stream.peer.host, at: now)
      }
      handle(message, on: stream, at: now, above: &above, effects: &effects)
    } catch {
      let stream = streams.remove(at: index)
      fail(stream, error, at: now, above: &above, effects: &effects)
    }
    noteFreshBroadcasts(at: now, above: above)
  }

  public mutating func handleDisconnected(
    _ id: ConnectionID, _ end: StreamEnd, at now: Instant, above: inout some GossipLayer, effects: inout Effects
  ) {
    guard let index = streams.firstIndex(where: { $0.id == id }) else { return }
    let stream = streams.remove(at: index)
    finish(stream, .ended(end), at: now, above: &above, effects: &effects)
  }

  mutating func expireStreams(at now: Instant, above: inout some GossipLayer, effects: inout Effects) {
    while let index = streams.firstIndex(where: { now >= $0.deadline }) {
      let stream = streams.remove(at: index)
      effects.outbox.abort(stream.id)
      finish(stream, .ended(.timedOut), at: now, above: &above, effects: &effects)
    }
  }

  // MARK: Messages

  private mutating func handle(
    _ message: StreamMessage, on stream: GossipStream, at now: Instant, above: inout some GossipLayer,
    effects: inout Effects
  ) {
    let bytes = stream.reader.buffer.bytes
    switch (stream.role, message) {
    case (.inbound, .pushPull(let header, let nodes, let state)):
      if let reason = refusal(of: header, nodes: bytes.extracting(nodes), from: stream.peer, above: above) {
        count(\.exchangesRefused)
        effects.log.log(
          .warn, Self.logModule, "memberlist: refused a push/pull exchange: \(reason)",
          ["from": stream.peer.description])
        return sendError(reason, on: stream, effects: &effects)
      }
      // The listener answers before it validates anything else (gossip.md 3.4).
      sendState(on: stream.id, isJoin: header.isJoin, isDialer: false, above: &above, effects: &effects)
      effects.outbox.close(stream.id)
      _ = merge(
        header, nodes: bytes.extracting(nodes), state: bytes.extracting(state), isOurs: false, from: stream.peer,
        at: now, above: &above, effects: &effects)
    case (.exchange, .pushPull(let header, let nodes, let state)):
      effects.outbox.close(stream.id)
      let outcome = merge(
        PushPullHeader(nodes: header.nodes, userStateBytes: header.userStateBytes, isJoin: stream.isJoin),
        nodes: bytes.extracting(nodes), state: bytes.extracting(state), isOurs: true, from: stream.peer,
        at: now, above: &above, effects: &effects)
      finish(stream, outcome, at: now, above: &above, effects: &effects)
    case (.exchange, .error(let range)):
      effects.outbox.close(stream.id)
      let text = (try? ErrorMessage.decode(bytes.extracting(range))) ?? "unreadable error"
      finish(stream, .refused("remote error: \(text)"), at: now, above: &above, effects: &effects)
    case (.inbound, .ping(let range)):
      answerPing(bytes.extracting(range), on: stream, effects: &effects)
    case (.inbound, .user(let range)):
      effects.outbox.close(stream.id)
      if !range.isEmpty { above.handleUserMessage(bytes.extracting(range), at: now, effects: &effects) }
    case (.probe(let sequence, _), .ack(let range)):
      effects.outbox.close(stream.id)
      let answered = (try? AckMessage(bytes.extracting(range)).sequence) == sequence
      if answered { handleStreamAck(sequence: sequence) } else { count(.malformed) }
    case (.inbound, _), (.exchange, _), (.probe, _):
      effects.outbox.close(stream.id)
      complain(.unknownKind, from: stream.peer, at: now, effects: &effects)
      finish(stream, .refused("unexpected message"), at: now, above: &above, effects: &effects)
    }
  }

  private mutating func answerPing(_ body: RawSpan, on stream: GossipStream, effects: inout Effects) {
    do throws(WireError) {
      let ping = try PingMessage(body)
      if isShunned(stream.peer.host) {
        count(.shunned)
      } else if ping.node.byteCount == 0 || ping.node.equals(configuration.name) {
        var message: [UInt8] = []
        AckMessage.encode(sequence: ping.sequence, payload: nil, into: &message)
        sendMessage(message, on: stream.id, isDialer: false, effects: &effects)
      } else {
        count(.misaddressed)
      }
    } catch {
      count(.malformed)
    }
    effects.outbox.close(stream.id)
  }

  private mutating func sendError(_ text: String, on stream: GossipStream, effects: inout Effects) {
    var message: [UInt8] = []
    ErrorMessage.encode(text, into: &message)
    sendMessage(message, on: stream.id, isDialer: false, effects: &effects)
    effects.outbox.close(stream.id)
  }

  private mutating func fail(
    _ stream: GossipStream, _ failure: StreamFailure, at now: Instant, above: inout some GossipLayer,
    effects: inout Effects
  ) {
    switch failure {
    case .envelope(let reason):
      complain(
        reason == .undecryptable ? .undecryptable : .malformed, reason.text, from: stream.peer, at: now,
        effects: &effects)
      if stream.role == .inbound {
        sendError(reason.text, on: stream, effects: &effects)
      } else {
        effects.outbox.close(stream.id)
      }
      finish(stream, .refused(reason.text), at: now, above: &above, effects: &effects)
    case .body:
      complain(.malformed, from: stream.peer, at: now, effects: &effects)
      effects.outbox.close(stream.id)
      finish(stream, .refused("malformed message"), at: now, above: &above, effects: &effects)
    }
  }

  /// The stream is gone; whoever waits for it is told.
  private mutating func finish(
    _ stream: GossipStream, _ outcome: ExchangeOutcome, at now: Instant, above: inout some GossipLayer,
    effects: inout Effects
  ) {
    switch outcome {
    case .merged, .reachedOurselves: break
    case .refused, .ended: count(\.streamsFailed)
    }
    guard case .exchange(_, let token?) = stream.role else { return }
    above.handleExchangeFinished(token, outcome, at: now, effects: &effects)
  }

  // MARK: Sending

  @discardableResult
  mutating func openStream(
    to address: SocketAddress, role: GossipStream.Role, deadline: Instant, at now: Instant, effects: inout Effects
  ) -> ConnectionID {
    let id = effects.outbox.connect(to: address, within: min(configuration.dialTimeout, deadline - now))
    streams.append(
      GossipStream(
        id: id, peer: address, role: role, deadline: deadline, reader: StreamReader(expectsLabel: false)))
    return id
  }

  /// Puts a complete message into its envelopes and sends it.
  mutating func sendMessage(
    _ message: [UInt8], on id: ConnectionID, isDialer: Bool, effects: inout Effects
  ) {
    let label = configuration.label
    effects.outbox.send(id) { arena in
      if isDialer { _ = Self.openEnvelope(&arena, label: label) }
      guard let overhead = cipher?.overhead else { return arena.append(contentsOf: message) }
      var header: [UInt8] = [GossipMessageKind.encrypted.rawValue]
      header.append(bigEndian: UInt32(truncatingIfNeeded: message.count + overhead))
      arena.append(contentsOf: header)
      let start = arena.count
      arena.append(contentsOf: message)
      cipher?.seal(&arena, from: start, header: header.bytes, label: label.bytes)
    }
  }
}

extension GossipStream {
  var isJoin: Bool {
    switch role {
    case .exchange(let isJoin, _): isJoin
    case .inbound, .probe: false
    }
  }
}
