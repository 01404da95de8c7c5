import Base
import State
import Testing
import Wire

/// Checks of requests, in Nomad's order and with its texts.
@Suite struct RequestTests {
  static let now = WallTime(unixNanoseconds: 1_700_000_000_123_456_789)
  static let id = "aaaaaaaa-0000-0000-0000-000000000001"

  func map(_ pairs: [(String, (inout [UInt8]) -> Void)]) -> [UInt8] {
    var out: [UInt8] = []
    out.packMapHeader(pairs.count)
    for (key, write) in pairs {
      out.pack(key)
      write(&out)
    }
    return out
  }

  func text(_ value: String) -> (inout [UInt8]) -> Void { { $0.pack(value) } }

  func register(_ node: [UInt8]?) -> [UInt8] {
    map([
      ("Node", { out in if let node { out += node } else { out.packNil() } }), ("Region", text("global")),
      ("Future", text("kept")),
    ])
  }

  func error<T>(_ body: () throws(RequestError) -> T) -> String? {
    do throws(RequestError) {
      _ = try body()
      return nil
    } catch {
      return error.text
    }
  }

  @Test func registrationIsCheckedInOrder() {
    let attributes: (String, (inout [UInt8]) -> Void) = (
      "Attributes",
      { out in
        out.packMapHeader(1)
        out.pack("a")
        out.pack("b")
      }
    )
    let steps: [(String, (inout [UInt8]) -> Void)] = [
      ("ID", text(Self.id)), ("Datacenter", text("dc1")), ("Name", text("n")), attributes, ("SecretID", text("s")),
      ("Status", text("ready")),
    ]
    let expected = [
      "missing node ID for client registration", "missing datacenter for client registration",
      "missing node name for client registration", "missing attributes for client registration",
      "missing node secret ID for client registration", nil, nil,
    ]
    let state = StateStore()
    let none = register(nil)
    #expect(
      error { () throws(RequestError) in try state.prepareRegister(none.bytes, at: Self.now) }
        == "missing node for client registration")
    for count in 0...steps.count {
      let body = register(map(Array(steps.prefix(count))))
      #expect(
        error { () throws(RequestError) in try state.prepareRegister(body.bytes, at: Self.now) } == expected[count])
    }
    for (status, id, text) in [
      ("gone", Self.id, "invalid status for node"), ("disconnected", Self.id, "invalid status for node"),
      ("ready", "x", "node lookup failed: index error: UUID must be 36 characters"),
    ] {
      let body = register(encodedNode(id: id, status: status))
      #expect(error { () throws(RequestError) in try state.prepareRegister(body.bytes, at: Self.now) } == text)
    }
  }

  @Test func registrationBecomesAnEntryWithTheServersFields() throws {
    var state = StateStore()
    let node = encodedNode(
      id: Self.id, status: "",
      more: { out in
        out.pack("FutureField")
        out.pack(unsigned: 1)
      }, moreCount: 1)
    let request = register(node)
    let prepared = try state.prepareRegister(request.bytes, at: Self.now)
    #expect(prepared.status == "initializing")
    let data = try #require(prepared.data)
    #expect(data[0] == 0)
    let value = try Value(Array(data.dropFirst()))
    #expect(value["Future"]?.string == "kept")
    let kept = try #require(value["Node"])
    #expect(kept["Status"]?.string == "initializing")
    #expect(kept["SchedulingEligibility"]?.string == "eligible")
    #expect(kept["StatusUpdatedAt"] == .number(1_700_000_000))
    #expect(kept["ComputedClass"]?.string?.hasPrefix("v1:") == true)
    #expect(kept["FutureField"] == .number(1))
    #expect(state.apply(1, data) == .done)
    let other = register(encodedNode(id: Self.id, secret: "other"))
    #expect(
      error { () throws(RequestError) in try state.prepareRegister(other.bytes, at: Self.now) }
        == "node secret ID does not match. Not registering node.")
    let same = register(encodedNode(id: Self.id))
    #expect(error { () throws(RequestError) in try state.prepareRegister(same.bytes, at: Self.now) } == nil)
  }

  @Test func recordedRegistrationKeepsItsFieldsAndGetsAClass() throws {
    let body = Array(Recorded.register.dropFirst())
    let prepared = try StateStore().prepareRegister(body.bytes, at: Self.now)
    var ours = try Value(Array(try #require(prepared.data).dropFirst()))
    var theirs = try Value(body)
    for key in ["ComputedClass", "StatusUpdatedAt"] {
      ours["Node"]?[key] = .null
      theirs["Node"]?[key] = .null
    }
    #expect(ours == theirs)
  }

  @Test func registrationOfOurOwnClientIsAccepted() throws {
    var node = NodeDescription(
      id: Self.id, secretID: identifier(1), name: "n", datacenter: "dc1", httpAddress: "[::1]:4646")
    node.attributes = [NodeAttribute("nomad.version", "1.1.2"), ServersChanged.attribute]
    var body: [UInt8] = []
    node.encodeRegister(WriteRequest(region: "global"), into: &body)
    var state = StateStore()
    let data = try #require(try state.prepareRegister(body.bytes, at: Self.now).data)
    #expect(state.apply(1, data) == .done)
    let stored = try #require(state.node(NodeID(Self.id)))
    #expect(stored.address == "::1" && stored.status == "initializing" && stored.eligibility == "eligible")
    #expect(stored.attribute("nomadd.push") == "1")
    #expect(stored.attribute("absent") == nil)
    body = []
    ClientRequest.encodeUpdateStatus(nodeID: Self.id, status: "ready", WriteRequest(region: "global"), into: &body)
    let beat = try #require(try state.prepareUpdateStatus(body.bytes, at: Self.now).data)
    #expect(state.apply(2, beat) == .done)
    #expect(state.node(try NodeID(Self.id))?.status == "ready")
    body = []
    ClientRequest.encodeGetClientAllocations(
      nodeID: Self.id, secretID: identifier(1), QueryOptions(region: "global", allowStale: true), into: &body)
    #expect(try state.checkAllocationQuery(body.bytes).description == Self.id)
  }

  @Test func classDependsOnWhatNodesShare() throws {
    func classOf(_ unique: String, _ shared: String) throws -> String? {
      let node = encodedNode(
        id: Self.id,
        more: { out in
          out.pack("Meta")
          out.packMapHeader(2)
          out.pack("unique.rack")
          out.pack(unique)
          out.pack("zone")
          out.pack(shared)
        }, moreCount: 1)
      let body = register(node)
      let data = try StateStore().prepareRegister(body.bytes, at: Self.now).data
      return try Value(Array(try #require(data).dropFirst()))["Node"]?["ComputedClass"]?.string
    }
    #expect(try classOf("1", "a") == classOf("2", "a"))
    #expect(try classOf("1", "a") != classOf("1", "b"))
  }

  @Test func heartbeatWritesOnlyChanges() throws {
    var state = StateStore()
    func beat(_ status: String, _ id: String = Self.id) -> [UInt8] {
      map([("NodeID", text(id)), ("Status", text(status)), ("UpdatedAt", { $0.pack(signed: 0) })])
    }
    for (status, id, expected) in [
      ("ready", "", "missing node ID for client status update"), ("up", Self.id, "invalid status for node"),
      ("ready", Self.id, "node not found"),
      ("ready", "1", "node lookup failed: index error: UUID must be 36 characters"),
    ] {
      let body = beat(status, id)
      #expect(error { () throws(RequestError) in try state.prepareUpdateStatus(body.bytes, at: Self.now) } == expected)
    }
    state.apply(1, registration(Self.id, status: "initializing"))
    let ready = beat("ready")
    let first = try state.prepareUpdateStatus(ready.bytes, at: Self.now)
    let entry = try #require(first.data)
    #expect(first.status == "ready" && first.nodeID?.description == Self.id)
    #expect(try Value(Array(entry.dropFirst()))["UpdatedAt"] == .number(1_700_000_000))
    #expect(try Value(Array(entry.dropFirst()))["NodeEvent"] == nil)
    state.apply(2, entry)
    #expect(try state.prepareUpdateStatus(ready.bytes, at: Self.now).data == nil)
    state.apply(
      3,
      StateMessage.heartbeatMissed(nodeID: try NodeID(Self.id), at: Self.now, write: WriteRequest(region: "global")))
    let back = try #require(try state.prepareUpdateStatus(ready.bytes, at: Self.now).data)
    #expect(
      try Value(Array(back.dropFirst()))["NodeEvent"]?["Message"]?.string == "Node reregistered by heartbeat")
  }

  @Test func eligibilityIsCheckedInOrder() throws {
    var state = StateStore()
    func request(_ id: String, _ value: String, event: Bool = false) -> [UInt8] {
      map(
        [("NodeID", text(id)), ("Eligibility", text(value))]
          + (event ? [("NodeEvent", { $0.packMapHeader(0) })] : []))
    }
    func check(_ body: [UInt8], _ expected: String?) {
      #expect(error { () throws(RequestError) in try state.prepareEligibility(body.bytes, at: Self.now) } == expected)
    }
    check(request("", "eligible"), "missing node ID for setting scheduling eligibility")
    check(request(Self.id, "eligible", event: true), "node event must not be set")
    check(request(Self.id, "xx"), "invalid scheduling eligibility \"xx\"")
    check(request(Self.id, "eligible"), "node not found")
    state.apply(1, registration(Self.id))
    let off = request(Self.id, "ineligible")
    let entry = try #require(try state.prepareEligibility(off.bytes, at: Self.now).data)
    #expect(state.apply(2, entry) == .done)
    #expect(try state.prepareEligibility(off.bytes, at: Self.now).data == nil)
    state.apply(
      3,
      StateMessage.nodeUpdateDrain(
        nodeID: try NodeID(Self.id), strategy: DrainStrategy(deadline: .zero, ignoreSystemJobs: false),
        markEligible: false, updatedAt: 1, event: nil, write: WriteRequest(region: "global")))
    check(request(Self.id, "eligible"), "can not set node's scheduling eligibility to eligible while it is draining")
  }

  @Test func drainGetsTheLeadersTimes() throws {
    var state = StateStore()
    state.apply(1, registration(Self.id))
    func request(_ deadline: Interval?) -> [UInt8] {
      map([
        ("NodeID", text(Self.id)),
        (
          "DrainStrategy",
          { out in
            guard let deadline else { return out.packNil() }
            DrainStrategy(deadline: deadline, ignoreSystemJobs: true).pack(into: &out)
          }
        ), ("MarkEligible", { $0.pack(true) }),
      ])
    }
    func entry(_ deadline: Interval?, at now: WallTime) throws -> (value: Value, data: [UInt8]) {
      let body = request(deadline)
      let data = try #require(try state.prepareDrain(body.bytes, at: now).data)
      return (try Value(Array(data.dropFirst())), data)
    }
    func strategy(_ value: Value) throws -> DrainStrategy {
      let body = request(nil)
      _ = body
      guard case .map(let map)? = value["DrainStrategy"], case .text(let started)? = map["StartedAt"],
        case .text(let force)? = map["ForceDeadline"]
      else { throw WireError.typeMismatch }
      var strategy = DrainStrategy(deadline: .zero, ignoreSystemJobs: true)
      strategy.startedAt = try time(started)
      strategy.forceDeadline = try time(force)
      return strategy
    }
    let set = try entry(.hours(1), at: Self.now)
    #expect(set.value["NodeEvent"]?["Message"]?.string == "Node drain strategy set")
    #expect(set.value["NodeEvent"]?["Subsystem"]?.string == "Drain")
    #expect(try strategy(set.value).startedAt == GoTime(Self.now))
    #expect(
      try strategy(set.value).forceDeadline
        == GoTime(WallTime(unixNanoseconds: Self.now.unixNanoseconds + 3_600_000_000_000)))
    state.apply(2, set.data)
    let later = WallTime(unixNanoseconds: Self.now.unixNanoseconds + 1_000_000_000)
    let changed = try entry(.zero, at: later)
    #expect(changed.value["NodeEvent"]?["Message"]?.string == "Node drain stategy updated")
    #expect(try strategy(changed.value).startedAt == GoTime(Self.now))
    #expect(try strategy(changed.value).forceDeadline.isZero)
    #expect(try entry(nil, at: later).value["NodeEvent"]?["Message"]?.string == "Node drain disabled")
    // The largest deadline does not overflow.
    #expect(try strategy(entry(Interval(nanoseconds: .max), at: later).value).forceDeadline.isZero == false)
    state.apply(3, try entry(nil, at: later).data)
    #expect(try entry(nil, at: later).value["NodeEvent"] == nil)
  }

  func time(_ raw: [UInt8]) throws -> GoTime {
    var packed: [UInt8] = []
    packed.pack(raw: raw)
    var reader = MessagePackReader(packed.bytes)
    return try reader.readGoTime()
  }

  @Test func otherRequestsHaveTheirTexts() throws {
    var state = StateStore()
    state.apply(1, registration(Self.id))
    let empty = map([])
    let known = map([("NodeID", text(Self.id))])
    let unknown = map([("NodeID", text(identifier(9)))])
    #expect(
      error { () throws(RequestError) in try state.prepareDeregister(empty.bytes) }
        == "missing node ID for client deregistration")
    #expect(error { () throws(RequestError) in try state.prepareDeregister(unknown.bytes) } == "node not found")
    #expect(try state.prepareDeregister(known.bytes).data?.first == 1)
    #expect(
      error { () throws(RequestError) in try state.prepareEvaluate(empty.bytes) }
        == "missing node ID for evaluation")
    #expect(error { () throws(RequestError) in try state.prepareEvaluate(unknown.bytes) } == "node not found")
    #expect(
      error { () throws(RequestError) in try state.prepareBatchDeregister(empty.bytes).nodeIDs }
        == "missing node IDs for client deregistration")
    #expect(
      error { () throws(RequestError) in try state.prepareDrain(empty.bytes, at: Self.now) }
        == "missing node ID for drain update")
    #expect(error { () throws(RequestError) in try state.prepareEvents(empty.bytes) } == "no node events given")
    let noEvents = map([
      (
        "NodeEvents",
        { out in
          out.packMapHeader(1)
          out.pack("x")
          out.packArrayHeader(0)
        }
      )
    ])
    #expect(
      error { () throws(RequestError) in try state.prepareEvents(noEvents.bytes) }
        == "no node events given for node \"x\"")
    #expect(error { () throws(RequestError) in try state.checkNodeQuery(empty.bytes) } == "missing node ID")
    #expect(error { () throws(RequestError) in try state.checkAllocationQuery(empty.bytes) } == "missing node ID")
    #expect(
      error { () throws(RequestError) in try state.checkAllocationQuery(known.bytes) }
        == "missing node secret ID for client status update")
    let wrong = map([("NodeID", text(Self.id)), ("SecretID", text("w"))])
    #expect(
      error { () throws(RequestError) in try state.checkAllocationQuery(wrong.bytes) }
        == "node secret ID does not match")
    let lagging = map([("NodeID", text(identifier(9))), ("SecretID", text("w"))])
    #expect(error { () throws(RequestError) in try state.checkAllocationQuery(lagging.bytes) } == nil)
  }

  @Test func settingsRequestsBecomeEntries() throws {
    var state = StateStore()
    let autopilot = Array(Recorded.autopilot.dropFirst())
    #expect(try state.prepareAutopilot(autopilot.bytes).data == Recorded.autopilot)
    let scheduler = Array(Recorded.scheduler.dropFirst())
    #expect(try state.prepareScheduler(scheduler.bytes).data == Recorded.scheduler)
    let bad = map([
      (
        "Config",
        { out in
          out.packMapHeader(1)
          out.pack("SchedulerAlgorithm")
          out.pack("nope")
        }
      )
    ])
    #expect(
      error { () throws(RequestError) in try state.prepareScheduler(bad.bytes) } == "invalid scheduler algorithm: nope")
    state.apply(1, Recorded.scheduler)
    var out: [UInt8] = []
    state.packScheduler(QueryMeta(index: 0, knownLeader: true), into: &out)
    #expect(try Value(out)["Index"] == .number(1))
  }

  @Test func stubFieldsAreRead() throws {
    let body = map([
      (
        "Fields",
        { out in
          out.packMapHeader(2)
          out.pack("Resources")
          out.pack(true)
          out.pack("OS")
          out.pack(false)
        }
      )
    ])
    #expect(try StateStore.stubFields(of: body.bytes) == .resources)
    let none = map([("Fields", { $0.packNil() })])
    #expect(try StateStore.stubFields(of: none.bytes) == [])
  }

  @Test func damagedRequestsNeverTrap() {
    var random = RandomSource(seed: 11)
    let state = StateStore.recorded()
    for _ in 0..<2000 {
      var body = Array(Recorded.entries[random.below(Recorded.entries.count)].1.dropFirst())
      body[random.below(body.count)] = UInt8(random.below(256))
      _ = try? state.prepareRegister(body.bytes, at: Self.now)
      _ = try? state.prepareUpdateStatus(body.bytes, at: Self.now)
      _ = try? state.prepareDrain(body.bytes, at: Self.now)
      _ = try? state.prepareEligibility(body.bytes, at: Self.now)
      _ = try? state.prepareEvents(body.bytes)
      _ = try? state.prepareAutopilot(body.bytes)
      _ = try? state.prepareScheduler(body.bytes)
    }
  }
}
