import Base
import Client
import Server

/// Whole agents under one virtual clock, on a virtual network with virtual disks. Everything that is not decided by a
/// machine is drawn from one seed, so a seed repeats a run exactly.
///
/// Calling order: `add` agents, plan their life with `start`, `at` and the fault methods, then `run`. The checker
/// watches after every event; the run stops at its first violation.
public final class Simulation {
  enum Happening {
    case wake(VirtualAgent, life: Int)
    case raftWritten(VirtualAgent, life: Int)
    case bootstrapWritten(VirtualAgent, life: Int)
    case resolved(VirtualAgent, life: Int)
    case datagram(to: SocketAddress, from: SocketAddress, [UInt8])
    case dial(VirtualStream)
    case dialEnded(VirtualStream, StreamEnd?)
    case arrival(VirtualStream, VirtualStream.Side)
    case action(() -> Void)
  }

  public internal(set) var now = Instant.start
  public var random: RandomSource
  public private(set) var agents: [VirtualAgent] = []
  public var conditions = NetworkConditions.calm
  public var checker = Checker()
  public internal(set) var statistics = SimulationStatistics()
  /// Takes every log line of the agents and every deed of the simulator; nil: not wanted.
  public var trace: ((String) -> Void)?

  var queue = EventQueue<Happening>()
  var agentsByHost: [IPAddress: VirtualAgent] = [:]
  /// Directed pairs that nothing passes between.
  var cuts: Set<Cut> = []
  var nextPort: UInt16 = 30_000
  /// The faults that are being injected.
  var faults: FaultPlan?

  /// What a timer may be late.
  static let timerSlack = Interval.microseconds(300)
  /// More wakes than this at one instant mean that a machine asks for a deadline that it does not clear.
  static let wakesInARowMax = 100
  /// 2026-01-01T00:00:00Z
  static let epoch: Int64 = 1_767_225_600_000_000_000

  public init(seed: UInt64) { random = RandomSource(seed: seed) }

  /// Precondition: no other agent has the host.
  @discardableResult
  public func add(_ plan: AgentPlan) -> VirtualAgent {
    let agent = VirtualAgent(number: agents.count, plan: plan, random: &random)
    agent.clockSkew = random.interval(.milliseconds(-2000), .milliseconds(2000))
    agents.append(agent)
    precondition(agentsByHost.updateValue(agent, forKey: plan.host) == nil, "one agent per host")
    return agent
  }

  // MARK: Time

  public func at(_ time: Instant, _ body: @escaping () -> Void) { queue.push(.action(body), at: max(time, now)) }

  public func after(_ interval: Interval, _ body: @escaping () -> Void) { at(now + interval, body) }

  public func run(until end: Instant) {
    let begin = now
    while checker.violations.isEmpty, let time = queue.nextTime, time <= end, let happening = queue.pop() {
      now = max(now, time)
      statistics.events += 1
      handle(happening)
    }
    if checker.violations.isEmpty { now = max(now, end) }
    statistics.virtualTime = statistics.virtualTime + (now - begin)
  }

  /// Runs until the condition holds, looked at every `step`; false when it does not hold within `limit`, or when
  /// something was violated.
  public func run(
    for limit: Interval, step: Interval = .milliseconds(20), until condition: () -> Bool
  ) -> Bool {
    let end = now + limit
    while !condition() {
      guard now < end, checker.violations.isEmpty else { return false }
      run(until: min(end, now + step))
    }
    return checker.violations.isEmpty
  }

  func moment(_ agent: VirtualAgent) -> Moment {
    Moment(
      instant: now,
      wall: WallTime(unixNanoseconds: Self.epoch &+ now.nanoseconds &+ agent.clockSkew.nanoseconds))
  }

  private func handle(_ happening: Happening) {
    switch happening {
    case .wake(let agent, let life): wake(agent, life)
    case .raftWritten(let agent, let life): raftWritten(agent, life)
    case .bootstrapWritten(let agent, let life): bootstrapWritten(agent, life)
    case .resolved(let agent, let life):
      guard agent.isRunning, agent.life == life, let plan = agent.plan.server else { return }
      agent.server?.joinAddressesResolved(plan.join, at: moment(agent), effects: &agent.effects)
      endTurn(agent)
    case .datagram(let to, let from, let bytes): deliver(bytes, to: to, from: from)
    case .dial(let stream): dial(stream)
    case .dialEnded(let stream, let end): finishDial(stream, end)
    case .arrival(let stream, let side): arrive(stream, side)
    case .action(let body): body()
    }
  }

  func note(_ text: @autoclosure () -> String) {
    guard let trace else { return }
    trace("\(Self.text(now)) ----- \(text())")
  }

  /// Seconds since the start of the run.
  static func text(_ instant: Instant) -> String {
    let micros = instant.nanoseconds / 1000
    let fraction = String(micros % 1_000_000)
    return "\(micros / 1_000_000)." + String(repeating: "0", count: 6 - fraction.count) + fraction
  }
}
