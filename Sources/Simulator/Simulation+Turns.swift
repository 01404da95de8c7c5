import Base
import Client
import Raft
import Server
import Wire

/// Drives the machines of one agent exactly as the shell of a real one does: an event, then everything that follows
/// from it, then the disk, the network and the next deadline.
extension Simulation {
  func wake(_ agent: VirtualAgent, _ life: Int) {
    guard agent.isRunning, agent.life == life, agent.wakeAt.map({ $0 <= now }) ?? false else { return }
    agent.wakeAt = nil
    agent.wakesAtOnce = agent.lastWake == now ? agent.wakesAtOnce + 1 : 0
    agent.lastWake = now
    if agent.wakesAtOnce > Self.wakesInARowMax {
      return checker.violation("\(agent.plan.name) asks for a deadline again and again that has passed")
    }
    let moment = moment(agent)
    if agent.server?.deadline.map({ $0 <= now }) ?? false {
      agent.server?.handleTimeout(at: moment, effects: &agent.effects)
    }
    if agent.client?.deadline.map({ $0 <= now }) ?? false {
      agent.client?.handleTimeout(at: now, effects: &agent.effects)
    }
    endTurn(agent)
  }

  func endTurn(_ agent: VirtualAgent) {
    repeat {
      drainServer(agent)
      drainClient(agent)
    } while !(agent.server?.events.isEmpty ?? true)
    startDiskWork(agent)
    perform(agent)
    printLog(agent)
    checker.observe(agent, at: now)
    if agent.fatal != nil || agent.hasLeft != nil { return stop(agent) }
    arm(agent)
  }

  private func arm(_ agent: VirtualAgent) {
    guard let deadline = earliest(agent.server?.deadline, agent.client?.deadline) else { return }
    let due = max(deadline, now) + random.interval(.zero, Self.timerSlack)
    if let planned = agent.wakeAt, planned <= due { return }
    agent.wakeAt = due
    queue.push(.wake(agent, life: agent.life), at: due)
  }

  private func printLog(_ agent: VirtualAgent) {
    guard let trace else { return agent.effects.log.drain { _ in } }
    let time = Self.text(now)
    agent.effects.log.drain { line in
      let fields = line.fields.map { " \($0.key)=\($0.value)" }.joined()
      trace("\(time) \(agent.plan.name) [\(line.level)] \(line.module): \(line.message)\(fields)")
    }
  }

  // MARK: What the machines want done

  private func drainServer(_ agent: VirtualAgent) {
    while let events = agent.server?.events, !events.isEmpty {
      agent.server?.events.removeAll(keepingCapacity: true)
      for event in events { carryOut(event, agent) }
    }
  }

  private func carryOut(_ event: ServerEvent, _ agent: VirtualAgent) {
    switch event {
    case .persistBootstrap(let record):
      agent.disk.write(record)
      if agent.disk.bootstrapInFlight.count == 1 { planBootstrapWrite(agent) }
    case .gossipSnapshotLine(let line):
      if agent.disk.appendGossip(line), let content = agent.server?.membership.snapshotContent {
        agent.disk.compactGossip(content)
      }
    case .resolveJoinEntries:
      queue.push(.resolved(agent, life: agent.life), at: now + random.interval(.zero, .milliseconds(3)))
    case .answered(let id, let result): agent.answers[id] = result
    case .joinCommandFinished(let id, let joined, let failures): agent.joinAnswers[id] = (joined, failures)
    case .encodeState(let state, let index):
      agent.server?.stateEncoded(state.encodedSnapshot(), at: index, now: moment(agent), effects: &agent.effects)
    case .fatal(let sentence):
      if agent.fatal == nil { agent.fatal = sentence }
      note("\(agent.plan.name) ends: \(sentence)")
    case .left(let clean):
      agent.hasLeft = clean
      note("\(agent.plan.name) has left, clean: \(clean)")
    case .status(let text): note("\(agent.plan.name) status: \(text)")
    // No scenario has gossip keys, and none reads the recovery file.
    case .keyringCommandFinished, .keyringChanged, .configurationCommitted: break
    // Nor does one open streams: archives are made by the shell.
    case .streamBytes, .streamEnded, .packSnapshot, .unpackSnapshot, .monitorStarted, .monitorEnded: break
    case .leadership(let leads): note("\(agent.plan.name) \(leads ? "leads" : "leads no more")")
    case .leaderChanged(let leader): note("\(agent.plan.name) knows leader \(leader ?? "none")")
    }
  }

  private func drainClient(_ agent: VirtualAgent) {
    guard let events = agent.client?.takeEvents() else { return }
    for event in events {
      switch event {
      case .registered: note("\(agent.plan.name) is registered")
      case .serversChanged(let list):
        agent.disk.client = agent.client?.persisted
        note("\(agent.plan.name) knows servers \(list)")
      case .identityWanted:
        agent.client?.adopt(
          nodeID: random.uuid(), secretID: random.uuid(), at: now, effects: &agent.effects)
        drainClient(agent)
      case .identityChanged:
        agent.disk.client = agent.client?.persisted
        note("\(agent.plan.name) has a new identity")
      case .resolve(let names):
        for name in names {
          let known = agents.first { $0.plan.name == name }.map { [$0.plan.rpcAddress] } ?? []
          after(random.interval(.zero, .milliseconds(3))) { [self] in
            guard agent.isRunning else { return }
            agent.client?.handleResolved(name, known, at: now, effects: &agent.effects)
            endTurn(agent)
          }
        }
      case .statisticsRequested(let request):
        agent.client?.answer(request, at: now, effects: &agent.effects) {
          $0.packMapHeader(1)
          $0.pack("HostStats" as StaticString)
          $0.pack(agent.plan.name)
        }
      case .connectedTo, .answered: break
      case .streamBytes, .streamEnded, .monitorStarted, .monitorEnded: break
      }
    }
  }

  // MARK: Disk

  private func startDiskWork(_ agent: VirtualAgent) {
    guard agent.disk.raftInFlight.isEmpty, agent.server?.hasStorage ?? false,
      let directives = agent.server?.takeStorage()
    else { return }
    agent.disk.start(directives)
    queue.push(.raftWritten(agent, life: agent.life), at: now + writeTime(agent))
  }

  func raftWritten(_ agent: VirtualAgent, _ life: Int) {
    guard agent.isRunning, agent.life == life else { return }
    for directive in agent.disk.completeRaft() {
      agent.server?.storageCompleted(directive.ticket, .done, at: moment(agent), effects: &agent.effects)
    }
    if let misuse = agent.disk.misuse { return checker.violation("\(agent.plan.name) \(misuse)") }
    endTurn(agent)
  }

  private func planBootstrapWrite(_ agent: VirtualAgent) {
    queue.push(.bootstrapWritten(agent, life: agent.life), at: now + writeTime(agent))
  }

  func bootstrapWritten(_ agent: VirtualAgent, _ life: Int) {
    guard agent.isRunning, agent.life == life else { return }
    agent.disk.completeBootstrap()
    agent.server?.bootstrapPersisted(at: moment(agent), effects: &agent.effects)
    if !agent.disk.bootstrapInFlight.isEmpty { planBootstrapWrite(agent) }
    endTurn(agent)
  }

  private func writeTime(_ agent: VirtualAgent) -> Interval {
    let time = random.interval(agent.diskLatency.0, agent.diskLatency.1)
    noteWrite(agent, time)
    return time
  }
}
