import Base
import Harness
import Reactor
import Server
import Wire

/// A member without a mind: it says what the test tells it to, and keeps what it hears as lines of text. It answers
/// pings and refutes what is said about it, so that the pool lets it live.
final class ScriptedMember: Performer {
  let name: String
  let address: SocketAddress
  private let driver: Driver<ScriptedMachine>

  /// With `keys` it encrypts with the first and reads what any of them opens.
  init(_ name: String, keys: [[UInt8]] = []) throws {
    self.name = name
    address = SocketAddress(try Loopback.address(), port: 4648)
    driver = try Driver(at: address) { [name, address] _, _ in
      ScriptedMachine(name: name, address: address, cipher: GossipKeyring(keys: keys))
    }
  }

  func turn() { driver.turn() }

  /// Everything heard so far, in order.
  var heard: [String] { driver.machine.heard }
  func forget() { driver.command { machine, _, _ in machine.heard = [] } }
  /// While true it neither answers nor refutes.
  func stayMute(_ isMute: Bool) { driver.command { machine, _, _ in machine.isMute = isMute } }

  /// From now on it leaves unanswered what is said about it.
  func stopRefuting() { driver.command { machine, _, _ in machine.refutes = false } }

  /// One datagram; `isPlain` leaves out encryption.
  func send(_ packet: [UInt8], to peer: SocketAddress, isPlain: Bool = false) {
    driver.command { machine, _, effects in
      if isPlain {
        effects.outbox.datagram(to: peer) { $0 += packet }
      } else {
        machine.send(packet, to: peer, effects: &effects)
      }
    }
  }

  /// Sends `bytes` on a stream of their own; returns what came back until the peer closed it, or nothing came for two
  /// seconds.
  func exchange(
    _ bytes: [UInt8], with peer: SocketAddress, on stage: Stage, isPlain: Bool = false
  ) throws -> [UInt8] {
    let id = driver.command { machine, _, effects in
      let id = effects.outbox.connect(to: peer, within: .seconds(5))
      machine.streams[id] = ScriptedMachine.Stream(toSend: isPlain ? bytes : machine.envelope(bytes))
      return id
    }
    var size = 0
    var changed = MonotonicClock.now()
    try stage.wait("an answer from \(peer) to \(name)") {
      guard let stream = driver.machine.streams[id] else { return true }
      if stream.received.count != size {
        size = stream.received.count
        changed = MonotonicClock.now()
      }
      return stream.hasEnded || MonotonicClock.now() - changed > .seconds(2)
    }
    return driver.command { machine, _, effects in
      guard let stream = machine.streams.removeValue(forKey: id) else { return [] }
      if !stream.hasEnded { effects.outbox.abort(id) }
      return machine.content(of: stream.received)
    }
  }

  /// Serf's part of the lists it answers with.
  func setState(_ change: (inout SerfPushPull.Content) -> Void) {
    driver.command { machine, _, _ in change(&machine.content) }
  }

  /// The answer to a list of this member, alive, and the `others`. `change` has the last word on Serf's part.
  func join(
    _ peer: SocketAddress, on stage: Stage, asJoin isJoin: Bool = true, isPlain: Bool = false,
    isCompressed: Bool = false, about others: [ScriptedMachine.Claim] = [],
    _ change: (inout SerfPushPull.Content) -> Void = { _ in }
  ) throws -> [UInt8] {
    var content = driver.machine.content
    change(&content)
    var bytes = driver.machine.list(content, isJoin: isJoin, about: others)
    if isCompressed {
      var compressed: [UInt8] = []
      var encoder = LempelZivWelchEncoder()
      CompressedMessage.encode(bytes.bytes, into: &compressed, using: &encoder)
      bytes = compressed
    }
    return try exchange(bytes, with: peer, on: stage, isPlain: isPlain)
  }
}

/// The part of a `ScriptedMember` that the event loop calls.
struct ScriptedMachine: DrivenMachine {
  struct Stream {
    var toSend: [UInt8]
    var received: [UInt8] = []
    var hasEnded = false
  }

  /// What a list says of another.
  struct Claim {
    var name: String
    var address: SocketAddress
    var incarnation: UInt32
    var state: NodeState
  }

  static var tag: ListenerTag { .gossip }
  static var announcement: UInt8? { nil }

  let name: String
  let address: SocketAddress
  var cipher: GossipKeyring?
  var incarnation: UInt32 = 1
  var isMute = false
  var refutes = true
  var heard: [String] = []
  var streams: [ConnectionID: Stream] = [:]
  /// What others have sent on streams of theirs.
  private var visits: [ConnectionID: [UInt8]] = [:]
  var content: SerfPushPull.Content
  var deadline: Instant? { nil }

  init(name: String, address: SocketAddress, cipher: GossipKeyring?) {
    self.name = name
    self.address = address
    self.cipher = cipher
    content = SerfPushPull.Content()
    content.lamportTime = 1
    content.eventTime = 1
    content.queryTime = 1
    content.statusTimes = [(Array(name.utf8), 0)]
  }

  func list(_ content: SerfPushPull.Content, isJoin: Bool, about others: [Claim] = []) -> [UInt8] {
    var state: [UInt8] = []
    SerfPushPull.encode(content, into: &state)
    var bytes: [UInt8] = []
    PushPullHeader(nodes: 1 + others.count, userStateBytes: state.count, isJoin: isJoin).encode(into: &bytes)
    for node in [Claim(name: name, address: address, incarnation: incarnation, state: .alive)] + others {
      PushPullNode.encode(
        name: Array(node.name.utf8), address: node.address, metadata: [], incarnation: node.incarnation,
        state: node.state, versions: .nomad, into: &bytes)
    }
    return bytes + state
  }

  mutating func send(_ message: [UInt8], to peer: SocketAddress, effects: inout Effects) {
    var packet = message
    cipher?.seal(&packet, from: 0, header: RawSpan(), label: RawSpan())
    effects.outbox.datagram(to: peer) { $0 += packet }
  }

  /// What a stream carries for this message.
  mutating func envelope(_ message: [UInt8]) -> [UInt8] {
    guard let overhead = cipher?.overhead else { return message }
    var header = [GossipMessageKind.encrypted.rawValue]
    header.append(bigEndian: UInt32(message.count + overhead))
    var sealed = header + message
    cipher?.seal(&sealed, from: header.count, header: header.bytes, label: RawSpan())
    return sealed
  }

  mutating func content(of received: [UInt8]) -> [UInt8] {
    guard received.count > 5, received.first == GossipMessageKind.encrypted.rawValue else { return received }
    var plain: [UInt8] = []
    let whole = received.bytes
    _ = cipher?.open(
      whole.extracting(5..<received.count), header: whole.extracting(0..<5), label: RawSpan(), into: &plain)
    return plain.isEmpty ? received : plain
  }

  mutating func handleDatagram(_ bytes: RawSpan, from peer: SocketAddress, at now: Instant, effects: inout Effects) {
    var packet = bytes.copy()
    if cipher != nil {
      packet = []
      guard cipher?.open(bytes, header: RawSpan(), label: RawSpan(), into: &packet) == true else { return }
    }
    for message in GossipTranscript.unwrap(packet) {
      let line = GossipTranscript.line(message)
      heard.append(line)
      guard !isMute else { continue }
      let words = line.split(separator: " ")
      switch words.first {
      case "ping":
        guard let sequence = GossipTranscript.sequence(of: message) else { continue }
        var ack: [UInt8] = []
        AckMessage.encode(sequence: sequence, payload: nil, into: &ack)
        send(ack, to: peer, effects: &effects)
      case "indirect":
        // It reaches nobody, but its silence would make the asker doubt itself.
        guard let sequence = GossipTranscript.sequence(of: message) else { continue }
        var nack: [UInt8] = []
        NackMessage.encode(sequence: sequence, into: &nack)
        send(nack, to: peer, effects: &effects)
      case "suspect" where words.dropFirst().first == name[...], "dead" where words.dropFirst().first == name[...]:
        // Repetitions are of what was refuted already.
        guard refutes, let accused = UInt32(words[2]), accused >= incarnation else { continue }
        incarnation = accused + 1
        var alive: [UInt8] = []
        AliveMessage.encode(
          incarnation: incarnation, node: Array(name.utf8), address: address, metadata: [], versions: .nomad,
          into: &alive)
        send(alive, to: peer, effects: &effects)
      default: break
      }
    }
  }

  mutating func handleAccepted(
    _ id: ConnectionID, from peer: SocketAddress, at now: Instant, effects: inout Effects
  ) { visits[id] = [] }

  mutating func handleConnected(_ id: ConnectionID, at now: Instant, effects: inout Effects) {
    guard let stream = streams[id] else { return }
    effects.outbox.send(id, bytes: stream.toSend)
  }

  mutating func handleReceived(_ id: ConnectionID, _ bytes: RawSpan, at now: Instant, effects: inout Effects) {
    streams[id]?.received += bytes.copy()
    guard visits[id] != nil else { return }
    visits[id]? += bytes.copy()
    // Complete when it can be read.
    guard let message = GossipTranscript.unwrap(self.content(of: visits[id] ?? [])).first,
      !isMute, message.first == GossipMessageKind.pushPull.rawValue
    else { return }
    let line = GossipTranscript.line(message)
    guard line.hasPrefix("list"), !line.hasSuffix("no state") else { return }
    heard.append(line)
    effects.outbox.send(id, bytes: envelope(list(content, isJoin: line.contains("join=true"))))
    effects.outbox.close(id)
    visits[id] = nil
  }

  mutating func handleDisconnected(_ id: ConnectionID, _ end: StreamEnd, at now: Instant, effects: inout Effects) {
    streams[id]?.hasEnded = true
    visits[id] = nil
  }

  mutating func handleTimeout(at now: Instant, effects: inout Effects) {}
}
