import Base
import Wire

// How the node table changes: alive, suspect, dead, refutation (gossip.md 5.2 to 5.6, 5.9, 5.12).
extension GossipMachine {
  /// Our first alive message, and every one after a change of our metadata.
  mutating func announce(
    metadata: [UInt8], at now: Instant, above: inout some GossipLayer, effects: inout Effects
  ) {
    incarnation &+= 1
    if nodes.count == 0 {
      localID = addNode(
        NodeRecord(
          name: configuration.name, address: configuration.address, metadata: metadata,
          versions: configuration.versions, incarnation: incarnation, state: .alive, stateChange: now),
        effects: &effects)
      queueAlive(localID)
      above.handleJoined(nodes[localID], at: now, effects: &effects)
    } else {
      nodes[localID].incarnation = incarnation
      nodes[localID].metadata = metadata
      queueAlive(localID)
      above.handleUpdated(nodes[localID], at: now, effects: &effects)
    }
  }

  /// Unless a node that we do admit is there: foreign messages must not part us from our own.
  private mutating func shun(_ address: SocketAddress) {
    guard shunned.count < Self.maximumShunned, !hasNode(where: { $0 == address }) else { return }
    shunned.insert(address)
  }

  /// Forgets a node without a word to anybody, and answers it no more until the layer above admits it again.
  public mutating func dismiss(_ name: RawSpan) {
    guard let id = nodes.find(name), id != localID else { return }
    let address = nodes[id].address
    endSuspicion(of: id)
    for reach in Reach.allCases where self[reach].current?.node == id { self[reach].current = nil }
    ring.removeAll { $0 == id }
    nodes.remove(id)
    shun(address)
  }

  /// Whoever was shunned is heard again, and judged anew.
  public mutating func pardonAll() { shunned.removeAll() }

  /// Its agent may ask from any port.
  func isShunned(_ host: IPAddress) -> Bool {
    shunned.contains { $0.host == host } && !hasNode(where: { $0.host == host })
  }

  private func hasNode(where matches: (SocketAddress) -> Bool) -> Bool {
    (0..<nodes.count).contains { matches(nodes[nodes.id(at: $0)].address) }
  }

  mutating func handleAlive(
    _ alive: AliveMessage, from peer: SocketAddress?, at now: Instant, above: inout some GossipLayer,
    effects: inout Effects
  ) {
    guard alive.node.byteCount > 0, alive.node.byteCount <= GossipLimits.maximumNameBytes,
      alive.metadata.byteCount <= GossipLimits.maximumMetadataBytes,
      let host = IPAddress(network: alive.address), let versions = alive.versions, versions.isPlausible
    else { return complain(.unusable, from: peer, at: now, effects: &effects) }
    let address = SocketAddress(host, port: alive.port == 0 ? configuration.bindPort : alive.port)
    let known = nodes.find(alive.node)
    // Most alive messages are repetitions; they end here, before the tags are looked at.
    if let known, known != localID, nodes[known].address == address, alive.incarnation <= nodes[known].incarnation {
      return
    }
    if let refusal = above.refusal(of: alive) {
      if above.shuns(alive) { shun(address) }
      return complain(.notAdmitted, refusal, from: peer, at: now, effects: &effects)
    }
    shunned.remove(address)

    guard let id = known else {
      // Incarnation 0 never beats the 0 of a fresh record, so such a node would stay unknown anyhow.
      guard alive.incarnation > 0 else { return }
      guard nodes.count < configuration.maximumNodes else {
        return complain(.limit, from: peer, at: now, effects: &effects)
      }
      let id = addNode(
        NodeRecord(
          name: alive.node.copy(), address: address, metadata: alive.metadata.copy(), versions: versions,
          incarnation: alive.incarnation, state: .alive, stateChange: now),
        effects: &effects)
      nodes[id].kinship = above.kinship(of: alive.metadata)
      noteNeighbour(id, at: now, effects: &effects)
      noteStranger(at: now, effects: &effects)
      queueAlive(id)
      above.handleJoined(nodes[id], at: now, effects: &effects)
      return
    }

    var reclaims = false
    let record = nodes[id]
    if record.address != address {
      let reclaimTime = configuration.deadNodeReclaimTime
      let isReclaimable = reclaimTime > .zero && now - record.stateChange >= reclaimTime
      // A name belongs to its address until that one is silent: two that live and claim it must both be told.
      let isReturn = id != localID && record.state != .alive && above.isReturn(of: record, alive)
      guard id != localID, isReturn || record.state == .left || (record.state == .dead && isReclaimable) else {
        return reportConflict(id, claimedBy: address, at: now, above: &above, effects: &effects)
      }
      reclaims = true
    }
    if id == localID {
      if hasLeft || alive.incarnation < record.incarnation { return }
      let isEcho =
        alive.incarnation == record.incarnation && alive.metadata.equals(record.metadata)
        && versions == record.versions
      if !isEcho { refute(alive.incarnation, kind: "an alive", at: now, effects: &effects) }
      return
    }
    if alive.incarnation <= record.incarnation && !reclaims { return }

    endSuspicion(of: id)
    let wasGone = record.state.isGone
    let isChanged = !alive.metadata.equals(record.metadata)
    nodes[id].versions = versions
    nodes[id].incarnation = alive.incarnation
    nodes[id].address = address
    if isChanged {
      nodes[id].metadata = alive.metadata.copy()
      nodes[id].kinship = above.kinship(of: alive.metadata)
    }
    if record.state != .alive {
      nodes[id].state = .alive
      nodes[id].stateChange = now
    }
    if wasGone || isChanged { noteNeighbour(id, at: now, effects: &effects) }
    queueAlive(id)
    if wasGone {
      if !startProbation(of: id, at: now) { above.handleJoined(nodes[id], at: now, effects: &effects) }
    } else if isChanged || reclaims, nodes[id].probationEnd == nil {
      above.handleUpdated(nodes[id], at: now, effects: &effects)
    }
  }

  /// `peer` sent the packet that says so; nil: it came in a state, which was answered with ours.
  mutating func handleSuspect(
    _ message: AccusationMessage, from peer: SocketAddress? = nil, at now: Instant, above: inout some GossipLayer,
    effects: inout Effects
  ) {
    guard message.from.byteCount <= GossipLimits.maximumNameBytes else { return count(.unusable) }
    guard let id = nodes.find(message.node) else { return }
    guard message.incarnation >= nodes[id].incarnation else {
      return correct(message.node, for: peer, at: now, effects: &effects)
    }
    // Not by the table's own subscript, whose coroutine would allocate its frame for each repetition.
    if let isNews = nodes.records[id].suspicion?.isNews(from: message.from) {
      if isNews {
        nodes[id].suspicion?.confirm(from: message.from)
        queueAccusation(.suspect, message, about: id)
      }
      return
    }
    guard nodes[id].state == .alive else { return }
    if id == localID {
      return refute(message.incarnation, kind: "a suspect", from: message.from.text(), at: now, effects: &effects)
    }
    count(\.suspicions)
    queueAccusation(.suspect, message, about: id)
    nodes[id].incarnation = message.incarnation
    nodes[id].state = .suspect
    nodes[id].stateChange = now
    nodes[id].suspicion = makeSuspicion(of: id, accuser: message.from, at: now)
    suspects.append(id)
  }

  mutating func handleDead(
    _ message: AccusationMessage, from peer: SocketAddress? = nil, token: BroadcastQueue.Token? = nil, at now: Instant,
    above: inout some GossipLayer, effects: inout Effects
  ) {
    guard message.from.byteCount <= GossipLimits.maximumNameBytes else { return count(.unusable) }
    guard let id = nodes.find(message.node) else { return }
    guard message.incarnation >= nodes[id].incarnation else {
      return correct(message.node, for: peer, at: now, effects: &effects)
    }
    endSuspicion(of: id)
    guard !nodes[id].state.isGone else { return }
    if id == localID, !hasLeft {
      return refute(message.incarnation, kind: "a dead", from: message.from.text(), at: now, effects: &effects)
    }
    let isLeft = message.node.equals(message.from)
    if configuration.doubtsDeaths, isLargePool, nodes[id].state == .alive, !isLeft {
      return handleSuspect(message, at: now, above: &above, effects: &effects)
    }
    queueAccusation(.dead, message, about: id, token: token)
    nodes[id].incarnation = message.incarnation
    nodes[id].state = isLeft ? .left : .dead
    nodes[id].stateChange = now
    if !noteDeath(of: id, at: now) { above.handleDeparted(nodes[id], at: now, effects: &effects) }
  }

  /// Contradicts what others say about us, with a higher incarnation. Wraps like peers do: a trap here would let one
  /// packet end the process.
  mutating func refute(
    _ accused: UInt32, kind: StaticString, from: String? = nil, at now: Instant, effects: inout Effects
  ) {
    incarnation &+= 1
    if accused >= incarnation { incarnation = accused &+ 1 }
    nodes[localID].incarnation = incarnation
    changeAwareness(by: 1)
    count(\.refutations)
    queueAlive(localID)
    guard now >= nextRefutationLine else { return }
    nextRefutationLine = now + .seconds(1)
    effects.log.log(
      .warn, Self.logModule, "memberlist: Refuting \(kind) message" + (from.map { " (from: \($0))" } ?? ""))
  }

  mutating func expireSuspicions(at now: Instant, above: inout some GossipLayer, effects: inout Effects) {
    for id in suspects {
      guard let suspicion = nodes[id].suspicion, now >= suspicion.deadline else { continue }
      if mustWait(for: id, suspicion, at: now) {
        if hasAnswered(id, since: suspicion.start) { askForState(of: id, at: now, effects: &effects) }
        nodes[id].suspicion?.postpone(until: now + suspicion.recheckInterval)
        continue
      }
      if let end = holdEnd(of: suspicion, at: now) {
        nodes[id].suspicion?.hold(until: end)
        continue
      }
      let name = nodes[id].name
      let from = configuration.name
      effects.log.log(
        .info, Self.logModule,
        "memberlist: Marking \(name.bytes.text()) as failed, suspect timeout reached")
      handleDead(
        AccusationMessage(incarnation: nodes[id].incarnation, node: name.bytes, from: from.bytes), at: now,
        above: &above, effects: &effects)
    }
  }

  /// In a large pool, what makes one node silent often takes others with it: they are removed together, so that whoever
  /// follows the view follows one change. Nil: nothing to wait for, or waited long enough.
  private func holdEnd(of suspicion: Suspicion, at now: Instant) -> Instant? {
    guard isLargePool, !suspicion.isHeld, configuration.removalHold > .zero else { return nil }
    let latest = now + configuration.removalHold
    let ends = suspects.compactMap { nodes[$0].suspicion?.deadline }.filter { $0 > now && $0 <= latest }
    return ends.max()
  }

  /// Forgets nodes that are gone for long. Called at the end of each probing round.
  mutating func purge(at now: Instant) {
    let patience = configuration.gossipToTheDeadTime
    let forgotten = ring.filter { id in
      id != localID && nodes[id].state.isGone && now - nodes[id].stateChange > patience
    }
    guard !forgotten.isEmpty else { return }
    ring.removeAll { forgotten.contains($0) }
    for id in forgotten { nodes.remove(id) }
  }

  /// Takes nodes for known and alive without a word to anybody: a simulation may begin in the middle of a pool's life.
  public mutating func adopt(
    _ peers: [(name: [UInt8], address: SocketAddress)], at now: Instant, above: inout some GossipLayer,
    effects: inout Effects
  ) {
    queue.removeAll()
    for peer in peers where nodes.find(peer.name.bytes) == nil {
      let id = addNode(
        NodeRecord(
          name: peer.name, address: peer.address, metadata: [], versions: .nomad, incarnation: 1, state: .alive,
          stateChange: now),
        effects: &effects)
      nodes[id].kinship = above.kinship(of: RawSpan())
      noteNeighbour(id, at: now, effects: &effects)
      above.handleJoined(nodes[id], at: now, effects: &effects)
    }
  }

  private mutating func addNode(_ record: NodeRecord, effects: inout Effects) -> Int {
    let id = nodes.insert(record)
    ring.append(id)
    ring.swapAt(ring.count - 1, effects.random.below(ring.count))
    return id
  }

  private mutating func endSuspicion(of id: Int) {
    guard nodes[id].suspicion != nil else { return }
    nodes[id].suspicion = nil
    suspects.removeAll { $0 == id }
  }

  private mutating func reportConflict(
    _ id: Int, claimedBy address: SocketAddress, at now: Instant, above: inout some GossipLayer,
    effects: inout Effects
  ) {
    count(.conflict)
    above.handleConflict(nodes[id], claimedBy: address, at: now, effects: &effects)
    guard now >= nextComplaint else { return }
    nextComplaint = now + .seconds(1)
    let record = nodes[id]
    effects.log.log(
      .error, Self.logModule,
      "memberlist: Conflicting address for \(record.displayName). Mine: \(record.address) Theirs: \(address) "
        + "Old state: \(record.state.rawValue)")
  }

  private mutating func queueAlive(_ id: Int) {
    var bytes: [UInt8] = []
    let record = nodes[id]
    AliveMessage.encode(
      incarnation: record.incarnation, node: record.name, address: record.address, metadata: record.metadata,
      versions: record.versions, into: &bytes)
    queue.add(bytes, subject: id, mayDisplace: record.wasBroadcast)
    nodes[id].wasBroadcast = true
  }

  private mutating func queueAccusation(
    _ kind: GossipMessageKind, _ message: AccusationMessage, about id: Int, token: BroadcastQueue.Token? = nil
  ) {
    var bytes: [UInt8] = []
    AccusationMessage.encode(
      kind, incarnation: message.incarnation, node: nodes[id].name, from: message.from.copy(), into: &bytes)
    queue.add(bytes, subject: id, mayDisplace: nodes[id].wasBroadcast, token: token)
    nodes[id].wasBroadcast = true
  }
}
