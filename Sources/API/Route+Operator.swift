import Base
import HTTP
import Wire

extension Route {
  func operatorEndpoints() throws(APIFailure) -> Plan? {
    guard segments.count > 1 else { return nil }
    switch segments[1] {
    case "raft" where segments.count > 2: return try raft()
    case "autopilot" where segments.count == 3: return try autopilot(segments[2])
    case "scheduler" where segments == ["operator", "scheduler", "configuration"]: return try scheduler()
    case "snapshot" where segments.count == 2: return try snapshot()
    case "quorum" where segments.count == 2:
      try require(.get)
      return .call(.quorumReport)
    case "license" where segments.count == 2:
      if request.method == .put { throw .enterprise }
      try require(.get)
      return .response(HTTPResponse(status: 204))
    default: return nil
    }
  }

  // MARK: Raft

  private func raft() throws(APIFailure) -> Plan {
    // Routing is by prefix of the rest, as upstream.
    let rest = segments[2]
    if rest.hasPrefix("configuration") {
      guard request.method == .get else { return .response(HTTPResponse(status: 405)) }
      return try read("Operator.RaftGetConfiguration", .whole(Shapes.raftConfiguration, .none))
    }
    if rest.hasPrefix("peer") { return try removePeer() }
    if rest == "transfer-leadership" { return try transferLeadership() }
    throw APIFailure("Invalid method", status: 404)
  }

  private func removePeer() throws(APIFailure) -> Plan {
    guard request.method == .delete else { throw APIFailure("Invalid method", status: 404) }
    let id = request.query.first("id")
    let address = request.query.first("address")
    switch (id, address) {
    case (nil, nil):
      throw APIFailure(
        "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove", status: 400)
    case (_?, _?): throw APIFailure("Must specify only one of ?id or ?address", status: 400)
    case (let id?, nil): return try write("Operator.RaftRemovePeerByID", .nothing(.none)) { $0.add("ID", id) }
    case (nil, let address?):
      return try write("Operator.RaftRemovePeerByAddress", .nothing(.none)) { $0.add("Address", address) }
    }
  }

  private func transferLeadership() throws(APIFailure) -> Plan {
    try requireWrite()
    let ids = request.query.all("id")
    let addresses = request.query.all("address")
    if ids.isEmpty, addresses.isEmpty { throw APIFailure("must specify id or address", status: 400) }
    if !ids.isEmpty, !addresses.isEmpty { throw APIFailure("must specify either id or address", status: 400) }
    for (name, values) in [("id", ids), ("address", addresses)] where !values.isEmpty {
      if values.count > 1 { throw APIFailure("must specify only one \(name)", status: 400) }
      if values[0].isEmpty { throw APIFailure("\(name) must be non-empty", status: 400) }
    }
    return try write("Operator.TransferLeadershipToPeer", .whole(Shapes.transfer, .none)) {
      $0.add("ID", ids.first ?? "")
      $0.add("Address", addresses.first ?? "")
    }
  }

  // MARK: Autopilot

  private func autopilot(_ name: String) throws(APIFailure) -> Plan? {
    switch name {
    case "health":
      guard request.method == .get else { throw APIFailure("Invalid method", status: 404) }
      return try read("Operator.ServerHealth", .serverHealth)
    case "configuration":
      switch request.method {
      case .get: return try read("Operator.AutopilotGetConfiguration", .whole(Shapes.autopilot, .none))
      case .put: return try setAutopilot()
      default: throw APIFailure("Invalid method", status: 404)
      }
    default: return nil
    }
  }

  private func setAutopilot() throws(APIFailure) -> Plan {
    let check = try checkAndSet()
    let settings: AutopilotSettings
    do throws(APIFailure) {
      settings = try AutopilotSettings(RequestBody(request.body, type: ""))
    } catch {
      throw APIFailure("Error parsing autopilot config: " + error.text, status: 400)
    }
    return try write("Operator.AutopilotSetConfiguration", .whole(.bool, .none)) {
      $0.add("Datacenter", "")
      $0.add("CAS", check != nil)
      $0.add("Config") { settings.pack(into: &$0, modifyIndex: check ?? 0) }
    }
  }

  /// The value of `cas`; `nil` when the write is unconditional.
  private func checkAndSet() throws(APIFailure) -> UInt64? {
    guard let text = request.query.first("cas"), !text.isEmpty else { return nil }
    guard let index = UInt64(text) else {
      throw APIFailure(
        "Error parsing cas value: strconv.ParseUint: parsing \(goQuoted(text)): invalid syntax", status: 400)
    }
    return index
  }

  private struct AutopilotSettings {
    var cleanup: Bool
    var lastContact: Interval
    var stabilization: Interval
    var maxTrailingLogs: UInt64
    var minQuorum: UInt64
    var zones: Bool
    var noMigration: Bool
    var customUpgrades: Bool
    var createIndex: UInt64

    init(_ body: RequestBody) throws(APIFailure) {
      cleanup = try body.bool("CleanupDeadServers")
      lastContact = try body.duration("LastContactThreshold")
      stabilization = try body.duration("ServerStabilizationTime")
      maxTrailingLogs = try body.unsigned("MaxTrailingLogs")
      minQuorum = try body.unsigned("MinQuorum", goType: "uint")
      zones = try body.bool("EnableRedundancyZones")
      noMigration = try body.bool("DisableUpgradeMigration")
      customUpgrades = try body.bool("EnableCustomUpgrades")
      createIndex = try body.unsigned("CreateIndex")
    }

    func pack(into bytes: inout [UInt8], modifyIndex: UInt64) {
      var map = RPCBody()
      map.add("CleanupDeadServers", cleanup)
      map.add("CreateIndex") { $0.pack(unsigned: createIndex) }
      map.add("DisableUpgradeMigration", noMigration)
      map.add("EnableCustomUpgrades", customUpgrades)
      map.add("EnableRedundancyZones", zones)
      map.add("LastContactThreshold") { $0.pack(lastContact) }
      map.add("MaxTrailingLogs") { $0.pack(unsigned: maxTrailingLogs) }
      map.add("MinQuorum") { $0.pack(unsigned: minQuorum) }
      map.add("ModifyIndex") { $0.pack(unsigned: modifyIndex) }
      map.add("ServerStabilizationTime") { $0.pack(stabilization) }
      bytes.append(contentsOf: map.bytes)
    }
  }

  // MARK: Scheduler configuration

  private func scheduler() throws(APIFailure) -> Plan {
    switch request.method {
    case .get: return try read("Operator.SchedulerGetConfiguration", .whole(Shapes.scheduler, .all))
    case .put, .post: break
    default: throw .invalidMethod
    }
    let check = try checkAndSet()
    let algorithm: String
    let memory: Bool
    let preemption: RequestBody?
    let flags: [(StaticString, Bool)]
    do throws(APIFailure) {
      let body = try RequestBody(request.body, type: "SchedulerConfiguration")
      algorithm = try body.string("SchedulerAlgorithm")
      memory = try body.bool("MemoryOversubscriptionEnabled")
      preemption = try body.structure(
        "PreemptionConfig", type: "SchedulerConfiguration.PreemptionConfig", goType: "api.PreemptionConfig")
      flags = [
        ("SystemSchedulerEnabled", try preemption?.bool("SystemSchedulerEnabled") ?? false),
        ("BatchSchedulerEnabled", try preemption?.bool("BatchSchedulerEnabled") ?? false),
        ("ServiceSchedulerEnabled", try preemption?.bool("ServiceSchedulerEnabled") ?? false),
      ]
    } catch {
      throw APIFailure("Error parsing scheduler config: " + error.text, status: 400)
    }
    guard ["", "binpack", "spread"].contains(algorithm) else {
      throw APIFailure("invalid scheduler algorithm: \(algorithm)", status: 400)
    }
    return try write("Operator.SchedulerSetConfiguration", .whole(Shapes.schedulerChange, .index)) {
      $0.add("CAS", check != nil)
      $0.add("Config") { bytes in
        var map = RPCBody()
        map.add("SchedulerAlgorithm", algorithm)
        map.add("MemoryOversubscriptionEnabled", memory)
        map.add("PreemptionConfig") {
          $0.packMapHeader(flags.count)
          for (name, value) in flags {
            $0.pack(name)
            $0.pack(value)
          }
        }
        map.add("CreateIndex") { $0.pack(unsigned: 0) }
        map.add("ModifyIndex") { $0.pack(unsigned: check ?? 0) }
        bytes.append(contentsOf: map.bytes)
      }
    }
  }

  // MARK: Snapshot

  private func snapshot() throws(APIFailure) -> Plan {
    let parameters = try parameters()
    switch request.method {
    case .get:
      return .call(
        .snapshotSave(region: parameters.region, allowStale: parameters.allowStale, token: parameters.token))
    case .put, .post:
      return .call(.snapshotRestore(request.body, region: parameters.region, token: parameters.token))
    default: throw .invalidMethod
    }
  }
}
