import Base
import Wire

/// Replicated settings of the scheduler. This project schedules nothing; it keeps them, encoded as they came, for those
/// who do (rpc.md 8.4).
public struct SchedulerConfiguration: Hashable, Sendable {
  /// The complete map, indexes included.
  public private(set) var encoded: [UInt8]
  public private(set) var createIndex: UInt64
  public private(set) var modifyIndex: UInt64

  /// Nomad's defaults, written by the first leader: bin packing, preemption for system jobs only.
  public init() {
    var bytes: [UInt8] = []
    bytes.packMapHeader(5)
    bytes.pack("CreateIndex")
    bytes.pack(unsigned: 0)
    bytes.pack("MemoryOversubscriptionEnabled")
    bytes.pack(false)
    bytes.pack("ModifyIndex")
    bytes.pack(unsigned: 0)
    bytes.pack("PreemptionConfig")
    bytes.packMapHeader(3)
    bytes.pack("BatchSchedulerEnabled")
    bytes.pack(false)
    bytes.pack("ServiceSchedulerEnabled")
    bytes.pack(false)
    bytes.pack("SystemSchedulerEnabled")
    bytes.pack(true)
    bytes.pack("SchedulerAlgorithm")
    bytes.pack("binpack")
    encoded = bytes
    createIndex = 0
    modifyIndex = 0
  }

  /// Reads one map and keeps its bytes.
  public init(_ reader: inout MessagePackReader) throws(WireError) {
    guard try reader.peekKind() == .map else { throw .typeMismatch }
    let map = try reader.skip()
    var create: UInt64 = 0
    var modify: UInt64 = 0
    var fields = MessagePackReader(map)
    try fields.readPairs { key, values throws(WireError) in
      switch key {
      case "CreateIndex": create = try values.readUInt64()
      case "ModifyIndex": modify = try values.readUInt64()
      case "SchedulerAlgorithm": _ = try values.readRaw()
      default: try values.skip()
      }
    }
    encoded = map.copy()
    createIndex = create
    modifyIndex = modify
  }

  mutating func stamp(createIndex: UInt64, modifyIndex: UInt64) throws(WireError) {
    encoded = try .patched(encoded.bytes) { patch in
      patch.set("CreateIndex", unsigned: createIndex)
      patch.set("ModifyIndex", unsigned: modifyIndex)
    }
    self.createIndex = createIndex
    self.modifyIndex = modifyIndex
  }

  /// `binpack`, `spread` or empty.
  public var algorithm: String {
    var found = ""
    var reader = MessagePackReader(encoded.bytes)
    do throws(WireError) {
      try reader.readPairs { key, values throws(WireError) in
        if key.equals("SchedulerAlgorithm") { found = try values.readString() } else { try values.skip() }
      }
    } catch {
      return ""  // Checked when it was decoded.
    }
    return found
  }

  public func pack(into out: inout [UInt8]) { out.append(contentsOf: encoded) }
}

/// The identity of a region's cluster, made once by its first leader.
public struct ClusterMetadata: Hashable, Sendable {
  public var clusterID: String
  /// Unix nanoseconds.
  public var createTime: Int64

  public init(clusterID: String, createTime: Int64) {
    self.clusterID = clusterID
    self.createTime = createTime
  }

  init(_ reader: inout MessagePackReader) throws(WireError) {
    var id = ""
    var time: Int64 = 0
    try reader.readPairs { key, values throws(WireError) in
      switch key {
      case "ClusterID": id = try values.readString()
      case "CreateTime": time = try values.readInt64()
      default: try values.skip()
      }
    }
    clusterID = id
    createTime = time
  }

  func pack(into out: inout [UInt8]) {
    out.packMapHeader(2)
    out.pack("ClusterID")
    out.pack(clusterID)
    out.pack("CreateTime")
    out.pack(signed: createTime)
  }
}
