import Base
import Wire

/// Connections of a node: dials peers, keeps heartbeats and replication apart, matches replies with requests, and
/// answers accepted connections in order.
///
/// What arrived is collected in `arrivals` for the machine; what the machine wants said comes through `send`, `reply`
/// and `forget`.
struct RaftTransport {
  enum Arrival {
    case request(RaftRequest, ReplyToken)
    case reply(RaftReply, from: String, RaftExchange)
    case failure(RaftExchange, with: String, closed: Bool)
    /// A connection on which a leader sent its requests ended.
    case leaderConnectionEnded(address: String)
    /// A probe found that nothing listens there.
    case nobodyListens(address: String)
  }

  let timings: RaftTimings
  /// As it holds now.
  var electionTimeout: Interval
  let limits: RaftLimits
  var channels: [DialledChannel] = []
  var accepted: [ConnectionID: AcceptedConnection] = [:]
  var arrivals: [Arrival] = []
  /// Where servers are that are not where the configuration says, by id.
  var movedTo: [String: String] = [:]
  var probe: (connection: ConnectionID, address: String)?

  /// Accepted connections kept; peers open about three each.
  static let maximumAccepted = 1024
  /// Requests read from one accepted connection and not answered, before reading pauses.
  static let maximumUnanswered = 256

  init(timings: RaftTimings, limits: RaftLimits) {
    self.timings = timings
    electionTimeout = timings.electionTimeout
    self.limits = limits
  }

  func owns(_ id: ConnectionID) -> Bool {
    accepted[id] != nil || probe?.connection == id || channels.contains { $0.connection == id }
  }

  var deadline: Instant? {
    var result: Instant?
    for channel in channels { result = earliest(result, channel.deadline) }
    return result
  }

  mutating func handleTimeout(at now: Instant, effects: inout Effects) {
    while let late = channels.firstIndex(where: { ($0.deadline ?? .distantFuture) <= now }) {
      let channel = channels[late]
      effects.log.log(
        .debug, "nomad.raft", "peer does not answer", ["id": channel.server.id, "address": channel.server.address])
      fail(late, closed: false, effects: &effects)
      // A peer that does not answer heartbeats is gone, or the path is: a stuck replication connection would keep
      // retransmitting into the void after the path returns.
      if channel.kind == .heartbeat, let other = position(of: channel.server.id, .replication),
        !channels[other].open.isEmpty
      {
        fail(other, closed: false, effects: &effects)
      }
    }
  }

  mutating func handleReceived(_ id: ConnectionID, _ bytes: RawSpan, at now: Instant, effects: inout Effects) {
    if accepted[id] != nil {
      receiveRequests(id, bytes, at: now, effects: &effects)
    } else if let position = channels.firstIndex(where: { $0.connection == id }) {
      receiveReplies(position, bytes, effects: &effects)
    }
  }

  mutating func handleDisconnected(_ id: ConnectionID, _ end: StreamEnd, effects: inout Effects) {
    if let connection = accepted.removeValue(forKey: id) {
      if let address = connection.leader { arrivals.append(.leaderConnectionEnded(address: address)) }
      return
    }
    if let probe, probe.connection == id {
      self.probe = nil
      // Only a refusal proves something; silence may be the network.
      if end == .refused { arrivals.append(.nobodyListens(address: probe.address)) }
      return
    }
    guard let position = channels.firstIndex(where: { $0.connection == id }) else { return }
    let closed = channels[position].isOpen && (end == .finished || end == .reset)
    drop(position, closed: closed)
  }
}
