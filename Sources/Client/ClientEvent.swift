import Base
import RPC

/// What a client tells its shell.
public enum ClientEvent: Hashable, Sendable {
  /// A server has accepted the registration; again after each later one.
  case registered
  /// The server list is another one: keep `ClientMachine.persisted` on disk.
  case serversChanged([SocketAddress])
  /// Another agent lives under our identity, which was made on another machine: ours is the copy. Call `adopt` with a
  /// new one.
  case identityWanted
  /// The identity is another one: keep `ClientMachine.persisted` on disk.
  case identityChanged
  /// Look these names up and answer each with `handleResolved`.
  case resolve([String])
  /// A session with a server exists.
  case connectedTo(SocketAddress)
  /// A server asks for the machine's statistics: to be answered with `answer` or `refuse`. Only when the configuration
  /// says that they are served.
  case statisticsRequested(RequestID)
  /// The end of a `forward`.
  case answered(ForwardID, ForwardAnswer)
  /// Bytes of an `openStream`.
  case streamBytes(ForwardID, [UInt8])
  /// The end of an `openStream`; with a text when it could not begin.
  case streamEnded(ForwardID, String?)
  /// A server wants this agent's log: call `monitored` for each line of at least this level, and with nothing about
  /// once a second.
  case monitorStarted(StreamHandle, level: LogLevel, json: Bool, plain: Bool)
  case monitorEnded(StreamHandle)
}

/// Names a call that the client makes for someone else.
public struct ForwardID: Hashable, Sendable {
  let number: UInt64
}

public enum ForwardAnswer: Hashable, Sendable {
  /// One encoded value.
  case reply([UInt8])
  /// The text of the server, or of the failure as a caller of Nomad would see it.
  case error(String)
}

/// How a client stands, for `/v1/agent/self` and metrics.
public struct ClientStatus: Hashable, Sendable {
  public var isRegistered: Bool
  public var lastHeartbeat: Instant?
  public var heartbeatPeriod: Interval
  public var servers: [SocketAddress]
  /// Node records of the region, as the last answer had it.
  public var nodeCount: Int
  /// Raft address of the leader as last heard; may be empty.
  public var leaderAddress: String
}
