import Base

/// Reply of `Node.Register`, `Node.UpdateStatus`, `Node.Deregister`, `Node.BatchDeregister` and `Node.Evaluate`
/// (rpc.md section 5.3).
public struct NodeUpdateResponse: Hashable, Sendable {
  /// Delay before the next heartbeat. Zero makes clients of Nomad's own loop without pause: never send it to one.
  public var heartbeatTTL = Interval.zero
  public var evalIDs: [String]?
  public var evalCreateIndex: UInt64 = 0
  /// Raft index if the node changed, else 0.
  public var nodeModifyIndex: UInt64 = 0
  /// Raft address of the leader; empty makes clients look for servers elsewhere.
  public var leaderRPCAddress = ""
  public var numNodes: Int32 = 0
  /// Replaces the client's list; every server of the region, the answering one included.
  public var servers: [ServerInfo]?
  public var features: UInt64 = 0
  /// Nonzero only when something was committed: a client takes it, after its first heartbeat, for a missed one.
  public var index: UInt64 = 0
  public var lastContact = Interval.zero
  public var knownLeader = false
  /// From newer servers: adopted by the client when not empty. Never sent.
  public var schedulingEligibility = ""

  public init() {}

  public init(_ reader: inout MessagePackReader) throws(WireError) {
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "HeartbeatTTL": heartbeatTTL = Interval(nanoseconds: try reader.readInt64())
      case "EvalIDs": evalIDs = try Self.readTexts(&reader)
      case "EvalCreateIndex": evalCreateIndex = try reader.readUInt64()
      case "NodeModifyIndex": nodeModifyIndex = try reader.readUInt64()
      case "LeaderRPCAddr": leaderRPCAddress = try reader.readString()
      case "NumNodes": numNodes = try reader.readInteger(as: Int32.self)
      case "Servers": servers = try ServerInfo.readList(&reader)
      case "Features": features = try reader.readUInt64()
      case "Index": index = try reader.readUInt64()
      case "LastContact": lastContact = Interval(nanoseconds: try reader.readInt64())
      case "KnownLeader": knownLeader = try reader.readBool()
      case "SchedulingEligibility": schedulingEligibility = try reader.readString()
      default: try reader.skip()
      }
    }
  }

  private static func readTexts(_ reader: inout MessagePackReader) throws(WireError) -> [String]? {
    if try reader.readNil() { return nil }
    var texts: [String] = []
    for _ in 0..<(try reader.readArrayHeader()) { texts.append(try reader.readString()) }
    return texts
  }

  public func encode(into bytes: inout [UInt8]) {
    bytes.packMapHeader(11)
    bytes.pack("EvalCreateIndex")
    bytes.pack(unsigned: evalCreateIndex)
    bytes.pack("EvalIDs")
    bytes.pack(evalIDs)
    bytes.pack("Features")
    bytes.pack(unsigned: features)
    bytes.pack("HeartbeatTTL")
    bytes.pack(heartbeatTTL)
    bytes.pack("Index")
    bytes.pack(unsigned: index)
    bytes.pack("KnownLeader")
    bytes.pack(knownLeader)
    bytes.pack("LastContact")
    bytes.pack(lastContact)
    bytes.pack("LeaderRPCAddr")
    bytes.pack(leaderRPCAddress)
    bytes.pack("NodeModifyIndex")
    bytes.pack(unsigned: nodeModifyIndex)
    bytes.pack("NumNodes")
    bytes.pack(signed: Int64(numNodes))
    bytes.pack("Servers")
    ServerInfo.encode(servers, into: &bytes)
  }
}

/// Reply of `Node.UpdateDrain` and `Node.UpdateEligibility`. For eligibility `nodeModifyIndex` stays 0, as Nomad has it
/// (rpc.md section 5.6).
public struct NodeChangeResponse: Hashable, Sendable {
  public var index: UInt64
  public var nodeModifyIndex: UInt64

  public init(index: UInt64 = 0, nodeModifyIndex: UInt64 = 0) {
    self.index = index
    self.nodeModifyIndex = nodeModifyIndex
  }

  public init(_ reader: inout MessagePackReader) throws(WireError) {
    self.init()
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "Index": index = try reader.readUInt64()
      case "NodeModifyIndex": nodeModifyIndex = try reader.readUInt64()
      default: try reader.skip()
      }
    }
  }

  public func encode(into bytes: inout [UInt8]) {
    bytes.packMapHeader(4)
    bytes.pack("EvalCreateIndex")
    bytes.pack(unsigned: 0)
    bytes.pack("EvalIDs")
    bytes.packNil()
    bytes.pack("Index")
    bytes.pack(unsigned: index)
    bytes.pack("NodeModifyIndex")
    bytes.pack(unsigned: nodeModifyIndex)
  }
}
