import Base
import Gossip
import Wire

/// A query of ours that collects answers (gossip.md 6.7, 6.10).
struct PendingQuery {
  enum Purpose {
    case keyring
    case application
    /// Who else claims our name.
    case ownName(claimant: SocketAddress)
  }

  let purpose: Purpose
  let id: QueryID
  let lamportTime: UInt64
  let wireID: UInt32
  let deadline: Instant
  var result: KeyringResult
  /// Who answered already.
  var responders: Set<[UInt8]> = []
  var acknowledgers: Set<[UInt8]> = []
  /// Answers that give our name to us.
  var agreeing = 0
}

extension SerfLayer {
  /// Queries of ours at the same time; the one that ends first is given up for a new one.
  static let maximumQueries = 128

  /// Sends a query to all members and to ourselves; `nil` when it is too long.
  mutating func startQuery(
    _ query: Query, purpose: PendingQuery.Purpose, now: Instant, effects: inout Effects
  ) -> QueryID? {
    let alive = members.ids.count { members[$0].member.status == .alive }
    let time = queryClock.time
    let wireID = UInt32(truncatingIfNeeded: effects.random.next()) & 0x7FFF_FFFF
    let timeout =
      query.timeout
      ?? GossipTiming.queryTimeout(
        gossipInterval: configuration.gossip.gossipInterval, multiplier: configuration.queryTimeoutMultiplier,
        members: alive)
    var message: [UInt8] = []
    SerfQuery.encode(
      lamportTime: time, id: wireID, source: configuration.gossip.address, sourceNode: localName,
      filters: query.filters, flags: query.wantsAcknowledgements ? SerfQuery.wantsAck : 0,
      relayFactor: query.relayFactor, timeout: timeout, name: Array(query.name.utf8), payload: query.payload,
      into: &message)
    guard message.count <= SerfLimits.maximumQueryBytes, query.filters.count <= SerfLimits.maximumFilters else {
      return nil
    }
    let id = QueryID(number: takeNumber())
    if queries.count >= Self.maximumQueries,
      let first = queries.indices.min(by: { queries[$0].deadline < queries[$1].deadline })
    {
      finishQuery(first)
    }
    queries.append(
      PendingQuery(
        purpose: purpose, id: id, lamportTime: time, wireID: wireID, deadline: now + timeout,
        result: KeyringResult(members: alive)))
    // Like a foreign query: remembered, queued and answered.
    handleUserMessage(message.bytes, at: now, effects: &effects)
    return id
  }

  mutating func handleResponse(_ response: SerfQueryResponse) {
    guard
      let index = queries.firstIndex(where: {
        $0.lamportTime == response.lamportTime && $0.wireID == response.id
      }), members.find(response.from) != nil
    else { return }
    let from = response.from.copy()
    if response.flags & SerfQueryResponse.isAck != 0 {
      guard queries[index].acknowledgers.insert(from).inserted, case .application = queries[index].purpose else {
        return
      }
      return events.append(.queryAcknowledged(queries[index].id, from: response.from.text()))
    }
    guard queries[index].responders.insert(from).inserted else { return }
    switch queries[index].purpose {
    case .application:
      events.append(
        .queryAnswered(queries[index].id, from: response.from.text(), payload: response.payload.copy()))
    case .keyring: collectKeyAnswer(response, index)
    case .ownName: collectOwner(response, index)
    }
  }

  private mutating func collectKeyAnswer(_ response: SerfQueryResponse, _ index: Int) {
    let name = response.from.text()
    queries[index].result.responses += 1
    do throws(WireError) {
      let answer = try SerfKeyResponse(response.payload)
      // A message beside a good result is a remark, about a list that was cut for instance.
      if !answer.result { queries[index].result.errors[name] = answer.message }
      if answer.result, !answer.message.isEmpty { queries[index].result.remarks[name] = answer.message }
      for key in answer.keys ?? [] { Self.tally(key, in: &queries[index].result.keys) }
      if !answer.primaryKey.isEmpty { Self.tally(answer.primaryKey, in: &queries[index].result.primaryKeys) }
    } catch {
      queries[index].result.errors[name] = "malformed answer"
    }
    if queries[index].result.responses >= queries[index].result.members { finishQuery(index) }
  }

  mutating func expireQueries(at now: Instant) {
    while let index = queries.firstIndex(where: { now >= $0.deadline }) { finishQuery(index) }
  }

  private mutating func finishQuery(_ index: Int) {
    let query = queries.remove(at: index)
    switch query.purpose {
    case .keyring: events.append(.keyringOperationFinished(query.id, query.result))
    case .ownName(let claimant):
      events.append(
        .nameJudged(NameVerdict(claimant: claimant, answers: query.responders.count, agreeing: query.agreeing)))
    case .application:
      events.append(
        .queryFinished(
          query.id,
          QueryResult(acknowledgements: query.acknowledgers.count, answers: query.responders.count)))
    }
  }

  /// Different keys counted: more than all members of a sane pool have together.
  static let maximumTallies = 1024

  private static func tally(_ key: String, in list: inout [KeyringResult.Tally]) {
    if let known = list.firstIndex(where: { $0.key == key }) {
      list[known].members += 1
    } else if list.count < Self.maximumTallies {
      list.append(KeyringResult.Tally(key: key, members: 1))
    }
  }
}
