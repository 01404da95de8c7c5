import Base

/// The six version bytes that every node announces (gossip.md 4.1).
public struct ProtocolVersions: Hashable, Sendable {
  /// Lowest, highest and spoken memberlist protocol.
  public var protocolMin: UInt8
  public var protocolMax: UInt8
  public var protocolCurrent: UInt8
  /// Lowest, highest and spoken Serf ("delegate") protocol.
  public var delegateMin: UInt8
  public var delegateMax: UInt8
  public var delegateCurrent: UInt8

  public init(
    protocolMin: UInt8, protocolMax: UInt8, protocolCurrent: UInt8,
    delegateMin: UInt8, delegateMax: UInt8, delegateCurrent: UInt8
  ) {
    self.protocolMin = protocolMin
    self.protocolMax = protocolMax
    self.protocolCurrent = protocolCurrent
    self.delegateMin = delegateMin
    self.delegateMax = delegateMax
    self.delegateCurrent = delegateCurrent
  }

  /// What every Nomad server from 1.1 on announces.
  public static let nomad = ProtocolVersions(
    protocolMin: 1, protocolMax: 5, protocolCurrent: 2, delegateMin: 2, delegateMax: 5, delegateCurrent: 4)

  /// `nil` when fewer than six bytes are present.
  public init?(_ bytes: RawSpan) {
    guard bytes.byteCount >= 6 else { return nil }
    self.init(
      protocolMin: bytes.byte(at: 0), protocolMax: bytes.byte(at: 1), protocolCurrent: bytes.byte(at: 2),
      delegateMin: bytes.byte(at: 3), delegateMax: bytes.byte(at: 4), delegateCurrent: bytes.byte(at: 5))
  }

  /// The sanity test that every alive message must pass (gossip.md 4.3).
  public var isPlausible: Bool { protocolMin > 0 && protocolMax > 0 && protocolMin <= protocolMax }
  /// Understands pings over a stream.
  public var hasStreamPing: Bool { protocolMax >= 3 }
  /// Answers a failed indirect ping with a nack.
  public var hasNack: Bool { protocolMax >= 4 }
  /// Understands checksummed packets.
  public var hasChecksum: Bool { protocolMax >= 5 }
}

extension [UInt8] {
  public mutating func pack(_ versions: ProtocolVersions) {
    packRawHeader(6)
    append(versions.protocolMin)
    append(versions.protocolMax)
    append(versions.protocolCurrent)
    append(versions.delegateMin)
    append(versions.delegateMax)
    append(versions.delegateCurrent)
  }
}
