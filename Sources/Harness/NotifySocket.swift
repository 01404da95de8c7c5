import Glibc

/// The service manager's end of the notify protocol (sd_notify(3)): a datagram socket whose path agents find in
/// `NOTIFY_SOCKET`.
public final class NotifySocket {
  public let path: String
  private let descriptor: Int32

  /// Binds a new socket. Precondition: the path fits `sockaddr_un` (107 bytes).
  public init(path: String) throws(HarnessError) {
    let bytes = Array(path.utf8)
    precondition(bytes.count < 108)
    let type = SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue
    let descriptor = socket(AF_UNIX, Int32(type), 0)
    guard descriptor >= 0 else { throw .system("make a socket") }
    var name = sockaddr_un()
    name.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &name.sun_path) { unsafe $0.copyBytes(from: bytes) }
    let result = unsafe withUnsafePointer(to: &name) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0 else {
      let code = errno
      close(descriptor)
      throw .system("bind \(path)", code: code)
    }
    self.path = path
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// The next notification's lines (`READY=1`, `STATUS=...`), or `nil` when none has arrived. Never blocks.
  public func receive() -> [String]? {
    var buffer = [UInt8](repeating: 0, count: 8192)
    let count = unsafe buffer.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, $0.count, 0) }
    guard count > 0 else { return nil }
    return String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n").map(String.init)
  }
}
