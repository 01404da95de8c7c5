import Base

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The few file operations that durability needs, with errors that name the path.
enum Files {
  static func reason(_ code: Int32 = errno) -> String {
    guard let text = unsafe strerror(code) else { return "error \(code)" }
    return unsafe String(cString: text)
  }

  static func failure(_ operation: String, _ path: String, _ code: Int32 = errno) -> DurableError {
    if code == ENOSPC || code == EDQUOT { return .full(path: path, reason: reason(code)) }
    // That is what LMDB says when there was room for a part of a write.
    if code == EIO, isFull(path) { return .full(path: path, reason: reason(ENOSPC)) }
    return .failed(operation: operation, path: path, reason: reason(code))
  }

  /// Whether the file system of this path has next to no room left. False where that cannot be told.
  static func isFull(_ path: String) -> Bool {
    var room = statvfs()
    guard unsafe statvfs(path, &room) == 0 else { return false }
    return UInt64(room.f_bavail).multipliedReportingOverflow(by: UInt64(room.f_frsize)).partialValue < 64 << 10
  }

  /// Creates the directory and its parents, readable by the owner only.
  static func makeDirectory(_ path: String) throws(DurableError) {
    if unsafe mkdir(path, 0o700) == 0 || errno == EEXIST { return }
    guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash > path.startIndex else {
      throw failure("create", path)
    }
    try makeDirectory(String(path[..<slash]))
    guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else { throw failure("create", path) }
  }

  /// Makes names in a directory durable.
  static func synchronizeDirectory(_ path: String) throws(DurableError) {
    let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("open", path) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw failure("synchronize", path) }
  }

  /// Writes the parts one after another into a new file and makes its bytes durable (not yet its name).
  static func write(_ parts: [[UInt8]], to path: String) throws(DurableError) {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure("create", path) }
    var code: Int32 = 0
    for part in parts where code == 0 { code = writeAll(part, descriptor) }
    if code == 0, fsync(descriptor) != 0 { code = errno }
    if close(descriptor) != 0, code == 0 { code = errno }
    guard code == 0 else { throw failure("write", path, code) }
  }

  /// Makes a file of this size, all of its blocks reserved, that begins with `start`. Durable but for its name.
  static func writeAllocated(_ start: [UInt8], bytes: Int, to path: String) throws(DurableError) {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure("create", path) }
    var code = posix_fallocate(descriptor, 0, off_t(bytes))
    if code == 0 { code = writeAll(start, descriptor) }
    if code == 0, fsync(descriptor) != 0 { code = errno }
    if close(descriptor) != 0, code == 0 { code = errno }
    guard code == 0 else { throw failure("write", path, code) }
  }

  /// Has the file, and blocks for its first `bytes`; what it holds stays.
  static func reserve(_ bytes: Int, of path: String) throws(DurableError) {
    let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure("create", path) }
    var code = posix_fallocate(descriptor, 0, off_t(bytes))
    if close(descriptor) != 0, code == 0 { code = errno }
    guard code == 0 else { throw failure("write", path, code) }
  }

  static func openForWriting(_ path: String) throws(DurableError) -> Int32 {
    let descriptor = unsafe open(path, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("open", path) }
    return descriptor
  }

  /// Overwrites a part of a file; durable when this returns.
  static func overwrite(
    _ bytes: [UInt8], at offset: Int, of descriptor: Int32, _ path: String
  ) throws(DurableError) {
    let code = unsafe bytes.withUnsafeBytes { buffer -> Int32 in
      var done = 0
      while done < buffer.count {
        let piece = unsafe UnsafeRawBufferPointer(rebasing: buffer[done...])
        let count = unsafe pwrite(descriptor, piece.baseAddress, piece.count, off_t(offset + done))
        if count < 0 {
          if errno == EINTR { continue }
          return errno
        }
        done += count
      }
      return 0
    }
    guard code == 0 else { throw failure("write", path, code) }
    guard fdatasync(descriptor) == 0 else { throw failure("synchronize", path) }
  }

  /// 0, or the error number.
  private static func writeAll(_ bytes: [UInt8], _ descriptor: Int32) -> Int32 {
    unsafe bytes.withUnsafeBytes { buffer in
      var offset = 0
      while offset < buffer.count {
        let piece = unsafe UnsafeRawBufferPointer(rebasing: buffer[offset...])
        let count = unsafe systemWrite(descriptor, piece.baseAddress, piece.count)
        if count < 0 {
          if errno == EINTR { continue }
          return errno
        }
        offset += count
      }
      return 0
    }
  }

  /// The whole file; `nil` when it does not exist.
  static func read(_ path: String) throws(DurableError) -> [UInt8]? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      if errno == ENOENT { return nil }
      throw failure("open", path)
    }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0, let size = Int(exactly: status.st_size) else {
      throw failure("read", path)
    }
    var code: Int32 = 0
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      count = 0
      while count < size {
        let got = unsafe systemRead(
          descriptor, UnsafeMutableRawPointer(buffer.baseAddress)?.advanced(by: count), size - count)
        if got < 0 {
          if errno == EINTR { continue }
          code = errno
          return
        }
        if got == 0 { return }
        count += got
      }
    }
    guard code == 0 else { throw failure("read", path, code) }
    return bytes
  }

  static func append(_ bytes: [UInt8], to path: String) throws(DurableError) {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure("open", path) }
    defer { close(descriptor) }
    let code = writeAll(bytes, descriptor)
    guard code == 0 else { throw failure("append to", path, code) }
  }

  /// A new directory in memory-backed storage where there is some.
  static func makeUnique(_ name: String) throws(DurableError) -> String {
    let parent = unsafe access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    var template = Array("\(parent)/\(name)-XXXXXX".utf8CString)
    let isMade = unsafe template.withUnsafeMutableBufferPointer { buffer in
      guard let name = buffer.baseAddress else { return false }
      return unsafe mkdtemp(name) != nil
    }
    guard isMade else { throw failure("create", parent) }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Best effort: what cannot be removed stays, as it would after a kill.
  static func removeTree(_ path: String) {
    do throws(DurableError) {
      for name in try names(in: path) {
        let child = path + "/" + name
        if unsafe unlink(child) != 0 { removeTree(child) }
      }
    } catch {
      return
    }
    unsafe rmdir(path)
  }

  static func rename(_ from: String, to: String) throws(DurableError) {
    guard systemRename(from, to) == 0 else { throw failure("rename", from) }
  }

  /// A file that is already gone is fine.
  static func remove(_ path: String) throws(DurableError) {
    guard unsafe unlink(path) == 0 || errno == ENOENT else { throw failure("remove", path) }
  }

  static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  static func takeOwner(of directory: String, for path: String) throws(DurableError) {
    var status = stat()
    guard unsafe stat(directory, &status) == 0 else { throw failure("read the owner of", directory) }
    guard status.st_uid != geteuid() || status.st_gid != getegid() else { return }
    guard unsafe chown(path, status.st_uid, status.st_gid) == 0 else { throw failure("change the owner of", path) }
  }

  /// Names in a directory, sorted.
  static func names(in path: String) throws(DurableError) -> [String] {
    guard let directory = unsafe opendir(path) else { throw failure("list", path) }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Takes the advisory lock of a directory; the lock lives as long as the returned descriptor, and dies with the
  /// process.
  static func lock(_ directory: String) throws(DurableError) -> Int32 {
    let path = directory + "/in-use"
    let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure("create", path) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      close(descriptor)
      throw code == EWOULDBLOCK ? .inUse(path: directory) : failure("lock", path, code)
    }
    return descriptor
  }

  static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

  /// Whether the file that is locked is the one that the directory's path leads to.
  static func isLock(_ descriptor: Int32, of directory: String) -> Bool {
    var held = stat()
    var found = stat()
    guard unsafe fstat(descriptor, &held) == 0, unsafe stat(directory + "/in-use", &found) == 0 else { return false }
    return held.st_dev == found.st_dev && held.st_ino == found.st_ino
  }

  /// A child that is just being started may still hold a copy of the descriptor, and with it the lock.
  static func unlock(_ descriptor: Int32) {
    flock(descriptor, LOCK_UN)
    close(descriptor)
  }
}

// The plain names are shadowed by the members above.
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
  unsafe write(descriptor, bytes, count)
}

private func systemRead(_ descriptor: Int32, _ bytes: UnsafeMutableRawPointer?, _ count: Int) -> Int {
  unsafe read(descriptor, bytes, count)
}

private func systemRename(_ from: String, _ to: String) -> Int32 { unsafe rename(from, to) }
