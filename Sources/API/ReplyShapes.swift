/// The answers whose JSON differs from their MessagePack (http.md sections 5 to 10).
enum Shapes {
  static let text = ReplyShape.string
  static let texts = ReplyShape.rows(.string)

  static let nodeStub = ReplyShape.fields(
    [
      "Address": .string, "CreateIndex": .integer, "Datacenter": .string, "Drain": .bool, "Drivers": drivers,
      "HostVolumes": .map(.any), "ID": .string, "LastDrain": lastDrain, "ModifyIndex": .integer, "Name": .string,
      "NodeClass": .string, "NodeResources": .any, "ReservedResources": .any, "SchedulingEligibility": .string,
      "Status": .string, "StatusDescription": .string, "Version": .string,
    ], omittingNil: ["NodeResources", "ReservedResources"])

  static let node = ReplyShape.fields([
    "Attributes": .map(.string), "CSIControllerPlugins": .map(.any), "CSINodePlugins": .map(.any),
    "ComputedClass": .string, "CreateIndex": .integer, "Datacenter": .string, "DrainStrategy": drainStrategy,
    "Drivers": drivers, "Events": .list(nodeEvent), "HTTPAddr": .string, "HostVolumes": .map(.any), "ID": .string,
    "LastDrain": lastDrain, "Links": .map(.string), "Meta": .map(.string), "ModifyIndex": .integer, "Name": .string,
    "NodeClass": .string, "NodeResources": .any, "Reserved": .any, "ReservedResources": .any, "Resources": .any,
    "SchedulingEligibility": .string, "SecretID": .blank, "Status": .string, "StatusDescription": .string,
    "StatusUpdatedAt": .integer, "TLSEnabled": .bool,
  ])

  private static let drivers = ReplyShape.map(
    .optional(
      .fields([
        "Attributes": .map(.string), "Detected": .bool, "HealthDescription": .string, "Healthy": .bool,
        "UpdateTime": .time,
      ])))

  private static let lastDrain = ReplyShape.optional(
    .fields([
      "AccessorID": .string, "Meta": .map(.string), "StartedAt": .time, "Status": .string, "UpdatedAt": .time,
    ]))

  private static let drainStrategy = ReplyShape.optional(
    .fields(["Deadline": .integer, "ForceDeadline": .timeOrNull, "IgnoreSystemJobs": .bool, "StartedAt": .timeOrNull]))

  private static let nodeEvent = ReplyShape.fields([
    "CreateIndex": .integer, "Details": .map(.string), "Message": .string, "Subsystem": .string, "Timestamp": .time,
  ])

  /// Answers to eligibility and drain.
  static let nodeChange = ReplyShape.fields([
    "EvalCreateIndex": .integer, "EvalIDs": .list(.string), "Index": .integer, "NodeModifyIndex": .integer,
  ])

  /// Answers to evaluate and purge.
  static let nodeUpdate = ReplyShape.fields([
    "EvalCreateIndex": .integer, "EvalIDs": .list(.string), "Features": .integer, "HeartbeatTTL": .integer,
    "Index": .integer, "KnownLeader": .bool, "LastContact": .integer, "LeaderRPCAddr": .string,
    "NodeModifyIndex": .integer, "NumNodes": .integer,
    "Servers": .list(
      .fields([
        "Datacenter": .string, "RPCAdvertiseAddr": .string, "RPCMajorVersion": .integer, "RPCMinorVersion": .integer,
      ])),
  ])

  static let members = ReplyShape.fields([
    "Members": .rows(member), "ServerDC": .string, "ServerName": .string, "ServerRegion": .string,
  ])

  static let member = ReplyShape.fields([
    "Addr": .address, "DelegateCur": .integer, "DelegateMax": .integer, "DelegateMin": .integer, "Name": .string,
    "Port": .integer, "ProtocolCur": .integer, "ProtocolMax": .integer, "ProtocolMin": .integer, "Status": .string,
    "Tags": .map(.string),
  ])

  static let raftConfiguration = ReplyShape.fields([
    "Index": .integer,
    "Servers": .rows(
      .fields([
        "Address": .string, "ID": .string, "Leader": .bool, "Node": .string, "RaftProtocol": .string, "Voter": .bool,
      ])),
  ])

  static let transfer = ReplyShape.fields([
    "Err": .any, "From": .fields(["Address": .string, "ID": .string]), "Noop": .bool,
    "To": .fields(["Address": .string, "ID": .string]),
  ])

  static let autopilot = ReplyShape.fields([
    "CleanupDeadServers": .bool, "CreateIndex": .integer, "DisableUpgradeMigration": .bool,
    "EnableCustomUpgrades": .bool, "EnableRedundancyZones": .bool, "LastContactThreshold": .duration,
    "MaxTrailingLogs": .integer, "MinQuorum": .integer, "ModifyIndex": .integer, "ServerStabilizationTime": .duration,
  ])

  static let serverHealth = ReplyShape.fields([
    "FailureTolerance": .integer, "Healthy": .bool,
    "Servers": .rows(
      .fields([
        "Address": .string, "Healthy": .bool, "ID": .string, "LastContact": .duration, "LastIndex": .integer,
        "LastTerm": .integer, "Leader": .bool, "Name": .string, "SerfStatus": .serfStatus, "StableSince": .time,
        "Version": .string, "Voter": .bool,
      ])),
  ])

  static let scheduler = ReplyShape.fields([
    "Index": .integer, "KnownLeader": .bool, "LastContact": .integer,
    "SchedulerConfig": .optional(
      .fields([
        "CreateIndex": .integer, "MemoryOversubscriptionEnabled": .bool, "ModifyIndex": .integer,
        "PreemptionConfig": .fields([
          "BatchSchedulerEnabled": .bool, "ServiceSchedulerEnabled": .bool, "SystemSchedulerEnabled": .bool,
        ]),
        "SchedulerAlgorithm": .string,
      ])),
  ])

  static let schedulerChange = ReplyShape.fields(["Index": .integer, "Updated": .bool])

  static let namespace = ReplyShape.fields([
    "CreateIndex": .integer, "Description": .string, "Hash": .base64, "ModifyIndex": .integer, "Name": .string,
    "Quota": .string,
  ])

  static let search = ReplyShape.fields([
    "Index": .integer, "KnownLeader": .bool, "LastContact": .integer, "Matches": .map(.any), "Truncations": .map(.bool),
  ])
}
