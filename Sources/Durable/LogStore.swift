import Base
import CLMDB
import Synchronization

/// The durable log and the term and vote: an LMDB environment, and in front of it a journal that makes a batch durable
/// with one write. What is only in the journal is kept in memory too.
///
/// `perform` blocks until the batch is durable and is meant for a worker thread, one batch at a time. Everything else
/// may be called from the loop's thread at the same time: reads see the last finished batch, entries of the database
/// straight from the memory map.
public final class LogStore: Sendable {
  /// How large the log may grow, in bytes. The file grows with what is stored; nothing is allocated ahead but the
  /// journal.
  public struct Limits: Hashable, Sendable {
    public var initialMapBytes = 64 << 20
    public var maximumMapBytes = 16 << 30
    /// 0: every batch goes into the database.
    public var journalBytes = 4 << 20
    public init() {}
  }

  public let directory: String
  private let limits: Limits
  private let database: Database
  private let lock: Int32
  private let writer = Mutex(WriterState())
  /// What is in the journal and not in the database; read by the loop's thread.
  private let recent = Mutex(RecentBatches())

  private struct WriterState {
    var mapBytes = 0
    var isPoisoned = false
    /// The signature is in the database; it is written with the first batch, so that opening writes nothing. Only then
    /// may there be a journal.
    var isSigned = false
    var journal: Journal?
    /// Last batch of the journal that is in the database, when that is known there.
    var sequence: UInt64?
    var lastIndex: UInt64?
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
      let sequence = try database.lastSequence(directory)
      var batches = RecentBatches()
      let journal = try Journal.open(in: directory, after: sequence ?? 0) { (payload) throws(DurableError) in
        try batches.add(JournalBatch(decoding: payload, path: directory))
      }
      if journal == nil, sequence ?? 0 > 0 {
        throw .damaged(path: directory + "/" + Journal.name, what: "the file is missing")
      }
      let stored = try database.read { (reader) throws(DurableError) in try reader.entryBounds() }
      if let first = batches.entries.first, let last = stored?.upperBound, first.index != last &+ 1 {
        throw .damaged(path: directory, what: "entries \(last) and \(first.index) do not follow one another")
      }
      recent.withLock { $0 = batches }
      writer.withLock { state in
        state.mapBytes = size
        state.isSigned = isSigned
        state.journal = journal
        state.sequence = sequence
        state.lastIndex = batches.entries.last?.index ?? stored?.upperBound
      }
    } catch {
      Files.unlock(lock)
      throw error
    }
  }

  deinit {
    writer.withLock { $0.journal?.close() }
    Files.unlock(lock)
  }

  private static func checkSignature(_ database: Database, _ path: String) throws(DurableError) -> Bool {
    let found = try database.read { (reader) throws(DurableError) -> Bool?? in
      try reader.with(key: RecordFormat.versionKey) { (record) throws(DurableError) -> Bool? in
        do throws(RecordDefect) {
          let payload = try RecordFormat.payload(RecordFormat.versionKey, record)
          if payload.equals(RecordFormat.signatureWithoutJournal) { return nil }
          return payload.equals(RecordFormat.signature)
        } catch {
          throw .damaged(path: path, what: "unreadable signature (\(error))")
        }
      }
    }
    // An older log gets the signature of this version with its next batch.
    if found == .some(.some(false)) { throw .damaged(path: path, what: "not a log of this version") }
    return found == .some(.some(true))
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
    if let batch = JournalBatch(operations, after: state.lastIndex), try openJournal(for: batch, &state) {
      do throws(DurableError) { try state.journal?.append { batch.encode(into: &$0) } } catch {
        // Some of the bytes may be on the disk: nothing is certain.
        state.isPoisoned = true
        throw error
      }
      state.lastIndex = batch.entries.last?.index ?? state.lastIndex
      recent.withLock { $0.add(batch) }
    } else {
      try commit(operations, &state)
    }
  }

  /// False when the batch has to go into the database: there is no room, or no signature yet.
  private func openJournal(for batch: JournalBatch, _ state: inout WriterState) throws(DurableError) -> Bool {
    let bytes = batch.byteCount
    guard state.isSigned, bytes <= limits.journalBytes / 2 else { return false }
    // What the journal takes must fit into the database later, with the space that its pages need.
    guard database.usedBytes + 2 * limits.journalBytes < limits.maximumMapBytes else { return false }
    if state.journal == nil {
      state.journal = try Journal.create(
        in: directory, fileBytes: Journal.headerBytes + limits.journalBytes, after: state.sequence ?? 0)
    }
    return state.journal?.hasRoom(for: bytes) ?? false
  }

  /// Everything recent and the operations in one transaction; the journal begins anew.
  private func commit(_ operations: [StoreOperation], _ state: inout WriterState) throws(DurableError) {
    let recent = self.recent.withLock { $0 }
    let sequence = state.journal?.lastSequence ?? state.sequence
    while true {
      switch database.transact({ apply(recent, operations, $0, isSigned: state.isSigned, sequence: sequence) }) {
      case .done:
        state.isSigned = true
        state.sequence = sequence
        state.journal?.rewind()
        self.recent.withLock { $0 = RecentBatches() }
        state.lastIndex = try database.read { (reader) throws(DurableError) in try reader.entryBounds()?.upperBound }
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
  private func apply(
    _ recent: RecentBatches, _ operations: [StoreOperation], _ transaction: WriteTransaction, isSigned: Bool,
    sequence: UInt64?
  ) -> Int32 {
    var code: Int32 = 0
    if !isSigned { code = transaction.put(record: RecordFormat.signature, at: RecordFormat.versionKey) }
    if let sequence, code == 0 {
      var bytes: [UInt8] = []
      bytes.append(bigEndian: sequence)
      code = transaction.put(record: bytes, at: RecordFormat.sequenceKey)
    }
    if let state = recent.hardState, code == 0 {
      code = transaction.put(record: RecordFormat.encode(state), at: RecordFormat.hardStateKey)
    }
    if code == 0 { code = transaction.append(recent.entries) }
    for operation in operations where code == 0 {
      switch operation {
      case .hardState(let state):
        code = transaction.put(record: RecordFormat.encode(state), at: RecordFormat.hardStateKey)
      case .truncate(let index):
        code = transaction.delete(from: RecordFormat.key(index), through: nil)
      case .compact(let index):
        code = transaction.delete(from: RecordFormat.key(0), through: RecordFormat.key(index))
      case .append(let entries):
        code = transaction.append(entries)
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
      let hasSequence = try reader.with(key: RecordFormat.sequenceKey) { _ throws(DurableError) in true } ?? false
      let hasHardState = state.hardState != nil
      let recent = self.recent.withLock { $0 }
      state.hardState = recent.hardState ?? state.hardState
      let recentBounds = recent.bounds
      guard let bounds = try reader.entryBounds() else {
        state.bounds = recentBounds
        return state
      }
      let (expected, overflow) = (bounds.upperBound - bounds.lowerBound).addingReportingOverflow(1)
      guard !overflow, reader.entryCount(hasHardState: hasHardState, hasSequence: hasSequence) == expected else {
        throw .damaged(
          path: directory, what: "entries between \(bounds.lowerBound) and \(bounds.upperBound) are missing")
      }
      for index in [bounds.lowerBound, bounds.upperBound] {
        guard try entry(index, reader) != nil else { throw damaged("entry \(index)", .missing) }
      }
      state.bounds = bounds.lowerBound...(recentBounds?.upperBound ?? bounds.upperBound)
      return state
    }
  }

  /// Entries from `first` to at most `last`, in order, stopping after about `maximumBytes`; at least one if `first` is
  /// stored, none if it is not.
  public func entries(from first: UInt64, through last: UInt64, maximumBytes: Int) throws(DurableError) -> [StoredEntry]
  {
    var result: [StoredEntry] = []
    var bytes = 0
    var index = first
    while index <= last, bytes < maximumBytes || result.isEmpty {
      // The recent ones first: an entry leaves them only when it is in the database.
      var part = recent.withLock { $0.entries(from: index, through: last, maximumBytes: maximumBytes - bytes) }
      if part.isEmpty { part = try storedEntries(from: index, through: last, maximumBytes: maximumBytes - bytes) }
      guard let end = part.last?.index else { break }
      for entry in part { bytes += entry.costBytes }
      if result.isEmpty { result = part } else { result += part }
      guard end < .max else { break }
      index = end + 1
    }
    return result
  }

  private func storedEntries(
    from first: UInt64, through last: UInt64, maximumBytes: Int
  ) throws(DurableError) -> [StoredEntry] {
    try database.read { (reader) throws(DurableError) -> [StoredEntry] in
      var result: [StoredEntry] = []
      var bytes = 0
      var index = first
      while index <= last, bytes < maximumBytes || result.isEmpty, let entry = try entry(index, reader) {
        bytes += entry.costBytes
        result.append(entry)
        guard index < .max else { break }
        index += 1
      }
      return result
    }
  }

  /// `nil` when the entry is not stored.
  public func term(at index: UInt64) throws(DurableError) -> UInt64? {
    if let term = recent.withLock({ $0.term(at: index) }) { return term }
    return try database.read { (reader) throws(DurableError) -> UInt64? in try entry(index, reader)?.term }
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

  /// Bytes of the database that hold data.
  public var usedBytes: Int { database.usedBytes }
}
