import Base
import Wire

/// Replicated settings of the autopilot (rpc.md 8.4).
public struct AutopilotConfiguration: Hashable, Sendable {
  public var cleanupDeadServers = true
  public var serverStabilizationTime = Interval.seconds(10)
  public var lastContactThreshold = Interval.milliseconds(200)
  public var maxTrailingLogs: UInt64 = 250
  public var minQuorum: UInt64 = 0
  public var enableRedundancyZones = false
  public var disableUpgradeMigration = false
  public var enableCustomUpgrades = false
  public internal(set) var createIndex: UInt64 = 0
  /// For a check-and-set the index that the stored configuration must have.
  public var modifyIndex: UInt64 = 0

  /// Nomad's defaults, written by the first leader.
  public init() {}

  /// Reads one map; absent fields are zero, as Go decodes them.
  public init(_ reader: inout MessagePackReader) throws(WireError) {
    cleanupDeadServers = false
    serverStabilizationTime = .zero
    lastContactThreshold = .zero
    maxTrailingLogs = 0
    try reader.readPairs { key, values throws(WireError) in
      switch key {
      case "CleanupDeadServers": cleanupDeadServers = try values.readBool()
      case "ServerStabilizationTime": serverStabilizationTime = Interval(nanoseconds: try values.readInt64())
      case "LastContactThreshold": lastContactThreshold = Interval(nanoseconds: try values.readInt64())
      case "MaxTrailingLogs": maxTrailingLogs = try values.readUInt64()
      case "MinQuorum": minQuorum = try values.readUInt64()
      case "EnableRedundancyZones": enableRedundancyZones = try values.readBool()
      case "DisableUpgradeMigration": disableUpgradeMigration = try values.readBool()
      case "EnableCustomUpgrades": enableCustomUpgrades = try values.readBool()
      case "CreateIndex": createIndex = try values.readUInt64()
      case "ModifyIndex": modifyIndex = try values.readUInt64()
      default: try values.skip()
      }
    }
  }

  /// Appends the complete map: also the reply of `Operator.AutopilotGetConfiguration`.
  public func pack(into out: inout [UInt8]) {
    out.packMapHeader(10)
    out.pack("CleanupDeadServers")
    out.pack(cleanupDeadServers)
    out.pack("CreateIndex")
    out.pack(unsigned: createIndex)
    out.pack("DisableUpgradeMigration")
    out.pack(disableUpgradeMigration)
    out.pack("EnableCustomUpgrades")
    out.pack(enableCustomUpgrades)
    out.pack("EnableRedundancyZones")
    out.pack(enableRedundancyZones)
    out.pack("LastContactThreshold")
    out.pack(lastContactThreshold)
    out.pack("MaxTrailingLogs")
    out.pack(unsigned: maxTrailingLogs)
    out.pack("MinQuorum")
    out.pack(unsigned: minQuorum)
    out.pack("ModifyIndex")
    out.pack(unsigned: modifyIndex)
    out.pack("ServerStabilizationTime")
    out.pack(serverStabilizationTime)
  }
}
