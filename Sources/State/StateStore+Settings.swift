import Base
import Wire

/// Effects of the messages that set something for the whole region (raft.md 7.3, rpc.md 8.4).
extension StateStore {
  /// False: a check-and-set that did not meet its index.
  mutating func applyAutopilot(_ body: RawSpan, _ change: inout Change) throws(ApplyError) -> Bool {
    var wanted: AutopilotConfiguration?
    let isChecked = try Self.setting(body) { values throws(WireError) in wanted = try AutopilotConfiguration(&values) }
    guard var wanted else { throw .undecodable(.typeMismatch) }
    if isChecked, autopilot?.modifyIndex ?? 0 != wanted.modifyIndex { return false }
    wanted.createIndex = autopilot?.createIndex ?? change.index
    wanted.modifyIndex = change.index
    autopilot = wanted
    change.touch(.autopilot)
    return true
  }

  /// False: a check-and-set that did not meet its index.
  mutating func applyScheduler(_ body: RawSpan, _ change: inout Change) throws(ApplyError) -> Bool {
    var wanted: SchedulerConfiguration?
    let isChecked = try Self.setting(body) { values throws(WireError) in wanted = try SchedulerConfiguration(&values) }
    guard var wanted else { throw .undecodable(.typeMismatch) }
    if isChecked, scheduler?.modifyIndex ?? 0 != wanted.modifyIndex { return false }
    do throws(WireError) {
      try wanted.stamp(createIndex: scheduler?.createIndex ?? change.index, modifyIndex: change.index)
    } catch {
      throw .undecodable(error)
    }
    scheduler = wanted
    change.touch(.scheduler)
    return true
  }

  mutating func applyClusterMetadata(_ body: RawSpan) throws(ApplyError) {
    cluster = try ApplyError.decoding { () throws(WireError) in
      var reader = MessagePackReader(body)
      return try ClusterMetadata(&reader)
    }
  }

  mutating func upsertNamespaces(_ body: RawSpan, _ change: inout Change) throws(ApplyError) {
    var rows: [NamespaceTable.Row] = []
    do throws(WireError) {
      var reader = MessagePackReader(body)
      try reader.readPairs { key, values throws(WireError) in
        guard key.equals("Namespaces") else { return _ = try values.skip() }
        for _ in 0..<(try values.readArrayHeader()) {
          if try values.readNil() { continue }
          rows.append(try NamespaceTable.Row(try values.skip()))
        }
      }
      for position in rows.indices {
        let create = namespaces[rows[position].name]?.createIndex ?? change.index
        rows[position].createIndex = create
        let encoded = rows[position].encoded
        rows[position].encoded = try .patched(encoded.bytes) { patch in
          patch.set("CreateIndex", unsigned: create)
          patch.set("ModifyIndex", unsigned: change.index)
        }
      }
    } catch {
      throw .undecodable(error)
    }
    for row in rows { namespaces.store(row) }
    indexes[TableIndexes.namespaces] = change.index
    change.touch(.namespaces)
  }

  mutating func deleteNamespaces(_ body: RawSpan, _ change: inout Change) throws(ApplyError) {
    var names: [String] = []
    do throws(WireError) {
      var reader = MessagePackReader(body)
      try reader.readPairs { key, values throws(WireError) in
        guard key.equals("Namespaces") else { return _ = try values.skip() }
        for _ in 0..<(try values.readArrayHeader()) { names.append(try values.readString()) }
      }
    } catch {
      throw .undecodable(error)
    }
    if names.contains(NamespaceTable.defaultName) { throw .defaultNamespace }
    for name in names { namespaces.remove(name) }
    indexes[TableIndexes.namespaces] = change.index
    change.touch(.namespaces)
  }

  /// Reads `{Config, CAS, ...}`; true when the write is a check-and-set.
  private static func setting(
    _ body: RawSpan, _ read: (inout MessagePackReader) throws(WireError) -> Void
  ) throws(ApplyError) -> Bool {
    var isChecked = false
    do throws(WireError) {
      var reader = MessagePackReader(body)
      try reader.readPairs { key, values throws(WireError) in
        switch key {
        case "Config": try read(&values)
        case "CAS": isChecked = try values.readBool()
        default: try values.skip()
        }
      }
    } catch {
      throw .undecodable(error)
    }
    return isChecked
  }
}
