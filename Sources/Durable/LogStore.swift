import Base
import CLMDB
import Synchronization

/// The durable log and the term and vote, in one LMDB environment.
///
/// `perform` blocks until the batch is durable and is meant for a worker thread, one batch at a time. Everything else
/// may be called from the loop's thread at the same time: reads go to the memory map and see the last finished batch.
public final class LogStore: Sendable {
  /// How large the log may grow, in bytes. The file grows with what is stored; nothing is allocated ahead.
  public struct Limits: Hashable, Sendable {
    public var initialMapBytes = 64 << 20
    public var maximumMapBytes = 16 << 30
    public init() {}
  }

  public let directory: String
  private let limits: Limits
  private let database: Database
  private let lock: Int32
  private let writer = Mutex(WriterState())

  private struct WriterState {
    var mapBytes = 0
    var isPoisoned = false
    /// The signature is in the file; it is written with the first batch, so that opening writes nothing.
    var isSigned = false
  }

  /// Opens or creates the log in `directory`, which is created if needed. One process at a time.
  public init(directory: String, limits: Limits = Limits()) throws(DurableError) {
    self.directory = directory
    self.limits = limits
    try Files.makeDirectory(directory)
    lock = try Files.lock(directory)
    do throws(DurableError) {
      database = try Database(path: directory, mapBytes: limits.initialMapBytes)
      let isSigned = try Self.checkSignature(database, directory)
      let size = database.mapBytes
      writer.withLock { state in
        state.mapBytes = size
        state.isSigned = isSigned
      }
    } catch {
      Files.unlock(lock)
      throw error
    }
  }

  deinit { Files.unlock(lock) }

  private static func checkSignature(_ database: Database, _ path: String) throws(DurableError) -> Bool {
    let signature = RecordFormat.signature
    let found = try database.read { (reader) throws(DurableError) -> Bool? in
      try reader.with(key: RecordFormat.versionKey) { (record) throws(DurableError) -> Bool in
        do throws(RecordDefect) {
          return try RecordFormat.payload(RecordFormat.versionKey, record).equals(signature.bytes)
        } catch {
          throw .damaged(path: path, what: "unreadable signature (\(error))")
        }
      }
    }
    if found == false { throw .damaged(path: path, what: "not a log of this version") }
    return found ?? false
  }

  // MARK: Writing

  /// Makes a batch durable: all of it when this returns, none of it when this throws.
  public func perform(_ operations: [StoreOperation]) throws(DurableError) {
    let failure = writer.withLock { state -> DurableError? in
      do throws(DurableError) {
        try perform(operations, &state)
        return nil
      } catch {
        return error
      }
    }
    if let failure { throw failure }
  }

  private func perform(_ operations: [StoreOperation], _ state: inout WriterState) throws(DurableError) {
    guard !state.isPoisoned else { throw .poisoned(path: directory) }
    while true {
      switch database.transact({ apply(operations, $0, isSigned: state.isSigned) }) {
      case .done:
        state.isSigned = true
        return
      case .mapFull:
        guard state.mapBytes < limits.maximumMapBytes else {
          throw .full(path: directory, reason: "the log has reached its maximum of \(limits.maximumMapBytes) bytes")
        }
        state.mapBytes = min(state.mapBytes * 2, limits.maximumMapBytes)
        try database.resize(to: state.mapBytes)
      case .failed(let error):
        throw error
      case .commitFailed(let error):
        // Some of the pages may be on the disk, and the kernel may have dropped the others: nothing is certain.
        state.isPoisoned = true
        throw error
      }
    }
  }

  /// Runs inside a write transaction; returns LMDB's code.
  private func apply(_ operations: [StoreOperation], _ transaction: WriteTransaction, isSigned: Bool) -> Int32 {
    var code: Int32 = 0
    if !isSigned {
      let key = RecordFormat.versionKey
      code = transaction.put(key, RecordFormat.record(key, RecordFormat.signature), append: false)
    }
    for operation in operations where code == 0 {
      switch operation {
      case .hardState(let state):
        let key = RecordFormat.hardStateKey
        code = transaction.put(key, RecordFormat.record(key, RecordFormat.encode(state)), append: false)
      case .truncate(let index):
        code = transaction.delete(from: RecordFormat.key(index), through: nil)
      case .compact(let index):
        code = transaction.delete(from: RecordFormat.key(0), through: RecordFormat.key(index))
      case .append(let entries):
        for entry in entries where code == 0 {
          let key = RecordFormat.key(entry.index)
          code = transaction.put(key, RecordFormat.record(key, RecordFormat.encode(entry)), append: true)
        }
      }
    }
    return code
  }

  // MARK: Reading

  /// What is stored: hard state and bounds of the log. Checks the first and the last entry, and that none is missing.
  public func load() throws(DurableError) -> StoredState {
    try database.read { (reader) throws(DurableError) -> StoredState in
      var state = StoredState()
      state.hardState = try reader.with(key: RecordFormat.hardStateKey) { (record) throws(DurableError) in
        do throws(RecordDefect) {
          let payload = try RecordFormat.payload(RecordFormat.hardStateKey, record)
          return try RecordFormat.decodeHardState(payload)
        } catch {
          throw damaged("term and vote", error)
        }
      }
      guard let bounds = try reader.entryBounds() else { return state }
      let (expected, overflow) = (bounds.upperBound - bounds.lowerBound).addingReportingOverflow(1)
      guard !overflow, reader.entryCount(hasHardState: state.hardState != nil) == expected else {
        throw .damaged(
          path: directory, what: "entries between \(bounds.lowerBound) and \(bounds.upperBound) are missing")
      }
      for index in [bounds.lowerBound, bounds.upperBound] {
        guard try entry(index, reader) != nil else { throw damaged("entry \(index)", .missing) }
      }
      state.bounds = bounds
      return state
    }
  }

  /// Entries from `first` to at most `last`, in order, stopping after about `maximumBytes`; at least one if `first` is
  /// stored, none if it is not.
  public func entries(from first: UInt64, through last: UInt64, maximumBytes: Int) throws(DurableError) -> [StoredEntry]
  {
    try database.read { (reader) throws(DurableError) -> [StoredEntry] in
      var result: [StoredEntry] = []
      var bytes = 0
      var index = first
      while index <= last, bytes < maximumBytes || result.isEmpty, let entry = try entry(index, reader) {
        bytes += entry.data.count + entry.extensions.count + 64
        result.append(entry)
        guard index < .max else { break }
        index += 1
      }
      return result
    }
  }

  /// `nil` when the entry is not stored.
  public func term(at index: UInt64) throws(DurableError) -> UInt64? {
    try database.read { (reader) throws(DurableError) -> UInt64? in try entry(index, reader)?.term }
  }

  private func entry(_ index: UInt64, _ reader: borrowing ReadTransaction) throws(DurableError) -> StoredEntry? {
    let key = RecordFormat.key(index)
    return try reader.with(key: key) { (record) throws(DurableError) -> StoredEntry in
      do throws(RecordDefect) {
        return try RecordFormat.decodeEntry(index, try RecordFormat.payload(key, record))
      } catch {
        throw damaged("entry \(index)", error)
      }
    }
  }

  private func damaged(_ what: String, _ defect: RecordDefect) -> DurableError {
    .damaged(path: directory, what: "\(what) is unreadable (\(defect))")
  }

  /// Bytes of the file that hold data.
  public var usedBytes: Int { database.usedBytes }
}
