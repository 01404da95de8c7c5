import Base

/// Everything an agent was told by files, options and defaults: checked, with addresses parsed and nothing resolved.
public struct AgentConfiguration: Hashable, Sendable {
  public var region: String
  public var datacenter: String
  /// Gossip name of this agent before the region is appended; the host name unless set.
  public var name: String
  /// Absolute. `nil` in development mode, which keeps everything in memory, and for a client with a `state_dir`.
  public var dataDirectory: String?
  /// `-dev`: server and client in one process, nothing on disk, unless files and options say otherwise.
  public var developmentMode: Bool

  public var bind: BindAddresses
  public var advertise: AdvertisedAddresses

  public var log: LogSettings
  public var leaveOnInterrupt: Bool
  public var leaveOnTerminate: Bool
  public var enableDebug: Bool
  /// Headers that every HTTP answer carries, in the order of the configuration.
  public var httpResponseHeaders: [TextPair]

  /// `nil` when server mode is off.
  public var server: ServerSettings?
  /// `nil` when client mode is off.
  public var client: ClientSettings?
  public var autopilot: AutopilotSettings
  public var limits: LimitSettings
  public var telemetry: TelemetrySettings

  /// The files that were read, in merge order, for the start-up message.
  public var loadedFiles: [String]

  public static let defaultHTTPPort: UInt16 = 4646
  public static let defaultRPCPort: UInt16 = 4647
  public static let defaultSerfPort: UInt16 = 4648
}

/// Where the three services listen. Gossip uses its endpoint for TCP and UDP.
public struct BindAddresses: Hashable, Sendable {
  /// At least one.
  public var http: [Endpoint]
  public var rpc: Endpoint
  public var serf: Endpoint
}

/// What others are told. Servers reach each other at the host of `serf` with the port of `rpc`; clients at `rpc`
/// (cluster.md 1.1).
public struct AdvertisedAddresses: Hashable, Sendable {
  public var http: Endpoint
  public var rpc: Endpoint
  public var serf: Endpoint
}

public struct TextPair: Hashable, Sendable {
  public var key: String
  public var value: String
}

public struct LogSettings: Hashable, Sendable {
  /// `nil` for `OFF`.
  public var level: LogLevel?
  /// As the operator wrote it, for the start-up message.
  public var levelText: String
  public var json: Bool
  /// Path of the log file; with a trailing `/` the file `nomad.log` in that directory.
  public var file: String?
  /// 0: no limit.
  public var rotateBytes: Int
  public var rotateInterval: Interval
  /// Rotated files kept beside the current one; 0 keeps all.
  public var rotateFiles: Int
}

public struct ServerSettings: Hashable, Sendable {
  /// 0: never bootstraps, joins an existing cluster.
  public var bootstrapExpect: Int
  /// Absolute; `nil` keeps the state in memory (development mode).
  public var dataDirectory: String?
  public var join: JoinSettings
  public var rejoinAfterLeave: Bool
  public var raftProtocol: Int
  /// 1 to 10.
  public var raftMultiplier: Int
  public var raftSnapshotThreshold: Int
  public var raftSnapshotInterval: Interval
  public var raftTrailingLogs: Int
  /// 16, 24 or 32 bytes. Only used when no keyring file exists.
  public var encryptionKey: [UInt8]?
  public var heartbeatGrace: Interval
  public var heartbeatTTLMin: Interval
  public var heartbeatsPerSecondMax: Double
  /// Nil: not configured.
  public var heartbeatTTLFailover: Interval?
  public var nodeGCThreshold: Interval
  public var authoritativeRegion: String
  /// Regions beside the own one to share a pool with; nil: all.
  public var federation: [String]?
  public var isNonVoter: Bool
  public var isWitness: Bool
  public var redundancyZone: String?
  public var upgradeVersion: String?
}

/// How an agent finds the others (cluster.md 4).
public struct JoinSettings: Hashable, Sendable {
  /// Joined once before the agent counts as started; none reached is fatal.
  public var start: [JoinEntry]
  /// Joined in the background until one answers.
  public var retry: [JoinEntry]
  public var retryInterval: Interval
  /// Attempts after the first; 0 for ever.
  public var retryMax: Int
}

public struct ClientSettings: Hashable, Sendable {
  /// RPC endpoints of servers, kept even when they do not answer.
  public var servers: [Endpoint]
  public var join: JoinSettings
  /// Absolute; `nil` keeps the identity in memory (development mode).
  public var stateDirectory: String?
  public var nodeClass: String
  public var nodePool: String
  public var meta: [TextPair]
  public var options: [TextPair]
  /// Name of the interface whose address the node reports; `nil` for that of the default route.
  public var networkInterface: String?
}

/// Initial values; the replicated state rules after the first leadership.
public struct AutopilotSettings: Hashable, Sendable {
  public var cleanupDeadServers = true
  public var lastContactThreshold = Interval.milliseconds(200)
  public var maxTrailingLogs = 250
  public var minQuorum = 0
  public var serverStabilizationTime = Interval.seconds(10)
  public var enableRedundancyZones = false
  public var disableUpgradeMigration = false
  public var enableCustomUpgrades = false
  public init() {}
}

public struct LimitSettings: Hashable, Sendable {
  public var httpsHandshakeTimeout = Interval.seconds(5)
  /// 0: no limit.
  public var httpConnectionsPerClientMax = 100
  public var rpcHandshakeTimeout = Interval.seconds(5)
  /// 0: no limit.
  public var rpcConnectionsPerClientMax = 100
  public init() {}
}

public struct TelemetrySettings: Hashable, Sendable {
  public var collectionInterval = Interval.seconds(1)
  public var prometheusMetrics = false
  public var disableHostname = false
  public var useNodeName = false
  public var publishNodeMetrics = false
  public var filterDefault = true
  /// Each starts with `+` or `-`.
  public var prefixFilter: [String] = []
  public var statsdAddress: Endpoint?
  public var retentionInterval = Interval.seconds(10)
  public var retentionPeriod = Interval.minutes(1)
  public init() {}
}
