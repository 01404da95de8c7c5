import Base
import HTTP

/// What a request asks of the agent. Most are one RPC under its real name; the rest is answered by the agent itself,
/// without a leader.
public enum APICall: Hashable, Sendable {
  /// Execute here or forward (to the leader, to another region), then answer with `.reply`.
  case rpc(APIRPC)
  /// `.agentSelf`
  case agentSelf
  /// `.members`, or `.reply` with the body of a `Status.Members` answer. Only asked of a server agent.
  case members
  /// Gossip join; `.join`. Addresses without port mean the local gossip port.
  case join([String])
  /// `.done` once the broadcast is out. Unknown names succeed.
  case forceLeave(node: String, prune: Bool)
  /// nomadd's own: part this region from another one, or allow it again; `.done` once the event is out.
  case detach(region: String, undo: Bool)
  /// nomadd's own: leave the cluster gracefully and stop; `.done`, sent before the agent ends. Unless forced a server
  /// whose leaving would cost the others their quorum refuses with 409.
  case leave(isForced: Bool)
  /// Re-read the configuration files, like SIGHUP; `.done`.
  case reload
  /// The client's server list; `.servers`.
  case servers
  /// Ping the addresses (default port 4647) and keep those that answer; `.done`, or a failure with status 400.
  case setServers([String])
  /// `.health`; a check that was not asked for stays `nil`.
  case health(APIHealthQuestion)
  /// `.keyring`, or a failure such as `1/1 nodes reported failure`.
  case keyring(APIKeyring)
  /// nomadd's own: why there is a leader or not, from local knowledge; `.json`.
  case quorumReport
  /// `.json`, or `.text` for Prometheus.
  case metrics(prometheus: Bool)
  /// The agent's host description (`Agent.Host` of this agent); `.json`.
  case host
  /// Resource statistics of a client node; empty means this agent's own client. `.reply` with a `ClientStats.Stats`
  /// answer, or failure 404. `rpc` asks the servers for it.
  case clientStats(nodeID: String, rpc: APIRPC)
  /// Stream log lines until the peer goes.
  case monitor(APIMonitor)
  /// Stream events until the peer goes.
  case eventStream(APIEventStream)
  /// `.snapshot`
  case snapshotSave(region: String, allowStale: Bool, token: String)
  /// The archive; `.done`.
  case snapshotRestore([UInt8], region: String, token: String)
}

/// One remote procedure call.
public struct APIRPC: Hashable, Sendable {
  /// `Service.Method`
  public var method: String
  /// The complete MessagePack request, with region, namespace, token and, for reads, the query options.
  public var body: [UInt8]
  /// Where it has to be executed; never empty.
  public var region: String
  /// A read that any server may answer.
  public var allowStale: Bool

  public init(method: String, body: [UInt8], region: String, allowStale: Bool) {
    self.method = method
    self.body = body
    self.region = region
    self.allowStale = allowStale
  }
}

/// Which checks `GET /v1/agent/health` wants.
public struct APIHealthQuestion: Hashable, Sendable {
  public var server: Bool
  public var client: Bool
  /// The region whose leader the server check asks for.
  public var region: String
  /// Do not wait for a leader: the message is then `no leader` instead of `No cluster leader`.
  public var allowStale: Bool
}

/// A gossip keyring operation; keys are the decoded bytes.
public enum APIKeyring: Hashable, Sendable {
  case list
  case install([UInt8])
  case use([UInt8])
  case remove([UInt8])
}

/// `GET /v1/agent/monitor`
public struct APIMonitor: Hashable, Sendable {
  public var level: LogLevel
  /// Lines are JSON objects.
  public var isJSON: Bool
  /// Raw lines instead of `{"Data":...,"FileEvent":"log"}` frames.
  public var isPlain: Bool
  public var nodeID: String
  public var serverID: String

  /// Both targets empty: the agent that is asked.
  public init(level: LogLevel, isJSON: Bool, isPlain: Bool, nodeID: String = "", serverID: String = "") {
    self.level = level
    self.isJSON = isJSON
    self.isPlain = isPlain
    self.nodeID = nodeID
    self.serverID = serverID
  }
}

/// `GET /v1/event/stream`
public struct APIEventStream: Hashable, Sendable {
  public struct Topic: Hashable, Sendable {
    public var name: String
    /// `*` for all.
    public var key: String
  }

  public var topics: [Topic]
  public var index: UInt64
  public var namespace: String
  public var region: String
  public var token: String
}
