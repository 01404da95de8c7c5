import Base
import Wire

// Packets in (gossip.md 1.2, 1.10).
extension GossipMachine {
  /// One datagram. Every failure costs this datagram, or the one part of it that is wrong.
  public mutating func handleDatagram(
    _ bytes: RawSpan, from peer: SocketAddress, at now: Instant, above: inout some GossipLayer,
    effects: inout Effects
  ) {
    count(\.packetsReceived)
    guard bytes.byteCount > 0 else { return count(.empty) }
    guard shunned.isEmpty || !shunned.contains(peer) else { return count(.shunned) }
    var start = 0
    if bytes.byte(at: 0) == GossipMessageKind.label.rawValue {
      guard bytes.byteCount >= 2 else { return count(.label) }
      start = 2 + Int(bytes.byte(at: 1))
      guard start > 2, start <= bytes.byteCount, bytes.extracting(2..<start).equals(configuration.label) else {
        return count(.label)
      }
    } else if !configuration.label.isEmpty {
      return count(.label)
    }
    let body = bytes.extracting(start..<bytes.byteCount)
    if cipher == nil {
      handlePlain(body, from: peer, at: now, above: &above, effects: &effects)
    } else {
      var plain = plainScratch
      plainScratch = []
      plain.removeAll(keepingCapacity: true)
      let label = configuration.label
      let isOpen = cipher?.open(body, header: RawSpan(), label: label.bytes, into: &plain) ?? false
      if isOpen {
        handlePlain(plain.bytes, from: peer, at: now, above: &above, effects: &effects)
      } else {
        complain(
          .undecryptable, StreamFailure.Complaint.undecryptable.text, from: peer, at: now, effects: &effects)
      }
      plainScratch = plain
    }
    noteFreshBroadcasts(at: now, above: above)
  }

  private mutating func handlePlain(
    _ bytes: RawSpan, from peer: SocketAddress, at now: Instant, above: inout some GossipLayer,
    effects: inout Effects
  ) {
    var start = 0
    if bytes.byteCount >= 5, bytes.byte(at: 0) == GossipMessageKind.checked.rawValue {
      start = 5
      guard Checksum.crc32(bytes.extracting(5..<bytes.byteCount)) == bytes.uint32(at: 1) else {
        return count(.checksum)
      }
    }
    dispatch(
      bytes.extracting(start..<bytes.byteCount), mayExpand: true, mayContain: true, from: peer, at: now,
      above: &above, effects: &effects)
  }

  /// One compressed and one compound layer are accepted, in either order; real senders never nest deeper.
  private mutating func dispatch(
    _ message: RawSpan, mayExpand: Bool, mayContain: Bool, from peer: SocketAddress, at now: Instant,
    above: inout some GossipLayer, effects: inout Effects
  ) {
    guard message.byteCount > 0 else { return count(.empty) }
    let body = message.extracting(1..<message.byteCount)
    do throws(WireError) {
      switch GossipMessageKind(rawValue: message.byte(at: 0)) {
      case .ping: handlePing(try PingMessage(body), from: peer, at: now, above: &above, effects: &effects)
      case .indirectPing:
        handleIndirectPing(try IndirectPingMessage(body), from: peer, at: now, above: &above, effects: &effects)
      case .ack: handleAck(try AckMessage(body), at: now, above: &above, effects: &effects)
      case .nack: handleNack(try NackMessage(body))
      case .alive:
        handleAlive(try AliveMessage(body), from: peer, at: now, above: &above, effects: &effects)
      case .suspect:
        handleSuspect(try AccusationMessage(body), from: peer, at: now, above: &above, effects: &effects)
      case .dead: handleDead(try AccusationMessage(body), from: peer, at: now, above: &above, effects: &effects)
      case .user:
        if body.byteCount > 0 { above.handleUserMessage(body, at: now, effects: &effects) } else { count(.empty) }
      case .compound:
        guard mayContain else { return count(.nesting) }
        var parts = try CompoundMessage(body)
        while parts.hasNext {
          dispatch(
            try parts.next(), mayExpand: mayExpand, mayContain: false, from: peer, at: now, above: &above,
            effects: &effects)
        }
      case .compressed:
        guard mayExpand else { return count(.nesting) }
        try dispatchCompressed(
          try CompressedMessage(body), mayContain: mayContain, from: peer, at: now, above: &above,
          effects: &effects)
      case .pushPull, .encrypted, .checked, .error, .label, nil:
        complain(.unknownKind, from: peer, at: now, effects: &effects)
      }
    } catch {
      complain(.malformed, from: peer, at: now, effects: &effects)
    }
  }

  private mutating func dispatchCompressed(
    _ message: CompressedMessage, mayContain: Bool, from peer: SocketAddress, at now: Instant,
    above: inout some GossipLayer, effects: inout Effects
  ) throws(WireError) {
    var expanded = expandedScratch
    expandedScratch = []
    expanded.removeAll(keepingCapacity: true)
    defer { expandedScratch = expanded }
    guard expansionLimiter.take(0, from: peer.host, at: now) else { return count(.limit) }
    try message.expand(
      into: &expanded, limit: GossipLimits.decompressedDatagramBytes(compressed: message.buffer.byteCount),
      using: &expander)
    _ = expansionLimiter.take(expanded.count, from: peer.host, at: now)
    dispatch(
      expanded.bytes, mayExpand: false, mayContain: mayContain, from: peer, at: now, above: &above,
      effects: &effects)
  }
}
