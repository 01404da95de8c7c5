import Base
import Glibc

/// A blocking socket of the test's own: a peer that does what a well-behaved one would not.
@safe final class RawSocket {
  let descriptor: Int32

  init(_ type: __socket_type = SOCK_STREAM) { descriptor = socket(AF_INET, Int32(type.rawValue), 0) }

  deinit { close(descriptor) }

  private static func address(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
  }

  private func with(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Bool {
    var address = Self.address(port)
    return unsafe withUnsafePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
  }

  func connect(to port: UInt16) -> Bool { unsafe with(port) { unsafe Glibc.connect(descriptor, $0, $1) } }

  /// Listens on a free port without ever accepting.
  func listen(backlog: Int32) -> UInt16 {
    let isBound = unsafe with(0) { unsafe Glibc.bind(descriptor, $0, $1) }
    guard isBound, Glibc.listen(descriptor, backlog) == 0 else { return 0 }
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = unsafe withUnsafeMutablePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe getsockname(descriptor, $0, &length) }
    }
    return code == 0 ? UInt16(bigEndian: address.sin_port) : 0
  }

  func send(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    return unsafe bytes.withUnsafeBytes {
      unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    } == bytes.count
  }

  /// Waits for bytes; empty at the end of the stream, `nil` on an error.
  func receive(_ limit: Int = 65_536) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: limit)
    let count = unsafe bytes.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, limit, 0) }
    return count < 0 ? nil : Array(bytes[..<count])
  }

  func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Closing then sends a reset.
  func resetOnClose() {
    var option = linger(l_onoff: 1, l_linger: 0)
    unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
  }
}

extension RawSocket {
  /// Accepts one stream and returns the peer's address.
  func acceptedAddress() -> SocketAddress? {
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let stream = unsafe withUnsafeMutablePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe accept(descriptor, $0, &length) }
    }
    guard stream >= 0 else { return nil }
    close(stream)
    return SocketAddress(.v4(UInt32(bigEndian: address.sin_addr.s_addr)), port: UInt16(bigEndian: address.sin_port))
  }
}
