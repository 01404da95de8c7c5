import Base

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The batches since the last commit of the database, one behind the other in a file of fixed size. A batch costs one
/// write in place and one `fdatasync`; the database needs two, and rewrites pages of its tree. When the file is full
/// its batches go into the database in one transaction, and it is written from the start again.
///
/// The file is a block of 4,096 bytes with signature and salt, then records, each at a multiple of 8: CRC-64 of the
/// salt and of everything behind this field (8 bytes), sequence (8), payload bytes (8), payload. All integers are
/// big-endian. Sequences rise by one for as long as the store lives, so that what an earlier round left behind is never
/// taken for a part of this one; the salt keeps anybody from planting records inside of entries.
struct Journal: Sendable {
  static let name = "journal"
  static let headerBytes = 4096
  static let recordHeaderBytes = 24
  static let signature = Array("nomadd journal 1".utf8)
  /// Memory kept for the next record.
  private static let keptBufferBytes = 256 << 10

  let path: String
  let fileBytes: Int
  private let salt: UInt64
  private let descriptor: Int32
  /// Where the next record goes.
  private var end = headerBytes
  private(set) var lastSequence: UInt64
  private var buffer: [UInt8] = []

  private init(path: String, fileBytes: Int, salt: UInt64, lastSequence: UInt64) throws(DurableError) {
    self.path = path
    self.fileBytes = fileBytes
    self.salt = salt
    self.lastSequence = lastSequence
    descriptor = try Files.openForWriting(path)
  }

  func close() { Files.unlock(descriptor) }

  // MARK: Opening

  /// Makes the file, with all of its blocks, so that a write in place changes no metadata.
  static func create(in directory: String, fileBytes: Int, after sequence: UInt64) throws(DurableError) -> Journal {
    let path = directory + "/" + name
    var generator = SystemRandomNumberGenerator()
    let salt = generator.next()
    var header = signature
    header.append(bigEndian: salt)
    header.append(bigEndian: Checksum.of(header.bytes))
    try Files.writeAllocated(header, bytes: fileBytes, to: path + ".tmp")
    try Files.rename(path + ".tmp", to: path)
    try Files.synchronizeDirectory(directory)
    return try Journal(path: path, fileBytes: fileBytes, salt: salt, lastSequence: sequence)
  }

  /// Opens the file of an earlier process; nil when there is none. Calls `body` with the payload of every record after
  /// `sequence`, in order. A record whose write was cut short ends the journal: nobody was told that it is durable. A
  /// bad record with a good one behind it is damage.
  static func open(
    in directory: String, after sequence: UInt64, _ body: (RawSpan) throws(DurableError) -> Void
  ) throws(DurableError) -> Journal? {
    let path = directory + "/" + name
    guard let bytes = try Files.read(path) else { return nil }
    guard bytes.count >= headerBytes, bytes.bytes(0..<signature.count).equals(signature.bytes),
      bytes.bytes.uint64(at: signature.count + 8) == Checksum.of(bytes.bytes(0..<(signature.count + 8)))
    else { throw .damaged(path: path, what: "it does not begin as a journal of this version") }
    let salt = bytes.bytes.uint64(at: signature.count)
    var journal = try Journal(path: path, fileBytes: bytes.count, salt: salt, lastSequence: sequence)
    do throws(DurableError) { try journal.replay(bytes.bytes, body) } catch {
      journal.close()
      throw error
    }
    return journal
  }

  private mutating func replay(
    _ file: RawSpan, _ body: (RawSpan) throws(DurableError) -> Void
  ) throws(DurableError) {
    let applied = lastSequence
    var offset = Self.headerBytes
    var previous: UInt64?
    while let record = record(at: offset, in: file), previous.map({ record.sequence == $0 + 1 }) ?? true {
      guard previous != nil || record.sequence <= applied + 1 else {
        throw .damaged(path: path, what: "batches \(applied + 1) to \(record.sequence - 1) are missing")
      }
      previous = record.sequence
      offset = record.end
      guard record.sequence > applied else { continue }
      try body(file.extracting(record.payload))
      lastSequence = record.sequence
      end = offset
    }
    try refuseRecords(from: offset, in: file)
  }

  /// Behind the end lie only remains of earlier rounds. The work is bounded: entries may hold bytes that look like
  /// records.
  private func refuseRecords(from start: Int, in file: RawSpan) throws(DurableError) {
    var offset = start
    var budget = 16 * file.byteCount
    while offset < file.byteCount, budget > 0 {
      if let frame = Self.frame(at: offset, in: file), frame.sequence > lastSequence + 1,
        frame.sequence - lastSequence < UInt64(file.byteCount)
      {
        budget -= frame.payload.count
        if isWhole(frame, at: offset, in: file) {
          throw .damaged(path: path, what: "batch \(lastSequence + 1) is unreadable")
        }
      }
      offset += 8
    }
  }

  private struct Frame {
    var sequence: UInt64
    var payload: Range<Int>
    var end: Int { (payload.upperBound + 7) & ~7 }
  }

  private func record(at offset: Int, in file: RawSpan) -> Frame? {
    guard let frame = Self.frame(at: offset, in: file), isWhole(frame, at: offset, in: file) else { return nil }
    return frame
  }

  private static func frame(at offset: Int, in file: RawSpan) -> Frame? {
    let start = offset + recordHeaderBytes
    guard start <= file.byteCount else { return nil }
    let sequence = file.uint64(at: offset + 8)
    guard sequence > 0, let count = Int(exactly: file.uint64(at: offset + 16)), count > 0,
      count <= file.byteCount - start
    else { return nil }
    return Frame(sequence: sequence, payload: start..<(start + count))
  }

  private func isWhole(_ frame: Frame, at offset: Int, in file: RawSpan) -> Bool {
    checksum(file.extracting((offset + 8)..<frame.payload.upperBound)) == file.uint64(at: offset)
  }

  // MARK: Writing

  /// True when a batch of this payload has room behind the others.
  func hasRoom(for payloadBytes: Int) -> Bool {
    payloadBytes > 0 && payloadBytes <= fileBytes - end - Self.recordHeaderBytes - 8
  }

  /// Writes one batch; durable when this returns. After an error nothing is certain. Precondition: `hasRoom`.
  mutating func append(_ payload: (inout [UInt8]) -> Void) throws(DurableError) {
    buffer.removeAll(keepingCapacity: buffer.capacity <= Self.keptBufferBytes)
    buffer.append(bigEndian: UInt64(0))
    buffer.append(bigEndian: lastSequence + 1)
    buffer.append(bigEndian: UInt64(0))
    payload(&buffer)
    buffer.store(bigEndian: UInt64(buffer.count - Self.recordHeaderBytes), at: 16)
    buffer.store(bigEndian: checksum(buffer.bytes(8..<buffer.count)), at: 0)
    while buffer.count % 8 != 0 { buffer.append(0) }
    precondition(end + buffer.count <= fileBytes)
    try Files.overwrite(buffer, at: end, of: descriptor, path)
    end += buffer.count
    lastSequence += 1
  }

  /// Everything is in the database: begins at the start again.
  mutating func rewind() { end = Self.headerBytes }

  private func checksum(_ bytes: RawSpan) -> UInt64 {
    var checksum = Checksum()
    checksum.add(salt)
    checksum.add(bytes)
    return checksum.value
  }
}
