import Base
import Gossip
import Wire

func hex(_ text: String) -> [UInt8] {
  let digits = text.utf8.compactMap { byte -> UInt8? in
    switch byte {
    case 48...57: byte - 48
    case 97...102: byte - 87
    default: nil
    }
  }
  return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

func utf8(_ text: String) -> [UInt8] { Array(text.utf8) }

/// Writes down what the gossip machine tells its upper layer.
struct RecordingLayer: GossipLayer {
  var lines: [String] = []
  var messages: [[UInt8]] = []
  var state: [UInt8] = utf8("state")
  var merged: [[UInt8]] = []
  var outcomes: [ExchangeOutcome] = []
  var refused: String?
  var shunsRefused = false
  var relation = Kinship.stranger

  func refusal(of node: AliveMessage) -> String? { node.node.text() == refused ? "not wanted" : nil }
  func shuns(_ node: AliveMessage) -> Bool { shunsRefused && refusal(of: node) != nil }
  func kinship(of metadata: RawSpan) -> Kinship { relation }
  func refusal(of entry: PushPullNode) -> String? { entry.name.text() == refused ? "not wanted" : nil }

  mutating func handleJoined(_ node: NodeRecord, at now: Instant, effects: inout Effects) {
    lines.append("joined \(node.displayName)")
  }
  mutating func handleUpdated(_ node: NodeRecord, at now: Instant, effects: inout Effects) {
    lines.append("updated \(node.displayName)")
  }
  mutating func handleDeparted(_ node: NodeRecord, at now: Instant, effects: inout Effects) {
    lines.append("\(node.state) \(node.displayName)")
  }
  mutating func handleConflict(
    _ node: NodeRecord, claimedBy address: SocketAddress, at now: Instant, effects: inout Effects
  ) { lines.append("conflict \(node.displayName) \(address)") }
  mutating func handleUserMessage(_ bytes: RawSpan, at now: Instant, effects: inout Effects) {
    messages.append(bytes.copy())
  }
  mutating func appendLocalState(isJoin: Bool, to out: inout [UInt8]) { out += state }
  mutating func mergeRemoteState(_ bytes: RawSpan, isOurJoin: Bool, at now: Instant, effects: inout Effects) {
    merged.append(bytes.copy())
  }
  mutating func handleExchangeFinished(
    _ token: ExchangeToken, _ outcome: ExchangeOutcome, at now: Instant, effects: inout Effects
  ) { outcomes.append(outcome) }
  var hasBroadcasts: Bool { false }
  var hasFreshBroadcasts: Bool { false }
  mutating func takeBroadcasts(budget: Int, maximumParts: Int, into parts: inout [[UInt8]]) {}

  mutating func takeLines() -> [String] {
    defer { lines = [] }
    return lines
  }
}

/// One machine with its surroundings, and a hand on the clock.
struct Bench {
  var machine: GossipMachine
  var layer = RecordingLayer()
  var effects: Effects
  var now = Instant.start

  static let own = SocketAddress(.v4(0x7F00_0001), port: 4648)
  static let peer = SocketAddress(.v4(0x7F00_0002), port: 4648)

  init(seed: UInt64 = 1, _ change: (inout GossipConfiguration) -> Void = { _ in }) {
    var configuration = GossipConfiguration.wan(name: "us", address: Self.own)
    change(&configuration)
    effects = Effects(seed: seed)
    machine = GossipMachine(configuration: configuration, at: now, effects: &effects)
    machine.boot(at: now, above: &layer, effects: &effects)
    _ = layer.takeLines()
  }

  static func address(_ last: UInt32) -> SocketAddress { SocketAddress(.v4(0x7F00_0000 + last), port: 4648) }

  mutating func receive(_ bytes: [UInt8], from peer: SocketAddress = Bench.peer) {
    machine.handleDatagram(bytes.bytes, from: peer, at: now, above: &layer, effects: &effects)
  }

  mutating func alive(_ name: String, _ last: UInt32, incarnation: UInt32 = 1, metadata: [UInt8] = []) {
    receive(Self.aliveMessage(name, last, incarnation: incarnation, metadata: metadata))
  }

  mutating func accuse(_ kind: GossipMessageKind, _ name: String, incarnation: UInt32, from: String) {
    var out: [UInt8] = []
    AccusationMessage.encode(kind, incarnation: incarnation, node: utf8(name), from: utf8(from), into: &out)
    receive(out)
  }

  static func aliveMessage(
    _ name: String, _ last: UInt32, incarnation: UInt32 = 1, metadata: [UInt8] = []
  ) -> [UInt8] {
    var out: [UInt8] = []
    AliveMessage.encode(
      incarnation: incarnation, node: utf8(name), address: address(last), metadata: metadata, versions: .nomad,
      into: &out)
    return out
  }

  /// Lets time pass, stopping at every deadline.
  mutating func advance(_ interval: Interval) {
    let end = now + interval
    while let deadline = machine.deadline, deadline <= end {
      now = max(now, deadline)
      machine.handleTimeout(at: now, above: &layer, effects: &effects)
    }
    now = end
  }

  /// Datagrams sent since the last call.
  mutating func takeDatagrams() -> [(to: SocketAddress, bytes: [UInt8])] {
    let arena = effects.outbox.arena
    let result = effects.outbox.directives.compactMap { directive -> (to: SocketAddress, bytes: [UInt8])? in
      if case .datagram(let to, let range) = directive { return (to, Array(arena[range])) }
      return nil
    }
    effects.outbox.removeAll()
    return result
  }

  /// Bytes sent on a stream and whether it was ended, since the last call.
  mutating func takeStream(_ id: ConnectionID) -> (bytes: [UInt8], isEnded: Bool) {
    var bytes: [UInt8] = []
    var isEnded = false
    for directive in effects.outbox.directives {
      switch directive {
      case .send(id, let range): bytes += effects.outbox.arena[range]
      case .close(id), .abort(id): isEnded = true
      default: break
      }
    }
    effects.outbox.removeAll()
    return (bytes, isEnded)
  }

  mutating func accept(_ from: SocketAddress = Bench.peer) -> ConnectionID {
    let id = effects.outbox.makeConnectionID()
    machine.handleAccepted(id, from: from, at: now, effects: &effects)
    return id
  }

  mutating func stream(_ id: ConnectionID, _ bytes: [UInt8]) {
    machine.handleReceived(id, bytes.bytes, at: now, above: &layer, effects: &effects)
  }

  func state(_ name: String) -> NodeState? {
    let bytes = utf8(name)
    return machine.nodes.find(bytes.bytes).map { machine.nodes[$0].state }
  }

  func incarnation(_ name: String) -> UInt32? {
    let bytes = utf8(name)
    return machine.nodes.find(bytes.bytes).map { machine.nodes[$0].incarnation }
  }
}

/// Every memberlist message inside packets, without checksum and compound, as "kind".
func kinds(_ packets: [(to: SocketAddress, bytes: [UInt8])]) -> [GossipMessageKind] {
  packets.flatMap { messages(in: $0.bytes) }.compactMap { GossipMessageKind(rawValue: $0[0]) }
}

func messages(in packet: [UInt8]) -> [[UInt8]] {
  var bytes = packet
  if bytes.first == GossipMessageKind.checked.rawValue { bytes.removeFirst(5) }
  guard bytes.first == GossipMessageKind.compound.rawValue else { return [bytes] }
  var result: [[UInt8]] = []
  do throws(WireError) {
    var compound = try CompoundMessage(bytes.bytes.extracting(1..<bytes.count))
    while compound.hasNext { result.append(try compound.next().copy()) }
  } catch {
    return []
  }
  return result
}
