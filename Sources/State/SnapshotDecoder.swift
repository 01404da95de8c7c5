import Base
import Wire

/// Builds a state from the bytes of a snapshot, in any chunks.
///
/// Calling order: `feed` until the source is exhausted, then `finish` once. After an error the decoder is discarded; the
/// state in use is untouched until the owner replaces it.
public struct SnapshotDecoder: Sendable {
  /// Largest single record; a node has a few kilobytes, a job of a foreign region may have megabytes.
  public static let maximumRecordBytes = 64 << 20

  private var state = StateStore()
  private var pending: [UInt8] = []
  private var sawHeader = false
  /// Namespaces are replaced by those of the snapshot; `default` stays if it has none.
  private let index: UInt64

  /// `index` is the log index of the snapshot, from its metadata.
  public init(index: UInt64) { self.index = index }

  public mutating func feed(_ bytes: RawSpan) throws(SnapshotError) {
    pending.append(contentsOf: bytes)
    var start = 0
    while start < pending.count {
      guard let end = try decodeRecord(at: start) else { break }
      start = end
    }
    pending.removeSubrange(0..<start)
    guard pending.count <= Self.maximumRecordBytes else { throw .recordTooLarge }
  }

  public consuming func finish() throws(SnapshotError) -> StateStore {
    guard sawHeader, pending.isEmpty else { throw .truncated }
    state.lastIndex = index
    return state
  }

  /// The end of the record that starts at `start`; nil when it has not arrived completely.
  private mutating func decodeRecord(at start: Int) throws(SnapshotError) -> Int? {
    let hasType = sawHeader
    let valueStart = hasType ? start + 1 : start
    guard valueStart < pending.count else { return nil }
    var reader = MessagePackReader(pending.bytes, at: valueStart)
    do throws(WireError) {
      try reader.skip()
    } catch {
      guard error == .truncated else { throw .malformed(error) }
      return nil
    }
    let end = reader.offset
    let value = pending.bytes.copy(valueStart..<end)
    if hasType {
      try store(SnapshotRecord(type: pending[start], encoded: value))
    } else {
      try SnapshotError.decoding { () throws(WireError) in try readHeader(value) }
      sawHeader = true
    }
    return end
  }

  private mutating func readHeader(_ value: [UInt8]) throws(WireError) {
    var reader = MessagePackReader(value.bytes)
    let count = try reader.readMapHeader()
    for _ in 0..<count {
      let key = try reader.readRaw()
      if key.equals(SnapshotEncoder.autopilotKey) {
        state.autopilot = try AutopilotConfiguration(&reader)
      } else {
        try reader.skip()
      }
    }
  }

  private mutating func store(_ record: SnapshotRecord) throws(SnapshotError) {
    switch record.type {
    case SnapshotRecord.node:
      do throws(NodeDecodingError) {
        state.nodes.store(try Node(decoding: record.encoded.bytes))
      } catch {
        throw .invalidNode("\(error)")
      }
    case SnapshotRecord.index:
      try SnapshotError.decoding { () throws(WireError) in try readIndex(record.encoded) }
    case SnapshotRecord.scheduler:
      state.scheduler = try SnapshotError.decoding { () throws(WireError) in
        var reader = MessagePackReader(record.encoded.bytes)
        return try SchedulerConfiguration(&reader)
      }
    case SnapshotRecord.cluster:
      state.cluster = try SnapshotError.decoding { () throws(WireError) in
        var reader = MessagePackReader(record.encoded.bytes)
        return try ClusterMetadata(&reader)
      }
    case SnapshotRecord.namespace:
      state.namespaces.store(
        try SnapshotError.decoding { () throws(WireError) in try NamespaceTable.Row(record.encoded.bytes) })
    default:
      state.foreignRecords.append(record)
      if record.type != SnapshotRecord.timeTable { state.hasForeignRecords = true }
    }
  }

  private mutating func readIndex(_ value: [UInt8]) throws(WireError) {
    var key = ""
    var index: UInt64 = 0
    var reader = MessagePackReader(value.bytes)
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "Key": key = try reader.readString()
      case "Value": index = try reader.readUInt64()
      default: try reader.skip()
      }
    }
    state.indexes[key] = index
  }
}

public enum SnapshotError: Error, Hashable, Sendable {
  case malformed(WireError)
  /// The bytes end inside a record, or before the header.
  case truncated
  case recordTooLarge
  case invalidNode(String)

  static func decoding<T>(_ body: () throws(WireError) -> T) throws(SnapshotError) -> T {
    do throws(WireError) { return try body() } catch { throw .malformed(error) }
  }
}

extension StateStore {
  /// Decodes a whole snapshot in one piece; `index` is the log index it stands for.
  public init(snapshot bytes: RawSpan, index: UInt64) throws(SnapshotError) {
    var decoder = SnapshotDecoder(index: index)
    try decoder.feed(bytes)
    self = try decoder.finish()
  }
}

extension NodeDecodingError: CustomStringConvertible {
  var description: String {
    switch self {
    case .wire(let error): "\(error)"
    case .id(let error): error.text
    }
  }
}
