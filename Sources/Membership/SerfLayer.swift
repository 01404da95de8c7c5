import Base
import Gossip
import Wire

/// Serf's state: members with statuses, Lamport clocks, intents, events and queries (gossip.md section 6). It is the
/// layer above the gossip machine; `MembershipMachine` owns both.
struct SerfLayer {
  var configuration: MembershipConfiguration
  let localName: [UInt8]

  var members = NameTable<MemberRecord>()
  var intents = IntentBuffer()
  var clock = LamportClock()
  var eventClock = LamportClock()
  var queryClock = LamportClock()
  var eventMinimum: UInt64 = 0
  var queryMinimum: UInt64 = 0
  var eventRing: EventRing
  var queryRing: QueryRing

  var intentQueue: BroadcastQueue
  var queryQueue: BroadcastQueue
  var eventQueue: BroadcastQueue

  var lifecycle = Lifecycle.alive
  var events: [MembershipEvent] = []
  /// Datagrams that the machine sends after the current call: Serf messages without the leading user byte.
  var outgoing: [(to: SocketAddress, message: [UInt8])] = []
  /// Key operations that the machine carries out after the current call.
  var keyOperations: [KeyOperation] = []
  var exchanges: [PendingExchange] = []
  var joins: [PendingJoin] = []
  var queries: [PendingQuery] = []
  var claimants: [NameClaimant] = []
  var detachments: Detachments
  var nextConflictQuery = Instant.start
  var nextNumber: UInt64 = 1
  var coordinates = CoordinateTracker()
  /// Our coordinate has changed since the machine looked.
  var hasMoved = false

  enum Lifecycle: Hashable {
    /// Next: `leaving`.
    case alive
    /// Next: `left`.
    case leaving
    case left
  }

  static let logModule = "nomad"

  init(configuration: MembershipConfiguration, snapshot: Snapshot) {
    self.configuration = configuration
    localName = configuration.gossip.name
    detachments = snapshot.detachments
    eventRing = EventRing(configuration: configuration)
    queryRing = QueryRing(configuration: configuration)
    let empty = BroadcastQueue(
      maximumEntries: configuration.maximumQueuedBroadcasts,
      maximumMessageBytes: configuration.gossip.maximumBroadcastBytes)
    intentQueue = empty
    queryQueue = empty
    eventQueue = empty
    if snapshot.clock > 0 { clock.witness(snapshot.clock) }
    if snapshot.eventClock > 0 { eventClock.witness(snapshot.eventClock) }
    if snapshot.queryClock > 0 { queryClock.witness(snapshot.queryClock) }
    eventMinimum = snapshot.eventClock == 0 ? 0 : snapshot.eventClock &+ 1
    queryMinimum = snapshot.queryClock == 0 ? 0 : snapshot.queryClock &+ 1
  }

  mutating func takeNumber() -> UInt64 {
    defer { nextNumber += 1 }
    return nextNumber
  }

  mutating func emitSnapshot(_ line: String) {
    if lifecycle == .alive { events.append(.snapshotLine(line)) }
  }

  /// Puts the user byte before a Serf message and queues it.
  static func queue(
    _ message: RawSpan, in queue: inout BroadcastQueue, subject: Int? = nil, token: BroadcastQueue.Token? = nil
  ) {
    var bytes: [UInt8] = [GossipMessageKind.user.rawValue]
    bytes.reserveCapacity(1 + message.byteCount)
    bytes.append(contentsOf: message)
    queue.add(bytes, subject: subject, token: token)
  }
}

extension SerfLayer: GossipLayer {
  func refusal(of node: AliveMessage) -> String? { refusal(of: node.node, metadata: node.metadata) }

  func shuns(_ node: AliveMessage) -> Bool {
    guard configuration.federation != nil || !detachments.isEmpty else { return false }
    return foreignRegion(in: SerfTags(metadata: node.metadata)) != nil
  }

  /// The region in the tags, if it is one that we are not to share a pool with.
  func foreignRegion(in tags: SerfTags) -> String? {
    guard let region = tags["region"], region != configuration.tags["region"] else { return nil }
    if detachments.contains(region) { return region }
    guard let federation = configuration.federation, !federation.contains(region) else { return nil }
    return region
  }

  /// The same tag `id`: a server's own, made once and kept on its disk.
  func isReturn(of record: NodeRecord, _ claim: AliveMessage) -> Bool {
    guard let id = SerfTags(metadata: claim.metadata)["id"], !id.isEmpty else { return false }
    return SerfTags(metadata: record.metadata.bytes)["id"] == id
  }

  /// The id of another cluster of our own region, if the tags name one. Two established clusters of one region are two
  /// histories; they must not become one pool.
  func foreignCluster(in tags: SerfTags) -> String? {
    guard let own = configuration.tags["cluster"], let other = tags["cluster"], other != own,
      tags["region"] == configuration.tags["region"]
    else { return nil }
    return other
  }

  /// Servers that say they are of our making and of our region.
  func kinship(of metadata: RawSpan) -> Kinship {
    let own = configuration.tags
    guard own["nomadd"] != nil else { return .stranger }
    let tags = SerfTags(metadata: metadata)
    guard tags["nomadd"] != nil else { return .stranger }
    return tags["region"] == own["region"] ? .neighbour : .kin
  }

  func refusal(of entry: PushPullNode) -> String? {
    guard configuration.admission != .anybody else { return nil }
    guard entry.address.byteCount == 4 || entry.address.byteCount == 16 else {
      return "Member '\(entry.name.text())' has an invalid address"
    }
    guard entry.metadata.byteCount <= GossipLimits.maximumMetadataBytes else {
      return "Member '\(entry.name.text())' has too many tags"
    }
    return refusal(of: entry.name, metadata: entry.metadata)
  }

  /// `nil` admits; else why this member cannot be in the pool, and the remedy.
  private func refusal(of name: RawSpan, metadata: RawSpan) -> String? {
    guard configuration.admission != .anybody else { return nil }
    let tags = SerfTags(metadata: metadata)
    if let other = foreignCluster(in: tags) {
      return "Member '\(name.text())' belongs to cluster \(other) of region \(tags["region"] ?? ""), this server to "
        + "\(configuration.tags["cluster"] ?? ""): two established clusters of one region are not joined; stop the "
        + "servers of one, empty their data directories and start them again"
    }
    if let region = foreignRegion(in: tags), detachments.contains(region) {
      return "Member '\(name.text())' is of region \(region), from which this region was detached; allow it again "
        + "with: nomad server detach -undo \(region)"
    }
    if let region = foreignRegion(in: tags) {
      return "Member '\(name.text())' is of region \(region), with which this server does not federate; leave it out "
        + "of the join, or add \"\(region)\" to server.federates_with and restart"
    }
    return configuration.admission.refusal(of: tags).map { "Member '\(name.text())' \($0)" }
  }

  mutating func handleJoined(_ node: NodeRecord, at now: Instant, effects: inout Effects) {
    let id: Int
    if let known = members.find(node.name.bytes) {
      id = known
      members[id].member.status = .alive
      members[id].leaveTime = nil
      members[id].pruneTime = nil
      refresh(id, from: node)
    } else {
      makeRoom(effects: &effects)
      id = members.insert(
        MemberRecord(
          name: node.name,
          member: Member(
            name: node.displayName, address: node.address, tags: SerfTags(metadata: node.metadata.bytes),
            status: .alive, versions: node.versions, statusTime: 0)))
      if let intent = intents.take(node.name) {
        members[id].member.statusTime = intent.lamportTime
        if intent.isLeave { members[id].member.status = .leaving }
      }
    }
    let member = members[id].member
    effects.log.log(.info, Self.logModule, "serf: EventMemberJoin: \(member.name) \(member.address.host)")
    events.append(.joined(member))
    if node.name != localName { emitSnapshot(Snapshot.aliveLine(member)) }
  }

  mutating func handleUpdated(_ node: NodeRecord, at now: Instant, effects: inout Effects) {
    guard let id = members.find(node.name.bytes) else { return }
    refresh(id, from: node)
    effects.log.log(.info, Self.logModule, "serf: EventMemberUpdate: \(members[id].member.name)")
    events.append(.updated(members[id].member))
  }

  /// Left or failed is decided by the intent that came before, not by memberlist's own state (gossip.md 6.6).
  mutating func handleDeparted(_ node: NodeRecord, at now: Instant, effects: inout Effects) {
    guard let id = members.find(node.name.bytes) else { return }
    switch members[id].member.status {
    case .leaving:
      members[id].leaveTime = now
      becomeLeft(id, isForced: false, effects: &effects)
    case .alive:
      members[id].member.status = .failed
      members[id].leaveTime = now
      let member = members[id].member
      effects.log.log(.info, Self.logModule, "serf: EventMemberFailed: \(member.name) \(member.address.host)")
      events.append(.failed(member))
      emitSnapshot(Snapshot.goneLine(member))
    case .none, .left, .failed:
      effects.log.log(
        .warn, Self.logModule,
        "serf: \(node.displayName) departed in status \(members[id].member.status)")
    }
  }

  mutating func handleConflict(
    _ node: NodeRecord, claimedBy address: SocketAddress, at now: Instant, effects: inout Effects
  ) {
    guard let id = members.find(node.name.bytes) else { return }
    events.append(.nameConflict(members[id].member, claimedBy: address))
    noteClaim(of: address, at: now)
    if node.name == localName { askWhoseName(claimedBy: address, at: now, effects: &effects) }
  }

  mutating func handleProbed(
    _ node: NodeRecord, roundTrip: Interval, payload: RawSpan, effects: inout Effects
  ) {
    guard payload.byteCount > 0, roundTrip >= .zero, roundTrip <= CoordinateTracker.longestRoundTrip,
      let id = members.find(node.name.bytes)
    else { return }
    // A coordinate that makes no sense is the peer's problem.
    guard let other = try? NetworkCoordinate(payload: payload) else { return }
    members[id].coordinate = other
    members[id].roundTrips.append(roundTrip.seconds)
    if members[id].roundTrips.count > CoordinateTracker.latencySamples { members[id].roundTrips.removeFirst() }
    coordinates.observe(
      other, roundTrip: CoordinateTracker.filtered(members[id].roundTrips), random: &effects.random)
    hasMoved = true
  }

  var hasBroadcasts: Bool { !intentQueue.isEmpty || !queryQueue.isEmpty || !eventQueue.isEmpty }
  var hasFreshBroadcasts: Bool { intentQueue.hasFresh || queryQueue.hasFresh || eventQueue.hasFresh }

  mutating func takeBroadcasts(budget: Int, maximumParts: Int, into parts: inout [[UInt8]]) {
    let limit = GossipTiming.retransmitLimit(
      multiplier: configuration.gossip.retransmitMultiplier, nodes: members.count)
    var left = budget
    left -= intentQueue.take(budget: left, overhead: 2, limit: limit, maximumParts: maximumParts, into: &parts)
    left -= queryQueue.take(budget: left, overhead: 2, limit: limit, maximumParts: maximumParts, into: &parts)
    _ = eventQueue.take(budget: left, overhead: 2, limit: limit, maximumParts: maximumParts, into: &parts)
  }

  mutating func handleUserMessage(_ bytes: RawSpan, at now: Instant, effects: inout Effects) {
    guard bytes.byteCount > 0 else { return }
    let body = bytes.extracting(1..<bytes.byteCount)
    do throws(WireError) {
      switch SerfMessageKind(rawValue: bytes.byte(at: 0)) {
      case .leave:
        let intent = try SerfIntent(body)
        if applyLeave(intent.node, at: intent.lamportTime, prune: intent.prune, now: now, effects: &effects) {
          Self.queue(bytes, in: &intentQueue)
        }
      case .join:
        let intent = try SerfIntent(body)
        if applyJoin(intent.node, at: intent.lamportTime, now: now, effects: &effects) {
          Self.queue(bytes, in: &intentQueue)
        }
      case .userEvent:
        let event = try SerfUserEvent(body)
        if remember(event.name, event.payload, at: event.lamportTime) { Self.queue(bytes, in: &eventQueue) }
      case .query: try handleQuery(try SerfQuery(body), whole: bytes, at: now, effects: &effects)
      case .queryResponse: handleResponse(try SerfQueryResponse(body))
      case .relay: relay(try SerfRelay(body))
      case .pushPull, .conflictResponse, .keyRequest, .keyResponse, nil:
        effects.log.log(.debug, Self.logModule, "serf: Received message of unknown type: \(bytes.byte(at: 0))")
      }
    } catch {
      effects.log.log(.debug, Self.logModule, "serf: Failed to decode a message: \(error)")
    }
  }

  /// A full table forgets the member that left longest ago, else the one that failed last: who floods the pool with
  /// names pushes out his own, and not the servers that failed before.
  private mutating func makeRoom(effects: inout Effects) {
    guard members.count >= configuration.maximumMembers else { return }
    var left: (id: Int, time: Instant)?
    var failed: (id: Int, time: Instant)?
    for position in 0..<members.count {
      let id = members.id(at: position)
      guard let time = members[id].leaveTime else { continue }
      switch members[id].member.status {
      case .left: if left.map({ time < $0.time }) ?? true { left = (id, time) }
      case .failed: if failed.map({ time > $0.time }) ?? true { failed = (id, time) }
      case .none, .alive, .leaving: break
      }
    }
    if let id = left?.id ?? failed?.id { erase(id, effects: &effects) }
  }

  private mutating func refresh(_ id: Int, from node: NodeRecord) {
    members[id].member.address = node.address
    members[id].member.tags = SerfTags(metadata: node.metadata.bytes)
    members[id].member.versions = node.versions
  }
}
