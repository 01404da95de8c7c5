import Base
import State
import Testing
import Wire

@Suite struct QueryTests {
  static let meta = QueryMeta(index: 0, knownLeader: true)

  func ids(_ state: StateStore, _ prefix: String, from: NodeID? = nil, limit: Int = 0) throws -> [String] {
    var out: [UInt8] = []
    try state.packNodeList(NodeIDPrefix(prefix), fields: [], from: from, limit: limit, Self.meta, into: &out)
    return try Value(out)["Nodes"]?.items.compactMap { $0["ID"]?.string } ?? []
  }

  @Test func stubHasTheRecordedFields() throws {
    let state = StateStore.recorded(upTo: 8)
    var out: [UInt8] = []
    state.packNodeList(.all, fields: [], Self.meta, into: &out)
    let value = try Value(out)
    #expect(value["Index"] == .number(8))
    let stub = try #require(value["Nodes"]?.items.first)
    guard case .map(let fields) = stub else { return }
    #expect(
      fields.keys.sorted() == [
        "Address", "CreateIndex", "Datacenter", "Drain", "Drivers", "HostVolumes", "ID", "LastDrain", "ModifyIndex",
        "Name", "NodeClass", "NodeResources", "ReservedResources", "SchedulingEligibility", "Status",
        "StatusDescription", "Version",
      ])
    #expect(stub["Address"]?.string == "127.0.0.10")
    #expect(stub["Version"]?.string == "1.1.2")
    #expect(stub["NodeResources"] == .null)
    #expect(stub["Drivers"]?["mock_driver"]?["Healthy"] == .bool(true))
    out = []
    state.packNodeList(.all, fields: [.resources, .os], Self.meta, into: &out)
    let full = try #require(try Value(out)["Nodes"]?.items.first)
    #expect(full["NodeResources"]?["Memory"]?["MemoryMB"] == .number(24105))
    #expect(full["Attributes"]?["os.name"]?.string == "debian")
  }

  @Test func secretIsBlankedForReadersAndKeptForSnapshots() throws {
    let state = StateStore.recorded()
    let node = try #require(state.node(NodeID(Recorded.nodeID)))
    #expect(node.secretID == Recorded.secretID)
    #expect(try state.value(ofNode: Recorded.nodeID)["SecretID"]?.string == "")
    var out: [UInt8] = []
    node.pack(into: &out, blankingSecret: false)
    #expect(try Value(out)["SecretID"]?.string == Recorded.secretID)
  }

  @Test func unknownNodeIsNilWithTheTablesIndex() throws {
    let state = StateStore.recorded()
    var out: [UInt8] = []
    state.packGetNode(NodeID(high: 1, low: 1), Self.meta, into: &out)
    #expect(try Value(out)["Node"] == .null)
    #expect(try Value(out)["Index"] == .number(13))
  }

  @Test func listIsSortedAndFilteredByPrefix() throws {
    var state = StateStore()
    let all = [
      "00000000-0000-0000-0000-000000000000", "0f000000-0000-0000-0000-000000000001",
      "f0000000-0000-0000-0000-000000000002", "f7100000-0000-0000-0000-000000000003",
      "f71fffff-ffff-ffff-ffff-ffffffffffff", "f7200000-0000-0000-0000-000000000004",
      "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ]
    for (index, id) in all.shuffled().enumerated() { state.apply(UInt64(index), registration(id)) }
    #expect(try ids(state, "") == all)
    #expect(try ids(state, "f") == Array(all[2...]))
    #expect(try ids(state, "f71") == Array(all[3...4]))
    #expect(try ids(state, "F71f-ffff-f") == [all[4]])
    #expect(try ids(state, all[6]) == [all[6]])
    #expect(try ids(state, "abc").isEmpty)
    #expect(throws: NodeIDError.notHexadecimal("z")) { try self.ids(state, "z") }
    #expect(
      NodeIDError.notHexadecimal("z").text
        == "node lookup failed: index error: Invalid UUID: encoding/hex: invalid byte: U+007A 'z'")
    #expect(try ids(state, "", limit: 3) == Array(all[..<3]))
    #expect(try ids(state, "", from: NodeID(all[3]), limit: 3) == Array(all[3..<6]))
    #expect(try ids(state, "f71", from: NodeID(all[5])).isEmpty)
    #expect(try ids(state, "f71", from: NodeID(all[0])) == Array(all[3...4]))
    let found = try state.nodeIDs(NodeIDPrefix("f"), maximum: 2)
    #expect(found.ids.map(\.description) == Array(all[2...3]) && found.truncated)
  }

  @Test func nextTokenNamesTheFirstNodeOfTheNextPage() throws {
    var state = StateStore()
    for number in 1...5 { state.apply(UInt64(number), registration(identifier(number))) }
    var out: [UInt8] = []
    state.packNodeList(.all, fields: [], limit: 2, Self.meta, into: &out)
    #expect(try Value(out)["NextToken"]?.string == identifier(3))
    out = []
    state.packNodeList(.all, fields: [], from: try NodeID(identifier(5)), limit: 2, Self.meta, into: &out)
    #expect(try Value(out)["NextToken"] == nil)
  }

  @Test func emptyAllocationAnswerIsByteExact() {
    var out: [UInt8] = []
    StateStore().packNoAllocations(of: NodeID(high: 0, low: 0), Self.meta, into: &out)
    #expect(
      out
        == bytes(
          """
          85a6416c6c6f637380a5496e64657801ab4b6e6f776e4c6561646572c3ab4c617374436f6e7461637400
          ad4d696772617465546f6b656e7380
          """))
  }

  @Test func waitersAreWokenOnceByWhatTheyWatch() throws {
    var state = StateStore()
    var watches = WatchTable()
    let a = identifier(1)
    let b = identifier(2)
    func watch(_ topic: WatchTopic, _ number: UInt64) throws {
      let accepted = watches.watch(topic, WaiterID(number: number))
      #expect(accepted)
    }
    func apply(_ index: UInt64, _ entry: [UInt8]) -> [UInt64] {
      state.apply(index: index, entry.bytes, waking: &watches)
      return watches.takeWoken().map(\.number)
    }
    try watch(.nodes, 1)
    try watch(.node(try NodeID(a)), 2)
    try watch(.node(try NodeID(b)), 3)
    try watch(.autopilot, 4)
    try watch(.allocations(try NodeID(a)), 5)
    #expect(apply(1, Recorded.scheduler) == [])
    #expect(apply(2, registration(a)) == [2, 1])
    #expect(apply(3, registration(a)) == [])
    #expect(apply(4, Recorded.autopilot) == [4])
    watches.unwatch(WaiterID(number: 3))
    #expect(apply(5, registration(b)) == [])
    #expect(watches.count == 1)
    try watch(.nodes, 9)
    watches.wakeAll()
    watches.unwatch(WaiterID(number: 9))
    #expect(watches.takeWoken().map(\.number) == [5])
    #expect(watches.count == 0)
  }

  @Test func collectableNodesAreDownAndOld() throws {
    var state = StateStore()
    for number in 1...4 { state.apply(UInt64(number), registration(identifier(number))) }
    let time = WallTime(unixNanoseconds: 0)
    for number in 2...4 {
      state.apply(
        UInt64(10 * number),
        StateMessage.heartbeatMissed(
          nodeID: try NodeID(identifier(number)), at: time, write: WriteRequest(region: "global")))
    }
    #expect(
      state.collectableNodes(notChangedSince: 30, maximum: 10).map(\.description) == [identifier(2), identifier(3)])
    #expect(state.collectableNodes(notChangedSince: 30, maximum: 1).count == 1)
  }
}
