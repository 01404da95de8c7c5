import Base
import Gossip
import Wire

/// A key query that waits for the machine, which owns the keyring.
struct KeyOperation {
  enum Kind: String {
    case install = "_serf_install-key"
    case use = "_serf_use-key"
    case remove = "_serf_remove-key"
    case list = "_serf_list-keys"
  }

  let kind: Kind
  /// `nil` when the payload was not understood.
  let key: [UInt8]?
  let answer: QueryAnswer
}

/// Where and how to answer a query.
struct QueryAnswer: Hashable, Sendable {
  let lamportTime: UInt64
  let id: UInt32
  let destination: SocketAddress
  let destinationName: [UInt8]
  /// How many members shall pass a copy of the answer on.
  let relayFactor: UInt8
}

// Queries of others (gossip.md 6.7).
extension SerfLayer {
  mutating func handleQuery(
    _ query: SerfQuery, whole: RawSpan, at now: Instant, effects: inout Effects
  ) throws(WireError) {
    let time = query.lamportTime
    guard LamportClock.isPlausible(time), query.timeout > 0 else { return }
    queryClock.witness(time)
    guard time >= queryMinimum else { return }
    let clock = queryClock.time
    guard clock <= queryRing.capacity || time >= clock - queryRing.capacity else { return }
    guard queryRing.insert(query.id, at: time) else { return }
    // An empty filter crashes peers; do not pass it on.
    var isForUs = true
    let ownName = localName
    var isWellFormed = true
    try query.forEachFilter { filter in
      let body = filter.extracting(1..<filter.byteCount)
      do throws(WireError) {
        switch filter.byte(at: 0) {
        case SerfFilter.nodeKind: if !(try SerfFilter.names(body, contain: ownName.bytes)) { isForUs = false }
        case SerfFilter.tagKind: if !matches(try SerfFilter.tag(body)) { isForUs = false }
        default: isForUs = false
        }
      } catch {
        isWellFormed = false
      }
      return true
    }
    if query.flags & SerfQuery.noBroadcast == 0 { Self.queue(whole, in: &queryQueue) }
    guard isForUs, isWellFormed else { return }
    guard let host = IPAddress(network: query.address), query.port > 0 else { return }
    let answer = QueryAnswer(
      lamportTime: time, id: query.id, destination: SocketAddress(host, port: query.port),
      destinationName: query.sourceNode.copy(), relayFactor: query.relayFactor)
    if query.flags & SerfQuery.wantsAck != 0 {
      send(nil, flags: SerfQueryResponse.isAck, to: answer, effects: &effects)
    }
    let deadline = now + min(Interval(nanoseconds: query.timeout), Self.longestTimeout)
    handleForUs(query, answer, deadline: deadline, at: now, effects: &effects)
  }

  /// Passes an answer on to the member it is meant for. Only answers, and only to members: anything else would make us
  /// a tool against third parties (gossip.md 9.4).
  mutating func relay(_ relay: SerfRelay) {
    guard let destination = relay.destination, relay.message.byteCount > 0,
      relay.message.byte(at: 0) == SerfMessageKind.queryResponse.rawValue,
      relay.message.byteCount <= SerfLimits.maximumResponseBytes, isMemberAddress(destination)
    else { return }
    outgoing.append((destination, relay.message.copy()))
  }

  /// Size of the complete answer that `send` would make of a payload.
  func answerBytes(_ payload: [UInt8], to answer: QueryAnswer) -> Int { encode(payload, flags: 0, to: answer).count }

  private func encode(_ payload: [UInt8]?, flags: UInt32, to answer: QueryAnswer) -> [UInt8] {
    var message: [UInt8] = []
    SerfQueryResponse.encode(
      lamportTime: answer.lamportTime, id: answer.id, from: localName, flags: flags, payload: payload, into: &message)
    return message
  }

  /// Answers directly, and through as many others as the query asks for. Only members are answered: the address in a
  /// query is anybody's claim (gossip.md 9.4).
  mutating func send(
    _ payload: [UInt8]?, flags: UInt32, to answer: QueryAnswer, isClaimant: Bool = false, effects: inout Effects
  ) {
    guard isMemberAddress(answer.destination) || isClaimant else { return }
    let message = encode(payload, flags: flags, to: answer)
    guard message.count <= SerfLimits.maximumResponseBytes else { return }
    outgoing.append((answer.destination, message))

    let copies = min(Int(answer.relayFactor), Self.maximumRelays)
    guard copies > 0, members.count > copies else { return }
    var wrapped: [UInt8] = []
    SerfRelay.encodeHeader(destination: answer.destination, name: answer.destinationName, into: &wrapped)
    wrapped.append(contentsOf: message)
    guard wrapped.count <= SerfLimits.maximumResponseBytes else { return }
    var helpers = members.ids.filter { id in
      let record = members[id]
      return record.member.status == .alive && record.name != localName && record.member.versions.hasChecksum
    }
    helpers.shuffle(using: &effects.random)
    for id in helpers.prefix(copies) { outgoing.append((members[id].member.address, wrapped)) }
  }

  static let maximumRelays = 5

  static let longestTimeout = Interval.minutes(5)
  private static let internalPrefix = Array("_serf_".utf8)

  private mutating func handleForUs(
    _ query: SerfQuery, _ answer: QueryAnswer, deadline: Instant, at now: Instant, effects: inout Effects
  ) {
    let prefix = Self.internalPrefix
    let name = query.name.text()
    guard query.name.byteCount >= prefix.count, query.name.extracting(0..<prefix.count).equals(prefix) else {
      return events.append(
        .queryReceived(
          ReceivedQuery(name: name, payload: query.payload.copy(), deadline: deadline, answer: answer)))
    }
    if let kind = KeyOperation.Kind(rawValue: name) {
      let key: [UInt8]?
      do throws(WireError) { key = try SerfKeyRequest.decode(query.payload) } catch { key = nil }
      keyOperations.append(KeyOperation(kind: kind, key: key, answer: answer))
    } else if name == "_serf_conflict" {
      answerConflict(query.payload, answer, at: now, effects: &effects)
    }
  }

  /// A missing tag counts as empty; a pattern that we do not understand matches nothing.
  private func matches(_ filter: (tag: String, pattern: String)) -> Bool {
    guard let pattern = TagPattern(filter.pattern), let id = members.find(localName.bytes) else { return false }
    return pattern.matches(members[id].member.tags[filter.tag] ?? "")
  }

  private func isMemberAddress(_ address: SocketAddress) -> Bool {
    members.records.contains { $0.member.address == address && !$0.name.isEmpty }
  }
}

extension MemberRecord {
  /// Go's `serf.Member` (gossip.md 6.2, conflict response).
  func encodeMember(into out: inout [UInt8]) {
    out.packMapHeader(11)
    out.pack("Addr" as StaticString)
    out.pack(member.address.host)
    out.pack("DelegateCur" as StaticString)
    out.pack(unsigned: UInt64(member.versions.delegateCurrent))
    out.pack("DelegateMax" as StaticString)
    out.pack(unsigned: UInt64(member.versions.delegateMax))
    out.pack("DelegateMin" as StaticString)
    out.pack(unsigned: UInt64(member.versions.delegateMin))
    out.pack("Name" as StaticString)
    out.pack(raw: name)
    out.pack("Port" as StaticString)
    out.pack(unsigned: UInt64(member.address.port))
    out.pack("ProtocolCur" as StaticString)
    out.pack(unsigned: UInt64(member.versions.protocolCurrent))
    out.pack("ProtocolMax" as StaticString)
    out.pack(unsigned: UInt64(member.versions.protocolMax))
    out.pack("ProtocolMin" as StaticString)
    out.pack(unsigned: UInt64(member.versions.protocolMin))
    out.pack("Status" as StaticString)
    out.pack(signed: Int64(member.status.rawValue))
    out.pack("Tags" as StaticString)
    member.tags.encodeMap(into: &out)
  }
}
