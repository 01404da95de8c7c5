import Base
import Wire

/// Writes a state in Nomad's snapshot format, piece by piece, so that a large state never blocks the loop for long.
/// Works on a copy of the state; may run on another thread.
///
/// Deviation: Nomad's header object is an empty map and its snapshots lack the autopilot configuration (raft.md 9.3), so
/// a server restored from one forgets what the operator set. Ours carries it in the header, where a Go decoder skips
/// the unknown field.
public struct SnapshotEncoder: Sendable {
  private let state: StateStore
  private var stage = Stage.header

  private enum Stage: Hashable, Sendable {
    case header
    case indexes
    /// Position of the next node.
    case nodes(Int)
    case settings
    /// Position of the next record.
    case foreign(Int)
    case finished
  }

  static let autopilotKey: StaticString = "NomaddAutopilotConfig"

  /// Precondition: `state.canSnapshot`.
  public init(_ state: StateStore) {
    precondition(state.canSnapshot)
    self.state = state
  }

  /// Appends whole records until about `bytes` bytes were added. False when the snapshot is complete.
  public mutating func next(into out: inout [UInt8], about bytes: Int) -> Bool {
    let end = out.count + max(bytes, 1)
    while stage != .finished {
      step(&out)
      if out.count >= end { break }
    }
    return stage != .finished
  }

  private mutating func step(_ out: inout [UInt8]) {
    switch stage {
    case .header:
      packHeader(&out)
      stage = .indexes
    case .indexes:
      for row in state.indexes.rows { packIndex(row, &out) }
      stage = .nodes(0)
    case .nodes(let position):
      guard position < state.nodes.count else { return stage = .settings }
      out.append(SnapshotRecord.node)
      state.nodes[at: position].pack(into: &out, blankingSecret: false)
      stage = .nodes(position + 1)
    case .settings:
      packSettings(&out)
      stage = .foreign(0)
    case .foreign(let position):
      guard position < state.foreignRecords.count else { return stage = .finished }
      out.append(state.foreignRecords[position].type)
      out.append(contentsOf: state.foreignRecords[position].encoded)
      stage = .foreign(position + 1)
    case .finished:
      break
    }
  }

  private func packHeader(_ out: inout [UInt8]) {
    guard let autopilot = state.autopilot else { return out.packMapHeader(0) }
    out.packMapHeader(1)
    out.pack(Self.autopilotKey)
    autopilot.pack(into: &out)
  }

  private func packIndex(_ row: TableIndexes.Row, _ out: inout [UInt8]) {
    out.append(SnapshotRecord.index)
    out.packMapHeader(2)
    out.pack("Key")
    out.pack(row.key)
    out.pack("Value")
    out.pack(unsigned: row.value)
  }

  private func packSettings(_ out: inout [UInt8]) {
    for row in state.namespaces.rows {
      out.append(SnapshotRecord.namespace)
      out.append(contentsOf: row.encoded)
    }
    if let scheduler = state.scheduler {
      out.append(SnapshotRecord.scheduler)
      scheduler.pack(into: &out)
    }
    if let cluster = state.cluster {
      out.append(SnapshotRecord.cluster)
      cluster.pack(into: &out)
    }
  }
}

extension StateStore {
  /// The whole snapshot in one piece. Precondition: `canSnapshot`.
  public func encodedSnapshot() -> [UInt8] {
    var encoder = SnapshotEncoder(self)
    var bytes: [UInt8] = []
    while encoder.next(into: &bytes, about: 1 << 20) {}
    return bytes
  }
}
