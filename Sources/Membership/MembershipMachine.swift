import Base
import Gossip
import Wire

/// The pool of servers: Serf over memberlist as one machine (gossip.md).
///
/// Calling order: `init` announces us; then `handle...` for what the outside does, commands at any time, and
/// `handleTimeout` at `deadline`. Network directives go to the outbox; the owner drains `events` after each call.
public struct MembershipMachine {
  public let configuration: MembershipConfiguration
  /// The layer below; readable for telemetry.
  public private(set) var gossip: GossipMachine
  var serf: SerfLayer

  var nextReap: Instant
  var nextReconnect: Instant
  var nextClockLine: Instant
  var recordedClocks: (UInt64, UInt64, UInt64)
  var departure = Departure.none
  var rejoin: Rejoin
  /// Key changes whose answers wait for `keyringStored`.
  var unstored: [QueryAnswer] = []

  /// Steps of a graceful leave (gossip.md 6.6); each waits for its deadline at most.
  enum Departure {
    case none
    case spreadingIntent(notBefore: Instant, until: Instant)
    case leavingGossip(until: Instant)
    case propagating(until: Instant)
    case finished
  }

  /// Progress of finding the members of the snapshot again.
  struct Rejoin {
    var members: [(name: String, address: SocketAddress)] = []
    var round = 0
    var due: Instant?
  }

  static let leaveIntentToken = BroadcastQueue.Token(number: 1)

  /// Starts the machine, and the search for the members of `snapshot` if it has any.
  /// Precondition: the tags fit (`fits`).
  public init(
    configuration: MembershipConfiguration, cipher: (any PacketCipher)? = nil, restoring snapshot: [String] = [],
    at now: Instant, effects: inout Effects
  ) {
    var configuration = configuration
    let metadata = SerfTags(configuration.tags).metadata
    precondition(metadata.count <= GossipLimits.maximumMetadataBytes)
    configuration.gossip.metadata = metadata
    self.configuration = configuration
    let restored = Snapshot(lines: snapshot, rejoinAfterLeave: configuration.rejoinAfterLeave)
    serf = SerfLayer(configuration: configuration, snapshot: restored)
    gossip = GossipMachine(configuration: configuration.gossip, cipher: cipher, at: now, effects: &effects)
    gossip.ackPayload = serf.coordinates.own.payload
    nextReap = now + configuration.reapInterval
    nextReconnect = now + configuration.reconnectInterval
    nextClockLine = now
    recordedClocks = (serf.clock.time, serf.eventClock.time, serf.queryClock.time)
    rejoin = Rejoin()
    let ownName = gossip.configuration.name.bytes.text()
    rejoin.members = restored.members.filter { member in
      member.name != ownName && !restored.detachments.regions.contains { member.name.hasSuffix(".\($0)") }
    }
    gossip.boot(at: now, above: &serf, effects: &effects)
    if !rejoin.members.isEmpty { rejoin.due = now }
    advanceRejoin(at: now, effects: &effects)
    afterCall(at: now, effects: &effects)
  }

  /// Whether tags fit into the 512 bytes that a node may announce.
  public static func fits(_ tags: [String: String]) -> Bool {
    SerfTags(tags).metadata.count <= GossipLimits.maximumMetadataBytes
  }

  // MARK: State

  /// In ascending order of names, ourselves and departed members included.
  public var members: [Member] {
    (0..<serf.members.count).map { serf.members[serf.members.id(at: $0)].member }
  }

  public func member(named name: String) -> Member? {
    let bytes = Array(name.utf8)
    return serf.members.find(bytes.bytes).map { serf.members[$0].member }
  }

  /// Ourselves.
  public var local: Member {
    let name = serf.localName
    let id = serf.members.find(name.bytes)
    precondition(id != nil, "we are never forgotten")
    return serf.members[id ?? 0].member
  }

  /// Lamport times of members, events and queries (gossip.md 6.4).
  public var clocks: (members: UInt64, events: UInt64, queries: UInt64) {
    (serf.clock.time, serf.eventClock.time, serf.queryClock.time)
  }

  /// Messages that still spread.
  public var queueDepths: (intents: Int, events: Int, queries: Int) {
    (serf.intentQueue.count, serf.eventQueue.count, serf.queryQueue.count)
  }

  /// Number of members in any status.
  public var memberCount: Int { serf.members.count }

  /// What happened since the last drain.
  public var events: [MembershipEvent] { serf.events }

  /// Hands over the events and forgets them.
  public mutating func takeEvents() -> [MembershipEvent] {
    if serf.events.isEmpty { return [] }
    defer { serf.events.removeAll(keepingCapacity: true) }
    return serf.events
  }

  /// True for streams that belong to this machine.
  public func owns(_ id: ConnectionID) -> Bool { gossip.owns(id) }

  /// When to call `handleTimeout`.
  public var deadline: Instant? {
    var result = min(nextReap, nextReconnect)
    result = earliest(result, gossip.deadline) ?? result
    if serf.hasBroadcasts, gossip.hasLivePeer { result = min(result, gossip.gossipTick) }
    if let due = rejoin.due { result = min(result, due) }
    for query in serf.queries { result = min(result, query.deadline) }
    if areClocksDirty { result = min(result, nextClockLine) }
    switch departure {
    case .none, .finished: break
    case .spreadingIntent(let notBefore, let until):
      result = min(result, isIntentSpread ? min(notBefore, until) : until)
    case .leavingGossip(let until), .propagating(let until): result = min(result, until)
    }
    return result
  }

  // MARK: The outside

  public mutating func handleDatagram(
    _ bytes: RawSpan, from peer: SocketAddress, at now: Instant, effects: inout Effects
  ) {
    gossip.handleDatagram(bytes, from: peer, at: now, above: &serf, effects: &effects)
    afterCall(at: now, effects: &effects)
  }

  public mutating func handleAccepted(
    _ id: ConnectionID, from peer: SocketAddress, at now: Instant, effects: inout Effects
  ) {
    gossip.handleAccepted(id, from: peer, at: now, effects: &effects)
  }

  public mutating func handleConnected(_ id: ConnectionID, at now: Instant, effects: inout Effects) {
    gossip.handleConnected(id, at: now, above: &serf, effects: &effects)
    afterCall(at: now, effects: &effects)
  }

  public mutating func handleReceived(
    _ id: ConnectionID, _ bytes: RawSpan, at now: Instant, effects: inout Effects
  ) {
    gossip.handleReceived(id, bytes, at: now, above: &serf, effects: &effects)
    afterCall(at: now, effects: &effects)
  }

  public mutating func handleDisconnected(
    _ id: ConnectionID, _ end: StreamEnd, at now: Instant, effects: inout Effects
  ) {
    gossip.handleDisconnected(id, end, at: now, above: &serf, effects: &effects)
    afterCall(at: now, effects: &effects)
  }

  public mutating func handleTimeout(at now: Instant, effects: inout Effects) {
    gossip.handleTimeout(at: now, above: &serf, effects: &effects)
    serf.pruneDue(now: now, effects: &effects)
    serf.expireQueries(at: now)
    if now >= nextReap {
      nextReap = now + configuration.reapInterval
      serf.reap(now: now, effects: &effects)
    }
    if now >= nextReconnect {
      nextReconnect = now + configuration.reconnectInterval
      reconnect(effects: &effects)
    }
    advanceRejoin(at: now, effects: &effects)
    recordClocks(at: now)
    afterCall(at: now, effects: &effects)
  }

  // MARK: Internals

  /// Carries out what the layer could only note down while the gossip machine was calling it.
  mutating func afterCall(at now: Instant, effects: inout Effects) {
    if !serf.keyOperations.isEmpty { performKeyOperations(effects: &effects) }
    if !serf.outgoing.isEmpty {
      let outgoing = serf.outgoing
      serf.outgoing.removeAll()
      for item in outgoing {
        if item.to == configuration.gossip.address {
          serf.handleUserMessage(item.message.bytes, at: now, effects: &effects)
        } else {
          gossip.sendUserMessage(to: item.to, effects: &effects) { $0.append(contentsOf: item.message) }
        }
      }
    }
    if !serf.exchanges.isEmpty { startExchanges(at: now, effects: &effects) }
    if serf.hasMoved {
      serf.hasMoved = false
      gossip.ackPayload = serf.coordinates.own.payload
    }
    advanceDeparture(at: now, effects: &effects)
    gossip.noteFreshBroadcasts(at: now, above: serf)
  }

  private mutating func startExchanges(at now: Instant, effects: inout Effects) {
    var running = serf.exchanges.reduce(0) { $0 + ($1.isStarted ? 1 : 0) }
    for index in serf.exchanges.indices where !serf.exchanges[index].isStarted {
      guard running < configuration.maximumConcurrentDials else { return }
      serf.exchanges[index].isStarted = true
      running += 1
      gossip.exchange(
        with: serf.exchanges[index].address, isJoin: true, token: serf.exchanges[index].token, at: now,
        effects: &effects)
    }
  }

  private mutating func reconnect(effects: inout Effects) {
    guard serf.lifecycle == .alive else { return }
    let failed = serf.members.ids.filter { serf.members[$0].member.status == .failed }
    guard !failed.isEmpty else { return }
    let gone = serf.members.ids.filter { serf.members[$0].member.status == .left }.count + failed.count
    let alive = max(1, serf.members.count - gone)
    guard effects.random.chance(Double(failed.count) / Double(alive)) else { return }
    let member = serf.members[failed[effects.random.below(failed.count)]].member
    effects.log.log(.info, SerfLayer.logModule, "serf: attempting reconnect to \(member.name) \(member.address)")
    serf.requestExchange(with: member.address, .reconnect)
  }

  var isIntentSpread: Bool { serf.intentQueue.finished.contains(Self.leaveIntentToken) }

  private var areClocksDirty: Bool {
    serf.lifecycle == .alive
      && recordedClocks != (serf.clock.time, serf.eventClock.time, serf.queryClock.time)
  }

  private mutating func recordClocks(at now: Instant) {
    guard areClocksDirty, now >= nextClockLine else { return }
    nextClockLine = now + configuration.snapshotClockInterval
    let clocks = (serf.clock.time, serf.eventClock.time, serf.queryClock.time)
    if clocks.0 != recordedClocks.0 { serf.emitSnapshot("clock: \(clocks.0 - 1)") }
    if clocks.1 != recordedClocks.1 { serf.emitSnapshot("event-clock: \(clocks.1 - 1)") }
    if clocks.2 != recordedClocks.2 { serf.emitSnapshot("query-clock: \(clocks.2 - 1)") }
    recordedClocks = clocks
  }

  /// What a compacted snapshot holds.
  public var snapshotContent: [String] {
    var lines: [String] = []
    for member in members where member.status == .alive && member.name != local.name {
      lines.append(Snapshot.aliveLine(member))
    }
    lines.append("clock: \(serf.clock.time - 1)")
    lines.append("event-clock: \(serf.eventClock.time - 1)")
    lines.append("query-clock: \(serf.queryClock.time - 1)")
    return lines + serf.detachments.lines
  }

  mutating func withGossip<Result>(
    _ body: (inout GossipMachine, inout SerfLayer) -> Result
  ) -> Result {
    body(&gossip, &serf)
  }
}
