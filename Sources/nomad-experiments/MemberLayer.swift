import Base
import Gossip
import Wire

/// What lives above a gossip machine in the experiments: it counts members as an application would, writes down deaths,
/// and spreads events as Serf does.
struct MemberLayer: GossipLayer {
  struct Report {
    let name: [UInt8]
    let state: NodeState
  }

  /// Members as the application sees them, ourselves included.
  var viewSize = 0
  /// Changes of the view since the start.
  var viewChanges = 0
  /// Deaths and departures that were reported since the owner looked.
  var departures: [Report] = []
  var returns: [[UInt8]] = []
  var hasHeardEvent = false
  var hasFailedJoin = false
  var isJoined = false
  var events = BroadcastQueue(maximumEntries: 16)
  /// Packets that carry one event.
  var eventLimit = 0
  var relation = Kinship.stranger

  func refusal(of node: AliveMessage) -> String? { nil }
  func refusal(of entry: PushPullNode) -> String? { nil }
  func kinship(of metadata: RawSpan) -> Kinship { relation }

  mutating func handleJoined(_ node: NodeRecord, at now: Instant, effects: inout Effects) {
    viewSize += 1
    viewChanges += 1
    returns.append(node.name)
  }

  mutating func handleUpdated(_ node: NodeRecord, at now: Instant, effects: inout Effects) {}

  mutating func handleDeparted(_ node: NodeRecord, at now: Instant, effects: inout Effects) {
    viewSize -= 1
    viewChanges += 1
    departures.append(Report(name: node.name, state: node.state))
  }

  mutating func handleConflict(
    _ node: NodeRecord, claimedBy address: SocketAddress, at now: Instant, effects: inout Effects
  ) {}

  mutating func handleUserMessage(_ bytes: RawSpan, at now: Instant, effects: inout Effects) {
    guard !hasHeardEvent else { return }
    hear(bytes.copy())
  }

  /// An event is passed on when it is heard for the first time.
  mutating func hear(_ event: [UInt8]) {
    hasHeardEvent = true
    events.add([GossipMessageKind.user.rawValue] + event)
  }

  mutating func appendLocalState(isJoin: Bool, to out: inout [UInt8]) {}
  mutating func mergeRemoteState(_ bytes: RawSpan, isOurJoin: Bool, at now: Instant, effects: inout Effects) {}

  mutating func handleExchangeFinished(
    _ token: ExchangeToken, _ outcome: ExchangeOutcome, at now: Instant, effects: inout Effects
  ) {
    switch outcome {
    case .merged, .reachedOurselves: isJoined = true
    case .refused, .ended: hasFailedJoin = true
    }
  }

  var hasBroadcasts: Bool { !events.isEmpty }
  var hasFreshBroadcasts: Bool { events.hasFresh }

  mutating func takeBroadcasts(budget: Int, maximumParts: Int, into parts: inout [[UInt8]]) {
    _ = events.take(budget: budget, overhead: 2, limit: eventLimit, maximumParts: maximumParts, into: &parts)
  }
}
