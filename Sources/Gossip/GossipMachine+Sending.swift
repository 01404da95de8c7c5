import Base
import Wire

// Packets out (gossip.md 1.2, 1.9, 5.12).
extension GossipMachine {
  /// Sends one control message, with broadcasts on its back when there are any and they fit. Without broadcasts the
  /// message is written straight into the outbox.
  mutating func sendControl(
    to address: SocketAddress, above: inout some GossipLayer, effects: inout Effects,
    _ write: (inout [UInt8]) -> Void
  ) {
    if queue.isEmpty && !above.hasBroadcasts {
      sendDirect(to: address, effects: &effects, write)
    } else {
      var message: [UInt8] = []
      write(&message)
      var parts = partScratch
      partScratch = []
      parts.removeAll(keepingCapacity: true)
      parts.append(message)
      takeBroadcasts(budget: packetBudget - message.count, above: &above, into: &parts)
      send(parts, to: address, isChecked: false, effects: &effects)
      parts.removeAll(keepingCapacity: true)
      partScratch = parts
    }
  }

  /// Sends one message as it is.
  mutating func sendDirect(
    to address: SocketAddress, effects: inout Effects, _ write: (inout [UInt8]) -> Void
  ) {
    count(\.packetsSent)
    let label = configuration.label
    effects.outbox.datagram(to: address) { arena in
      let start = Self.openEnvelope(&arena, label: label)
      write(&arena)
      cipher?.seal(&arena, from: start, header: RawSpan(), label: label.bytes)
    }
  }

  /// Sends one part as it is, several as a compound. `isChecked` adds the checksum.
  mutating func send(
    _ parts: [[UInt8]], to address: SocketAddress, isChecked: Bool, effects: inout Effects
  ) {
    count(\.packetsSent)
    let label = configuration.label
    effects.outbox.datagram(to: address) { arena in
      let start = Self.openEnvelope(&arena, label: label)
      if isChecked {
        arena.append(GossipMessageKind.checked.rawValue)
        arena.append(bigEndian: UInt32(0))
      }
      let inner = arena.count
      if parts.count == 1 {
        arena.append(contentsOf: parts[0])
      } else {
        CompoundMessage.encode(parts, into: &arena)
      }
      if isChecked {
        arena.store(bigEndian: Checksum.crc32(arena.bytes.extracting(inner..<arena.count)), at: inner - 4)
      }
      cipher?.seal(&arena, from: start, header: RawSpan(), label: label.bytes)
    }
  }

  /// An application message to one address.
  public mutating func sendUserMessage(
    to address: SocketAddress, effects: inout Effects, _ write: (inout [UInt8]) -> Void
  ) {
    sendDirect(to: address, effects: &effects) { arena in
      arena.append(GossipMessageKind.user.rawValue)
      write(&arena)
    }
  }

  /// The regular tick: every target gets its own slice of the queue.
  mutating func gossip(at now: Instant, above: inout some GossipLayer, effects: inout Effects) {
    for id in gossipTargets(configuration.gossipNodes, at: now, effects: &effects) {
      var parts: [[UInt8]] = []
      takeBroadcasts(budget: packetBudget, above: &above, into: &parts)
      if parts.isEmpty { return }
      send(parts, to: nodes[id].address, isChecked: nodes[id].versions.hasChecksum, effects: &effects)
    }
  }

  /// Right after something new was queued: the same packets go to every target and count as one transmission, so that
  /// a small pool hears everything at once and the regular ticks still repeat it.
  mutating func gossipUrgently(at now: Instant, above: inout some GossipLayer, effects: inout Effects) {
    urgentGossip = nil
    lastUrgentGossip = now
    spendUrgentCredit(at: now)
    let fanOut = isLargePool ? configuration.gossipNodes : configuration.urgentGossipNodes
    let targets = gossipTargets(fanOut, at: now, effects: &effects)
    if targets.isEmpty { return }
    for _ in 0..<configuration.urgentGossipPackets where queue.hasFresh || above.hasFreshBroadcasts {
      var parts: [[UInt8]] = []
      takeBroadcasts(budget: packetBudget, above: &above, into: &parts)
      if parts.isEmpty { return }
      for id in targets {
        send(parts, to: nodes[id].address, isChecked: nodes[id].versions.hasChecksum, effects: &effects)
      }
    }
  }

  private mutating func gossipTargets(_ count: Int, at now: Instant, effects: inout Effects) -> [Int] {
    let patience = configuration.gossipToTheDeadTime
    return randomNodes(count, effects: &effects) { _, node in
      switch node.state {
      case .alive, .suspect: true
      case .dead: now - node.stateChange <= patience
      case .left: false
      }
    }
  }

  /// What one packet may hold besides compound parts.
  private var packetBudget: Int {
    let label = configuration.label.isEmpty ? 0 : 2 + configuration.label.count
    return configuration.packetBudget - 2 - label - (cipher?.overhead ?? 0)
  }

  private mutating func takeBroadcasts(
    budget: Int, above: inout some GossipLayer, into parts: inout [[UInt8]]
  ) {
    let used = queue.take(
      budget: budget, overhead: 2, limit: retransmitLimit, maximumParts: GossipLimits.maximumCompoundParts,
      into: &parts)
    guard budget - used > 3, above.hasBroadcasts else { return }
    above.takeBroadcasts(budget: budget - used, maximumParts: GossipLimits.maximumCompoundParts, into: &parts)
  }

  /// Writes the label; returns where the part that is encrypted begins. Static, as a call on `self` inside the outbox's
  /// closure copies the machine.
  static func openEnvelope(_ arena: inout [UInt8], label: [UInt8]) -> Int {
    if !label.isEmpty {
      arena.append(GossipMessageKind.label.rawValue)
      arena.append(UInt8(truncatingIfNeeded: label.count))
      arena.append(contentsOf: label)
    }
    return arena.count
  }
}
