import Base
import Wire

/// Why an encoded node makes no record.
enum NodeDecodingError: Error, Hashable, Sendable {
  case wire(WireError)
  case id(NodeIDError)
}

extension Node {
  /// Decodes one encoded node map; bytes after it are ignored. Kept fields are copied verbatim.
  init(decoding encoded: RawSpan) throws(NodeDecodingError) {
    var draft = Draft()
    do throws(WireError) { try draft.read(encoded) } catch { throw .wire(error) }
    self = try draft.node()
  }

  /// A record under construction.
  private struct Draft {
    var id = ""
    var pairs: [UInt8] = []
    var pairCount = 0
    var slots = Slots()
    var status = ""
    var statusUpdatedAt: Int64 = 0
    var eligibility = ""
    var createIndex: UInt64 = 0
    var modifyIndex: UInt64 = 0
    var drainStrategy: [UInt8]?
    var lastDrain: [UInt8]?
    var events = NodeEventList()
    var lastMissedHeartbeatIndex: UInt64?
    var lastAllocUpdateIndex: UInt64?

    mutating func read(_ encoded: RawSpan) throws(WireError) {
      guard encoded.byteCount < Int(Slots.absent) else { throw .tooLarge }
      var reader = MessagePackReader(encoded)
      pairs.reserveCapacity(encoded.byteCount)
      let count = try reader.readMapHeader()
      for _ in 0..<count {
        let start = reader.offset
        let key = try reader.readRaw()
        if try readManaged(key, &reader) { continue }
        let value = reader.offset
        if key.equals("ID") { id = try reader.readString() } else { try reader.skip() }
        note(key, at: UInt32(pairs.count + value - start))
        pairs.append(contentsOf: encoded.extracting(start..<reader.offset))
        pairCount += 1
      }
      try findVersion()
    }

    /// Consumes the value of a field that the store changes itself; false for all others.
    private mutating func readManaged(_ key: RawSpan, _ reader: inout MessagePackReader) throws(WireError) -> Bool {
      switch key {
      case "Status": status = try reader.readString()
      case "StatusUpdatedAt": statusUpdatedAt = try reader.readInt64()
      case "SchedulingEligibility": eligibility = try reader.readString()
      case "CreateIndex": createIndex = try reader.readUInt64()
      case "ModifyIndex": modifyIndex = try reader.readUInt64()
      case "DrainStrategy": drainStrategy = try reader.readEncoded()
      case "LastDrain": lastDrain = try reader.readEncoded()
      case "Events": events = try NodeEventList(decoding: &reader)
      case "LastMissedHeartbeatIndex": lastMissedHeartbeatIndex = try reader.readUInt64()
      case "LastAllocUpdateIndex": lastAllocUpdateIndex = try reader.readUInt64()
      default: return false
      }
      return true
    }

    private mutating func note(_ key: RawSpan, at offset: UInt32) {
      switch key {
      case "SecretID": slots.secretID = offset
      case "Name": slots.name = offset
      case "Datacenter": slots.datacenter = offset
      case "NodeClass": slots.nodeClass = offset
      case "NodePool": slots.nodePool = offset
      case "HTTPAddr": slots.httpAddress = offset
      case "StatusDescription": slots.statusDescription = offset
      case "ComputedClass": slots.computedClass = offset
      case "Attributes": slots.attributes = offset
      case "Drivers": slots.drivers = offset
      case "HostVolumes": slots.hostVolumes = offset
      case "NodeResources": slots.nodeResources = offset
      case "ReservedResources": slots.reservedResources = offset
      case "Meta": slots.meta = offset
      default: break
      }
    }

    /// Refuses attributes that are no map of strings: queries rely on it.
    private mutating func findVersion() throws(WireError) {
      guard slots.attributes != Slots.absent else { return }
      var version = Slots.absent
      var reader = MessagePackReader(pairs.bytes, at: Int(slots.attributes))
      let count = try reader.readMapHeader()
      for _ in 0..<count {
        let key = try reader.readRaw()
        if key.equals("nomad.version") { version = UInt32(reader.offset) }
        _ = try reader.readRaw()
      }
      slots.version = version
    }

    func node() throws(NodeDecodingError) -> Node {
      let key: NodeID
      do throws(NodeIDError) { key = try NodeID(id) } catch { throw .id(error) }
      return Node(
        id: key, pairs: pairs, pairCount: pairCount, slots: slots, status: status, statusUpdatedAt: statusUpdatedAt,
        eligibility: eligibility, createIndex: createIndex, modifyIndex: modifyIndex, drainStrategy: drainStrategy,
        lastDrain: lastDrain, events: events, lastMissedHeartbeatIndex: lastMissedHeartbeatIndex,
        lastAllocUpdateIndex: lastAllocUpdateIndex)
    }
  }
}
