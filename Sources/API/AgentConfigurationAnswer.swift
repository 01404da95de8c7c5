import Base
import HTTP

/// The effective configuration as `GET /v1/agent/self` shows it: every key of the original, with its type. Features
/// that this agent does not have keep their zero values (http.md section 6.1).
public struct AgentConfigurationAnswer: Hashable, Sendable {
  /// One of HTTP, RPC and Serf.
  public struct Endpoints<Value: Hashable & Sendable>: Hashable, Sendable {
    public var http: Value
    public var rpc: Value
    public var serf: Value

    public init(http: Value, rpc: Value, serf: Value) {
      self.http = http
      self.rpc = rpc
      self.serf = serf
    }
  }

  /// `server_join` of either role.
  public struct Join: Hashable, Sendable {
    public var startJoin: [String] = []
    public var retryJoin: [String] = []
    public var retryMaxAttempts = 0
    public var retryInterval = Interval.seconds(30)

    public init() {}
  }

  public struct TLS: Hashable, Sendable {
    public var enablesHTTP = false
    public var enablesRPC = false
    public var caFile = ""
    public var certFile = ""
    public var keyFile = ""
    public var verifiesServerHostname = false
    public var verifiesHTTPSClient = false
    public var isRPCUpgradeMode = false
    public var minVersion = ""

    public init() {}
  }

  public var region = "global"
  public var datacenter = "dc1"
  public var nodeName = ""
  public var dataDirectory = ""
  public var logLevel = "INFO"
  public var logsJSON = false
  public var logFile = ""
  public var logRotateBytes = 0
  /// As a Go duration; empty when it was not configured.
  public var logRotateDuration = ""
  public var logRotateFilesMax = 0
  public var isDevMode = false
  public var bindAddress = ""
  public var enablesDebug = false
  public var enablesSyslog = false
  public var leavesOnInterrupt = false
  public var leavesOnTerminate = false
  /// Configuration files that were read.
  public var files: [String] = []
  public var responseHeaders: [String: String] = [:]
  public var httpMaxConnectionsPerClient = 100
  public var rpcMaxConnectionsPerClient = 100
  public var ports = Endpoints(http: 4646, rpc: 4647, serf: 4648)
  /// Bind addresses without port.
  public var addresses = Endpoints(http: "", rpc: "", serf: "")
  /// `ip:port`
  public var advertiseAddresses = Endpoints(http: "", rpc: "", serf: "")
  public var tls = TLS()
  /// `1.1.2`
  public var version = ""
  public var revision = ""

  public var isServer = false
  public var bootstrapExpect = 0
  public var raftProtocol = 3
  public var raftMultiplier: Int?
  public var authoritativeRegion = ""
  public var isNonVoter = false
  public var redundancyZone = ""
  public var rejoinsAfterLeave = false
  public var serverJoin = Join()
  public var serverDataDirectory = ""
  public var heartbeatGrace = Interval.zero
  public var minHeartbeatTTL = Interval.zero
  public var maxHeartbeatsPerSecond = 0.0
  public var nodeGCThreshold = ""
  public var eventBufferSize = 100

  public var isClient = false
  public var clientServers: [String]?
  public var clientJoin = Join()
  public var stateDirectory = ""
  public var allocationDirectory = ""
  public var nodeClass = ""
  public var meta: [String: String] = [:]
  public var networkInterface = ""

  public var cleansUpDeadServers: Bool?
  public var lastContactThreshold = Interval.zero
  public var serverStabilizationTime = Interval.zero
  public var maxTrailingLogs = 0
  public var minQuorum = 0

  public var collectionInterval = ""
  public var prometheus = false
  public var disablesHostname = false

  public init() {}

  /// The value of `config`.
  public var json: JSONValue {
    let text = JSONValue.string
    return [
      "ACL": ["Enabled": false, "PolicyTTL": 30_000_000_000, "ReplicationToken": "", "TokenTTL": 30_000_000_000],
      "Addresses": ["HTTP": text(addresses.http), "RPC": text(addresses.rpc), "Serf": text(addresses.serf)],
      "AdvertiseAddrs": [
        "HTTP": text(advertiseAddresses.http), "RPC": text(advertiseAddresses.rpc),
        "Serf": text(advertiseAddresses.serf),
      ],
      "Audit": ["Enabled": nil, "Filters": nil, "Sinks": nil], "Autopilot": autopilot, "BindAddr": text(bindAddress),
      "Client": client, "Consul": Self.consul, "DataDir": text(dataDirectory), "Datacenter": text(datacenter),
      "DevMode": .bool(isDevMode), "DisableAnonymousSignature": true, "DisableUpdateCheck": true,
      "EnableDebug": .bool(enablesDebug), "EnableSyslog": .bool(enablesSyslog), "Files": list(files),
      "HTTPAPIResponseHeaders": map(responseHeaders), "LeaveOnInt": .bool(leavesOnInterrupt),
      "LeaveOnTerm": .bool(leavesOnTerminate),
      "Limits": [
        "HTTPMaxConnsPerClient": number(httpMaxConnectionsPerClient), "HTTPSHandshakeTimeout": "5s",
        "RPCHandshakeTimeout": "5s", "RPCMaxConnsPerClient": number(rpcMaxConnectionsPerClient),
      ],
      "LogFile": text(logFile), "LogJson": .bool(logsJSON), "LogLevel": text(logLevel),
      "LogRotateBytes": number(logRotateBytes), "LogRotateDuration": text(logRotateDuration),
      "LogRotateMaxFiles": number(logRotateFilesMax), "NodeName": text(nodeName), "PluginDir": "", "Plugins": nil,
      "Ports": ["HTTP": number(ports.http), "RPC": number(ports.rpc), "Serf": number(ports.serf)],
      "Region": text(region), "Sentinel": ["Imports": nil], "Server": server, "SyslogFacility": "LOCAL0",
      "TLSConfig": tlsConfiguration, "Telemetry": telemetry, "Vault": Self.vault,
      "Version": [
        "Revision": text(revision), "Version": text(version), "VersionMetadata": "", "VersionPrerelease": "",
      ],
    ]
  }

  private var autopilot: JSONValue {
    [
      "CleanupDeadServers": cleansUpDeadServers.map { .bool($0) } ?? nil, "DisableUpgradeMigration": nil,
      "EnableCustomUpgrades": nil, "EnableRedundancyZones": nil, "LastContactThreshold": duration(lastContactThreshold),
      "MaxTrailingLogs": number(maxTrailingLogs), "MinQuorum": number(minQuorum),
      "ServerStabilizationTime": duration(serverStabilizationTime),
    ]
  }

  private var client: JSONValue {
    [
      "AllocDir": .string(allocationDirectory), "BindWildcardDefaultHostNetwork": true, "BridgeNetworkName": "",
      "BridgeNetworkSubnet": "", "CNIConfigDir": "", "CNIPath": "", "CgroupParent": "",
      "ChrootEnv": .object(JSONObject()), "ClientMaxPort": 14512, "ClientMinPort": 14000, "CpuCompute": 0,
      "DisableRemoteExec": true, "Enabled": .bool(isClient), "GCDiskUsageThreshold": 80.0,
      "GCInodeUsageThreshold": 70.0, "GCInterval": 60_000_000_000, "GCMaxAllocs": 50, "GCParallelDestroys": 2,
      "HostNetworks": nil, "HostVolumes": nil, "MaxKillTimeout": "30s", "MemoryMB": 0, "Meta": map(meta),
      "NetworkInterface": .string(networkInterface), "NetworkSpeed": 0, "NoHostUUID": true,
      "NodeClass": .string(nodeClass), "Options": .object(JSONObject()), "ReserveableCores": "",
      "Reserved": ["CPU": 0, "Cores": "", "DiskMB": 0, "MemoryMB": 0, "ReservedPorts": ""],
      "ServerJoin": join(clientJoin), "Servers": clientServers.map(list) ?? nil,
      "StateDir": .string(stateDirectory),
      "TemplateConfig": ["DisableSandbox": false, "FunctionBlacklist": nil, "FunctionDenylist": ["plugin"]],
    ]
  }

  private var server: JSONValue {
    [
      "AuthoritativeRegion": .string(authoritativeRegion), "BootstrapExpect": number(bootstrapExpect),
      "CSIPluginGCThreshold": "", "CSIVolumeClaimGCThreshold": "", "DataDir": .string(serverDataDirectory),
      "DefaultSchedulerConfig": nil, "DeploymentGCThreshold": "", "DeploymentQueryRateLimit": 0.0,
      "EnableEventBroker": true, "Enabled": .bool(isServer), "EnabledSchedulers": nil, "EvalGCThreshold": "",
      "EventBufferSize": number(eventBufferSize), "HeartbeatGrace": duration(heartbeatGrace), "JobGCInterval": "",
      "JobGCThreshold": "", "LicenseEnv": "", "LicensePath": "",
      "MaxHeartbeatsPerSecond": .number(maxHeartbeatsPerSecond), "MinHeartbeatTTL": duration(minHeartbeatTTL),
      "NodeGCThreshold": .string(nodeGCThreshold), "NonVotingServer": .bool(isNonVoter), "NumSchedulers": nil,
      "ProtocolVersion": 0, "RaftMultiplier": raftMultiplier.map(number) ?? nil, "RaftProtocol": number(raftProtocol),
      "RedundancyZone": .string(redundancyZone), "RejoinAfterLeave": .bool(rejoinsAfterLeave), "RetryInterval": 0,
      "RetryJoin": [], "RetryMaxAttempts": 0,
      "Search": ["FuzzyEnabled": true, "LimitQuery": 20, "LimitResults": 100, "MinTermLength": 2],
      "ServerJoin": join(serverJoin), "StartJoin": [], "UpgradeVersion": "",
    ]
  }

  private var tlsConfiguration: JSONValue {
    [
      "CAFile": .string(tls.caFile), "CertFile": .string(tls.certFile), "Checksum": "",
      "EnableHTTP": .bool(tls.enablesHTTP), "EnableRPC": .bool(tls.enablesRPC), "KeyFile": .string(tls.keyFile),
      "KeyLoader": .object(JSONObject()), "RPCUpgradeMode": .bool(tls.isRPCUpgradeMode), "TLSCipherSuites": "",
      "TLSMinVersion": .string(tls.minVersion), "TLSPreferServerCipherSuites": false,
      "VerifyHTTPSClient": .bool(tls.verifiesHTTPSClient), "VerifyServerHostname": .bool(tls.verifiesServerHostname),
    ]
  }

  private var telemetry: JSONValue {
    var object = JSONObject()
    let circonus = [
      "APIApp", "APIToken", "APIURL", "BrokerID", "BrokerSelectTag", "CheckDisplayName", "CheckForceMetricActivation",
      "CheckID", "CheckInstanceID", "CheckSearchTag", "CheckSubmissionURL", "CheckTags", "SubmissionInterval",
    ]
    for name in circonus { object["Circonus" + name] = "" }
    object["CollectionInterval"] = .string(collectionInterval)
    object["DataDogAddr"] = ""
    object["DataDogTags"] = nil as JSONValue
    object["DisableDispatchedJobSummaryMetrics"] = false
    object["DisableHostname"] = .bool(disablesHostname)
    object["FilterDefault"] = nil as JSONValue
    object["PrefixFilter"] = nil as JSONValue
    object["PrometheusMetrics"] = .bool(prometheus)
    object["PublishAllocationMetrics"] = false
    object["PublishNodeMetrics"] = false
    object["StatsdAddr"] = ""
    object["StatsiteAddr"] = ""
    object["UseNodeName"] = false
    return .object(object)
  }

  private static let consul: JSONValue = [
    "Addr": "", "AllowUnauthenticated": nil, "Auth": "", "AutoAdvertise": nil, "CAFile": "", "CertFile": "",
    "ChecksUseAdvertise": nil, "ClientAutoJoin": nil, "ClientHTTPCheckName": "", "ClientServiceName": "",
    "EnableSSL": nil, "GRPCAddr": "", "KeyFile": "", "Namespace": "", "ServerAutoJoin": nil,
    "ServerHTTPCheckName": "", "ServerRPCCheckName": "", "ServerSerfCheckName": "", "ServerServiceName": "",
    "ShareSSL": nil, "Tags": nil, "Timeout": 0, "Token": "", "VerifySSL": nil,
  ]

  private static let vault: JSONValue = [
    "Addr": "", "AllowUnauthenticated": nil, "ConnectionRetryIntv": 0, "Enabled": nil, "Namespace": "", "Role": "",
    "TLSCaFile": "", "TLSCaPath": "", "TLSCertFile": "", "TLSKeyFile": "", "TLSServerName": "", "TLSSkipVerify": nil,
    "TaskTokenTTL": "", "Token": "",
  ]
}

private func number(_ value: Int) -> JSONValue { .integer(Int64(value)) }
private func duration(_ value: Interval) -> JSONValue { .integer(value.nanoseconds) }
private func list(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }

private func map(_ texts: [String: String]) -> JSONValue {
  .object(
    JSONObject(members: texts.sorted { $0.key < $1.key }.map { .init(name: $0.key, value: .string($0.value)) }))
}

private func join(_ join: AgentConfigurationAnswer.Join) -> JSONValue {
  [
    "RetryInterval": duration(join.retryInterval), "RetryJoin": list(join.retryJoin),
    "RetryMaxAttempts": number(join.retryMaxAttempts), "StartJoin": join.startJoin.isEmpty ? nil : list(join.startJoin),
  ]
}
