import Base
import Wire

/// A checked request, ready to be proposed by the leader.
public struct PreparedChange: Hashable, Sendable {
  /// Data of the log entry; nil when the request asks for what is already so, and is answered with zero indexes.
  public var data: [UInt8]?
  /// The node it is about; nil for settings and batches.
  public var nodeID: NodeID?
  /// For `Node.Register` and `Node.UpdateStatus`: the status that the node will have. The heartbeat timer is reset
  /// unless it is `down`.
  public var status = ""
  /// For `Node.Register`: the agent that asks.
  public var registrant: Registrant?
  /// The agent that the stored record is of, when it is another one.
  public var rival: Registrant?
}

/// What tells two agents with one node id apart.
public struct Registrant: Hashable, Sendable {
  public var name: String
  /// `ip:port` of its HTTP interface.
  public var httpAddress: String
  /// Empty for clients that do not tell it.
  public var bootID: String

  init(name: String, httpAddress: String, bootID: String) {
    (self.name, self.httpAddress, self.bootID) = (name, httpAddress, bootID)
  }

  init(_ node: Node) {
    self.init(
      name: node.name, httpAddress: node.httpAddress, bootID: node.attribute(NodeIDTaken.bootAttribute) ?? "")
  }

  /// Whether both can be the same machine in the same boot.
  func isSame(as other: Registrant) -> Bool {
    name == other.name && httpAddress == other.httpAddress
      && (bootID == other.bootID || bootID.isEmpty || other.bootID.isEmpty)
  }
}

/// Checks of the write requests of clients and operators against the state, in Nomad's order and with its texts
/// (rpc.md 5.2 to 5.6), and their log entries. The body is the request's one encoded map; fields that are not
/// understood stay in the entry. `now` is the leader's civil time.
extension StateStore {
  /// `Node.Register`.
  public func prepareRegister(_ body: RawSpan, at now: WallTime) throws(RequestError) -> PreparedChange {
    guard let encoded = try Self.mapField("Node", of: body) else { throw .missing(.node) }
    let fields = try RequestError.decoding { () throws(WireError) in try RegistrationFields(decoding: encoded.bytes) }
    try fields.check()
    let id = try Self.nodeID(fields.id)
    if let stored = nodes[id], !stored.secretID.isEmpty, stored.secretID != fields.secretID {
      throw .secretMismatchOnRegistration
    }
    let status = fields.status.isEmpty ? Node.initializing : fields.status
    let data = try RequestError.decoding { () throws(WireError) in
      let computedClass = try ComputedClass.text(ofNode: encoded.bytes)
      let node = try [UInt8].patched(encoded.bytes) { patch in
        patch.set("Status", text: status)
        if fields.eligibility.isEmpty { patch.set("SchedulingEligibility", text: Node.eligible) }
        patch.set("StatusUpdatedAt", signed: now.unixSeconds)
        patch.set("ComputedClass", text: computedClass)
      }
      return try Self.entry(.nodeRegister, body) { $0.set("Node", encoded: node) }
    }
    let registrant = Registrant(name: fields.name, httpAddress: fields.httpAddress, bootID: fields.bootID)
    let stored = nodes[id].map { Registrant($0) }
    return PreparedChange(
      data: data, nodeID: id, status: status, registrant: registrant,
      rival: stored.flatMap { $0.isSame(as: registrant) ? nil : $0 })
  }

  /// `Node.UpdateStatus`, the heartbeat.
  public func prepareUpdateStatus(_ body: RawSpan, at now: WallTime) throws(RequestError) -> PreparedChange {
    let request = try Self.change(body)
    guard !request.nodeIDText.isEmpty else { throw .missing(.statusID) }
    guard Self.isValid(status: request.status) else { throw .invalidStatus }
    let node = try knownNode(request.nodeIDText)
    var prepared = PreparedChange(data: nil, nodeID: node.id, status: request.status)
    if node.status == request.status, request.event == nil { return prepared }
    prepared.data = try RequestError.decoding { () throws(WireError) in
      try Self.entry(.nodeUpdateStatus, body) { patch in
        patch.set("UpdatedAt", signed: now.unixSeconds)
        if node.status == Node.down, request.event == nil {
          patch.set("NodeEvent") { NodeEvent(NodeEvent.reregisteredByHeartbeat, at: now).pack(into: &$0) }
        }
      }
    }
    return prepared
  }

  /// `Node.UpdateEligibility`.
  public func prepareEligibility(_ body: RawSpan, at now: WallTime) throws(RequestError) -> PreparedChange {
    let request = try Self.change(body)
    guard !request.nodeIDText.isEmpty else { throw .missing(.eligibilityID) }
    guard request.event == nil else { throw .eventSet }
    guard request.eligibility == Node.eligible || request.eligibility == Node.ineligible else {
      throw .invalidEligibility(request.eligibility)
    }
    let node = try knownNode(request.nodeIDText)
    if node.isDraining, request.eligibility == Node.eligible { throw .eligibleWhileDraining }
    var prepared = PreparedChange(data: nil, nodeID: node.id)
    if node.eligibility == request.eligibility { return prepared }
    let message =
      request.eligibility == Node.eligible ? NodeEvent.markedEligible : NodeEvent.markedIneligible
    prepared.data = try RequestError.decoding { () throws(WireError) in
      try Self.entry(.nodeUpdateEligibility, body) { patch in
        patch.set("UpdatedAt", signed: now.unixSeconds)
        patch.set("NodeEvent") { NodeEvent(message, at: now).pack(into: &$0) }
      }
    }
    return prepared
  }

  /// `Node.UpdateDrain`. When the region runs nothing (`hasForeignData` is false) the leader follows up with
  /// `StateMessage.drainsComplete`.
  public func prepareDrain(_ body: RawSpan, at now: WallTime) throws(RequestError) -> PreparedChange {
    let request = try Self.change(body)
    guard !request.nodeIDText.isEmpty else { throw .missing(.drainID) }
    guard request.event == nil else { throw .eventSet }
    let node = try knownNode(request.nodeIDText)
    let data = try RequestError.decoding { () throws(WireError) in
      let strategy = try Self.strategy(request.drainStrategy, changing: node.drainStrategy, at: now)
      return try Self.entry(.nodeUpdateDrain, body) { patch in
        patch.set("UpdatedAt", signed: now.unixSeconds)
        if let strategy { patch.set("DrainStrategy", encoded: strategy) }
        if let message = Self.drainMessage(wanted: strategy != nil, isDraining: node.isDraining) {
          patch.set("NodeEvent") { NodeEvent(message, subsystem: NodeEvent.drain, at: now).pack(into: &$0) }
        }
      }
    }
    return PreparedChange(data: data, nodeID: node.id)
  }

  /// `Node.Deregister`.
  public func prepareDeregister(_ body: RawSpan) throws(RequestError) -> PreparedChange {
    let request = try Self.change(body)
    guard !request.nodeIDText.isEmpty else { throw .missing(.deregistrationID) }
    let node = try knownNode(request.nodeIDText)
    let data = try RequestError.decoding { () throws(WireError) in try Self.entry(.nodeDeregister, body) { _ in } }
    return PreparedChange(data: data, nodeID: node.id)
  }

  /// `Node.BatchDeregister`: the entry and the nodes that it removes.
  public func prepareBatchDeregister(
    _ body: RawSpan
  ) throws(RequestError) -> (change: PreparedChange, nodeIDs: [NodeID]) {
    let texts = try RequestError.decoding { () throws(WireError) in
      var texts: [String] = []
      var reader = MessagePackReader(body)
      try reader.readPairs { key, values throws(WireError) in
        guard key.equals("NodeIDs") else { return _ = try values.skip() }
        for _ in 0..<(try values.readArrayHeader()) { texts.append(try values.readString()) }
      }
      return texts
    }
    guard !texts.isEmpty else { throw .missing(.deregistrationIDs) }
    var ids: [NodeID] = []
    for text in texts { ids.append(try knownNode(text).id) }
    let data = try RequestError.decoding { () throws(WireError) in
      try Self.entry(.nodeBatchDeregister, body) { _ in }
    }
    return (PreparedChange(data: data), ids)
  }

  /// `Node.Evaluate`: only checked, there is nothing to evaluate.
  public func prepareEvaluate(_ body: RawSpan) throws(RequestError) -> NodeID {
    let request = try Self.change(body)
    guard !request.nodeIDText.isEmpty else { throw .missing(.evaluationID) }
    return try knownNode(request.nodeIDText).id
  }

  /// `Node.EmitEvents`.
  public func prepareEvents(_ body: RawSpan) throws(RequestError) -> PreparedChange {
    var empty: String?
    var count = 0
    let data = try RequestError.decoding { () throws(WireError) in
      var reader = MessagePackReader(body)
      try reader.readPairs { key, values throws(WireError) in
        guard key.equals("NodeEvents") else { return _ = try values.skip() }
        for _ in 0..<(try values.readMapHeader()) {
          let id = try values.readString()
          let events = try values.readArrayHeader()
          if events == 0, empty == nil { empty = id }
          for _ in 0..<events { try values.skip() }
          count += 1
        }
      }
      return try Self.entry(.upsertNodeEvents, body) { _ in }
    }
    guard count > 0 else { throw .noEvents }
    if let empty { throw .noEventsForNode(empty) }
    return PreparedChange(data: data)
  }

  /// `Operator.AutopilotSetConfiguration`; the result of the entry is the reply's bare bool.
  public func prepareAutopilot(_ body: RawSpan) throws(RequestError) -> PreparedChange {
    let data = try RequestError.decoding { () throws(WireError) in
      guard let config = try Self.optionalMap("Config", of: body) else { throw .typeMismatch }
      var reader = MessagePackReader(config.bytes)
      _ = try AutopilotConfiguration(&reader)
      return try Self.entry(.autopilot, body) { _ in }
    }
    return PreparedChange(data: data)
  }

  /// `Operator.SchedulerSetConfiguration`; the result of the entry is the reply's `Updated`.
  public func prepareScheduler(_ body: RawSpan) throws(RequestError) -> PreparedChange {
    let (data, algorithm) = try RequestError.decoding { () throws(WireError) in
      guard let config = try Self.optionalMap("Config", of: body) else { throw .typeMismatch }
      var reader = MessagePackReader(config.bytes)
      let algorithm = try SchedulerConfiguration(&reader).algorithm
      return (try Self.entry(.schedulerConfiguration, body) { _ in }, algorithm)
    }
    guard ["", "binpack", "spread"].contains(algorithm) else { throw .invalidAlgorithm(algorithm) }
    return PreparedChange(data: data)
  }

  // MARK: Parts

  /// The statuses that a request may name; `disconnected` is for a leader alone.
  static func isValid(status: String) -> Bool {
    status == Node.ready || status == Node.initializing || status == Node.down
  }

  func knownNode(_ text: String) throws(RequestError) -> Node {
    guard let node = nodes[try Self.nodeID(text)] else { throw .nodeNotFound }
    return node
  }

  static func nodeID(_ text: String) throws(RequestError) -> NodeID {
    do throws(NodeIDError) { return try NodeID(text) } catch { throw .nodeID(error) }
  }

  static func change(_ body: RawSpan) throws(RequestError) -> NodeChange {
    do throws(ApplyError) {
      return try NodeChange(decoding: body)
    } catch {
      guard case .undecodable(let error) = error else { throw .undecodable(.malformed) }
      throw .undecodable(error)
    }
  }

  private static func mapField(_ name: StaticString, of body: RawSpan) throws(RequestError) -> [UInt8]? {
    try RequestError.decoding { () throws(WireError) in try optionalMap(name, of: body) }
  }

  private static func optionalMap(_ name: StaticString, of body: RawSpan) throws(WireError) -> [UInt8]? {
    var found: [UInt8]?
    var reader = MessagePackReader(body)
    try reader.readPairs { key, values throws(WireError) in
      if key.equals(name) { found = try values.readEncodedMap() } else { try values.skip() }
    }
    return found
  }

  private static func entry(
    _ type: MessageType, _ body: RawSpan, _ set: (inout MessagePackPatch) -> Void
  ) throws(WireError) -> [UInt8] {
    var patch = MessagePackPatch()
    set(&patch)
    var data: [UInt8] = [type.rawValue]
    data.reserveCapacity(body.byteCount + 256)
    try patch.apply(to: body, into: &data)
    return data
  }

  private static func drainMessage(wanted: Bool, isDraining: Bool) -> String? {
    switch (wanted, isDraining) {
    case (true, false): NodeEvent.drainSet
    case (true, true): NodeEvent.drainUpdated
    case (false, true): NodeEvent.drainDisabled
    case (false, false): nil
    }
  }

  /// The leader sets the times: the start stays that of the drain that is only changed.
  private static func strategy(
    _ wanted: [UInt8]?, changing stored: [UInt8]?, at now: WallTime
  ) throws(WireError) -> [UInt8]? {
    guard let wanted else { return nil }
    var reader = MessagePackReader(wanted.bytes)
    let strategy = try DrainStrategy(&reader)
    var started = GoTime(now)
    if let stored {
      var reader = MessagePackReader(stored.bytes)
      started = try DrainStrategy(&reader).startedAt
    }
    return try .patched(wanted.bytes) { patch in
      patch.set("StartedAt") { $0.pack(started) }
      if strategy.deadline > .zero {
        let (end, overflow) = now.unixNanoseconds.addingReportingOverflow(strategy.deadline.nanoseconds)
        patch.set("ForceDeadline") { $0.pack(GoTime(WallTime(unixNanoseconds: overflow ? .max : end))) }
      }
    }
  }
}

/// What `Node.Register` looks at in the node.
struct RegistrationFields {
  var id = ""
  var secretID = ""
  var name = ""
  var datacenter = ""
  var status = ""
  var eligibility = ""
  var httpAddress = ""
  var bootID = ""
  var attributeCount = 0

  init(decoding node: RawSpan) throws(WireError) {
    var reader = MessagePackReader(node)
    let count = try reader.readMapHeader()
    for _ in 0..<count {
      switch try reader.readRaw() {
      case "ID": id = try reader.readString()
      case "SecretID": secretID = try reader.readString()
      case "Name": name = try reader.readString()
      case "Datacenter": datacenter = try reader.readString()
      case "Status": status = try reader.readString()
      case "SchedulingEligibility": eligibility = try reader.readString()
      case "HTTPAddr": httpAddress = try reader.readString()
      case "Attributes":
        attributeCount = try reader.readMapHeader()
        for _ in 0..<attributeCount {
          if try reader.readRaw().equals(Array(NodeIDTaken.bootAttribute.utf8)) {
            bootID = try reader.readString()
          } else {
            _ = try reader.readRaw()
          }
        }
      default: try reader.skip()
      }
    }
  }

  func check() throws(RequestError) {
    if id.isEmpty { throw .missing(.registrationID) }
    if datacenter.isEmpty { throw .missing(.datacenter) }
    if name.isEmpty { throw .missing(.name) }
    if attributeCount == 0 { throw .missing(.attributes) }
    if secretID.isEmpty { throw .missing(.secretID) }
    if !status.isEmpty, !StateStore.isValid(status: status) { throw .invalidStatus }
  }
}
