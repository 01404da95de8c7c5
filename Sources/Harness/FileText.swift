import FoundationEssentials
import Glibc

/// Small text files, whole.
public enum FileText {
  /// The content as UTF-8; malformed sequences become U+FFFD.
  public static func read(_ path: String) throws(HarnessError) -> String {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system("read \(path)") }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16_384)
    while true {
      let count = unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .system("read \(path)") }
      if count == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += chunk[..<count]
    }
  }

  /// Replaces the file's content; mode 0644.
  public static func write(_ text: String, to path: String) throws(HarnessError) {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .system("write \(path)") }
    defer { close(descriptor) }
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw .system("write \(path)") }
      rest = rest.dropFirst(count)
    }
  }

  /// The last `count` lines of a file, or an empty text when it cannot be read.
  public static func tail(_ path: String, lines count: Int = 15) -> String {
    guard let text = try? read(path) else { return "" }
    return text.split(separator: "\n").suffix(count).joined(separator: "\n")
  }
}

/// A directory below the system's temporary directory, removed with its content when this value goes away.
public final class TemporaryDirectory {
  public let path: String

  public init(prefix: String) throws(HarnessError) {
    let parent = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
    var template = Array("\(parent)/\(prefix)-XXXXXX".utf8CString)
    guard let made = unsafe mkdtemp(&template) else { throw .system("make a temporary directory") }
    path = unsafe String(cString: made)
  }

  /// What cannot be removed is left: temporary files are no reason to fail.
  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Makes a directory inside and returns its path.
  public func makeDirectory(_ name: String) throws(HarnessError) -> String {
    let made = "\(path)/\(name)"
    guard unsafe mkdir(made, 0o755) == 0 || errno == EEXIST else { throw .system("make \(made)") }
    return made
  }
}
