import Base
import Wire

/// A connection that a peer opened. Replies leave in the order of the requests, whenever each becomes ready.
struct AcceptedConnection {
  var peer: SocketAddress
  var decoder: RaftRequestDecoder
  /// Sequence of `slots[0]`.
  var firstSequence: UInt64 = 0
  /// One per request that is not answered on the wire; `nil` until the reply is ready.
  var slots: [RaftReply?] = []
  var isPaused = false
  /// Address of the leader whose requests came in here.
  var leader: String?
  var lastReceived: Instant
}

extension RaftTransport {
  /// A stream whose first byte 02 was read by the listener.
  mutating func handleAccepted(_ id: ConnectionID, from peer: SocketAddress, at now: Instant, effects: inout Effects) {
    if accepted.count >= Self.maximumAccepted { evict(effects: &effects) }
    accepted[id] = AcceptedConnection(
      peer: peer, decoder: RaftRequestDecoder(maximumSnapshotBytes: limits.snapshotBytes), lastReceived: now)
  }

  /// Makes room at the cost of the connection that was quiet for longest.
  private mutating func evict(effects: inout Effects) {
    let oldest = accepted.min { a, b in (a.value.lastReceived, a.key) < (b.value.lastReceived, b.key) }
    guard let oldest else { return }
    accepted.removeValue(forKey: oldest.key)
    effects.outbox.abort(oldest.key)
  }

  mutating func receiveRequests(
    _ id: ConnectionID, _ bytes: RawSpan, at now: Instant, effects: inout Effects
  ) {
    accepted[id]?.lastReceived = now
    accepted[id]?.decoder.append(bytes)
    decodeRequests(id, effects: &effects)
  }

  private mutating func decodeRequests(_ id: ConnectionID, effects: inout Effects) {
    // The connection is changed in place, never copied: its buffer may be large.
    while let count = accepted[id]?.slots.count, count < Self.maximumUnanswered {
      do throws(WireError) {
        guard let request = try accepted[id]?.decoder.next() else { return }
        let sequence = (accepted[id]?.firstSequence ?? 0) + UInt64(count)
        accepted[id]?.slots.append(nil)
        arrivals.append(.request(request, ReplyToken(connection: id, sequence: sequence)))
      } catch {
        effects.log.log(
          .error, "nomad.raft", "failed to decode incoming command",
          ["from": accepted[id]?.peer.description ?? "", "error": "\(error)"])
        accepted.removeValue(forKey: id)
        return effects.outbox.abort(id)
      }
    }
    if accepted[id]?.isPaused == false {
      accepted[id]?.isPaused = true
      effects.outbox.pauseReading(id)
    }
  }

  /// Fills the slot of a request and sends what is ready from the front on. A connection that ended meanwhile is none
  /// of our concern.
  mutating func reply(_ reply: RaftReply, to token: ReplyToken, effects: inout Effects) {
    guard let connection = accepted[token.connection], token.sequence >= connection.firstSequence else { return }
    let position = Int(token.sequence - connection.firstSequence)
    guard position < connection.slots.count else { return }
    accepted[token.connection]?.slots[position] = reply
    guard position == 0 else { return }
    var sent = 0
    while sent < connection.slots.count {
      guard let ready = sent == 0 ? reply : connection.slots[sent] else { break }
      effects.outbox.send(token.connection) { ready.encode(into: &$0) }
      sent += 1
    }
    accepted[token.connection]?.slots.removeFirst(sent)
    accepted[token.connection]?.firstSequence += UInt64(sent)
    if connection.isPaused, connection.slots.count - sent <= Self.maximumUnanswered / 2 {
      accepted[token.connection]?.isPaused = false
      effects.outbox.resumeReading(token.connection)
      decodeRequests(token.connection, effects: &effects)
    }
  }

  mutating func closeAccepted(_ id: ConnectionID, effects: inout Effects) {
    guard accepted.removeValue(forKey: id) != nil else { return }
    effects.outbox.close(id)
  }

  /// Ends all accepted connections: the node halted and its answers would be worthless.
  mutating func closeAccepted(effects: inout Effects) {
    for id in accepted.keys.sorted() { effects.outbox.abort(id) }
    accepted.removeAll()
  }
}
