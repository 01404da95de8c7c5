import Base
import Glibc

/// Where log lines go.
public enum LogDestination: Hashable, Sendable {
  case standardOutput
  case standardError
  /// Appended to; made with mode 0640 when missing.
  case file(String)
}

/// The log file cannot be opened.
public struct LogFileError: Error, Hashable, Sendable, CustomStringConvertible {
  public let path: String
  /// A positive errno.
  public let code: Int32
  /// What was tried.
  var action = "open"

  public var description: String { "cannot \(action) log file \(path): \(unsafe String(cString: strerror(code)))" }
}

/// Writes log lines to a descriptor: formatted into one buffer, written with one system call per `flush`.
///
/// A destination that takes no more (a full disk, a closed pipe) costs lines, never the process; they are counted.
public struct LogPrinter: ~Copyable {
  public let destination: LogDestination
  private var rotation: LogRotation
  /// Bytes the destination did not take.
  public private(set) var lostBytes = 0

  private var formatter: LogFormatter
  private var buffer: [UInt8] = []
  private var descriptor: Int32

  /// More than this is written at once, not at the next `flush`.
  static let bufferBytes = 65_536

  /// `rotating` matters to files only.
  public init(
    _ form: LogFormatter.Form = .text, to destination: LogDestination, rotating rotation: LogRotation = LogRotation()
  ) throws(LogFileError) {
    formatter = LogFormatter(form)
    self.destination = destination
    self.rotation = rotation
    descriptor = try Self.open(destination)
    if case .file = destination { self.rotation.opened(holding: Self.size(of: descriptor)) }
  }

  /// Adds one line. It is visible after `flush`.
  public mutating func print(_ line: LogLine, at wall: WallTime) {
    rotateIfDue(at: wall)
    formatter.append(line, at: wall, to: &buffer)
    if buffer.count >= Self.bufferBytes { flush() }
  }

  /// Writes the lines of a sink from a level on, and empties it; says so when the sink lost some.
  public mutating func print(_ sink: inout LogSink, at wall: WallTime, from level: LogLevel = .trace) {
    guard !sink.lines.isEmpty || sink.dropped > 0 else { return }
    if sink.dropped > 0 {
      var notice = LogSink(minimum: .warn)
      notice.log(.warn, "agent", "log lines lost", ["count": String(sink.dropped)])
      for line in notice.lines { print(line, at: wall) }
    }
    for line in sink.lines where line.level >= level { print(line, at: wall) }
    sink.drain { _ in }
    flush()
  }

  public mutating func flush() {
    guard !buffer.isEmpty else { return }
    var offset = 0
    while offset < buffer.count {
      let written = unsafe buffer.withUnsafeBytes { bytes in
        let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset...])
        return unsafe write(descriptor, rest.baseAddress, rest.count)
      }
      if written > 0 {
        offset += written
        rotation.wrote(written)
      } else if errno != EINTR {
        lostBytes += buffer.count - offset
        break
      }
    }
    buffer.removeAll(keepingCapacity: buffer.capacity <= 2 * Self.bufferBytes)
  }

  /// Moves the file away and begins another when its time or size is reached, and removes those that are too many. When
  /// that fails, the old file goes on, and the failure is a line in it.
  private mutating func rotateIfDue(at wall: WallTime) {
    guard case .file(let path) = destination, rotation.isDue(adding: buffer.count, at: wall) else { return }
    flush()
    do throws(LogFileError) {
      try rotation.moveAway(path, at: wall)
      let fresh = try Self.open(destination)
      close(descriptor)
      descriptor = fresh
      rotation.opened(holding: 0)
    } catch {
      // Not tried again before the next time: the size counts from here on.
      rotation.opened(holding: 0)
      var notice = LogSink(minimum: .warn)
      notice.log(.warn, "agent", "cannot rotate the log file", ["error": "\(error)"])
      for line in notice.lines { formatter.append(line, at: wall, to: &buffer) }
    }
  }

  private static func size(of descriptor: Int32) -> Int {
    var status = stat()
    return unsafe fstat(descriptor, &status) == 0 ? Int(clamping: status.st_size) : 0
  }

  /// Opens the file again, after it was moved away. Keeps the old one when that fails.
  public mutating func reopen() throws(LogFileError) {
    guard case .file = destination else { return }
    flush()
    let fresh = try Self.open(destination)
    close(descriptor)
    descriptor = fresh
    rotation.opened(holding: Self.size(of: fresh))
  }

  deinit {
    if case .file = destination { close(descriptor) }
  }

  private static func open(_ destination: LogDestination) throws(LogFileError) -> Int32 {
    switch destination {
    case .standardOutput: return STDOUT_FILENO
    case .standardError: return STDERR_FILENO
    case .file(let path):
      let descriptor = unsafe Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
      guard descriptor >= 0 else { throw LogFileError(path: path, code: errno) }
      return descriptor
    }
  }
}
