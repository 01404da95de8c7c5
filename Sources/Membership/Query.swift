import Base
import Gossip
import Wire

/// A question to the members of the pool (gossip.md 6.7).
public struct Query: Sendable {
  public var name: String
  public var payload: [UInt8]
  /// Only these members answer; empty means all.
  public var nodes: [String] = []
  /// Only members whose tag matches the pattern answer; all conditions must hold.
  public var tags: [(name: String, pattern: String)] = []
  public var wantsAcknowledgements = false
  /// Members that pass a copy of each answer on, for networks that lose packets.
  public var relayFactor: UInt8 = 0
  /// `nil` for the usual one, which grows with the pool: 8 s for up to nine members.
  public var timeout: Interval?

  public init(name: String, payload: [UInt8] = []) {
    self.name = name
    self.payload = payload
  }

  var filters: [[UInt8]] {
    var result: [[UInt8]] = []
    if !nodes.isEmpty {
      var filter: [UInt8] = [SerfFilter.nodeKind]
      filter.packArrayHeader(nodes.count)
      for node in nodes { filter.pack(node) }
      result.append(filter)
    }
    for tag in tags {
      var filter: [UInt8] = [SerfFilter.tagKind]
      filter.packMapHeader(2)
      filter.pack("Expr" as StaticString)
      filter.pack(tag.pattern)
      filter.pack("Tag" as StaticString)
      filter.pack(tag.name)
      result.append(filter)
    }
    return result
  }
}

/// A question of a member; hand it to `MembershipMachine.respond` to answer.
public struct ReceivedQuery: Hashable, Sendable {
  public let name: String
  public let payload: [UInt8]
  /// Later answers are not sent.
  public let deadline: Instant
  let answer: QueryAnswer
}

/// What became of a query of ours.
public struct QueryResult: Hashable, Sendable {
  /// Who has received it, when acknowledgements were wanted.
  public var acknowledgements: Int
  public var answers: Int

  public init(acknowledgements: Int = 0, answers: Int = 0) {
    self.acknowledgements = acknowledgements
    self.answers = answers
  }
}

extension MembershipMachine {
  /// Asks; `queryAnswered` and `queryAcknowledged` follow, and `queryFinished` when the time is over. `nil` for a query
  /// of more than 1024 bytes. We are asked too.
  public mutating func ask(_ query: Query, at now: Instant, effects: inout Effects) -> QueryID? {
    let id = serf.startQuery(query, purpose: .application, now: now, effects: &effects)
    afterCall(at: now, effects: &effects)
    return id
  }

  /// Answers a query, to the asker alone. False when it is too late or the answer is longer than 1024 bytes.
  public mutating func respond(
    to query: ReceivedQuery, _ payload: [UInt8], at now: Instant, effects: inout Effects
  ) -> Bool {
    guard now < query.deadline, serf.answerBytes(payload, to: query.answer) <= SerfLimits.maximumResponseBytes else {
      return false
    }
    serf.send(payload, flags: 0, to: query.answer, effects: &effects)
    afterCall(at: now, effects: &effects)
    return true
  }

  /// Our own network coordinate.
  public var coordinate: NetworkCoordinate { serf.coordinates.own }

  /// Round trip time to a member in seconds, estimated from its coordinate; `nil` before it was probed.
  public func estimatedRoundTrip(to name: String) -> Double? {
    let bytes = Array(name.utf8)
    guard let id = serf.members.find(bytes.bytes), let other = serf.members[id].coordinate else { return nil }
    return serf.coordinates.own.distance(to: other)
  }
}
