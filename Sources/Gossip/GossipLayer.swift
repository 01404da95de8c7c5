import Base
import Wire

/// What the gossip machine asks of and tells the layer above it (Serf). Calls happen inside the machine's `handle...`
/// methods; the layer must not call back.
public protocol GossipLayer {
  /// May this node be in the pool? Asked for every alive message with news, our own included. `nil` admits; else why
  /// not, for people.
  func refusal(of node: AliveMessage) -> String?
  /// A node that is not admitted and is not to hold us for a member of its pool either: we do not answer it.
  func shuns(_ node: AliveMessage) -> Bool
  /// How close the node with these tags is; asked when tags are new.
  func kinship(of metadata: RawSpan) -> Kinship
  /// May an explicit join bring this entry in? `nil` admits; a reason refuses the whole exchange.
  func refusal(of entry: PushPullNode) -> String?

  /// A node that is suspected or dead is claimed from another address: is it the same one, come back there?
  func isReturn(of record: NodeRecord, _ claim: AliveMessage) -> Bool

  /// An unknown node, or one that was gone, is alive.
  mutating func handleJoined(_ node: NodeRecord, at now: Instant, effects: inout Effects)
  /// A live node's metadata changed.
  mutating func handleUpdated(_ node: NodeRecord, at now: Instant, effects: inout Effects)
  /// A node died or left; its `state` says which.
  mutating func handleDeparted(_ node: NodeRecord, at now: Instant, effects: inout Effects)
  /// Another address claims the name of a known node; the claim was ignored.
  mutating func handleConflict(
    _ node: NodeRecord, claimedBy address: SocketAddress, at now: Instant, effects: inout Effects)

  /// A node answered our probe directly; `payload` came with the ack.
  mutating func handleProbed(
    _ node: NodeRecord, roundTrip: Interval, payload: RawSpan, effects: inout Effects)

  /// An application message; never empty.
  mutating func handleUserMessage(_ bytes: RawSpan, at now: Instant, effects: inout Effects)
  /// Appends the layer's own part of a state exchange.
  mutating func appendLocalState(isJoin: Bool, to out: inout [UInt8])
  /// `isOurJoin`: we asked to join, and this is the answer.
  mutating func mergeRemoteState(_ bytes: RawSpan, isOurJoin: Bool, at now: Instant, effects: inout Effects)
  /// An exchange that `GossipMachine.exchange` started is over.
  mutating func handleExchangeFinished(
    _ token: ExchangeToken, _ outcome: ExchangeOutcome, at now: Instant, effects: inout Effects)

  /// True while the layer has messages to piggy-back.
  var hasBroadcasts: Bool { get }
  /// True while one of them was never sent.
  var hasFreshBroadcasts: Bool { get }
  /// Appends complete user messages (type byte included) that fit into `budget` bytes, counting two more for each.
  mutating func takeBroadcasts(budget: Int, maximumParts: Int, into parts: inout [[UInt8]])
}

extension GossipLayer {
  public func isReturn(of record: NodeRecord, _ claim: AliveMessage) -> Bool { false }
  public func kinship(of metadata: RawSpan) -> Kinship { .stranger }
  public func shuns(_ node: AliveMessage) -> Bool { false }
  public mutating func handleProbed(
    _ node: NodeRecord, roundTrip: Interval, payload: RawSpan, effects: inout Effects
  ) {}
}

/// Which rules a node and we may follow together. Only rules that peers cannot tell apart on the wire depend on it.
public enum Kinship: Hashable, Sendable {
  /// Follows memberlist's rules.
  case stranger
  /// Follows our rules, somewhere else.
  case kin
  /// Follows our rules, in the same local network.
  case neighbour
}

/// Names one outbound state exchange between the machine and the layer above.
public struct ExchangeToken: Hashable, Sendable {
  public let number: UInt64
  public init(number: UInt64) { self.number = number }
}

/// How an outbound state exchange ended.
public enum ExchangeOutcome: Hashable, Sendable {
  /// The peer's state was merged; `nodes` is the length of its list.
  case merged(nodes: Int)
  /// The peer's list holds nobody but ourselves: we dialled our own address.
  case reachedOurselves
  /// The peer complained, or one side's rules forbid the exchange.
  case refused(String)
  /// The dial failed or the stream ended early.
  case ended(StreamEnd)
}
