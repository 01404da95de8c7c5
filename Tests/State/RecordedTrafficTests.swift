import Base
import State
import Testing
import Wire

/// A log of real servers applied here gives the state that real servers had.
@Suite struct RecordedTrafficTests {
  @Test func everyRecordedEntryApplies() {
    var state = StateStore()
    for (index, data) in Recorded.entries {
      let result = state.apply(index, data)
      #expect(result == .done || result == .checked(true), "entry \(index)")
    }
    #expect(state.apply(14, Recorded.autopilotChecked) == .checked(true))
    #expect(state.autopilot?.maxTrailingLogs == 300)
    #expect(state.autopilot?.createIndex == 4)
    #expect(state.apply(15, Recorded.tokenExpiry) == .done)
    #expect(state.apply(19, Recorded.heartbeatMissed) == .done)
    #expect(state.node(try! NodeID(Recorded.nodeID))?.status == "down")
    #expect(state.canSnapshot)
    #expect(!state.hasForeignData)
  }

  @Test func recordedLogGivesTheRecordedSnapshot() throws {
    let state = StateStore.recorded()
    #expect(state.canSnapshot)
    let ours = try records(state.encodedSnapshot())
    let theirs = try records(Recorded.snapshot).filter { $0.type != 5 }
    #expect(Set(ours.map(\.type)) == Set(theirs.map(\.type)))
    for their in theirs {
      var their = their
      // The one difference: servers of Go stamp their own event in their zone, we in UTC.
      their.value.normalizeZones()
      let our = ours.filter { $0.type == their.type }.map { record in
        var value = record.value
        value.normalizeZones()
        return value
      }
      #expect(our.contains(their.value), "record type \(their.type)")
    }
  }

  @Test func recordedSnapshotRestoresAndComesOutAgain() throws {
    let recorded = Recorded.snapshot
    let state = try StateStore(snapshot: recorded.bytes, index: 13)
    #expect(state.lastIndex == 13)
    #expect(state.nodesIndex == 13)
    #expect(state.index(ofTable: "csi_plugins") == 7)
    #expect(state.nodeCount == 1)
    #expect(state.cluster?.clusterID == "b9fc9b4a-1eb4-5714-fb05-2d7217c44bab")
    #expect(state.scheduler?.modifyIndex == 5)
    #expect(state.scheduler?.algorithm == "binpack")
    #expect(!state.hasForeignData)
    // The table of times is kept as it came.
    let again = try records(state.encodedSnapshot())
    #expect(Set(try records(Recorded.snapshot)) == Set(again))
  }

  @Test func drainLeavesTheRecordedTraces() throws {
    var state = StateStore.recorded(upTo: 11)
    var node = try #require(state.node(NodeID(Recorded.nodeID)))
    #expect(node.isDraining)
    #expect(node.eligibility == "ineligible")
    #expect(try state.value(ofNode: Recorded.nodeID)["LastDrain"]?["Status"]?.string == "draining")
    state.apply(12, Recorded.drainComplete)
    node = try #require(state.node(NodeID(Recorded.nodeID)))
    #expect(!node.isDraining)
    #expect(node.eligibility == "ineligible")
    let value = try state.value(ofNode: Recorded.nodeID)
    #expect(value["LastDrain"]?["Status"]?.string == "complete")
    #expect(value["LastDrain"]?["Meta"] == .null)
    #expect(value["Events"]?.items.map { $0["CreateIndex"]?.number } == [0, 9, 10, 11, 12])
    #expect(value["SecretID"]?.string == "")
    state.apply(13, Recorded.drainCancelled)
    #expect(state.node(try NodeID(Recorded.nodeID))?.eligibility == "eligible")
  }

  struct Record: Hashable {
    var type: UInt8
    var value: Value
  }

  func records(_ snapshot: [UInt8]) throws -> [Record] {
    var reader = MessagePackReader(snapshot.bytes)
    try reader.skip()
    var records: [Record] = []
    var offset = reader.offset
    while offset < snapshot.count {
      var record = MessagePackReader(snapshot.bytes, at: offset + 1)
      records.append(Record(type: snapshot[offset], value: try Value(&record)))
      offset = record.offset
    }
    return records
  }
}

extension Value {
  /// Sets the zone of every 15-byte time to UTC.
  mutating func normalizeZones() {
    switch self {
    case .text(var bytes) where bytes.count == 15 && bytes[0] == 1:
      bytes[13] = 0xFF
      bytes[14] = 0xFF
      self = .text(bytes)
    case .list(var items):
      for position in items.indices { items[position].normalizeZones() }
      self = .list(items)
    case .map(var map):
      for key in map.keys { map[key]?.normalizeZones() }
      self = .map(map)
    default: break
    }
  }
}
