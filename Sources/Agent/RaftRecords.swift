import Base
import Durable
import Raft
import Wire

// Raft's values as the log store and the snapshot store keep them.

extension StoredEntry {
  init(_ entry: LogEntry) {
    self.init(
      index: entry.index.value, term: entry.term.value, kind: entry.kind.value, data: entry.data,
      extensions: entry.extensions)
  }
}

extension LogEntry {
  init(_ stored: StoredEntry) {
    self.init(
      index: LogIndex(stored.index), term: Term(stored.term), kind: Kind(stored.kind), data: stored.data,
      extensions: stored.extensions)
  }
}

extension StorageDirective {
  /// The steps in the log store; a snapshot has none.
  var operations: [StoreOperation] {
    switch self {
    case .write(_, let write):
      var steps: [StoreOperation] = []
      if let state = write.hardState {
        steps.append(.hardState(StoredHardState(term: state.term.value, vote: state.vote.map { Array($0.utf8) })))
      }
      if let cut = write.truncateFrom { steps.append(.truncate(from: cut.value)) }
      if !write.append.isEmpty { steps.append(.append(write.append.map { StoredEntry($0) })) }
      return steps
    case .compact(_, let index): return [.compact(through: index.value)]
    case .saveSnapshot: return []
    }
  }
}

extension SnapshotMetadata {
  func encoded() -> [UInt8] {
    var out: [UInt8] = []
    out.packMapHeader(4)
    out.pack("Index" as StaticString)
    out.pack(unsigned: index.value)
    out.pack("Term" as StaticString)
    out.pack(unsigned: term.value)
    out.pack("Configuration" as StaticString)
    out.pack(raw: configuration.encoded)
    out.pack("ConfigurationIndex" as StaticString)
    out.pack(unsigned: configurationIndex.value)
    return out
  }

  init(decoding bytes: RawSpan) throws(WireError) {
    self.init(index: .none, term: .none, configuration: RaftConfiguration(), configurationIndex: .none)
    var reader = MessagePackReader(bytes)
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readString() {
      case "Index": index = LogIndex(try reader.readUInt64())
      case "Term": term = Term(try reader.readUInt64())
      case "Configuration": configuration = try RaftConfiguration(decoding: try reader.readRaw())
      case "ConfigurationIndex": configurationIndex = LogIndex(try reader.readUInt64())
      default: try reader.skip()
      }
    }
  }
}

/// Reads of durable entries for replication, straight from the store's memory map.
final class StoredLogReader: LogReader {
  private let store: LogStore

  init(_ store: LogStore) { self.store = store }

  func entries(in range: ClosedRange<LogIndex>, maximumBytes: Int) -> [LogEntry] {
    do throws(DurableError) {
      return try store.entries(
        from: range.lowerBound.value, through: range.upperBound.value, maximumBytes: maximumBytes
      ).map { LogEntry($0) }
    } catch {
      // The contract of `LogReader`: unreadable is empty, and Raft then falls back to a snapshot.
      return []
    }
  }

  func term(at index: LogIndex) -> Term? {
    do throws(DurableError) { return try store.term(at: index.value).map { Term($0) } } catch { return nil }
  }
}
