import Base
import Client
import Server

/// A directed pair of agents that nothing passes between.
struct Cut: Hashable {
  var from: Int
  var to: Int
}

/// Carries out what the machines want from the network.
extension Simulation {
  /// First pause before something unacknowledged is sent again; doubles.
  static let retransmission = Interval.milliseconds(200)
  static let retransmissionDoublingsMax = 6
  static let pieceBytesMax = 16 << 10

  var latency: Interval { random.interval(conditions.latencyMin, conditions.latencyMax) }

  func isCut(from: Int, to: Int) -> Bool { !cuts.isEmpty && cuts.contains(Cut(from: from, to: to)) }

  func perform(_ agent: VirtualAgent) {
    guard !agent.effects.outbox.isEmpty else { return }
    let outbox = agent.effects.outbox
    agent.effects.outbox.removeAll()
    for directive in outbox.directives {
      switch directive {
      case .datagram(let address, let payload): sendDatagram(Array(outbox.arena[payload]), agent, to: address)
      case .connect(let id, let address, let within): connect(agent, id, to: address, within)
      case .send(let id, let payload):
        if let handle = agent.streams[id] { send(.bytes(Array(outbox.arena[payload])), from: handle) }
      case .close(let id): release(agent, id, .finished)
      case .abort(let id): release(agent, id, .reset)
      case .pauseReading(let id):
        if let handle = agent.streams[id] { handle.stream[handle.side].isPaused = true }
      case .resumeReading(let id): resume(agent, id)
      }
    }
  }

  // MARK: Datagrams

  private func sendDatagram(_ bytes: [UInt8], _ agent: VirtualAgent, to address: SocketAddress) {
    statistics.datagrams += 1
    guard let target = agentsByHost[address.host], !isCut(from: agent.number, to: target.number) else { return }
    if conditions.dropsDatagrams || random.chance(conditions.loss) { return statistics.datagramsLost += 1 }
    let from = agent.plan.gossipAddress
    queue.push(.datagram(to: address, from: from, bytes), at: now + latency)
    guard conditions.duplication > 0, random.chance(conditions.duplication) else { return }
    statistics.datagramsDuplicated += 1
    queue.push(.datagram(to: address, from: from, bytes), at: now + latency + latency)
  }

  func deliver(_ bytes: [UInt8], to: SocketAddress, from: SocketAddress) {
    guard to.port == AgentPlan.gossipPort, let agent = agentsByHost[to.host], agent.isServing else { return }
    agent.server?.handleDatagram(bytes.bytes, from: from, at: moment(agent), effects: &agent.effects)
    endTurn(agent)
  }

  // MARK: Sending

  func send(_ item: VirtualStream.Item, from handle: VirtualStream.Handle) {
    let (stream, side) = (handle.stream, handle.side)
    if side == .dialer, stream.isDialing { return stream.early.append(item) }
    guard stream.acceptor != nil else { return }
    guard case .bytes(let bytes) = item else { return enqueue(item, stream, to: side.other) }
    if conditions.resets > 0, random.chance(conditions.resets) {
      statistics.streamsReset += 1
      enqueue(.end(.reset), stream, to: side)
      return enqueue(.end(.reset), stream, to: side.other)
    }
    var rest = bytes[...]
    while rest.count > Self.pieceBytesMax || (rest.count > 1 && random.chance(conditions.splitting)) {
      let count = 1 + random.below(min(rest.count - 1, Self.pieceBytesMax))
      enqueue(.bytes(Array(rest.prefix(count))), stream, to: side.other)
      rest = rest.dropFirst(count)
    }
    enqueue(.bytes(Array(rest)), stream, to: side.other)
  }

  func enqueue(_ item: VirtualStream.Item, _ stream: VirtualStream, to side: VirtualStream.Side) {
    var due = now + latency
    if conditions.loss > 0, random.chance(conditions.loss) {
      statistics.segmentsDelayed += 1
      due += Self.retransmission
    }
    due = max(due, stream[side].lastDue)
    stream[side].lastDue = due
    stream[side].queue.append(item)
    queue.push(.arrival(stream, side), at: due)
  }

  /// The owner is done with a stream.
  private func release(_ agent: VirtualAgent, _ id: ConnectionID, _ end: StreamEnd) {
    guard let handle = agent.streams.removeValue(forKey: id) else { return }
    handle.stream[handle.side].state = end == .reset ? .reset : .closed
    if handle.stream.acceptor != nil { enqueue(.end(end), handle.stream, to: handle.side.other) }
  }

  private func resume(_ agent: VirtualAgent, _ id: ConnectionID) {
    guard let handle = agent.streams[id] else { return }
    handle.stream[handle.side].isPaused = false
    let held = handle.stream[handle.side].held
    handle.stream[handle.side].held = 0
    for _ in 0..<held { queue.push(.arrival(handle.stream, handle.side), at: now) }
  }

  // MARK: Receiving

  /// The next item for one side is due. There is one arrival for every item, so each delivers at most one.
  func arrive(_ stream: VirtualStream, _ side: VirtualStream.Side) {
    guard let item = stream[side].next else { return }
    let agent = agents[stream[side].agent]
    if agent.isWithoutPower || isCut(from: stream[side.other].agent, to: agent.number) {
      // Resets are not sent again; everything else is.
      if case .end(.reset) = item { return stream[side].removeNext() }
      return queue.push(.arrival(stream, side), at: stream[side].retransmit(at: now))
    }
    if let retryAt = stream[side].retryAt, retryAt > now { return queue.push(.arrival(stream, side), at: retryAt) }
    stream[side].retryAt = nil
    stream[side].retries = 0
    if stream[side].isPaused { return stream[side].held += 1 }
    stream[side].removeNext()
    let isAlive = agent.isRunning && agent.life == stream[side].life
    switch stream[side].state {
    case .closed where isAlive: return
    case .open where isAlive: hand(item, stream, side, agent)
    case .open, .closed, .reset:
      stream[side].state = .reset
      if case .end = item { return }
      enqueue(.end(.reset), stream, to: side.other)
    }
  }

  private func hand(
    _ item: VirtualStream.Item, _ stream: VirtualStream, _ side: VirtualStream.Side, _ agent: VirtualAgent
  ) {
    guard let id = stream[side].id, agent.streams[id] != nil else { return }
    switch item {
    case .bytes(let bytes):
      handOver(agent, id) { server, client in
        server?.handleReceived(id, bytes.bytes, at: moment(agent), effects: &agent.effects)
        client?.handleReceived(id, bytes.bytes, at: now, effects: &agent.effects)
      }
    case .end(let end):
      agent.streams[id] = nil
      stream[side].state = end == .finished ? .closed : .reset
      // The real shell finishes its side too when the peer has finished.
      if end == .finished, isOpen(stream, side.other) { enqueue(.end(.finished), stream, to: side.other) }
      if side == .dialer { stream.isDialing = false }
      handOver(agent, id) { server, client in
        server?.handleDisconnected(id, end, at: moment(agent), effects: &agent.effects)
        client?.handleDisconnected(id, end, at: now, effects: &agent.effects)
      }
    }
  }
}
