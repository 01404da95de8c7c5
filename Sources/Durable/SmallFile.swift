import Base

/// A small file that is read whole and replaced as a whole: identity, server lists, promises. A replacement is there
/// completely or not at all, whenever the machine stops.
public struct SmallFile: Hashable, Sendable {
  public let path: String

  /// The parent directory must exist; see `makeDirectory`.
  public init(_ path: String) { self.path = path }

  public static func makeDirectory(_ path: String) throws(DurableError) { try Files.makeDirectory(path) }

  /// Nil when the file does not exist.
  public func read() throws(DurableError) -> [UInt8]? { try Files.read(path) }

  /// Durable when this returns.
  public func replace(_ bytes: [UInt8]) throws(DurableError) {
    let temporary = path + ".tmp"
    try Files.write([bytes], to: temporary)
    try Files.rename(temporary, to: path)
    try Files.synchronizeDirectory(String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]))
  }

  /// Removes the file, durably; one that does not exist is fine.
  public func remove() throws(DurableError) {
    try Files.remove(path)
    try Files.synchronizeDirectory(String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]))
  }

  /// As `replace`, and the file gets the owner of its directory: for commands that root runs on a service's data.
  public func replaceForOwner(_ bytes: [UInt8]) throws(DurableError) {
    let temporary = path + ".tmp"
    let directory = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
    try Files.write([bytes], to: temporary)
    try Files.takeOwner(of: directory, for: temporary)
    try Files.rename(temporary, to: path)
    try Files.synchronizeDirectory(directory)
  }

  public static func directoryExists(_ path: String) -> Bool { Files.isDirectory(path) }

  /// As `replace`, with a checksum that `readChecked` verifies.
  public func replaceChecked(_ bytes: [UInt8]) throws(DurableError) {
    var whole = bytes
    whole.append(bigEndian: Checksum.of(bytes.bytes))
    try replace(whole)
  }

  /// What `replaceChecked` wrote; nil when the file does not exist, `.damaged` when the checksum is wrong.
  public func readChecked() throws(DurableError) -> [UInt8]? {
    guard let whole = try read() else { return nil }
    guard whole.count >= 8 else { throw .damaged(path: path, what: "the file is too short") }
    let body = whole.bytes(0..<(whole.count - 8))
    guard Checksum.of(body) == whole.bytes.uint64(at: whole.count - 8) else {
      throw .damaged(path: path, what: "the checksum is wrong")
    }
    return body.copy()
  }

  public static func exists(_ path: String) -> Bool { Files.exists(path) }

  /// Appends without making it durable: for records that only speed up a restart.
  public func append(_ bytes: [UInt8]) throws(DurableError) { try Files.append(bytes, to: path) }
}

/// Takes a directory for one process; released with the value or the process.
public final class DirectoryLock: Sendable {
  private let descriptor: Int32
  private let directory: String

  /// `.inUse` when another process has it.
  public init(_ directory: String) throws(DurableError) {
    try Files.makeDirectory(directory)
    descriptor = try Files.lock(directory)
    self.directory = directory
  }

  /// Whether the directory is still where it was: neither removed, nor moved, nor covered by another file system.
  /// Writing to a file that is open would go on for ever, and nobody would ever find it again.
  public var isInPlace: Bool { Files.isLock(descriptor, of: directory) }

  deinit { Files.unlock(descriptor) }
}

/// A directory for state that must not outlive the process (development mode); removed with the value.
public final class EphemeralDirectory: Sendable {
  public let path: String

  public init(name: String) throws(DurableError) {
    path = try Files.makeUnique(name)
  }

  deinit { Files.removeTree(path) }
}
