/// The first byte of every memberlist message (gossip.md 1.1).
public enum GossipMessageKind: UInt8, Hashable, Sendable {
  case ping = 0
  case indirectPing = 1
  case ack = 2
  case suspect = 3
  case alive = 4
  case dead = 5
  case pushPull = 6
  case compound = 7
  case user = 8
  case compressed = 9
  case encrypted = 10
  case nack = 11
  case checked = 12
  case error = 13
  case label = 244
}

/// Sizes of the memberlist format (gossip.md 1.9, 9.3).
public enum GossipLimits {
  /// Peers read at most this much of one datagram.
  public static let maximumDatagramBytes = 65_536
  /// Sender's budget for one packet, before the checksum and the compression envelope.
  public static let packetBudget = 1400
  /// Encoded tags of a node.
  public static let maximumMetadataBytes = 512
  public static let maximumNameBytes = 512
  /// Old peers multiply the part count in eight bits; 128 parts and more make them misread all of them.
  public static let maximumCompoundParts = 127
  public static let maximumStreamBytes = 40 << 20
  public static let maximumDecompressedStreamBytes = 40 << 20
  public static let maximumEncryptedMessageBytes = 20 << 20
  public static let maximumUserStateBytes = 20 << 20
  public static let maximumPushPullNodes = 1_048_576
  /// Fields looked at in one struct; more than any peer of any version sends.
  public static let maximumStructFields = 64

  /// What one datagram may expand to: never less than a datagram, never more than a megabyte.
  public static func decompressedDatagramBytes(compressed: Int) -> Int {
    max(maximumDatagramBytes, min(1 << 20, 64 * min(compressed, maximumDatagramBytes) + 4096))
  }
}
