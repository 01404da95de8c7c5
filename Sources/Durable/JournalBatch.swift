import Base

/// A batch that the journal can take: appended entries, and term and vote. What cuts the log goes into the database at
/// once.
struct JournalBatch: Sendable {
  var hardState: StoredHardState?
  var entries: [StoredEntry] = []

  private static let hardStateMark = UInt8(ascii: "H")
  private static let entryMark = UInt8(ascii: "E")

  /// Nil for a batch that cuts the log, is empty, or does not continue a log that ends with `lastIndex`.
  init?(_ operations: [StoreOperation], after lastIndex: UInt64?) {
    for operation in operations {
      switch operation {
      case .hardState(let state): hardState = state
      case .append(let added): if entries.isEmpty { entries = added } else { entries += added }
      case .truncate, .compact: return nil
      }
    }
    guard hardState != nil || !entries.isEmpty else { return nil }
    var previous = lastIndex
    for entry in entries {
      if let previous, entry.index != previous &+ 1 { return nil }
      previous = entry.index
    }
  }

  // MARK: Payload

  /// At most this many bytes are encoded.
  var byteCount: Int {
    var count = hardState.map { 5 + 9 + ($0.vote?.count ?? 0) } ?? 0
    for entry in entries { count += 13 + RecordFormat.entryHeaderBytes + entry.extensions.count + entry.data.count }
    return count
  }

  /// `H` or `E` and the index; then the length (4 bytes) and the payload of the record in the database.
  func encode(into output: inout [UInt8]) {
    if let hardState {
      let payload = RecordFormat.encode(hardState)
      output.append(Self.hardStateMark)
      output.append(bigEndian: UInt32(payload.count))
      output.append(contentsOf: payload)
    }
    for entry in entries {
      output.append(Self.entryMark)
      output.append(bigEndian: entry.index)
      output.append(bigEndian: UInt32(RecordFormat.entryHeaderBytes + entry.extensions.count + entry.data.count))
      RecordFormat.encode(entry, into: &output)
    }
  }

  init(decoding payload: RawSpan, path: String) throws(DurableError) {
    do throws(ByteError) {
      var reader = ByteReader(payload)
      while !reader.isAtEnd {
        let mark = try reader.readUInt8()
        let index = mark == Self.entryMark ? try reader.readUInt64() : 0
        let count = Int(try reader.readUInt32())
        let record = try reader.readSpan(count)
        do throws(RecordDefect) {
          switch mark {
          case Self.hardStateMark: hardState = try RecordFormat.decodeHardState(record)
          case Self.entryMark: entries.append(try RecordFormat.decodeEntry(index, record))
          default: throw .unknownVersion
          }
        } catch {
          throw .truncated
        }
      }
    } catch {
      throw .damaged(path: path, what: "a batch of the journal cannot be decoded")
    }
  }
}

/// What the journal holds, as one: the newest term and vote, and the consecutive entries behind those of the database.
struct RecentBatches: Sendable {
  private(set) var hardState: StoredHardState?
  private(set) var entries: [StoredEntry] = []

  var bounds: ClosedRange<UInt64>? {
    guard let first = entries.first, let last = entries.last else { return nil }
    return first.index...last.index
  }

  /// Precondition: the batch continues the entries.
  mutating func add(_ batch: JournalBatch) {
    hardState = batch.hardState ?? hardState
    entries.append(contentsOf: batch.entries)
  }

  func term(at index: UInt64) -> UInt64? { position(of: index).map { entries[$0].term } }

  /// As `LogStore.entries`; empty when the first is not here.
  func entries(from first: UInt64, through last: UInt64, maximumBytes: Int) -> [StoredEntry] {
    guard let start = position(of: first) else { return [] }
    var end = start
    var bytes = 0
    while end < entries.count, entries[end].index <= last, bytes < maximumBytes || end == start {
      bytes += entries[end].costBytes
      end += 1
    }
    return Array(entries[start..<end])
  }

  private func position(of index: UInt64) -> Int? {
    guard let bounds, bounds.contains(index) else { return nil }
    return Int(index - bounds.lowerBound)
  }
}

extension StoredEntry {
  /// What an entry counts against a limit in bytes.
  var costBytes: Int { data.count + extensions.count + 64 }
}
