import Base
import State
import Testing
import Wire

/// What the messages about nodes do to a record.
@Suite struct NodeRulesTests {
  static let a = "aaaaaaaa-0000-0000-0000-000000000001"
  static let b = "BBBBBBBB-0000-0000-0000-000000000002"
  static let write = WriteRequest(region: "global")
  static let time = WallTime(unixNanoseconds: 2_000_000_000_000_000_000)

  func node(_ state: StateStore, _ id: String = a) throws -> Node { try #require(state.node(NodeID(id))) }

  func messages(_ state: StateStore, _ id: String = a) throws -> [String] {
    try state.value(ofNode: id)["Events"]?.items.compactMap { $0["Message"]?.string } ?? []
  }

  @Test func firstRegistrationCreatesTheRecord() throws {
    var state = StateStore()
    #expect(state.apply(7, registration(Self.a)) == .done)
    let node = try node(state)
    #expect(node.createIndex == 7 && node.modifyIndex == 7)
    #expect(node.status == "ready" && node.name == "n1" && node.datacenter == "dc1" && node.version == "1.1.2")
    #expect(node.address == "127.0.0.1")
    #expect(state.nodesIndex == 7)
    #expect(state.index(ofTable: "csi_plugins") == 7)
    #expect(try messages(state) == ["Node registered"])
    #expect(try state.value(ofNode: Self.a)["Events"]?.items[0]["CreateIndex"]?.number == 0)
  }

  @Test func laterRegistrationKeepsWhatTheStoreOwns() throws {
    var state = StateStore()
    let id = try NodeID(Self.a)
    state.apply(7, registration(Self.a))
    state.apply(
      8,
      StateMessage.nodeUpdateDrain(
        nodeID: id, strategy: DrainStrategy(deadline: .hours(1), ignoreSystemJobs: true), markEligible: false,
        updatedAt: 50, event: NodeEvent(NodeEvent.drainSet, subsystem: NodeEvent.drain, at: Self.time),
        write: Self.write))
    let before = try state.value(ofNode: Self.a)
    state.apply(9, StateMessage.nodeRegister(node: encodedNode(id: Self.a, name: "renamed").bytes, write: Self.write))
    let after = try state.value(ofNode: Self.a)
    for field in ["CreateIndex", "Events", "SchedulingEligibility", "DrainStrategy", "LastDrain"] {
      #expect(after[field] == before[field], "\(field)")
    }
    #expect(after["Name"]?.string == "renamed")
    #expect(after["ModifyIndex"] == .number(9))
    #expect(try messages(state) == ["Node registered", "Node drain strategy set"])
  }

  @Test func returnFromDownIsAnEvent() throws {
    var state = StateStore()
    state.apply(1, registration(Self.a))
    state.apply(2, StateMessage.heartbeatMissed(nodeID: try NodeID(Self.a), at: Self.time, write: Self.write))
    #expect(try node(state).status == "down")
    #expect(try node(state).statusUpdatedAt == Self.time.unixSeconds)
    state.apply(3, registration(Self.a, status: "down"))
    #expect(try messages(state) == ["Node registered", "Node heartbeat missed"])
    state.apply(4, registration(Self.a))
    #expect(try messages(state) == ["Node registered", "Node heartbeat missed", "Node re-registered"])
  }

  @Test func unknownFieldsSurviveEverything() throws {
    var state = StateStore()
    let encoded = encodedNode(
      id: Self.a,
      more: { out in
        out.pack("FutureField")
        out.packMapHeader(1)
        out.pack("Nested")
        out.packArrayHeader(2)
        out.pack(unsigned: 300)
        out.packNil()
        out.pack("LastAllocUpdateIndex")
        out.pack(unsigned: 77)
        out.pack("NodePool")
        out.pack("gpu")
      }, moreCount: 3)
    state.apply(1, StateMessage.nodeRegister(node: encoded.bytes, write: Self.write))
    state.apply(2, registration(Self.a))  // A client that was downgraded no longer sends the fields.
    #expect(try state.value(ofNode: Self.a)["FutureField"] == nil)
    #expect(try state.value(ofNode: Self.a)["LastAllocUpdateIndex"] == .number(77))
    state.apply(3, StateMessage.nodeRegister(node: encoded.bytes, write: Self.write))
    state.apply(4, StateMessage.heartbeatMissed(nodeID: try NodeID(Self.a), at: Self.time, write: Self.write))
    let restored = try StateStore(snapshot: state.encodedSnapshot(), at: 4)
    let value = try restored.value(ofNode: Self.a)
    #expect(value["FutureField"] == .map(["Nested": .list([.number(300), .null])]))
    #expect(try node(restored).nodePool == "gpu")
  }

  @Test func onlyTheLastTenEventsStay() throws {
    var state = StateStore()
    let id = try NodeID(Self.a)
    state.apply(1, registration(Self.a))
    for number in 0..<25 {
      state.apply(
        UInt64(10 + number),
        StateMessage.upsertNodeEvents([id: [NodeEvent("event \(number)", at: Self.time)]], write: Self.write))
    }
    #expect(try messages(state) == (15..<25).map { "event \($0)" })
    #expect(try node(state).modifyIndex == 34)
    #expect(try state.value(ofNode: Self.a)["Events"]?.items.map { $0["CreateIndex"]?.number } == (25...34).map { $0 })
  }

  @Test func eventsForUnknownNodesAreIgnored() throws {
    var state = StateStore()
    let event = NodeEvent("x", at: Self.time)
    #expect(state.apply(1, StateMessage.upsertNodeEvents([try NodeID(Self.a): [event]], write: Self.write)) == .done)
    #expect(state.nodeCount == 0)
  }

  @Test func drainMovesThroughItsStates() throws {
    var state = StateStore()
    let id = try NodeID(Self.a)
    let strategy = DrainStrategy(deadline: .zero, ignoreSystemJobs: false)
    func lastDrain() throws -> [String?] {
      let record = try state.value(ofNode: Self.a)["LastDrain"]
      return [
        record?["Status"]?.string, try record?["StartedAt"].map { "\(try seconds($0))" },
        try record?["UpdatedAt"].map { "\(try seconds($0))" },
      ]
    }
    func drain(_ index: UInt64, _ strategy: DrainStrategy?, mark: Bool, at seconds: Int64) {
      let result = state.apply(
        index,
        StateMessage.nodeUpdateDrain(
          nodeID: id, strategy: strategy, markEligible: mark, updatedAt: seconds, event: nil, write: Self.write))
      #expect(result == .done)
    }
    state.apply(1, registration(Self.a))
    drain(2, strategy, mark: false, at: 100)
    #expect(try lastDrain() == ["draining", "100", "100"])
    #expect(try node(state).eligibility == "ineligible")
    drain(3, strategy, mark: true, at: 110)
    #expect(try lastDrain() == ["draining", "100", "110"])
    #expect(try node(state).eligibility == "ineligible")
    #expect(
      state.apply(
        4,
        StateMessage.nodeUpdateEligibility(
          nodeID: id, eligibility: "eligible", updatedAt: 1, event: nil, write: Self.write))
        == .failed(.eligibleWhileDraining))
    drain(5, nil, mark: false, at: 120)
    #expect(try lastDrain() == ["canceled", "100", "120"])
    #expect(try node(state).eligibility == "ineligible")
    drain(6, nil, mark: true, at: 130)
    #expect(try lastDrain() == ["canceled", "100", "120"])
    #expect(try node(state).eligibility == "eligible")
    drain(7, strategy, mark: false, at: 140)
    #expect(try lastDrain() == ["draining", "140", "140"])
    #expect(state.apply(8, StateMessage.drainsComplete(nodeIDs: [id], at: Self.time, write: Self.write)) == .done)
    #expect(try lastDrain() == ["complete", "140", "2000000000"])
    #expect(try node(state).eligibility == "ineligible")
  }

  func seconds(_ value: Value) throws -> Int64 {
    guard case .text(let bytes) = value else { throw WireError.typeMismatch }
    var packed: [UInt8] = []
    packed.pack(raw: bytes)
    var reader = MessagePackReader(packed.bytes)
    return try reader.readGoTime().unixSeconds
  }

  @Test func deregistrationIsAllOrNothing() throws {
    var state = StateStore()
    let a = try NodeID(Self.a)
    let b = try NodeID(Self.b)
    state.apply(1, registration(Self.a))
    state.apply(2, registration(Self.b))
    #expect(state.nodeCount == 2)
    let c = NodeID(high: 1, low: 1)
    #expect(
      state.apply(3, StateMessage.nodeBatchDeregister(nodeIDs: [a, c], write: Self.write)) == .failed(.nodeNotFound))
    #expect(state.nodeCount == 2 && state.nodesIndex == 2)
    let empty = StateMessage.nodeBatchDeregister(nodeIDs: [], write: Self.write)
    #expect(state.apply(4, empty) == .failed(.missingNodeIDs))
    #expect(state.apply(5, StateMessage.nodeDeregister(nodeID: b, write: Self.write)) == .done)
    #expect(state.apply(6, StateMessage.nodeBatchDeregister(nodeIDs: [a], write: Self.write)) == .done)
    #expect(state.nodeCount == 0 && state.nodesIndex == 6)
    #expect(state.apply(7, StateMessage.nodeDeregister(nodeID: b, write: Self.write)) == .failed(.nodeNotFound))
  }

  @Test func changesOfUnknownNodesFailWithoutTrace() throws {
    var state = StateStore()
    let id = try NodeID(Self.a)
    let before = state
    let entries = [
      StateMessage.heartbeatMissed(nodeID: id, at: Self.time, write: Self.write),
      StateMessage.nodeUpdateEligibility(
        nodeID: id, eligibility: "eligible", updatedAt: 1, event: nil, write: Self.write),
      StateMessage.nodeUpdateDrain(
        nodeID: id, strategy: nil, markEligible: true, updatedAt: 1, event: nil, write: Self.write),
      StateMessage.drainsComplete(nodeIDs: [id], at: Self.time, write: Self.write),
    ]
    for entry in entries { #expect(state.apply(0, entry) == .failed(.nodeNotFound)) }
    #expect(state == before)
  }

  @Test func idsThatAreNoneAreRefused() {
    var state = StateStore()
    #expect(state.apply(1, registration("short")) == .failed(.invalidNodeID(.length)))
    #expect(
      state.apply(1, registration("zaaaaaaa-0000-0000-0000-000000000001"))
        == .failed(.invalidNodeID(.notHexadecimal("z"))))
    #expect(
      state.apply(1, registration("aaaaaaaa-0000-0000-0000-0000-0000000"))
        == .failed(.invalidNodeID(.length)))
  }

  @Test func spellingOfAnIDDoesNotMatter() throws {
    var state = StateStore()
    state.apply(1, registration(Self.b))
    state.apply(2, registration(Self.b.lowercased()))
    #expect(state.nodeCount == 1)
    #expect(try node(state, Self.b).createIndex == 1)
  }

  @Test func recordCostsLittleBesideItsBytes() {
    #expect(MemoryLayout<Node>.size <= 320)
  }
}

extension StateStore {
  init(snapshot bytes: [UInt8], at index: UInt64) throws {
    try self.init(snapshot: bytes.bytes, index: index)
  }
}
