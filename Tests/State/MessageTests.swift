import Base
import State
import Testing
import Wire

/// Golden bytes of the entries that a leader makes itself.
@Suite struct MessageTests {
  static let time = WallTime(unixNanoseconds: 1_795_354_513_000_000_000)

  @Test func autopilotEntryIsByteExact() {
    #expect(StateMessage.autopilot(AutopilotConfiguration(), checked: false, write: WriteRequest()) == Recorded.autopilot)
  }

  @Test func autopilotConfigurationIsByteExact() {
    var out: [UInt8] = []
    AutopilotConfiguration().pack(into: &out)
    #expect(
      out
        == bytes(
          """
          8ab2436c65616e75704465616453657276657273c3ab437265617465496e64657800b744697361626c65557067726164654d69677261
          74696f6ec2b4456e61626c65437573746f6d5570677261646573c2b5456e61626c65526564756e64616e63795a6f6e6573c2b44c61
          7374436f6e746163745468726573686f6c64d20bebc200af4d6178547261696c696e674c6f6773ccfaa94d696e51756f72756d00ab
          4d6f64696679496e64657800b753657276657253746162696c697a6174696f6e54696d65d300000002540be400
          """))
  }

  @Test func schedulerEntryIsByteExact() {
    #expect(StateMessage.scheduler(SchedulerConfiguration(), checked: false, write: WriteRequest()) == Recorded.scheduler)
  }

  @Test func clusterMetadataEntryIsByteExact() {
    let metadata = ClusterMetadata(
      clusterID: "b9fc9b4a-1eb4-5714-fb05-2d7217c44bab", createTime: 1_795_354_421_458_009_280)
    #expect(StateMessage.clusterMetadata(metadata) == Recorded.cluster)
  }

  @Test func statusEntryIsByteExact() throws {
    var write = WriteRequest(region: "global")
    write.forwarded = true
    let entry = StateMessage.nodeUpdateStatus(
      nodeID: try NodeID(Recorded.nodeID), status: "ready", updatedAt: 1_795_354_422, event: nil, write: write)
    #expect(entry == Recorded.ready)
  }

  @Test(arguments: [
    (1, "missedHeartbeat", Recorded.heartbeatMissed), (2, "drainComplete", Recorded.drainComplete),
    (3, "ineligible", Recorded.ineligible), (4, "drain", Recorded.drain),
  ])
  func entriesHaveTheRecordedFields(_ kind: Int, _ name: String, _ recorded: [UInt8]) throws {
    let id = try NodeID(Recorded.nodeID)
    var write = WriteRequest(region: "global")
    let entry: [UInt8]
    switch kind {
    case 1: entry = StateMessage.heartbeatMissed(nodeID: id, at: Self.time, write: write)
    case 2: entry = StateMessage.drainsComplete(nodeIDs: [id], at: Self.time, write: write)
    case 3:
      write.forwarded = true
      entry = StateMessage.nodeUpdateEligibility(
        nodeID: id, eligibility: "ineligible", updatedAt: 1, event: NodeEvent("x", at: Self.time), write: write)
    default:
      entry = StateMessage.nodeUpdateDrain(
        nodeID: id, strategy: DrainStrategy(deadline: .hours(1), ignoreSystemJobs: false), markEligible: true,
        updatedAt: 1, event: NodeEvent("x", at: Self.time), write: write)
    }
    #expect(entry[0] == recorded[0])
    #expect(try shape(Value(Array(entry.dropFirst()))) == shape(Value(Array(recorded.dropFirst()))), "\(name)")
  }

  /// Keys only, at every depth.
  func shape(_ value: Value) -> Value {
    switch value {
    case .map(let map): .map(map.mapValues { shape($0) })
    case .list(let items): .list(items.map { shape($0) })
    case .null, .bool, .number, .large, .text: .null
    }
  }

  @Test func orderOfKeysIsSorted() throws {
    let id = try NodeID(Recorded.nodeID)
    var write = WriteRequest(region: "global")
    write.idempotencyToken = "t"
    let event = NodeEvent("x", at: Self.time)
    let strategy = DrainStrategy(deadline: .zero, ignoreSystemJobs: true)
    for entry in [
      StateMessage.nodeRegister(node: encodedNode(id: Recorded.nodeID).bytes, write: write),
      StateMessage.nodeDeregister(nodeID: id, write: write),
      StateMessage.nodeBatchDeregister(nodeIDs: [id], write: write),
      StateMessage.nodeUpdateStatus(nodeID: id, status: "down", updatedAt: 1, event: event, write: write),
      StateMessage.nodeUpdateEligibility(nodeID: id, eligibility: "eligible", updatedAt: 1, event: event, write: write),
      StateMessage.nodeUpdateDrain(
        nodeID: id, strategy: strategy, markEligible: false, updatedAt: 1, event: event, write: write),
      StateMessage.drainsComplete(nodeIDs: [id], at: Self.time, write: write),
      StateMessage.upsertNodeEvents([id: [event]], write: write),
      StateMessage.autopilot(AutopilotConfiguration(), checked: true, write: write),
      StateMessage.scheduler(SchedulerConfiguration(), checked: true, write: write),
    ] {
      var reader = MessagePackReader(entry.bytes, at: 1)
      var keys: [String] = []
      for _ in 0..<(try reader.readMapHeader()) {
        keys.append(try reader.readString())
        try reader.skip()
      }
      let remaining = reader.remaining
      #expect(remaining == 0)
      #expect(keys == keys.sorted())
    }
  }
}
