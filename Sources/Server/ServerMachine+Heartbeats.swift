import Base
import RPC
import State
import Wire

/// Nodes whose time is up and that are looked at before they are declared down.
struct HeartbeatDoubts: Sendable {
  /// Questions about more nodes at once wait: then it is rather the leader that was away.
  static let maximum = 512

  struct Doubt: Sendable {
    /// When the time of the node was up first.
    var since: Instant
    /// Servers that have not answered.
    var waiting = 0
  }

  private var doubts: [NodeID: Doubt] = [:]
  private var asked: [CallID: NodeID] = [:]

  var isFull: Bool { asked.count >= Self.maximum }

  /// When the time of the node was up first, if it has not been heard since.
  func since(_ node: NodeID) -> Instant? { doubts[node]?.since }

  mutating func begin(_ node: NodeID, at now: Instant, calls: [CallID]) {
    var doubt = doubts[node] ?? Doubt(since: now)
    doubt.waiting = calls.count
    doubts[node] = doubt
    for call in calls { asked[call] = node }
  }

  func awaits(_ call: CallID) -> Bool { asked[call] != nil }

  /// The node that the answer is about; `isLast` when nobody else is being waited for.
  mutating func answered(_ call: CallID) -> (node: NodeID, isLast: Bool)? {
    guard let node = asked.removeValue(forKey: call), let doubt = doubts[node], doubt.waiting > 0 else { return nil }
    doubts[node]?.waiting -= 1
    return (node, doubt.waiting == 1)
  }

  /// Nobody needs to answer any more.
  mutating func settled(_ node: NodeID) { doubts[node]?.waiting = 0 }

  /// The node was heard, or is gone.
  mutating func end(_ node: NodeID) {
    if !doubts.isEmpty { doubts[node] = nil }
  }
}

/// The leader's watch over the clients (cluster.md section 11), with two differences that no client sees: a node is
/// declared down only when no server holds a living connection of it, and a new leader waits for as long as a heartbeat
/// can take, not for five minutes.
extension ServerMachine {
  /// A client whose connection lives but that sends no heartbeat is given this much longer. The connection itself is
  /// watched: a client that hangs does not answer yamux's pings and loses it after at most 40 s.
  static let connectedGrace = Interval.seconds(60)
  /// After so long it is looked again.
  static let connectedRecheck = Interval.seconds(10)
  /// How long a client of the original may wait between two tries while no server answers.
  static let retryMargin = Interval.seconds(30)
  static let heartbeatQuestionTimeout = Interval.seconds(2)

  /// ttl = max(minimum, nodes / rate), plus up to as much again at random (cluster.md 11.1).
  mutating func armHeartbeat(_ id: NodeID, _ effects: inout Effects) -> Interval {
    let nodes = leadership.arming == nil ? leadership.timers.count : state.nodeCount
    let base = heartbeatBase(nodes: nodes)
    let ttl = base + effects.random.interval(.zero, base)
    leadership.timers.arm(id, at: now.instant + ttl + configuration.heartbeatGrace)
    leadership.doubts.end(id)
    return ttl
  }

  private func heartbeatBase(nodes: Int) -> Interval {
    let spread = Interval.seconds(fraction: Double(nodes) / max(1, configuration.heartbeatsPerSecond))
    return max(configuration.heartbeatMinimumTTL, spread)
  }

  /// Only the old leader knew how long each client still had; none may be declared down for the change of leaders. The
  /// longest it can have given is twice the base, and a client that finds no leader tries again within half a minute.
  /// `failover_heartbeat_ttl`, where it is set, rules.
  mutating func armAllAfterFailover() {
    let longest = heartbeatBase(nodes: state.nodeCount) * 2 + configuration.heartbeatGrace + Self.retryMargin
    leadership.timers.reserve(state.nodeCount)
    leadership.arming = Leadership.Arming(
      next: NodeID(high: 0, low: 0), until: now.instant + (configuration.heartbeatFailoverTTL ?? longest),
      at: now.instant)
    armSomeAfterFailover()
  }

  /// A bounded number in each turn: gossip and consensus must go on. Nodes that were heard in the meantime have their
  /// timers.
  mutating func armSomeAfterFailover() {
    guard var arming = leadership.arming, arming.at <= now.instant else { return }
    let next = state.forEachNode(from: arming.next, limit: Leadership.armedPerTurn) { node in
      guard node.status != Node.down, leadership.timers.deadline(of: node.id) == nil else { return }
      leadership.timers.arm(node.id, at: arming.until)
    }
    guard let next else { return leadership.arming = nil }
    arming.next = next
    arming.at = now.instant + Leadership.expiryPause
    leadership.arming = arming
  }

  mutating func expireHeartbeat(_ id: NodeID, _ effects: inout Effects) {
    guard let node = state.node(id), node.status != Node.down else { return leadership.doubts.end(id) }
    let since = leadership.doubts.since(id) ?? now.instant
    guard now.instant - since < Self.connectedGrace else { return declareDown(id, &effects) }
    if pushes.session(of: id) != nil { return keepConnected(id, since: since) }
    guard !leadership.doubts.isFull else { return leadership.timers.arm(id, at: now.instant + .seconds(1)) }
    let others = directory.localAlive.filter { $0.gossipName != configuration.gossipName }
    guard !others.isEmpty else { return declareDown(id, &effects) }
    let options = QueryOptions(region: configuration.region, allowStale: true)
    let calls = others.map { server in
      rpc.call(
        .statusHasNodeConnection, to: server.address, deadline: now.instant + Self.heartbeatQuestionTimeout,
        at: now.instant, effects: &effects
      ) { out in
        out.packMapHeader(1 + options.fieldCount)
        out.pack("NodeID" as StaticString)
        out.pack("\(id)")
        options.encodeFields(into: &out)
      }
    }
    leadership.doubts.begin(id, at: since, calls: calls)
  }

  private mutating func keepConnected(_ id: NodeID, since: Instant) {
    if leadership.doubts.since(id) == nil { leadership.doubts.begin(id, at: since, calls: []) }
    leadership.doubts.settled(id)
    leadership.timers.arm(id, at: min(now.instant + Self.connectedRecheck, since + Self.connectedGrace))
  }

  /// An answer to `Status.HasNodeConn` about a node whose time is up.
  mutating func handleDoubtAnswer(
    _ call: CallID, _ outcome: RPCOutcome, in batch: borrowing RPCEventBatch, _ effects: inout Effects
  ) {
    var isConnected = false
    if case .reply(let range) = outcome { isConnected = Self.connectedSince(batch.bytes(range)) != nil }
    guard let (id, isLast) = leadership.doubts.answered(call), let since = leadership.doubts.since(id) else { return }
    if isConnected {
      keepConnected(id, since: since)
    } else if isLast {
      declareDown(id, &effects)
    }
  }

  private mutating func declareDown(_ id: NodeID, _ effects: inout Effects) {
    leadership.doubts.end(id)
    effects.log.log(.warn, "nomad.heartbeat", "node TTL expired", ["node_id": "\(id)"])
    proposeOwn(
      StateMessage.heartbeatMissed(nodeID: id, at: now.wall, write: WriteRequest(region: configuration.region)),
      &effects)
  }

  // MARK: Nodes that are gone for long

  /// Deregisters nodes that are down for longer than `threshold` and have nothing that anybody could want (cluster.md
  /// 11.3). The threshold is civil time of the records, so a node must be found twice, one round apart: a clock that
  /// jumps must not clear the table.
  mutating func collectNodes(threshold: Interval, atOnce: Bool, _ effects: inout Effects) {
    guard !state.hasForeignData else { return }
    var found: Set<NodeID> = []
    var due: [NodeID] = []
    let before = now.wall.unixSeconds - threshold.nanoseconds / 1_000_000_000
    state.forEachNode { node in
      guard node.status == Node.down, node.statusUpdatedAt <= before, due.count < Self.collectedAtOnce else { return }
      found.insert(node.id)
      if atOnce || leadership.collectable.contains(node.id) { due.append(node.id) }
    }
    leadership.collectable = found
    guard !due.isEmpty else { return }
    effects.log.log(.info, "core.sched", "node GC found eligible nodes", ["nodes": "\(due.count)"])
    for id in due { leadership.timers.disarm(id) }
    proposeOwn(
      StateMessage.nodeBatchDeregister(nodeIDs: due, write: WriteRequest(region: configuration.region)), &effects)
  }

  static let collectedAtOnce = 1024
}
