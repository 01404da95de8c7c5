import Base
import Client
import Server

/// How streams begin.
extension Simulation {
  static let dialRetransmission = Interval.seconds(1)

  func connect(_ agent: VirtualAgent, _ id: ConnectionID, to address: SocketAddress, _ within: Interval) {
    statistics.streams += 1
    nextPort = nextPort == .max ? 30_000 : nextPort + 1
    let stream = VirtualStream(
      from: agent, id, source: SocketAddress(agent.plan.host, port: nextPort), to: address, until: now + within)
    agent.streams[id] = VirtualStream.Handle(stream: stream, side: .dialer)
    queue.push(.dial(stream), at: now + latency)
  }

  /// The first packet of a dial is at its target, or would be.
  func dial(_ stream: VirtualStream) {
    guard isOpen(stream, .dialer), stream.isDialing else { return }
    guard now < stream.dialUntil else { return finishDial(stream, .timedOut) }
    guard let target = agentsByHost[stream.target.host], !isSilent(target, to: stream) else {
      let pause = Self.dialRetransmission * (1 << min(stream.dialAttempts, 5))
      stream.dialAttempts += 1
      return queue.push(.dial(stream), at: min(now + pause, stream.dialUntil))
    }
    let isGossip = stream.target.port == AgentPlan.gossipPort
    let isListening = target.isServing && (isGossip || stream.target.port == AgentPlan.rpcPort)
    let answerAt = now + latency
    queue.push(.dialEnded(stream, isListening ? nil : .refused), at: answerAt)
    guard isListening else { return }
    let id = target.effects.outbox.makeConnectionID()
    stream.acceptor = VirtualStream.Endpoint(agent: target.number, life: target.life, id: id)
    stream.dialer.lastDue = answerAt
    target.streams[id] = VirtualStream.Handle(stream: stream, side: .acceptor)
    target.server?.handleAccepted(
      id, from: stream.source, on: isGossip ? .gossip : .rpc, at: moment(target), effects: &target.effects)
    endTurn(target)
  }

  private func isSilent(_ target: VirtualAgent, to stream: VirtualStream) -> Bool {
    target.isWithoutPower || isCut(from: stream.dialer.agent, to: target.number)
      || isCut(from: target.number, to: stream.dialer.agent) || random.chance(conditions.loss)
  }

  /// `end` nil: the stream stands.
  func finishDial(_ stream: VirtualStream, _ end: StreamEnd?) {
    guard stream.isDialing else { return }
    stream.isDialing = false
    guard isOpen(stream, .dialer), let id = stream.dialer.id else { return }
    let agent = agents[stream.dialer.agent]
    guard let end else {
      let early = stream.early
      stream.early = []
      for item in early { send(item, from: VirtualStream.Handle(stream: stream, side: .dialer)) }
      return handOver(agent, id) { server, client in
        server?.handleConnected(id, at: moment(agent), effects: &agent.effects)
        client?.handleConnected(id, at: now, effects: &agent.effects)
      }
    }
    stream.dialer.state = .closed
    agent.streams[id] = nil
    handOver(agent, id) { server, client in
      server?.handleDisconnected(id, end, at: moment(agent), effects: &agent.effects)
      client?.handleDisconnected(id, end, at: now, effects: &agent.effects)
    }
  }

  /// The end is still in use by the life that opened it.
  func isOpen(_ stream: VirtualStream, _ side: VirtualStream.Side) -> Bool {
    let end = stream[side]
    guard case .open = end.state else { return false }
    return agents[end.agent].isRunning && agents[end.agent].life == end.life
  }

  /// Calls the machine of the agent that owns the stream, then carries out what follows.
  func handOver(
    _ agent: VirtualAgent, _ id: ConnectionID, _ body: (inout ServerMachine?, inout ClientMachine?) -> Void
  ) {
    // The machine is taken out, so that it is changed in place and the other one is not asked.
    var server: ServerMachine?
    var client: ClientMachine?
    let isOfClient = agent.client?.owns(id) ?? false
    if isOfClient { swap(&client, &agent.client) } else { swap(&server, &agent.server) }
    body(&server, &client)
    if isOfClient { swap(&client, &agent.client) } else { swap(&server, &agent.server) }
    endTurn(agent)
  }
}
