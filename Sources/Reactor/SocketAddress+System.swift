import Base
import CSystem
import Glibc

extension SocketAddress {
  init(_ system: csystem_address) {
    if system.family == 4 {
      self.init(.v4(UInt32(truncatingIfNeeded: system.low)), port: system.port)
    } else {
      self.init(.v6(high: system.high, low: system.low, zone: system.zone), port: system.port)
    }
  }

  /// `nil` when it is not an IP address.
  init?(_ pointer: UnsafePointer<sockaddr>?) {
    var system = csystem_address()
    guard let pointer = unsafe pointer, unsafe csystem_from_sockaddr(pointer, &system) == 0 else { return nil }
    self.init(system)
  }

  var system: csystem_address {
    switch host {
    case .v4(let value):
      csystem_address(high: 0, low: UInt64(value), zone: 0, port: port, family: 4)
    case .v6(let high, let low, let zone):
      csystem_address(high: high, low: low, zone: zone, port: port, family: 6)
    }
  }

  var isIPv6: Bool {
    switch host {
    case .v4: false
    case .v6: true
    }
  }
}
