import Base
import Gossip
import Membership
import Security
import Server
import Wire

/// One pool member under fire, with limits so low that they are reached, and the rules that must hold after every
/// input.
struct FuzzTarget {
  private(set) var machine: MembershipMachine
  private var effects: Effects
  private var now = Instant.start
  let wrapping: Wrapping
  /// Dials of the machine that were not answered yet.
  private var dials: [ConnectionID] = []
  /// Streams that we keep open, so that the tables of streams fill.
  private var held: [ConnectionID] = []
  private(set) var packetsSent = 0
  private(set) var logLines = 0

  static let key: [UInt8] = (0..<16).map { $0 }
  static let maximumNodes = 64
  static let maximumHeld = 40
  static let largestPacketBytes = 1500

  init(seed: UInt64, isEncrypted: Bool, label: [UInt8]) {
    var gossip = GossipConfiguration.wan(name: "us", address: SocketAddress(.v4(0x7F00_0001), port: 4648))
    gossip.maximumNodes = Self.maximumNodes
    gossip.maximumStreams = 32
    gossip.maximumRelays = 64
    gossip.maximumBufferedBytes = 4 << 20
    gossip.label = label
    var configuration = MembershipConfiguration(gossip: gossip, tags: ["role": "nomad", "region": "global"])
    configuration.admission = .anybody
    configuration.maximumQueuedBroadcasts = 128
    configuration.maximumMembers = 2 * Self.maximumNodes
    effects = Effects(seed: seed, minimumLogLevel: .info)
    let cipher = isEncrypted ? GossipKeyring(keys: [Self.key]) : nil
    machine = MembershipMachine(configuration: configuration, cipher: cipher, at: now, effects: &effects)
    wrapping = Wrapping(key: isEncrypted ? AESGCM(key: Self.key) : nil, label: label)
  }

  /// One datagram.
  mutating func receive(_ packet: [UInt8], _ maker: inout InputMaker) {
    machine.handleDatagram(packet.bytes, from: source(&maker), at: now, effects: &effects)
    settle()
  }

  /// The bytes of one stream, in pieces: accepted, or the answer to a dial of ours.
  mutating func stream(_ bytes: [UInt8], _ maker: inout InputMaker) {
    let id: ConnectionID
    if !dials.isEmpty, maker.below(2) == 0 {
      id = dials.remove(at: maker.below(dials.count))
      machine.handleConnected(id, at: now, effects: &effects)
    } else {
      id = effects.outbox.makeConnectionID()
      machine.handleAccepted(id, from: source(&maker), at: now, effects: &effects)
    }
    settle()
    var offset = 0
    while offset < bytes.count {
      let end = min(bytes.count, offset + 1 + maker.below(2 * bytes.count / 3 + 1))
      machine.handleReceived(id, bytes.bytes.extracting(offset..<end), at: now, effects: &effects)
      offset = end
      settle()
    }
    if maker.below(4) == 0 {
      held.append(id)
      if held.count > Self.maximumHeld { end(held.removeFirst(), .reset) }
    } else {
      end(id, .finished)
    }
  }

  /// Lets time pass, and refuses some of the dials.
  mutating func advance(_ maker: inout InputMaker) {
    now = now + .milliseconds(Int64(maker.below(3000)))
    for _ in 0..<4 {
      guard let deadline = machine.deadline, deadline <= now else { break }
      machine.handleTimeout(at: now, effects: &effects)
      settle()
    }
    if !dials.isEmpty, maker.below(3) == 0 { end(dials.removeFirst(), .refused) }
    // The pool is used, too.
    switch maker.below(40) {
    case 0: _ = machine.changeKeyring(.list, at: now, effects: &effects)
    case 1:
      _ = machine.join([SocketAddress(.v4(0x7F00_0002), port: 4648)], at: now, effects: &effects)
    case 2: _ = machine.forceLeave("a", prune: maker.below(2) == 0, at: now, effects: &effects)
    default: break
    }
    settle()
  }

  private func source(_ maker: inout InputMaker) -> SocketAddress {
    SocketAddress(.v4(0x7F00_0000 + UInt32(2 + maker.below(250))), port: 4648)
  }

  private mutating func end(_ id: ConnectionID, _ reason: StreamEnd) {
    machine.handleDisconnected(id, reason, at: now, effects: &effects)
    settle()
  }

  /// Empties what the machine put out, and checks the rules.
  private mutating func settle() {
    var packets = 0
    for directive in effects.outbox.directives {
      switch directive {
      case .datagram(_, let payload):
        packets += 1
        precondition(payload.count <= Self.largestPacketBytes, "a packet of \(payload.count) bytes")
      case .connect(let id, _, _): dials.append(id)
      default: break
      }
    }
    packetsSent += packets
    effects.outbox.removeAll()
    logLines += effects.log.lines.count
    effects.log.drain { _ in }
    _ = machine.takeEvents()
    let dropped = dials.count - 64
    if dropped > 0 {
      for id in dials.prefix(dropped) { machine.handleDisconnected(id, .timedOut, at: now, effects: &effects) }
      dials.removeFirst(dropped)
    }
    precondition(machine.gossip.nodes.count <= Self.maximumNodes, "too many nodes")
    precondition(machine.memberCount <= machine.configuration.maximumMembers, "too many members")
    precondition(machine.gossip.local.state == .alive, "we are alive")
  }
}
