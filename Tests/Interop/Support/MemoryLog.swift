import Base
import Raft
import Wire

/// The disk of a Raft node, in memory. It outlives the node, so a node can be restarted on it.
final class MemoryLog: LogReader {
  private(set) var hardState = HardState()
  private(set) var entries: [LogEntry] = []
  private(set) var snapshot: (metadata: SnapshotMetadata, state: [UInt8])?
  /// Snapshots that a leader sent, for tests that want one to travel.
  var installed = 0

  var restored: RaftRestoredState {
    var bounds: ClosedRange<LogIndex>?
    if let first = entries.first, let last = entries.last { bounds = first.index...last.index }
    return RaftRestoredState(hardState: hardState, bounds: bounds, snapshot: snapshot?.metadata)
  }

  func carryOut(_ directive: StorageDirective) {
    switch directive {
    case .write(_, let change):
      if let state = change.hardState { hardState = state }
      if let cut = change.truncateFrom { entries.removeAll { $0.index >= cut } }
      entries += change.append
    case .saveSnapshot(_, let metadata, let state):
      snapshot = (metadata, state)
    case .compact(_, let index):
      entries.removeAll { $0.index <= index }
    }
  }

  func entries(in range: ClosedRange<LogIndex>, maximumBytes: Int) -> [LogEntry] {
    guard entries.contains(where: { $0.index == range.lowerBound }) else { return [] }
    var bytes = 0
    return Array(
      entries.drop { $0.index < range.lowerBound }.prefix { entry in
        defer { bytes += entry.wireBytes }
        return entry.index <= range.upperBound && (bytes == 0 || bytes + entry.wireBytes <= maximumBytes)
      })
  }

  func term(at index: LogIndex) -> Term? { entries.first { $0.index == index }?.term }
}

/// The replicated state of these tests: the commands in the order of the log. In a snapshot each has its length in
/// front, four bytes big endian; the Go peer writes the same.
enum CommandList {
  static func encode(_ commands: [String]) -> [UInt8] {
    var bytes: [UInt8] = []
    for command in commands {
      bytes.append(bigEndian: UInt32(command.utf8.count))
      bytes += command.utf8
    }
    return bytes
  }

  /// `nil` when the bytes are not a list.
  static func decode(_ bytes: [UInt8]) -> [String]? {
    var commands: [String] = []
    var rest = bytes[...]
    while !rest.isEmpty {
      let length = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
      guard rest.count >= 4 + length else { return nil }
      commands.append(String(decoding: rest.dropFirst(4).prefix(length), as: UTF8.self))
      rest = rest.dropFirst(4 + length)
    }
    return commands
  }
}
