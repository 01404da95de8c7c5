import Base

/// Limits and times of an agent's RPC connections. The defaults are Nomad's where Nomad has one.
public struct RPCConfiguration: Hashable, Sendable {
  /// For the first byte of an accepted connection; zero turns the deadline off.
  public var handshakeTimeout = Interval.seconds(5)
  public var dialTimeout = Interval.seconds(10)
  /// Accepted connections from one address; 0 turns the limit off.
  public var connectionsPerAddress = 100
  /// Of these, connections that carry one streaming RPC (first byte 05).
  public var streamingConnectionsPerAddress = 80
  /// Accepted and dialed connections together.
  public var maximumConnections = 100_000
  /// One request or response, header and body together.
  public var maximumMessageBytes = 64 << 20
  /// Received and not yet handed out, or written and not yet within the peer's window, for one connection.
  public var maximumBufferedBytes = 80 << 20
  /// The same over all connections: the connection that exceeds it is closed.
  public var maximumTotalBufferedBytes = 512 << 20
  /// A message that has begun must be complete after this time.
  public var messageTimeout = Interval.seconds(30)
  /// A dialed connection without a call is closed: 2 minutes between servers, 5 minutes from a client.
  public var idleTimeout = Interval.minutes(2)
  /// Streams kept for the next call on a dialed connection: 64 on a server, 2 on a client.
  public var idleStreams = 64
  /// Streams alive at once in one session.
  public var streamsPerSession = 4096
  /// Calls without an answer, over all connections.
  public var maximumCalls = 200_000
  /// Accept connections and streams that begin a streaming RPC.
  public var servesStreaming = true

  public init() {}
}
