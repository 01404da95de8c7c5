import Base
import Client
import Raft
import Server
import State
import Wire

/// How agents begin and end, and what the world does to them.
extension Simulation {
  /// How a process ends.
  public enum Death: Sendable {
    /// The kernel lives on and tells peers.
    case kill
    /// Nobody tells anybody.
    case power
  }

  public func start(_ agent: VirtualAgent) {
    guard !agent.isRunning else { return }
    agent.life += 1
    agent.isRunning = true
    agent.isWithoutPower = false
    agent.fatal = nil
    agent.hasLeft = nil
    agent.wakeAt = nil
    agent.answers = [:]
    agent.joinAnswers = [:]
    agent.effects = Effects(seed: random.next(), minimumLogLevel: trace == nil ? .error : .debug)
    note("\(agent.plan.name) starts at \(agent.plan.host), id \(agent.serverID)")
    if let plan = agent.plan.server, !startServer(agent, plan) { return }
    if let plan = agent.plan.client, let state = agent.disk.client {
      agent.client = ClientMachine(
        configuration: agent.plan.clientConfiguration(plan, state), restoring: state, at: now, effects: &agent.effects)
      agent.client?.handleTimeout(at: now, effects: &agent.effects)
    }
    checker.started(agent)
    endTurn(agent)
  }

  private func startServer(_ agent: VirtualAgent, _ plan: AgentPlan.ServerPlan) -> Bool {
    let restored: ServerRestoredState
    do throws(VirtualDisk.Damage) { restored = try agent.disk.restored() } catch {
      checker.violation("\(agent.plan.name) cannot read its own disk: \(error)")
      return false
    }
    do throws(RaftError) {
      agent.server = try ServerMachine(
        configuration: agent.plan.serverConfiguration(plan, id: agent.serverID, restored),
        restoring: restored, reader: agent.disk, at: moment(agent), effects: &agent.effects)
      return true
    } catch {
      checker.violation("\(agent.plan.name) cannot restart from its own disk: \(error.text)")
      return false
    }
  }

  /// The process dies: what its disk had not finished is lost or not.
  public func crash(_ agent: VirtualAgent, _ death: Death = .kill) {
    guard agent.isRunning else { return }
    note("\(agent.plan.name) \(death == .kill ? "is killed" : "loses power")")
    if death == .kill { statistics.kills += 1 } else { statistics.powerCuts += 1 }
    statistics.writesLost += agent.disk.crash(power: death == .power, random: &random)
    agent.isWithoutPower = death == .power
    end(agent, endOf: death == .kill ? (random.chance(0.5) ? .finished : .reset) : nil)
  }

  /// The power is back, but the agent is not started: peers are refused.
  public func restorePower(_ agent: VirtualAgent) { agent.isWithoutPower = false }

  /// The process ends by itself: its work on the disk is finished before.
  func stop(_ agent: VirtualAgent) {
    note("\(agent.plan.name) stops")
    _ = agent.disk.completeRaft()
    while !agent.disk.bootstrapInFlight.isEmpty { agent.disk.completeBootstrap() }
    end(agent, endOf: .finished)
  }

  /// `endOf`: what the peers of its streams see, if anything.
  private func end(_ agent: VirtualAgent, endOf streams: StreamEnd?) {
    agent.isRunning = false
    agent.server = nil
    agent.client = nil
    agent.wakeAt = nil
    agent.effects.outbox.removeAll()
    for (_, handle) in agent.streams.sorted(by: { $0.key < $1.key }) {
      handle.stream[handle.side].state = .reset
      if let end = streams, handle.stream.acceptor != nil { enqueue(.end(end), handle.stream, to: handle.side.other) }
    }
    agent.streams = [:]
  }

  /// Asks the agent to leave the cluster and end.
  public func leave(_ agent: VirtualAgent) {
    guard agent.isRunning else { return }
    note("\(agent.plan.name) is told to leave")
    agent.client?.stop(at: now, effects: &agent.effects)
    guard agent.server != nil else { return stop(agent) }
    agent.server?.leave(at: moment(agent), effects: &agent.effects)
    endTurn(agent)
  }

  // MARK: What an operator does to machines

  /// The agent starts next time at another address. Precondition: it does not run, and nobody has the address.
  public func move(_ agent: VirtualAgent, to host: IPAddress, joining addresses: [SocketAddress]? = nil) {
    precondition(!agent.isRunning && agentsByHost[host] == nil)
    note("\(agent.plan.name) moves from \(agent.plan.host) to \(host)")
    agentsByHost[agent.plan.host] = nil
    agent.plan.host = host
    if let addresses { agent.plan.server?.join = addresses }
    agentsByHost[host] = agent
  }

  /// Its disk is another one, empty. Precondition: it does not run.
  public func wipe(_ agent: VirtualAgent) {
    precondition(!agent.isRunning)
    note("\(agent.plan.name) loses its disk")
    agent.serverID = random.uuid()
    agent.disk.wipe()
  }

  /// The agent gets the identity of another, as when its data directory was copied.
  public func copyIdentity(of original: VirtualAgent, to copy: VirtualAgent) {
    copy.serverID = original.serverID
    copy.disk.client = original.disk.client
  }

  /// Installs the system of a machine anew: what its disk says of it from now on. Precondition: it does not run.
  public func nameMachine(of agent: VirtualAgent, _ id: String) { agent.plan.machineID = id }

  /// The civil clock of the machine jumps by so much, now.
  public func jumpClock(of agent: VirtualAgent, by jump: Interval) {
    note("the clock of \(agent.plan.name) jumps by \(jump.seconds) s")
    agent.clockSkew = agent.clockSkew + jump
  }

  /// Which regions the server shares a pool with, from its next start on.
  public func federate(_ agent: VirtualAgent, with regions: [String]) { agent.plan.server?.federation = regions }

  /// Precondition: it was never started.
  public func makeWitness(_ agent: VirtualAgent) { agent.plan.server?.isWitness = true }

  /// Puts a server into a redundancy zone. Precondition: it was never started.
  public func place(_ agent: VirtualAgent, inZone zone: String) { agent.plan.server?.zone = zone }

  // MARK: Commands of an operator

  /// `nomad server join`; the answer appears in `joinAnswers`.
  public func join(_ agent: VirtualAgent, to addresses: [SocketAddress]) -> LocalCallID {
    let id = nextCall(agent)
    note("\(agent.plan.name) is told to join \(addresses)")
    agent.server?.join(id, addresses, at: moment(agent), effects: &agent.effects)
    endTurn(agent)
    return id
  }

  /// `nomad server detach`; false: refused.
  public func detach(_ agent: VirtualAgent, from region: String, undo: Bool = false) -> Bool {
    note("\(agent.plan.name) is \(undo ? "attached to" : "detached from") \(region)")
    let isSent = agent.server?.detach(region, undo: undo, at: moment(agent), effects: &agent.effects) ?? false
    endTurn(agent)
    return isSent
  }

  /// A request of the HTTP API to the agent's own server; the answer appears in `answers`.
  public func call(_ agent: VirtualAgent, _ method: RPCMethod, _ body: (inout [UInt8]) -> Void) -> LocalCallID {
    let id = nextCall(agent)
    var bytes: [UInt8] = []
    body(&bytes)
    agent.server?.call(id, method.rawValue, bytes, at: moment(agent), effects: &agent.effects)
    endTurn(agent)
    return id
  }

  private func nextCall(_ agent: VirtualAgent) -> LocalCallID {
    defer { agent.nextCall += 1 }
    return LocalCallID(number: agent.nextCall)
  }

  // MARK: The network breaks

  /// Nothing passes between the two sides. `oneWay`: only what `inside` sends is lost.
  public func isolate(_ inside: Set<Int>, oneWay: Bool = false) {
    note("cut \(inside.sorted())\(oneWay ? ", one way" : "") from the others")
    statistics.partitions += 1
    for agent in agents where !inside.contains(agent.number) {
      for other in inside {
        cuts.insert(Cut(from: other, to: agent.number))
        if !oneWay { cuts.insert(Cut(from: agent.number, to: other)) }
      }
    }
  }

  public func heal() {
    guard !cuts.isEmpty else { return }
    note("all cuts healed")
    cuts = []
  }
}
