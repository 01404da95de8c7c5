/// First byte of a Serf message, which travels inside memberlist user messages and push/pull user state
/// (gossip.md 6.1).
public enum SerfMessageKind: UInt8, Hashable, Sendable {
  case leave = 0
  case join = 1
  case pushPull = 2
  case userEvent = 3
  case query = 4
  case queryResponse = 5
  case conflictResponse = 6
  case keyRequest = 7
  case keyResponse = 8
  case relay = 9
}

/// Sizes of the Serf layer (gossip.md 6.12, 9.3).
public enum SerfLimits {
  public static let maximumQueryBytes = 1024
  public static let maximumResponseBytes = 1024
  public static let maximumFilters = 16
  public static let maximumPatternBytes = 256
  /// Lamport times from here on are a peer's mistake or an attack on the clock, and are ignored.
  public static let lamportCeiling: UInt64 = 1 << 63
}
