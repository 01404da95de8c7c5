import Base
import Glibc
import Synchronization

/// Addresses and ports on loopback that no other run uses.
///
/// Every agent gets an address of its own in 127.64.0.0/10, so that it can have the default ports 4646 to 4648 and join
/// lists need no ports. The middle of the address comes from the process id: parallel runs never meet.
public enum Loopback {
  private static let next = Atomic<UInt32>(0)

  /// The one IPv6 address of loopback; agents on it need ports of their own.
  public static let ipv6 = IPAddress.v6(high: 0, low: 1, zone: 0)

  /// An address on which the default ports are free.
  public static func address() throws(HarnessError) -> IPAddress {
    let run = UInt32(truncatingIfNeeded: getpid()) & 0x3FFF
    for _ in 0..<254 {
      let number = next.wrappingAdd(1, ordering: .relaxed).oldValue % 254 + 1
      let address = IPAddress.v4(0x7F40_0000 | run << 8 | number)
      if [4646, 4647, 4648].allSatisfy({ isFree(SocketAddress(address, port: $0)) }) { return address }
    }
    throw .system("find a free loopback address", "ports 4646 to 4648 are taken on all of them")
  }

  /// A port of 127.0.0.1 that is free for TCP and UDP now. Another program may take it before the agent does.
  public static func freePort() throws(HarnessError) -> UInt16 {
    for _ in 0..<64 {
      let stream = try boundSocket(SocketAddress(.loopback, port: 0), type: Int32(SOCK_STREAM.rawValue))
      defer { close(stream) }
      var name = sockaddr_in()
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let result = unsafe withUnsafeMutablePointer(to: &name) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe getsockname(stream, $0, &length) }
      }
      guard result == 0 else { throw .system("read a socket's address") }
      let port = UInt16(bigEndian: name.sin_port)
      if let datagram = try? boundSocket(SocketAddress(.loopback, port: port), type: Int32(SOCK_DGRAM.rawValue)) {
        close(datagram)
        return port
      }
    }
    throw .system("find a free port", "64 candidates were taken for UDP")
  }

  /// Whether this machine has IPv6 on loopback.
  public static var hasIPv6: Bool { isFree(SocketAddress(ipv6, port: 0)) }

  private static func isFree(_ address: SocketAddress) -> Bool {
    guard let descriptor = try? boundSocket(address, type: Int32(SOCK_STREAM.rawValue)) else { return false }
    close(descriptor)
    return true
  }

  private static func boundSocket(_ address: SocketAddress, type: Int32) throws(HarnessError) -> Int32 {
    let descriptor = socket(address.family, type | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw .system("make a socket") }
    var one: Int32 = 1
    if type == Int32(SOCK_STREAM.rawValue) {
      // As the agents do it: an address in TIME_WAIT is free.
      unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
    }
    guard unsafe address.withPOSIX({ unsafe bind(descriptor, $0, $1) }) == 0 else {
      let code = errno
      close(descriptor)
      throw .system("bind \(address)", code: code)
    }
    return descriptor
  }
}

extension SocketAddress {
  /// The system's number for the kind of address.
  var family: Int32 {
    switch host {
    case .v4: AF_INET
    case .v6: AF_INET6
    }
  }

  /// Calls `body` with the address in the system's form.
  func withPOSIX<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    switch host {
    case .v4(let host):
      var name = sockaddr_in()
      name.sin_family = sa_family_t(AF_INET)
      name.sin_port = port.bigEndian
      name.sin_addr.s_addr = host.bigEndian
      return unsafe Self.withPointer(to: &name, body)
    case .v6:
      var name = sockaddr_in6()
      name.sin6_family = sa_family_t(AF_INET6)
      name.sin6_port = port.bigEndian
      let bytes = host.networkBytes
      unsafe withUnsafeMutableBytes(of: &name.sin6_addr) { unsafe $0.copyBytes(from: bytes) }
      return unsafe Self.withPointer(to: &name, body)
    }
  }

  private static func withPointer<Name, R>(
    to name: inout Name, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R
  ) -> R {
    unsafe withUnsafePointer(to: &name) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe body($0, socklen_t(MemoryLayout<Name>.size))
      }
    }
  }
}
