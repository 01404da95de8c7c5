import Base
import RPC
import Wire

/// What a client agent is told at its start.
public struct ClientConfiguration: Hashable, Sendable {
  public var region = "global"
  /// The machine as it is registered; `id`, `secretID` and `status` are set by the client itself.
  public var node: NodeDescription
  /// What tells this machine from its clones; empty: nothing does.
  public var machineID = ""
  /// Servers given as addresses, in the order to be tried.
  public var servers: [SocketAddress] = []
  /// Servers given by name, as the operator wrote them; the shell resolves them on demand.
  public var serverNames: [String] = []
  public var authToken = ""
  /// Hold an allocation query open, as every client of Nomad does. It also keeps the session alive over which servers
  /// push their list.
  public var watchesAllocations = true
  /// Report `ClientStats.Stats` requests of servers as events, to be answered by the shell; otherwise they are
  /// rejected.
  public var servesStatistics = false
  public var rpc = ClientConfiguration.defaultRPC

  public init(node: NodeDescription) { self.node = node }

  /// Limits of a client's few connections.
  public static var defaultRPC: RPCConfiguration {
    var rpc = RPCConfiguration()
    rpc.dialTimeout = .seconds(5)
    rpc.idleTimeout = .minutes(5)
    rpc.idleStreams = 2
    rpc.maximumConnections = 256
    rpc.maximumCalls = 1024
    return rpc
  }
}

/// Times of a client. Not configurable: servers set the pace of heartbeats, the rest only shapes recovery.
public enum ClientTiming {
  /// First and longest wait between rounds over all servers, before jitter.
  public static let retryMin = Interval.milliseconds(100)
  public static let retryMax = Interval.seconds(15)
  /// A server that has not answered by then gets company: the next one is asked in parallel.
  public static let hedgeDelay = Interval.seconds(1)
  /// Requests of one round in flight at once.
  public static let maximumParallel = 2
  /// A server without leader holds a request for 5 s before it says so.
  public static let callTimeout = Interval.seconds(15)
  /// Bounds for what a server says, so that no answer can make a client spin or fall silent.
  public static let heartbeatMin = Interval.seconds(1)
  public static let heartbeatMax = Interval.hours(1)
  /// Used when an answer carries no period.
  public static let heartbeatDefault = Interval.seconds(10)
  public static let rebalanceMin = Interval.minutes(5)
  public static let resolveMin = Interval.seconds(1)
  /// Allocation queries: least time from one to the next, and the pause after failures.
  public static let pollSpacing = Interval.seconds(1)
  public static let pollRetryMax = Interval.seconds(60)
  /// 300 s and a sixteenth, which the server may hold it, and some for the way.
  public static let pollTimeout = Interval.seconds(335)
}
