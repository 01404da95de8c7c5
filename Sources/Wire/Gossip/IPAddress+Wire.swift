import Base

extension IPAddress {
  /// From the 4 or 16 network-order bytes of Go's `net.IP`; `nil` for other lengths.
  public init?(network bytes: RawSpan) {
    switch bytes.byteCount {
    case 4: self = .v4(bytes.uint32(at: 0))
    case 16: self = IPAddress(high: bytes.uint64(at: 0), low: bytes.uint64(at: 8), zone: 0)
    default: return nil
    }
  }
}

extension [UInt8] {
  /// Go's `net.IP`: 4 bytes for IPv4, else 16. Peers compare them literally (gossip.md 2.3).
  public mutating func pack(_ address: IPAddress) {
    switch address {
    case .v4(let value):
      packRawHeader(4)
      append(bigEndian: value)
    case .v6(let high, let low, _):
      packRawHeader(16)
      append(bigEndian: high)
      append(bigEndian: low)
    }
  }
}
