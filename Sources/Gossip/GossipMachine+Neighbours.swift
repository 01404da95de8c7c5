import Base
import Wire

// Fast failure detection among neighbours. memberlist has one timing for a pool, and Nomad gives its pools of servers
// the one for continents: half a minute passes before a dead server is noticed. Here members that follow the same rules
// in the same local network probe each other once a second and judge after a few, and everybody else goes on under the
// slow rules. The wire knows nothing of it: a member may probe as often as it likes, and whoever hears of a death takes
// it as from any other member.
//
// What makes the short time safe is that it needs witnesses: who does not hear a majority of the neighbours may be cut
// off or stalled himself, and waits as long as everybody else.
extension GossipMachine {
  subscript(reach: Reach) -> ProbeLane {
    get {
      switch reach {
      case .far: far
      case .near: near
      }
    }
    set {
      switch reach {
      case .far: far = newValue
      case .near: near = newValue
      }
    }
  }

  func isNeighbour(_ id: Int) -> Bool { configuration.near != nil && nodes[id].kinship == .neighbour }

  func probeInterval(_ reach: Reach) -> Interval {
    switch reach {
    case .far: configuration.probeInterval
    case .near: configuration.near?.probeInterval ?? configuration.probeInterval
    }
  }

  func probeTimeout(_ reach: Reach) -> Interval {
    switch reach {
    case .far: configuration.probeTimeout
    case .near: configuration.near?.probeTimeout ?? configuration.probeTimeout
    }
  }

  func pings(_ reach: Reach) -> Int {
    switch reach {
    case .far: 1
    case .near: configuration.near?.pings ?? 1
    }
  }

  /// Between direct pings of one probe; the last one is sent when the others are asked.
  func pingInterval(_ reach: Reach) -> Interval {
    let before = pings(reach) - 1
    return before > 0 ? probeTimeout(reach) / before : .seconds(3600)
  }

  /// How long a ping that we send for somebody else may take.
  func nackTimeout(for target: SocketAddress) -> Interval {
    if let near = configuration.near, ring.contains(where: { isLiveNeighbour($0) && nodes[$0].address == target }) {
      return near.nackTimeout
    }
    return configuration.nackTimeout ?? configuration.probeTimeout
  }

  // MARK: Probing

  /// Starts the near lane with the first neighbour. Call when a node is new, back, or has new tags.
  mutating func noteNeighbour(_ id: Int, at now: Instant, effects: inout Effects) {
    guard let timing = configuration.near, nodes[id].kinship == .neighbour, near.next == .distantFuture else { return }
    near.next = now + effects.random.interval(.zero, timing.probeInterval)
  }

  /// Round robin over the neighbours, shuffled each time; without any the lane rests.
  mutating func nextNeighbour(effects: inout Effects) -> Int? {
    for _ in 0..<2 {
      while let id = nearRing.popLast() {
        if isLiveNeighbour(id) { return id }
      }
      nearRing = ring.filter { isLiveNeighbour($0) }
      nearRing.shuffle(using: &effects.random)
    }
    near.next = .distantFuture
    return nil
  }

  private func isLiveNeighbour(_ id: Int) -> Bool {
    id != localID && nodes[id].kinship == .neighbour && !nodes[id].state.isGone
  }

  /// The ack, and what we believe: the node contradicts in its next packet.
  mutating func tellDead(_ id: Int, sequence: UInt32, effects: inout Effects) {
    var ack: [UInt8] = []
    AckMessage.encode(sequence: sequence, payload: ackPayload, into: &ack)
    var dead: [UInt8] = []
    AccusationMessage.encode(
      .dead, incarnation: nodes[id].incarnation, node: nodes[id].name, from: configuration.name, into: &dead)
    send([ack, dead], to: nodes[id].address, isChecked: false, effects: &effects)
  }

  // MARK: Judging

  /// Live neighbours and ourselves.
  private var neighbourhood: Int { ring.reduce(1) { $0 + (isLiveNeighbour($1) ? 1 : 0) } }

  func makeSuspicion(of id: Int, accuser: RawSpan, at now: Instant) -> Suspicion {
    guard let timing = configuration.near, nodes[id].kinship == .neighbour else {
      let wanted = confirmations(multiplier: configuration.suspicionMultiplier, nodes: poolSize)
      let minimum = farMinimum
      return Suspicion(
        minimum: minimum, maximum: minimum * configuration.suspicionMaximumMultiplier, wanted: wanted,
        recheckInterval: configuration.probeInterval, accuser: accuser, at: now)
    }
    let nodes = neighbourhood
    let minimum = GossipTiming.suspicionMinimum(
      multiplier: timing.suspicionMultiplier, nodes: nodes, probeInterval: timing.probeInterval)
    // Everybody has pinged everybody by then.
    let longEnough = max(minimum, timing.probeInterval * nodes)
    return Suspicion(
      minimum: longEnough, maximum: longEnough * configuration.suspicionMaximumMultiplier,
      wanted: confirmations(multiplier: timing.suspicionMultiplier, nodes: nodes),
      isNear: true, recheckInterval: timing.probeInterval, accuser: accuser, at: now)
  }

  private var farMinimum: Interval {
    GossipTiming.suspicionMinimum(
      multiplier: configuration.suspicionMultiplier, nodes: poolSize, probeInterval: configuration.probeInterval)
  }

  /// Independent ones, besides the first accuser. None are wanted where they cannot come, or change nothing.
  private func confirmations(multiplier: Int, nodes n: Int) -> Int {
    let wanted = configuration.suspicionConfirmations ?? multiplier - 2
    return n - 2 < wanted || configuration.suspicionMaximumMultiplier <= 1 ? 0 : max(0, wanted)
  }

  /// Whether a suspect whose time is up gets more of it, until `recheckInterval` has passed once more.
  ///
  /// Whoever answers us is not dead, whatever became of his contradiction. A neighbour's time is up early only when a
  /// majority of the neighbourhood was heard since it was suspected, when it was silent towards us, and when we were
  /// not stalled ourselves. The time of the far rules is the end in any case, and twice that for those who answer.
  func mustWait(for id: Int, _ suspicion: Suspicion, at now: Instant) -> Bool {
    guard configuration.settlesDoubts || suspicion.isNear else { return false }
    let minimum = farMinimum
    let limit = GossipTiming.suspicionTimeout(
      minimum: minimum, maximum: minimum * configuration.suspicionMaximumMultiplier,
      confirmations: suspicion.confirmations,
      wanted: confirmations(multiplier: configuration.suspicionMultiplier, nodes: poolSize))
    let hasAnswered = hasAnswered(id, since: suspicion.start)
    if now >= suspicion.start + (hasAnswered ? limit * 2 : limit) { return false }
    if hasAnswered, now < nodes[id].lastHeard + suspicion.minimum { return true }
    guard suspicion.isNear else { return false }
    if now - suspicion.deadline >= suspicion.recheckInterval { return true }
    if !configuration.settlesDoubts, nodes[id].lastHeard > suspicion.start { return true }
    var population = 1
    var heard = 1
    for other in ring where isLiveNeighbour(other) {
      population += 1
      if other != id, nodes[other].lastHeard > suspicion.start { heard += 1 }
    }
    return heard * 2 <= population
  }

  // MARK: Doubts

  func hasAnswered(_ id: Int, since start: Instant) -> Bool {
    configuration.settlesDoubts && nodes[id].lastHeard > start
  }

  /// A state is asked for and given over TCP, which loses nothing: what contradicts the suspicion is in the answer, or
  /// the suspect learns of it.
  mutating func askForState(of id: Int, at now: Instant, effects: inout Effects) {
    let address = nodes[id].address
    let isAsking = streams.contains { $0.peer == address && $0.role != .inbound }
    guard !isAsking, !hasLeft, streams.count < configuration.maximumStreams else { return }
    exchange(with: address, isJoin: false, token: nil, at: now, effects: &effects)
  }

  /// Somebody still believes what we have contradicted: our contradiction was lost on its way to him. He gets it once
  /// more, and nobody else does.
  mutating func correct(_ name: RawSpan, for peer: SocketAddress?, at now: Instant, effects: inout Effects) {
    guard let peer, configuration.settlesDoubts, !hasLeft, now >= nextCorrection, name.equals(configuration.name),
      !verifiesAddresses || isKnown(peer)
    else { return }
    nextCorrection = now + configuration.urgentGossipSpacing
    let own = local
    sendDirect(to: peer, effects: &effects) { out in
      AliveMessage.encode(
        incarnation: own.incarnation, node: own.name, address: own.address, metadata: own.metadata,
        versions: own.versions, into: &out)
    }
  }
}
