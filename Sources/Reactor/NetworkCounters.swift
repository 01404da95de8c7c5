/// What a network shell did since it was made. All only grow.
public struct NetworkCounters: Hashable, Sendable {
  public var datagramsReceived = 0
  public var datagramsSent = 0
  /// Refused by the system for their destination: no route, not permitted, too long.
  public var datagramsFailed = 0
  /// No socket of ours can reach the address family.
  public var datagramsUnroutable = 0
  /// Lost because the socket was full for too long.
  public var datagramsDropped = 0
  /// Errors while receiving.
  public var datagramErrors = 0

  public var streamsAccepted = 0
  public var streamsDialled = 0
  /// Accepted and ended at once, because of `outOfDescriptors` or `maximumStreams`.
  public var streamsShed = 0
  /// Times the process had no descriptor left for a peer.
  public var outOfDescriptors = 0
  /// Streams ended because the peer did not read: `NetworkShell.maximumQueuedBytes`.
  public var streamsOverflowed = 0

  public var bytesReceived = 0
  public var bytesSent = 0
}
