import Base

/// What configuration needs to know about the machine it runs on; the agent looks it up, a test makes it up.
public struct HostFacts: Sendable {
  /// Default of `name`.
  public var hostName: String
  /// One entry per address of every interface, in the system's order.
  public var interfaces: [InterfaceAddress]

  public init(hostName: String, interfaces: [InterfaceAddress]) {
    self.hostName = hostName
    self.interfaces = interfaces
  }
}

/// One address of a network interface.
public struct InterfaceAddress: Hashable, Sendable {
  /// Name of the interface, `eth0`.
  public var name: String
  public var address: IPAddress
  public var prefixLength: Int
  public var isUp: Bool
  /// The interface that the default route leaves through.
  public var hasDefaultRoute: Bool

  public init(
    name: String, address: IPAddress, prefixLength: Int = 24, isUp: Bool = true, hasDefaultRoute: Bool = false
  ) {
    self.name = name
    self.address = address
    self.prefixLength = prefixLength
    self.isUp = isUp
    self.hasDefaultRoute = hasDefaultRoute
  }

  /// Routers pass it on: neither loopback, link-local, multicast nor unspecified.
  var isForwardable: Bool {
    guard !address.isLoopback, !address.isUnspecified else { return false }
    switch address {
    case .v4(let value): return value >> 16 != 0xA9FE && value >> 28 != 0xE
    case .v6(let high, _, _): return high >> 54 != 0xFE80 >> 6 && high >> 56 != 0xFF
    }
  }

  var isIPv4: Bool { if case .v4 = address { true } else { false } }
}
