import Base

/// Which faults a run has, and the schedule that carries them out.
public struct FaultPlan: Hashable, Sendable {
  /// Nothing is done to the agents after this.
  public var until = Interval.seconds(12)
  /// Mean pause between two faults.
  public var pause = Interval.milliseconds(1500)
  public var partitions = true
  public var oneWayPartitions = true
  public var kills = true
  public var powerCuts = true
  /// Chance that an agent dies while a given write of its is under way.
  public var deathsWhileWriting = 0.0

  public init() {}

  public static func drawn(from random: inout RandomSource) -> FaultPlan {
    var plan = FaultPlan()
    plan.until = random.interval(.seconds(2), .seconds(15))
    plan.pause = random.interval(.milliseconds(200), .seconds(4))
    plan.partitions = random.chance(0.7)
    plan.oneWayPartitions = random.chance(0.4)
    plan.kills = random.chance(0.7)
    plan.powerCuts = random.chance(0.4)
    if random.chance(0.5) { plan.deathsWhileWriting = random.fraction() * 0.15 }
    return plan
  }
}

extension FaultPlan: CustomStringConvertible {
  public var description: String {
    var kinds: [String] = []
    if partitions { kinds.append("partitions") }
    if oneWayPartitions { kinds.append("one-way partitions") }
    if kills { kinds.append("kills") }
    if powerCuts { kinds.append("power cuts") }
    if deathsWhileWriting > 0 { kinds.append("\(Int(deathsWhileWriting * 100))% deaths while writing") }
    return "\(kinds.isEmpty ? "none" : kinds.joined(separator: ", ")) every \(pause.milliseconds) ms until "
      + "\(until.seconds) s"
  }
}

extension Simulation {
  /// Schedules the faults of `plan` against `victims`. When it is over, everything is healed, what is dead starts
  /// again, and the network is calm.
  public func inject(_ plan: FaultPlan, against victims: [VirtualAgent]) {
    let end = now + plan.until
    faults = plan
    planFault(plan, victims, until: end)
    at(end) { [self] in
      note("faults are over")
      faults = nil
      heal()
      conditions = conditions.calmed
      for agent in victims where !agent.isRunning && agent.life > 0 { start(agent) }
    }
  }

  private func planFault(_ plan: FaultPlan, _ victims: [VirtualAgent], until end: Instant) {
    after(random.interval(.zero, plan.pause * 2)) { [self] in
      guard now < end else { return }
      fault(plan, victims, until: end)
      planFault(plan, victims, until: end)
    }
  }

  private func fault(_ plan: FaultPlan, _ victims: [VirtualAgent], until end: Instant) {
    let victim = victims[random.below(victims.count)]
    switch random.below(6) {
    case 0 where plan.kills: strike(victim, .kill, until: end)
    case 1 where plan.powerCuts: strike(victim, .power, until: end)
    case 2:
      // The leader is the most interesting victim.
      guard plan.kills, let leader = victims.first(where: { $0.server?.raft.role == .leader }) else { return }
      strike(leader, plan.powerCuts && random.chance(0.5) ? .power : .kill, until: end)
    case 3 where plan.partitions:
      isolate(Set(victims.filter { _ in random.chance(0.5) }.map(\.number)))
    case 4 where plan.oneWayPartitions: isolate([victim.number], oneWay: true)
    default: heal()
    }
  }

  /// A write of the agent is under way and takes this long.
  func noteWrite(_ agent: VirtualAgent, _ time: Interval) {
    guard let plan = faults, plan.deathsWhileWriting > 0, random.chance(plan.deathsWhileWriting) else { return }
    let life = agent.life
    after(random.interval(.zero, time)) { [self] in
      guard agent.life == life, let plan = faults else { return }
      strike(agent, random.chance(0.5) ? .kill : .power, until: now + plan.until)
    }
  }

  private func strike(_ agent: VirtualAgent, _ death: Death, until end: Instant) {
    guard agent.isRunning else { return }
    crash(agent, death)
    let pause = random.chance(0.5) ? random.interval(.zero, .milliseconds(500)) : random.interval(.zero, .seconds(6))
    after(pause) { [self] in
      if now < end, faults != nil { start(agent) }
    }
  }
}
