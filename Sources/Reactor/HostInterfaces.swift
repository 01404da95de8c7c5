import Base
import CLibUV
import CSystem
import Glibc

/// One address of a network interface, as the system lists it.
public struct HostInterface: Hashable, Sendable {
  public var name: String
  public var address: IPAddress
  public var prefixLength: Int
  public var hasDefaultRoute: Bool
}

/// What the operating system says about this machine.
public enum HostSystem {
  /// The host name; `localhost` when the system has none.
  public static var name: String {
    var bytes = [CChar](repeating: 0, count: 256)
    var size = bytes.count
    let code = unsafe bytes.withUnsafeMutableBufferPointer { unsafe uv_os_gethostname($0.baseAddress, &size) }
    guard code == 0 else { return "localhost" }
    return String(decoding: bytes.prefix(size).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The id that Linux makes for each boot; nil where there is none.
  public static var bootID: String? { beginning(of: "/proc/sys/kernel/random/boot_id", count: 36) }

  /// The id that was made when this system was installed, 32 hexadecimal digits; nil where there is none, as in many
  /// containers.
  public static var machineID: String? {
    guard let id = beginning(of: "/etc/machine-id", count: 32), id.allSatisfy(\.isHexDigit) else { return nil }
    return id
  }

  private static func beginning(of path: String, count: Int) -> String? {
    guard let file = unsafe fopen(path, "re") else { return nil }
    defer { unsafe fclose(file) }
    var bytes = [UInt8](repeating: 0, count: count)
    let size = unsafe bytes.withUnsafeMutableBytes { unsafe fread($0.baseAddress, 1, $0.count, file) }
    return size == count ? String(decoding: bytes, as: UTF8.self) : nil
  }

  /// Addresses of the interfaces that are up, in the system's order; empty when the system refuses to tell.
  public static func interfaces() -> [HostInterface] {
    var list: UnsafeMutablePointer<uv_interface_address_t>?
    var count: Int32 = 0
    guard unsafe uv_interface_addresses(&list, &count) == 0, let entries = unsafe list else { return [] }
    defer { unsafe uv_free_interface_addresses(entries, count) }
    let defaultInterface = defaultRouteInterface()
    var result: [HostInterface] = []
    for index in 0..<Int(count) {
      let entry = unsafe entries[index]
      let name = unsafe String(cString: entry.name)
      let isIPv6 = unsafe Int32(entry.address.address4.sin_family) == AF_INET6
      let address: IPAddress?
      let mask: IPAddress?
      if isIPv6 {
        address = unsafe withUnsafeBytes(of: entry.address.address6.sin6_addr) {
          unsafe IPAddress(networkBytes: [UInt8]($0))
        }
        mask = unsafe withUnsafeBytes(of: entry.netmask.netmask6.sin6_addr) {
          unsafe IPAddress(networkBytes: [UInt8]($0))
        }
      } else {
        address = unsafe withUnsafeBytes(of: entry.address.address4.sin_addr) {
          unsafe IPAddress(networkBytes: [UInt8]($0))
        }
        mask = unsafe withUnsafeBytes(of: entry.netmask.netmask4.sin_addr) {
          unsafe IPAddress(networkBytes: [UInt8]($0))
        }
      }
      guard let address else { continue }
      let bits = (mask?.networkBytes ?? []).reduce(0) { $0 + $1.nonzeroBitCount }
      result.append(
        HostInterface(name: name, address: address, prefixLength: bits, hasDefaultRoute: name == defaultInterface))
    }
    return result
  }

  /// The first address of a name, preferring IPv4. Blocks: for the time before the loop runs.
  public static func firstAddress(of name: String) -> IPAddress? {
    var hints = unsafe addrinfo()
    unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    guard unsafe getaddrinfo(name, nil, &hints, &list) == 0 else { return nil }
    defer { unsafe freeaddrinfo(list) }
    var found: IPAddress?
    var next = unsafe list
    while let entry = unsafe next {
      var system = csystem_address()
      if let from = unsafe entry.pointee.ai_addr, unsafe csystem_from_sockaddr(from, &system) == 0 {
        let address = SocketAddress(system).host
        if case .v4 = address { return address }
        found = found ?? address
      }
      unsafe next = entry.pointee.ai_next
    }
    return found
  }

  /// Gives back the pages of code that only the start needed: most of the resident memory of an idle agent. Those in
  /// use return one by one.
  public static func releaseCode() { csystem_release_code() }

  /// Physical memory in bytes, and logical processors.
  public static var memoryBytes: UInt64 { uv_get_total_memory() }
  public static var processorCount: Int { Int(uv_available_parallelism()) }

  /// The interface of the IPv4 default route; nil when there is none.
  private static func defaultRouteInterface() -> String? {
    guard let file = unsafe fopen("/proc/net/route", "r") else { return nil }
    defer { unsafe fclose(file) }
    var line = [CChar](repeating: 0, count: 512)
    while unsafe line.withUnsafeMutableBufferPointer({ unsafe fgets($0.baseAddress, 512, file) }) != nil {
      let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      let fields = text.split(separator: "\t")
      if fields.count > 7, fields[1] == "00000000", fields[7] == "00000000" { return String(fields[0]) }
    }
    return nil
  }
}
