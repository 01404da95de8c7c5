import Base
import Wire

/// The probe in progress (gossip.md 5.7). There is at most one in each lane.
struct Probe: Sendable {
  enum Phase: Sendable {
    /// Waiting for the direct ack; next: `indirect`, or the end.
    case direct
    /// Others and a stream are trying as well; next: the end.
    case indirect
  }

  let node: Int
  let sequence: UInt32
  let sent: Instant
  /// When the direct phase ends.
  let directDeadline: Instant
  /// When the probe has failed.
  let finalDeadline: Instant
  /// When the next direct ping goes out, if another one does before the others are asked.
  var nextPing: Instant
  /// Direct pings so far.
  var pings = 1
  var phase = Phase.direct
  var expectedNacks = 0
  var receivedNacks = 0
  var hasStreamAnswer = false

  var deadline: Instant {
    phase == .direct ? min(nextPing, min(directDeadline, finalDeadline)) : finalDeadline
  }
}

/// An indirect ping that we carry out for another node (gossip.md 5.8).
struct Relay: Sendable {
  let sequence: UInt32
  let requesterSequence: UInt32
  let requester: SocketAddress
  let wantsNack: Bool
  let deadline: Instant
}

extension GossipMachine {
  // MARK: Our probes

  mutating func advanceProbe(
    _ reach: Reach, at now: Instant, above: inout some GossipLayer, effects: inout Effects
  ) {
    if let current = self[reach].current, now >= current.deadline {
      switch current.phase {
      case .direct where now < min(current.directDeadline, current.finalDeadline):
        repeatPing(reach, at: now, above: &above, effects: &effects)
      case .direct where now < current.finalDeadline: probeIndirectly(reach, at: now, above: &above, effects: &effects)
      case .direct, .indirect: finishProbe(reach, at: now, above: &above, effects: &effects)
      }
    }
    guard now >= self[reach].next, passTick(reach, at: now), self[reach].current == nil else { return }
    guard let node = nextTarget(reach, at: now, effects: &effects) else { return }
    startProbe(of: node, reach, at: now, above: &above, effects: &effects)
  }

  /// Whether it is one to probe at: after missed ticks as well, but then somebody who is slow begins a period without.
  private mutating func passTick(_ reach: Reach, at now: Instant) -> Bool {
    let interval = probeInterval(reach)
    let isMissed = self[reach].next + interval <= now
    let stretch = periodStretch
    self[reach].next = isMissed || stretch > 1 ? now + interval * stretch : self[reach].next + interval
    return !(isMissed && stretch > 1)
  }

  /// Somebody who is slow himself accuses others more rarely and later. In a small pool there are not enough others to
  /// find a crash in his place.
  private var periodStretch: Int { configuration.stretchesPeriods && isLargePool ? awareness + 1 : 1 }

  private mutating func nextTarget(_ reach: Reach, at now: Instant, effects: inout Effects) -> Int? {
    switch reach {
    case .far: nextProbeTarget(at: now, effects: &effects)
    case .near: nextNeighbour(effects: &effects)
    }
  }

  private mutating func nextProbeTarget(at now: Instant, effects: inout Effects) -> Int? {
    for _ in 0...ring.count {
      if ringPosition >= ring.count {
        purge(at: now)
        ring.shuffle(using: &effects.random)
        ringPosition = 0
      }
      guard ringPosition < ring.count else { return nil }
      let id = ring[ringPosition]
      ringPosition += 1
      if id != localID && !nodes[id].state.isGone && !isNeighbour(id) { return id }
    }
    return nil
  }

  private mutating func startProbe(
    of id: Int, _ reach: Reach, at now: Instant, above: inout some GossipLayer, effects: inout Effects
  ) {
    let sequence = nextSequence()
    let interval = probeInterval(reach) * (awareness + 1)
    self[reach].current = Probe(
      node: id, sequence: sequence, sent: now,
      directDeadline: now + probeTimeout(reach) * periodStretch,
      finalDeadline: now + interval, nextPing: now + pingInterval(reach))
    sendPing(reach, above: &above, effects: &effects)
  }

  /// Where packets are lost, one lost ping is no reason for a suspicion.
  private mutating func repeatPing(
    _ reach: Reach, at now: Instant, above: inout some GossipLayer, effects: inout Effects
  ) {
    guard var current = self[reach].current else { return }
    current.nextPing = now + pingInterval(reach)
    current.pings += 1
    self[reach].current = current
    sendPing(reach, above: &above, effects: &effects)
  }

  private mutating func sendPing(_ reach: Reach, above: inout some GossipLayer, effects: inout Effects) {
    guard let current = self[reach].current else { return }
    let id = current.node
    let sequence = current.sequence
    let name = nodes[id].name
    let address = nodes[id].address
    let source = local.address
    let own = configuration.name
    if nodes[id].state == .alive || !configuration.tellsSuspects {
      sendControl(to: address, above: &above, effects: &effects) { out in
        PingMessage.encode(sequence: sequence, node: name, source: source, sourceNode: own, into: &out)
      }
    } else {
      // A suspect learns of the suspicion together with the ping, so that it can refute at once.
      var ping: [UInt8] = []
      PingMessage.encode(sequence: sequence, node: name, source: source, sourceNode: own, into: &ping)
      var suspect: [UInt8] = []
      AccusationMessage.encode(.suspect, incarnation: nodes[id].incarnation, node: name, from: own, into: &suspect)
      send([ping, suspect], to: address, isChecked: nodes[id].versions.hasChecksum, effects: &effects)
    }
  }

  private mutating func probeIndirectly(
    _ reach: Reach, at now: Instant, above: inout some GossipLayer, effects: inout Effects
  ) {
    guard var current = self[reach].current else { return }
    current.phase = .indirect
    let target = nodes[current.node]
    // Whoever helps a neighbour must know the same timing.
    let helpers = randomNodes(configuration.indirectChecks, effects: &effects) { id, node in
      id != current.node && node.state == .alive && (reach == .far || node.kinship == .neighbour)
    }
    let source = local.address
    let own = configuration.name
    for id in helpers {
      let wantsNack = nodes[id].versions.hasNack
      if wantsNack { current.expectedNacks += 1 }
      sendControl(to: nodes[id].address, above: &above, effects: &effects) { out in
        IndirectPingMessage.encode(
          sequence: current.sequence, target: target.address, node: target.name, wantsNack: wantsNack,
          source: source, sourceNode: own, into: &out)
      }
    }
    if target.versions.hasStreamPing, configuration.usesStreamPings, streams.count < configuration.maximumStreams {
      openStream(
        to: target.address, role: .probe(sequence: current.sequence, node: current.node),
        deadline: current.finalDeadline, at: now, effects: &effects)
    }
    self[reach].current = current
    if current.pings < pings(reach) { repeatPing(reach, at: now, above: &above, effects: &effects) }
  }

  private mutating func finishProbe(
    _ reach: Reach, at now: Instant, above: inout some GossipLayer, effects: inout Effects
  ) {
    guard let current = self[reach].current else { return }
    self[reach].current = nil
    let name = nodes[current.node].name
    if current.hasStreamAnswer {
      nodes[current.node].lastHeard = now
      count(\.probesSucceeded)
      changeAwareness(by: -1)
      noteDatagrams(of: current.node, areBlocked: true, effects: &effects)
      return
    }
    count(\.probesFailed)
    changeAwareness(by: blame(for: current))
    guard !nodes[current.node].state.isGone else { return }
    effects.log.log(
      .info, Self.logModule, "memberlist: Suspect \(name.bytes.text()) has failed, no acks received")
    let own = configuration.name
    handleSuspect(
      AccusationMessage(incarnation: nodes[current.node].incarnation, node: name.bytes, from: own.bytes),
      at: now, above: &above, effects: &effects)
  }

  /// What a failed probe says about us. Whoever looks at it so late that others were not even asked has heard no nack
  /// from any of them.
  private func blame(for probe: Probe) -> Int {
    if probe.phase == .direct { return max(1, min(configuration.indirectChecks, poolSize - 2)) }
    return probe.expectedNacks > 0 ? probe.expectedNacks - probe.receivedNacks : 1
  }

  mutating func handleAck(
    _ ack: AckMessage, at now: Instant, above: inout some GossipLayer, effects: inout Effects
  ) {
    for reach in Reach.allCases {
      guard let current = self[reach].current, current.sequence == ack.sequence else { continue }
      nodes[current.node].lastHeard = now
      self[reach].current = nil
      count(\.probesSucceeded)
      changeAwareness(by: -1)
      noteDatagrams(of: current.node, areBlocked: false, effects: &effects)
      // Later acks may have come through others, or belong to an earlier ping, and tell nothing about the way.
      if current.phase == .direct, current.pings == 1 {
        let roundTrip = now - current.sent
        recordRoundTrip(roundTrip)
        above.handleProbed(nodes[current.node], roundTrip: roundTrip, payload: ack.payload, effects: &effects)
      }
      return
    }
    guard let index = relays.firstIndex(where: { $0.sequence == ack.sequence }) else { return }
    let relay = relays.remove(at: index)
    sendDirect(to: relay.requester, effects: &effects) { out in
      AckMessage.encode(sequence: relay.requesterSequence, payload: nil, into: &out)
    }
  }

  /// Names the condition once when it begins and once when it ends; the words are those operators know from peers.
  private mutating func noteDatagrams(of id: Int, areBlocked: Bool, effects: inout Effects) {
    guard nodes[id].areDatagramsBlocked != areBlocked else { return }
    nodes[id].areDatagramsBlocked = areBlocked
    count(\.datagramVerdicts)
    let name = nodes[id].displayName
    if areBlocked {
      effects.log.log(
        .warn, Self.logModule,
        "memberlist: Was able to connect to \(name) over TCP but UDP probes failed, network may be misconfigured",
        ["condition": "UDP blocked, TCP works", "address": nodes[id].address.description])
    } else {
      effects.log.log(.info, Self.logModule, "memberlist: UDP probes of \(name) are answered again")
    }
  }

  mutating func handleNack(_ nack: NackMessage) {
    for reach in Reach.allCases where self[reach].current?.sequence == nack.sequence {
      self[reach].current?.receivedNacks += 1
    }
  }

  /// The stream of a probe was answered.
  mutating func handleStreamAck(sequence: UInt32) {
    for reach in Reach.allCases where self[reach].current?.sequence == sequence {
      self[reach].current?.hasStreamAnswer = true
    }
  }

  // MARK: Others' probes

  mutating func handlePing(
    _ ping: PingMessage, from peer: SocketAddress, at now: Instant, above: inout some GossipLayer,
    effects: inout Effects
  ) {
    guard ping.node.byteCount == 0 || ping.node.equals(configuration.name) else { return count(.misaddressed) }
    let sequence = ping.sequence
    let payload = ackPayload
    let destination = replyAddress(ping.sourceAddress, port: ping.sourcePort, packetFrom: peer)
    if let id = nodes.find(ping.sourceNode), nodes[id].address == peer {
      nodes[id].lastHeard = now
      if nodes[id].state == .dead, configuration.tellsDead {
        return tellDead(id, sequence: sequence, effects: &effects)
      }
    }
    sendControl(to: destination, above: &above, effects: &effects) { out in
      AckMessage.encode(sequence: sequence, payload: payload, into: &out)
    }
  }

  mutating func handleIndirectPing(
    _ request: IndirectPingMessage, from peer: SocketAddress, at now: Instant, above: inout some GossipLayer,
    effects: inout Effects
  ) {
    guard let host = IPAddress(network: request.target) else {
      return complain(.malformed, from: peer, at: now, effects: &effects)
    }
    guard request.node.byteCount <= GossipLimits.maximumNameBytes else { return count(.unusable) }
    let target = SocketAddress(host, port: request.port == 0 ? configuration.bindPort : request.port)
    guard !verifiesAddresses || isKnown(target) else { return count(.unusable) }
    guard relays.count < configuration.maximumRelays else { return count(.limit) }
    let sequence = nextSequence()
    relays.append(
      Relay(
        sequence: sequence, requesterSequence: request.sequence,
        requester: replyAddress(request.sourceAddress, port: request.sourcePort, packetFrom: peer),
        wantsNack: request.wantsNack, deadline: now + nackTimeout(for: target)))
    let name = request.node.copy()
    let source = local.address
    let own = configuration.name
    sendControl(to: target, above: &above, effects: &effects) { out in
      PingMessage.encode(sequence: sequence, node: name, source: source, sourceNode: own, into: &out)
    }
  }

  mutating func expireRelays(at now: Instant, effects: inout Effects) {
    guard relays.contains(where: { now >= $0.deadline }) else { return }
    for relay in relays where now >= relay.deadline && relay.wantsNack {
      sendDirect(to: relay.requester, effects: &effects) { out in
        NackMessage.encode(sequence: relay.requesterSequence, into: &out)
      }
    }
    relays.removeAll { now >= $0.deadline }
  }

  // MARK: Where replies go

  /// Anybody can write a victim's address into an unencrypted packet (gossip.md 9.4).
  public var verifiesAddresses: Bool { cipher == nil && configuration.verifiesReplyAddresses }

  public func isKnown(_ address: SocketAddress) -> Bool {
    nodes.records.contains { $0.address == address && !$0.name.isEmpty }
  }

  private func replyAddress(_ host: RawSpan, port: UInt16, packetFrom peer: SocketAddress) -> SocketAddress {
    guard port > 0, let host = IPAddress(network: host) else { return peer }
    let claimed = SocketAddress(host, port: port)
    if claimed == peer || !verifiesAddresses || isKnown(claimed) { return claimed }
    return peer
  }
}
