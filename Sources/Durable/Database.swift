import Base
import CLMDB
import Synchronization

/// A thin, checked layer over one LMDB environment with one unnamed database.
///
/// LMDB lets the map be resized only while no transaction of the process is open. Readers hold `gate` while they read;
/// the writer takes it only to resize.
@safe final class Database: Sendable {
  private let opened: Environment
  private let handle: MDB_dbi
  private let gate = Mutex(())
  private let path: String

  /// `path` is a directory.
  init(path: String, mapBytes: Int) throws(DurableError) {
    self.path = path
    // LMDB writes to it through a map, and a map without a block behind it ends the process with SIGBUS.
    try Files.reserve(Self.lockFileBytes, of: path + "/lock.mdb")
    var created: OpaquePointer?
    let code = unsafe mdb_env_create(&created)
    guard code == 0, let environment = unsafe created else { throw Self.failure("open", path, code) }
    do throws(DurableError) {
      // Without thread-local readers, a reader belongs to its transaction, whichever thread runs it. No read-ahead:
      // access is random and memory is dear.
      let flags = UInt32(MDB_NOTLS | MDB_NORDAHEAD)
      try Self.check(unsafe mdb_env_set_mapsize(environment, mapBytes), "size", path)
      try Self.check(unsafe mdb_env_set_maxreaders(environment, 8), "open", path)
      try Self.check(unsafe mdb_env_open(environment, path, flags, 0o600), "open", path)
      handle = try unsafe Self.openHandle(environment, path)
    } catch {
      unsafe mdb_env_close(environment)
      throw error
    }
    opened = unsafe Environment(pointer: environment)
  }

  private static let lockFileBytes = 4096

  deinit { unsafe mdb_env_close(environment) }

  private var environment: OpaquePointer { unsafe opened.pointer }

  /// LMDB lets every thread use one environment; what a thread must not share are transactions.
  @safe private struct Environment: @unchecked Sendable {
    let pointer: OpaquePointer
  }

  private static func openHandle(_ environment: OpaquePointer, _ path: String) throws(DurableError) -> MDB_dbi {
    var transaction: OpaquePointer?
    try check(unsafe mdb_txn_begin(environment, nil, UInt32(MDB_RDONLY), &transaction), "open", path)
    var handle: MDB_dbi = 0
    let code = unsafe mdb_dbi_open(transaction, nil, 0, &handle)
    guard code == 0 else {
      unsafe mdb_txn_abort(transaction)
      throw failure("open", path, code)
    }
    try check(unsafe mdb_txn_commit(transaction), "open", path)
    return handle
  }

  /// The map in force; an existing file may be larger than what was asked for.
  var mapBytes: Int {
    var info = unsafe MDB_envinfo()
    guard unsafe mdb_env_info(environment, &info) == 0 else { return 0 }
    return unsafe info.me_mapsize
  }

  var usedBytes: Int {
    var info = unsafe MDB_envinfo()
    var status = MDB_stat()
    guard unsafe mdb_env_info(environment, &info) == 0, unsafe mdb_env_stat(environment, &status) == 0 else { return 0 }
    return unsafe (info.me_last_pgno + 1) * Int(status.ms_psize)
  }

  enum Outcome {
    case done
    case mapFull
    /// Nothing was written.
    case failed(DurableError)
    /// The commit began and did not end well.
    case commitFailed(DurableError)
  }

  /// Runs `body` in a write transaction, committed and durable if it returns 0.
  func transact(_ body: (WriteTransaction) -> Int32) -> Outcome {
    var opened: OpaquePointer?
    var code = unsafe mdb_txn_begin(environment, nil, 0, &opened)
    guard code == 0, let raw = unsafe opened else { return .failed(Self.failure("write", path, code)) }
    code = body(unsafe WriteTransaction(raw: raw, handle: handle))
    guard code == 0 else {
      unsafe mdb_txn_abort(raw)
      return code == MDB_MAP_FULL ? .mapFull : .failed(Self.failure("write", path, code))
    }
    code = unsafe mdb_txn_commit(raw)
    if code == MDB_MAP_FULL { return .mapFull }
    return code == 0 ? .done : .commitFailed(Self.failure("write", path, code))
  }

  /// Called by the writer between transactions.
  func resize(to bytes: Int) throws(DurableError) {
    let code = gate.withLock { _ in unsafe mdb_env_set_mapsize(environment, bytes) }
    try Self.check(code, "grow", path)
  }

  func read<R>(_ body: (borrowing ReadTransaction) throws(DurableError) -> R) throws(DurableError) -> R {
    let result = gate.withLock { _ -> Result<R, DurableError> in
      do throws(DurableError) {
        let transaction = try unsafe ReadTransaction(environment: environment, handle: handle, path: path)
        return .success(try body(transaction))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  /// The last batch of the journal that is in the database; nil when it says nothing about one.
  func lastSequence(_ path: String) throws(DurableError) -> UInt64? {
    try read { (reader) throws(DurableError) in
      try reader.with(key: RecordFormat.sequenceKey) { (record) throws(DurableError) -> UInt64 in
        do throws(RecordDefect) {
          let payload = try RecordFormat.payload(RecordFormat.sequenceKey, record)
          guard payload.byteCount == 8 else { throw .truncated }
          return payload.uint64(at: 0)
        } catch {
          throw .damaged(path: path, what: "the place in the journal is unreadable (\(error))")
        }
      }
    }
  }

  static func check(_ code: Int32, _ operation: String, _ path: String) throws(DurableError) {
    if code != 0 { throw failure(operation, path, code) }
  }

  static func failure(_ operation: String, _ path: String, _ code: Int32) -> DurableError {
    // LMDB's own codes are negative; the rest are those of the system.
    if code > 0 { return Files.failure(operation, path, code) }
    let reason = unsafe String(cString: mdb_strerror(code))
    switch code {
    case MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_INVALID, MDB_VERSION_MISMATCH, MDB_PANIC:
      return .damaged(path: path, what: reason)
    default: return .failed(operation: operation, path: path, reason: reason)
    }
  }
}

/// Only valid inside the closure it is given to.
@safe struct WriteTransaction {
  fileprivate let raw: OpaquePointer
  fileprivate let handle: MDB_dbi

  fileprivate init(raw: OpaquePointer, handle: MDB_dbi) {
    unsafe self.raw = unsafe raw
    self.handle = handle
  }

  /// `append`: the key must be greater than all present ones, else `MDB_KEYEXIST`.
  func put(_ key: [UInt8], _ value: [UInt8], append: Bool) -> Int32 {
    unsafe withValue(key) { keyValue in
      unsafe withValue(value) { dataValue in
        var keyValue = unsafe keyValue
        var dataValue = unsafe dataValue
        return unsafe mdb_put(raw, handle, &keyValue, &dataValue, append ? UInt32(MDB_APPEND) : 0)
      }
    }
  }

  func put(record payload: [UInt8], at key: [UInt8]) -> Int32 {
    put(key, RecordFormat.record(key, payload), append: false)
  }

  func append(_ entries: [StoredEntry]) -> Int32 {
    for entry in entries {
      let key = RecordFormat.key(entry.index)
      let code = put(key, RecordFormat.record(key, RecordFormat.encode(entry)), append: true)
      if code != 0 { return code }
    }
    return 0
  }

  /// Deletes all keys from `first` on, up to and including `last`, or to the end.
  func delete(from first: [UInt8], through last: [UInt8]?) -> Int32 {
    var cursor: OpaquePointer?
    var code = unsafe mdb_cursor_open(raw, handle, &cursor)
    guard code == 0 else { return code }
    defer { unsafe mdb_cursor_close(cursor) }
    var data = unsafe MDB_val()
    code = unsafe withValue(first) { start in
      var key = unsafe start
      while true {
        var code = unsafe mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE)
        if code == MDB_NOTFOUND { return 0 }
        if code != 0 { return code }
        if let last, unsafe isAfter(key, last) { return 0 }
        code = unsafe mdb_cursor_del(cursor, 0)
        if code != 0 { return code }
        unsafe key = unsafe start
      }
    }
    return code
  }

  private func isAfter(_ key: MDB_val, _ last: [UInt8]) -> Bool {
    let bytes = unsafe UnsafeRawBufferPointer(start: key.mv_data, count: key.mv_size)
    return unsafe last.lexicographicallyPrecedes(bytes)
  }
}

/// A consistent view; ends with its scope.
@safe struct ReadTransaction: ~Copyable {
  private let raw: OpaquePointer
  private let handle: MDB_dbi
  private let path: String

  fileprivate init(environment: OpaquePointer, handle: MDB_dbi, path: String) throws(DurableError) {
    var opened: OpaquePointer?
    let code = unsafe mdb_txn_begin(environment, nil, UInt32(MDB_RDONLY), &opened)
    guard code == 0, let raw = unsafe opened else { throw Database.failure("read", path, code) }
    unsafe self.raw = unsafe raw
    self.handle = handle
    self.path = path
  }

  deinit { unsafe mdb_txn_abort(raw) }

  /// Calls `body` with the record in place; `nil` when there is none.
  func with<R>(key: [UInt8], _ body: (RawSpan) throws(DurableError) -> R) throws(DurableError) -> R? {
    var data = unsafe MDB_val()
    let code = unsafe withValue(key) { value in
      var value = unsafe value
      return unsafe mdb_get(raw, handle, &value, &data)
    }
    if code == MDB_NOTFOUND { return nil }
    try Database.check(code, "read", path)
    let buffer = unsafe UnsafeRawBufferPointer(start: data.mv_data, count: data.mv_size)
    return try body(unsafe buffer.bytes)
  }

  /// First and last index of the log.
  func entryBounds() throws(DurableError) -> ClosedRange<UInt64>? {
    var cursor: OpaquePointer?
    try Database.check(unsafe mdb_cursor_open(raw, handle, &cursor), "read", path)
    defer { unsafe mdb_cursor_close(cursor) }
    guard let last = try unsafe index(at: cursor, MDB_LAST, nil),
      let first = try unsafe index(at: cursor, MDB_SET_RANGE, RecordFormat.key(0)), first <= last
    else { return nil }
    return first...last
  }

  private func index(at cursor: OpaquePointer?, _ operation: MDB_cursor_op, _ start: [UInt8]?) throws(DurableError)
    -> UInt64?
  {
    var data = unsafe MDB_val()
    var found: UInt64?
    let code = unsafe withValue(start ?? []) { value in
      var key = unsafe value
      let code = unsafe mdb_cursor_get(cursor, &key, &data, operation)
      if code == 0 {
        let bytes = unsafe UnsafeRawBufferPointer(start: key.mv_data, count: key.mv_size)
        found = RecordFormat.index(ofKey: unsafe bytes.bytes)
      }
      return code
    }
    if code == MDB_NOTFOUND { return nil }
    try Database.check(code, "read", path)
    return found
  }

  /// Number of entries, from the number of records.
  func entryCount(hasHardState: Bool, hasSequence: Bool) -> UInt64 {
    var status = MDB_stat()
    guard unsafe mdb_stat(raw, handle, &status) == 0 else { return 0 }
    let others = 1 + (hasHardState ? 1 : 0) + (hasSequence ? 1 : 0)
    return UInt64(max(status.ms_entries - others, 0))
  }
}

/// LMDB takes keys and values as pointer and length; it only reads them.
private func withValue<R>(_ bytes: [UInt8], _ body: (MDB_val) -> R) -> R {
  unsafe bytes.withUnsafeBytes { buffer in
    let pointer = unsafe UnsafeMutableRawPointer(mutating: buffer.baseAddress)
    return unsafe body(MDB_val(mv_size: buffer.count, mv_data: pointer))
  }
}
