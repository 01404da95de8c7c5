import Base
import Wire

/// The fields of the messages and requests that change one node: status, drain, eligibility, deregistration. Each uses
/// some; absent ones have Go's zero value.
struct NodeChange {
  var nodeIDText = ""
  var secretID = ""
  var status = ""
  var eligibility = ""
  var updatedAt: Int64 = 0
  var markEligible = false
  var drainStrategy: [UInt8]?
  var meta: [UInt8]?
  var event: [UInt8]?

  init(decoding body: RawSpan) throws(ApplyError) {
    do throws(WireError) { try read(body) } catch { throw .undecodable(error) }
  }

  func nodeID() throws(ApplyError) -> NodeID { try StateStore.id(nodeIDText) }

  private mutating func read(_ body: RawSpan) throws(WireError) {
    var reader = MessagePackReader(body)
    let count = try reader.readMapHeader()
    for _ in 0..<count {
      switch try reader.readRaw() {
      case "NodeID": nodeIDText = try reader.readString()
      case "SecretID": secretID = try reader.readString()
      case "Status": status = try reader.readString()
      case "Eligibility": eligibility = try reader.readString()
      case "UpdatedAt": updatedAt = try reader.readInt64()
      case "MarkEligible": markEligible = try reader.readBool()
      case "DrainStrategy": drainStrategy = try reader.readEncodedMap()
      case "NodeEvent": event = try reader.readEncodedMap()
      case "Meta":
        // An empty map says nothing more than nil, and nil is what is stored.
        let encoded = try reader.readEncodedMap()
        meta = encoded == [0x80] ? nil : encoded
      default: try reader.skip()
      }
    }
  }
}

/// Message 29: drains that end together.
struct DrainBatch {
  struct Update {
    var drainStrategy: [UInt8]?
    var markEligible = false
  }

  var updates: [(id: String, update: Update)] = []
  var events: [(id: String, event: [UInt8])] = []
  var updatedAt: Int64 = 0

  init(decoding body: RawSpan) throws(ApplyError) {
    do throws(WireError) { try read(body) } catch { throw .undecodable(error) }
  }

  private mutating func read(_ body: RawSpan) throws(WireError) {
    var reader = MessagePackReader(body)
    let count = try reader.readMapHeader()
    for _ in 0..<count {
      switch try reader.readRaw() {
      case "UpdatedAt": updatedAt = try reader.readInt64()
      case "Updates":
        for _ in 0..<(try reader.readMapHeader()) {
          let id = try reader.readString()
          updates.append((id, try Self.update(&reader)))
        }
      case "NodeEvents":
        for _ in 0..<(try reader.readMapHeader()) {
          let id = try reader.readString()
          if let event = try reader.readEncodedMap() { events.append((id, event)) }
        }
      default: try reader.skip()
      }
    }
  }

  private static func update(_ reader: inout MessagePackReader) throws(WireError) -> Update {
    var update = Update()
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "DrainStrategy": update.drainStrategy = try reader.readEncodedMap()
      case "MarkEligible": update.markEligible = try reader.readBool()
      default: try reader.skip()
      }
    }
    return update
  }
}

/// How the last drain of a node went. Fields of later versions are not kept: the record is the store's own.
struct LastDrain {
  /// Unix seconds.
  var startedAt: Int64 = 0
  /// Unix seconds.
  var updatedAt: Int64 = 0
  var status = ""
  var accessorID = ""
  var meta: [UInt8]?

  init() {}

  init(decoding bytes: [UInt8]) throws(ApplyError) {
    do throws(WireError) { try read(bytes) } catch { throw .undecodable(error) }
  }

  private mutating func read(_ bytes: [UInt8]) throws(WireError) {
    var reader = MessagePackReader(bytes.bytes)
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "StartedAt": startedAt = try reader.readGoTime().unixSeconds
      case "UpdatedAt": updatedAt = try reader.readGoTime().unixSeconds
      case "Status": status = try reader.readString()
      case "AccessorID": accessorID = try reader.readString()
      case "Meta": meta = try reader.readEncodedMap()
      default: try reader.skip()
      }
    }
  }

  func encoded() -> [UInt8] {
    var out: [UInt8] = []
    out.packMapHeader(5)
    out.pack("AccessorID")
    out.pack(accessorID)
    out.pack("Meta")
    out.pack(encoded: meta)
    out.pack("StartedAt")
    out.pack(GoTime(unixSeconds: startedAt))
    out.pack("Status")
    out.pack(status)
    out.pack("UpdatedAt")
    out.pack(GoTime(unixSeconds: updatedAt))
    return out
  }
}
