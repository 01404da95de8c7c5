/// An IP address and port. IPv4 is kept in its own form, never as an IPv4-mapped IPv6 address, so that equal peers have
/// equal values whatever socket they came through.
public struct SocketAddress: Hashable, Sendable {
  public var host: IPAddress
  public var port: UInt16

  @inlinable public init(_ host: IPAddress, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// Accepts `1.2.3.4:5` and `[::1]:5`; names are not resolved here.
  public init?(_ text: some StringProtocol) {
    guard let colon = text.lastIndex(of: ":") else { return nil }
    let digits = text[text.index(after: colon)...]
    guard digits.first != "+", let port = UInt16(digits) else { return nil }
    var host = text[..<colon]
    if host.first == "[" {
      guard host.last == "]" else { return nil }
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      return nil
    }
    guard let address = IPAddress(host) else { return nil }
    self.init(address, port: port)
  }
}

extension SocketAddress: CustomStringConvertible {
  /// `1.2.3.4:5` or `[::1]:5`, the form of Go's `net.JoinHostPort`, which peers compare as text.
  public var description: String {
    switch host {
    case .v4: "\(host):\(port)"
    case .v6: "[\(host)]:\(port)"
    }
  }
}

/// An IPv4 or IPv6 address in host byte order.
public enum IPAddress: Hashable, Sendable {
  case v4(UInt32)
  /// `zone` is the interface index of a link-local address, else 0.
  case v6(high: UInt64, low: UInt64, zone: UInt32)

  public static let loopback = IPAddress.v4(0x7F00_0001)
  public static let any4 = IPAddress.v4(0)
  public static let any6 = IPAddress.v6(high: 0, low: 0, zone: 0)

  /// From 4 or 16 network-order bytes (Go's `net.IP`); an IPv4-mapped address becomes IPv4. `nil` for other lengths.
  public init?(networkBytes bytes: [UInt8]) {
    switch bytes.count {
    case 4:
      self = .v4(bytes.reduce(0) { $0 << 8 | UInt32($1) })
    case 16:
      let high = bytes[..<8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      let low = bytes[8...].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      self = IPAddress(high: high, low: low, zone: 0)
    default:
      return nil
    }
  }

  /// An IPv4-mapped address (`::ffff:a.b.c.d`) becomes `.v4`.
  public init(high: UInt64, low: UInt64, zone: UInt32) {
    if high == 0, low >> 32 == 0xFFFF {
      self = .v4(UInt32(truncatingIfNeeded: low))
    } else {
      self = .v6(high: high, low: low, zone: zone)
    }
  }

  /// 4 or 16 bytes in network order.
  public var networkBytes: [UInt8] {
    switch self {
    case .v4(let value):
      (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * $0)) }
    case .v6(let high, let low, _):
      (0..<16).map { UInt8(truncatingIfNeeded: ($0 < 8 ? high : low) >> UInt64(56 - 8 * ($0 & 7))) }
    }
  }

  public var isUnspecified: Bool {
    switch self {
    case .v4(let value): value == 0
    case .v6(let high, let low, _): high == 0 && low == 0
    }
  }

  public var isLoopback: Bool {
    switch self {
    case .v4(let value): value >> 24 == 127
    case .v6(let high, let low, _): high == 0 && low == 1
    }
  }

  /// RFC 1918 and RFC 6598 for IPv4, unique local (fc00::/7) for IPv6.
  public var isPrivate: Bool {
    switch self {
    case .v4(let v):
      v >> 24 == 10 || v >> 20 == 0xAC1 || v >> 16 == 0xC0A8 || v >> 22 == 0x6440 >> 6
    case .v6(let high, _, _):
      high >> 57 == 0xFC >> 1
    }
  }
}
