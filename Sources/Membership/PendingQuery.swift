import Base
import Gossip
import Wire

/// A keyring query of ours that collects answers (gossip.md 6.7, 6.10).
struct PendingQuery {
  let id: QueryID
  let lamportTime: UInt64
  let wireID: UInt32
  let deadline: Instant
  var result: KeyringResult
  /// Who answered already.
  var responders: Set<[UInt8]> = []
}

extension SerfLayer {
  /// Sends a query to all members and to ourselves.
  mutating func startQuery(name: String, payload: [UInt8], now: Instant, effects: inout Effects) -> QueryID {
    let id = QueryID(number: takeNumber())
    let alive = members.ids.count { members[$0].member.status == .alive }
    let time = queryClock.time
    let wireID = UInt32(truncatingIfNeeded: effects.random.next()) & 0x7FFF_FFFF
    let timeout = GossipTiming.queryTimeout(
      gossipInterval: configuration.gossip.gossipInterval, multiplier: configuration.queryTimeoutMultiplier,
      members: alive)
    queries.append(
      PendingQuery(
        id: id, lamportTime: time, wireID: wireID, deadline: now + timeout, result: KeyringResult(members: alive)))
    var message: [UInt8] = []
    SerfQuery.encode(
      lamportTime: time, id: wireID, source: configuration.gossip.address, sourceNode: localName, filters: [],
      flags: 0, relayFactor: 0, timeout: timeout, name: Array(name.utf8), payload: payload, into: &message)
    // Like a foreign query: remembered, queued and answered.
    handleUserMessage(message.bytes, at: now, effects: &effects)
    return id
  }

  mutating func handleResponse(_ response: SerfQueryResponse) {
    guard response.flags & SerfQueryResponse.isAck == 0,
      let index = queries.firstIndex(where: {
        $0.lamportTime == response.lamportTime && $0.wireID == response.id
      }), members.find(response.from) != nil, queries[index].responders.insert(response.from.copy()).inserted
    else { return }
    let name = response.from.text()
    queries[index].result.responses += 1
    do throws(WireError) {
      let answer = try SerfKeyResponse(response.payload)
      if !answer.result || !answer.message.isEmpty { queries[index].result.errors[name] = answer.message }
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
    events.append(.keyringOperationFinished(query.id, query.result))
  }

  private static func tally(_ key: String, in list: inout [KeyringResult.Tally]) {
    if let known = list.firstIndex(where: { $0.key == key }) {
      list[known].members += 1
    } else if list.count < MembershipMachine.maximumListedKeys {
      list.append(KeyringResult.Tally(key: key, members: 1))
    }
  }
}
