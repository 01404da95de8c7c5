import Base

/// A snapshot as plain data; `metadata` is the owner's.
public struct StoredSnapshot: Hashable, Sendable {
  public var index: UInt64
  public var term: UInt64
  public var metadata: [UInt8]
  public var state: [UInt8]

  public init(index: UInt64, term: UInt64, metadata: [UInt8], state: [UInt8]) {
    self.index = index
    self.term = term
    self.metadata = metadata
    self.state = state
  }
}

/// Snapshot files in a directory of their own. A file appears under its name only when it is complete and durable; the
/// two newest are kept. All calls block: they belong on a worker thread, or before the loop starts.
public struct SnapshotStore: Sendable {
  public let directory: String

  /// Files kept.
  public static let retained = 2
  private static let signature = Array("nomadsn1".utf8)
  private static let headerBytes = 8 + 8 + 8 + 4 + 8
  private static let suffix = ".snapshot"

  /// Creates the directory if needed, and removes what an interrupted save left.
  public init(directory: String) throws(DurableError) {
    self.directory = directory
    try Files.makeDirectory(directory)
    for name in try Files.names(in: directory) where name.hasSuffix(".tmp") {
      try Files.remove(directory + "/" + name)
    }
  }

  /// Makes a snapshot durable, then removes those that are no longer needed.
  public func save(_ snapshot: StoredSnapshot) throws(DurableError) {
    var header = Self.signature
    header.append(bigEndian: snapshot.index)
    header.append(bigEndian: snapshot.term)
    header.append(bigEndian: UInt32(clamping: snapshot.metadata.count))
    header.append(bigEndian: UInt64(snapshot.state.count))
    var checksum = Checksum()
    for part in [header, snapshot.metadata, snapshot.state] { checksum.add(part.bytes) }
    var trailer: [UInt8] = []
    trailer.append(bigEndian: checksum.value)

    let path = directory + "/" + Self.name(index: snapshot.index, term: snapshot.term)
    let temporary = path + ".tmp"
    do throws(DurableError) {
      try Files.write([header, snapshot.metadata, snapshot.state, trailer], to: temporary)
      try Files.rename(temporary, to: path)
    } catch {
      // Half a file helps nobody, and on a full disk it hurts; the first error is the one to report.
      do throws(DurableError) { try Files.remove(temporary) } catch {}
      throw error
    }
    try Files.synchronizeDirectory(directory)
    for name in try names().dropFirst(Self.retained) { try Files.remove(directory + "/" + name) }
  }

  /// The newest snapshot that is whole, and the errors of newer ones that are not.
  public func newest() throws(DurableError) -> (snapshot: StoredSnapshot?, skipped: [DurableError]) {
    var skipped: [DurableError] = []
    for name in try names() {
      let path = directory + "/" + name
      guard let bytes = try Files.read(path) else { continue }
      if let snapshot = Self.decode(bytes) { return (snapshot, skipped) }
      skipped.append(.damaged(path: path, what: "length or checksum is wrong"))
    }
    return (nil, skipped)
  }

  /// Newest first: by term and index, which the name gives in fixed width.
  private func names() throws(DurableError) -> [String] {
    try Files.names(in: directory).filter { $0.hasSuffix(Self.suffix) }.reversed()
  }

  private static func name(index: UInt64, term: UInt64) -> String {
    func hex(_ value: UInt64) -> String {
      let digits = String(value, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }
    return hex(term) + "-" + hex(index) + suffix
  }

  private static func decode(_ bytes: [UInt8]) -> StoredSnapshot? {
    guard bytes.count >= headerBytes + 8, bytes.starts(with: signature) else { return nil }
    let span = bytes.bytes
    let body = span.extracting(0..<(bytes.count - 8))
    guard Checksum.of(body) == span.uint64(at: bytes.count - 8) else { return nil }
    do throws(ByteError) {
      var reader = ByteReader(body, at: signature.count)
      let index = try reader.readUInt64()
      let term = try reader.readUInt64()
      let metadataCount = Int(try reader.readUInt32())
      let stateCount = Int(clamping: try reader.readUInt64())
      let metadata = try reader.readBytes(metadataCount)
      let state = try reader.readBytes(stateCount)
      guard reader.isAtEnd else { return nil }
      return StoredSnapshot(index: index, term: term, metadata: metadata, state: state)
    } catch {
      return nil
    }
  }
}
