import Base
import Wire

/// memberlist's protocol: who is in the pool, found out by SWIM with the Lifeguard extensions (gossip.md sections 1
/// to 5).
///
/// Calling order: `init`, `boot` once, then `handle...` for what the outside does and the commands at any time.
/// `handleTimeout` is due at `deadline`. Bytes leave through the outbox; the layer above hears of changes through
/// `GossipLayer`, which is passed to every call that may cause one.
public struct GossipMachine {
  public let configuration: GossipConfiguration
  public private(set) var statistics = GossipStatistics()
  /// Encrypts and decrypts when present; its keys may be changed at any time.
  public var cipher: (any PacketCipher)?
  /// Sent with every direct ack; Serf's network coordinate.
  public var ackPayload: [UInt8]?
  /// Loops that stand still until they are taken out: their times do not come. For simulations of members of which a
  /// part hangs.
  public var paused: GossipActivities = []

  /// Every known node, ourselves and the departed ones included.
  public internal(set) var nodes = NameTable<NodeRecord>()
  /// Our own id in `nodes`; valid after `boot`.
  public internal(set) var localID = 0
  /// All ids in `nodes`, in probing order.
  var ring: [Int] = []
  var ringPosition = 0
  var incarnation: UInt32 = 0
  var sequence: UInt32 = 0
  /// Lifeguard's local health: 0 is healthy (gossip.md 5.10).
  public internal(set) var awareness = 0
  /// Addresses of nodes that are not answered.
  var shunned: Set<SocketAddress> = []
  static let maximumShunned = 256
  public internal(set) var hasLeft = false
  /// Set before a leave: gossip ticks come at `leaveGossipInterval`, so that the last messages are out soon.
  public var isHurried = false
  var leaveToken: BroadcastQueue.Token?

  var queue: BroadcastQueue
  var far: ProbeLane
  var near = ProbeLane(next: .distantFuture)
  /// Neighbours of the current round of the near lane.
  var nearRing: [Int] = []
  var relays: [Relay] = []
  var streams: [GossipStream] = []
  /// Ids of nodes with a running suspicion.
  var suspects: [Int] = []
  /// Ids of nodes that are back and not yet reported.
  var probationers: [Int] = []

  var nextGossip: Instant
  var nextPushPull: Instant
  /// When we ask somebody for his whole state because the pool grows fast.
  var nextCatchUp: Instant?
  /// Nodes that came to be known since we last asked.
  var strangers = 0
  var urgentGossip: Instant?
  var lastUrgentGossip: Instant?
  var urgentCredit: Int
  var nextUrgentCredit: Instant
  var nextComplaint: Instant
  var nextRefutationLine: Instant
  /// When outdated news about us may be put right again.
  var nextCorrection: Instant
  var streamLimiter: SourceLimiter
  var expansionLimiter: SourceLimiter

  // Scratch memory, kept between calls.
  var plainScratch: [UInt8] = []
  var expandedScratch: [UInt8] = []
  var partScratch: [[UInt8]] = []
  var candidateScratch: [Int] = []
  var expander = LempelZivWelchDecoder()

  static let logModule = "nomad"

  public init(
    configuration: GossipConfiguration, cipher: (any PacketCipher)? = nil, at now: Instant, effects: inout Effects
  ) {
    precondition(configuration.metadata.count <= GossipLimits.maximumMetadataBytes)
    precondition(!configuration.name.isEmpty && configuration.name.count <= GossipLimits.maximumNameBytes)
    self.configuration = configuration
    self.cipher = cipher
    queue = BroadcastQueue(
      maximumEntries: configuration.maximumNodes, maximumMessageBytes: configuration.maximumBroadcastBytes)
    far = ProbeLane(next: now + effects.random.interval(.zero, configuration.probeInterval))
    nextGossip = now + effects.random.interval(.zero, configuration.gossipInterval)
    nextPushPull = now + effects.random.interval(.zero, configuration.pushPullInterval)
    nextComplaint = now
    nextRefutationLine = now
    nextCorrection = now
    streamLimiter = SourceLimiter(burst: configuration.streamBurst, perSecond: configuration.streamsPerSecond)
    expansionLimiter = SourceLimiter(
      burst: configuration.expansionBurstBytes, perSecond: configuration.expandedBytesPerSecond)
    urgentCredit = configuration.urgentGossipBurst
    nextUrgentCredit = now
  }

  /// Announces ourselves; the layer above hears of our own join.
  public mutating func boot(at now: Instant, above: inout some GossipLayer, effects: inout Effects) {
    precondition(nodes.count == 0)
    announce(metadata: configuration.metadata, at: now, above: &above, effects: &effects)
  }

  /// Number of known nodes, as every formula of the protocol counts them.
  var poolSize: Int { ring.count }
  var isLargePool: Bool { poolSize > configuration.smallPoolMaximum }

  public var local: NodeRecord { nodes[localID] }

  /// True while the machine knows the stream.
  public func owns(_ id: ConnectionID) -> Bool { streams.contains { $0.id == id } }

  /// When to call `handleTimeout`.
  public var deadline: Instant? {
    var result = Instant.distantFuture
    if !paused.contains(.probing) { result = min(far.deadline, near.deadline) }
    if !paused.contains(.exchanging) {
      if poolSize > 1 { result = min(result, nextPushPull) }
      if let nextCatchUp { result = min(result, nextCatchUp) }
    }
    if !paused.contains(.gossiping) {
      if let urgentGossip { result = min(result, urgentGossip) }
      if !queue.isEmpty, poolSize > 1 { result = min(result, nextGossip) }
    }
    for relay in relays { result = min(result, relay.deadline) }
    for stream in streams { result = min(result, stream.deadline) }
    for id in suspects {
      if let suspicion = nodes[id].suspicion { result = min(result, suspicion.deadline) }
    }
    for id in probationers { result = min(result, nodes[id].probationEnd ?? .distantFuture) }
    return result
  }

  /// When the layer above has broadcasts waiting, the next gossip tick; its messages are not in `deadline`.
  public var gossipTick: Instant { nextGossip }

  /// Does everything that is due at `now`.
  public mutating func handleTimeout(at now: Instant, above: inout some GossipLayer, effects: inout Effects) {
    expireStreams(at: now, above: &above, effects: &effects)
    expireRelays(at: now, effects: &effects)
    expireSuspicions(at: now, above: &above, effects: &effects)
    if !probationers.isEmpty { endProbations(at: now, above: &above, effects: &effects) }
    if !paused.contains(.probing) {
      advanceProbe(.far, at: now, above: &above, effects: &effects)
      if configuration.near != nil { advanceProbe(.near, at: now, above: &above, effects: &effects) }
    }
    if !paused.contains(.exchanging) { exchangeWhenDue(at: now, effects: &effects) }
    if !paused.contains(.gossiping) { gossipWhenDue(at: now, above: &above, effects: &effects) }
    noteFreshBroadcasts(at: now, above: above)
  }

  private mutating func exchangeWhenDue(at now: Instant, effects: inout Effects) {
    if now >= nextPushPull {
      nextPushPull =
        now
        + GossipTiming.pushPullInterval(
          base: configuration.pushPullInterval, threshold: configuration.pushPullScaleThreshold, nodes: poolSize)
      exchangeWithRandomNode(at: now, effects: &effects)
    }
    if let due = nextCatchUp, now >= due { catchUp(at: now, effects: &effects) }
  }

  private mutating func gossipWhenDue(at now: Instant, above: inout some GossipLayer, effects: inout Effects) {
    if let due = urgentGossip, now >= due { gossipUrgently(at: now, above: &above, effects: &effects) }
    guard now >= nextGossip else { return }
    let interval = isHurried || hasLeft ? configuration.leaveGossipInterval : configuration.gossipInterval
    nextGossip += interval
    if nextGossip <= now { nextGossip = now + interval }
    if !queue.isEmpty || above.hasBroadcasts { gossip(at: now, above: &above, effects: &effects) }
  }

  // MARK: Commands

  /// Replaces our tags everywhere: a new incarnation is gossiped. At most 512 bytes; the caller checks.
  public mutating func setMetadata(
    _ metadata: [UInt8], at now: Instant, above: inout some GossipLayer, effects: inout Effects
  ) {
    precondition(metadata.count <= GossipLimits.maximumMetadataBytes)
    guard !hasLeft else { return }
    announce(metadata: metadata, at: now, above: &above, effects: &effects)
    noteFreshBroadcasts(at: now, above: above)
  }

  /// Tells everybody that we leave (gossip.md 5.15). True when nobody is there to be told; else `hasSpreadLeave`
  /// becomes true once the news was sent often enough. Probes are still answered. Final for this machine.
  @discardableResult
  public mutating func leave(at now: Instant, above: inout some GossipLayer, effects: inout Effects) -> Bool {
    guard !hasLeft else { return hasSpreadLeave }
    hasLeft = true
    let token = BroadcastQueue.Token(number: 1)
    let name = configuration.name
    if hasLivePeer { leaveToken = token }
    handleDead(
      AccusationMessage(incarnation: local.incarnation, node: name.bytes, from: name.bytes), token: token, at: now,
      above: &above, effects: &effects)
    nextGossip = min(nextGossip, now + configuration.leaveGossipInterval)
    noteFreshBroadcasts(at: now, above: above)
    return leaveToken == nil
  }

  /// True when our leave was sent to as many peers as the protocol asks for.
  public var hasSpreadLeave: Bool {
    guard hasLeft else { return false }
    guard let leaveToken else { return true }
    return queue.finished.contains(leaveToken)
  }

  /// True when a node besides us is alive or suspect.
  public var hasLivePeer: Bool {
    ring.contains { $0 != localID && !nodes[$0].state.isGone }
  }

  /// Makes a gossip round happen soon when something was never sent. Call after filling the layer's queues outside of
  /// a `handle...` call.
  public mutating func noteFreshBroadcasts(at now: Instant, above: some GossipLayer) {
    guard urgentGossip == nil, queue.hasFresh || above.hasFreshBroadcasts, hasLivePeer else { return }
    while urgentCredit < configuration.urgentGossipBurst, nextUrgentCredit <= now {
      urgentCredit += 1
      nextUrgentCredit += configuration.urgentGossipRefill
    }
    // Out of credit: the next regular tick carries the news.
    guard urgentCredit > 0 else { return }
    if let last = lastUrgentGossip {
      urgentGossip = max(now, last + configuration.urgentGossipSpacing)
    } else {
      urgentGossip = now
    }
  }

  mutating func spendUrgentCredit(at now: Instant) {
    if urgentCredit >= configuration.urgentGossipBurst { nextUrgentCredit = now + configuration.urgentGossipRefill }
    urgentCredit -= 1
  }

  // MARK: Helpers

  mutating func count(_ cause: DropCause) { statistics.count(cause) }
  mutating func count(_ counter: WritableKeyPath<GossipStatistics, UInt64>) { statistics[keyPath: counter] &+= 1 }

  mutating func recordRoundTrip(_ roundTrip: Interval) {
    statistics.lastRoundTrip = roundTrip
    statistics.roundTripSum = statistics.roundTripSum + roundTrip
    statistics.roundTrips &+= 1
  }

  /// Messages that wait to be gossiped.
  public var queueDepth: Int { queue.count }
  /// Nodes under suspicion now.
  public var suspectCount: Int { suspects.count }
  /// Nodes that TCP reaches and UDP does not.
  public var datagramBlockedNames: [String] {
    nodes.ids.filter { nodes[$0].areDatagramsBlocked && !nodes[$0].state.isGone }.map { nodes[$0].displayName }
  }

  /// Foreign mistakes are logged once per second at most.
  mutating func complain(
    _ cause: DropCause, _ words: String? = nil, from peer: SocketAddress?, at now: Instant, effects: inout Effects
  ) {
    statistics.count(cause)
    guard now >= nextComplaint else { return }
    nextComplaint = now + .seconds(1)
    effects.log.log(
      .warn, Self.logModule, "memberlist: dropped a message: \(words ?? cause.words)",
      ["from": peer.map { $0.description } ?? "unknown"])
  }

  mutating func nextSequence() -> UInt32 {
    sequence &+= 1
    return sequence
  }

  mutating func changeAwareness(by delta: Int) {
    awareness = min(max(awareness + delta, 0), configuration.awarenessMaximum - 1)
  }

  private static let smallPool = 64

  var retransmitLimit: Int {
    GossipTiming.retransmitLimit(multiplier: configuration.retransmitMultiplier, nodes: poolSize)
  }

  /// Up to `count` distinct nodes other than us for which `isWanted` holds, at random.
  mutating func randomNodes(
    _ count: Int, effects: inout Effects, where isWanted: (Int, NodeRecord) -> Bool
  ) -> [Int] {
    // In a large pool most guesses are good, and looking at everybody for three of them is not.
    if ring.count > Self.smallPool {
      var chosen: [Int] = []
      for _ in 0..<count * 4 where chosen.count < count {
        let id = ring[effects.random.below(ring.count)]
        if id != localID, isWanted(id, nodes[id]), !chosen.contains(id) { chosen.append(id) }
      }
      if chosen.count == count { return chosen }
    }
    candidateScratch.removeAll(keepingCapacity: true)
    for id in ring where id != localID && isWanted(id, nodes[id]) { candidateScratch.append(id) }
    let wanted = min(count, candidateScratch.count)
    for index in 0..<max(0, wanted) {
      candidateScratch.swapAt(index, index + effects.random.below(candidateScratch.count - index))
    }
    return Array(candidateScratch.prefix(max(0, wanted)))
  }
}
