import Base
import State
import Testing
import Wire

@Suite struct DeterminismTests {
  /// Random histories, damaged entries among them: two stores that apply the same log are equal after each entry, and a
  /// store that was restored in between ends equal, too.
  @Test(arguments: 1...12) func equalLogsGiveEqualStates(_ seed: UInt64) throws {
    var random = RandomSource(seed: seed)
    var first = StateStore()
    var second = StateStore()
    for index in UInt64(1)...400 {
      let entry = entry(&random)
      #expect(first.apply(index, entry) == second.apply(index, entry))
      if random.chance(0.02), second.canSnapshot {
        second = try StateStore(snapshot: second.encodedSnapshot(), at: index)
      }
      #expect(first == second, "seed \(seed), entry \(index)")
    }
  }

  func entry(_ random: inout RandomSource) -> [UInt8] {
    let write = WriteRequest(region: "global")
    let number = random.below(20)
    let id = NodeID(high: UInt64(number) << 32, low: UInt64(number))
    let time = WallTime(unixNanoseconds: Int64(random.below(1 << 40)) * 1_000_000)
    var entry: [UInt8]
    switch random.below(10) {
    case 0, 1: entry = registration(id.description, status: random.chance(0.5) ? "ready" : "initializing")
    case 2: entry = StateMessage.heartbeatMissed(nodeID: id, at: time, write: write)
    case 3:
      entry = StateMessage.nodeUpdateStatus(
        nodeID: id, status: "ready", updatedAt: 5, event: nil, write: write)
    case 4:
      entry = StateMessage.nodeUpdateDrain(
        nodeID: id, strategy: random.chance(0.5) ? DrainStrategy(deadline: .zero, ignoreSystemJobs: true) : nil,
        markEligible: random.chance(0.5), updatedAt: 7, event: NodeEvent("d", at: time), write: write)
    case 5: entry = StateMessage.drainsComplete(nodeIDs: [id], at: time, write: write)
    case 6: entry = StateMessage.upsertNodeEvents([id: [NodeEvent("e", at: time)]], write: write)
    case 7: entry = StateMessage.nodeBatchDeregister(nodeIDs: [id], write: write)
    case 8: entry = StateMessage.autopilot(AutopilotConfiguration(), checked: random.chance(0.3), write: write)
    default: entry = StateMessage.scheduler(SchedulerConfiguration(), checked: random.chance(0.3), write: write)
    }
    if random.chance(0.2) { entry[random.below(entry.count)] = UInt8(random.below(256)) }
    if random.chance(0.05) { entry = Array(entry.prefix(random.below(entry.count))) }
    return entry
  }

  @Test func damagedRecordedEntriesNeverTrap() {
    var random = RandomSource(seed: 3)
    for _ in 0..<300 {
      var state = StateStore()
      for (index, data) in Recorded.entries {
        var damaged = data
        if random.chance(0.5) { damaged[random.below(damaged.count)] = UInt8(random.below(256)) }
        state.apply(index, damaged)
      }
      if state.canSnapshot { _ = state.encodedSnapshot() }
      var out: [UInt8] = []
      state.packNodeList(.all, fields: [.resources, .os], QueryMeta(index: 0, knownLeader: true), into: &out)
    }
  }
}
