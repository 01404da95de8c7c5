import Base
import HTTP

/// What the agent answers to an `APICall`.
public enum APIAnswer: Hashable, Sendable {
  /// The MessagePack body of an RPC answer.
  case reply([UInt8])
  /// Success without a value.
  case done
  case agentSelf(AgentSelfAnswer)
  case members(MembersAnswer)
  case join(JoinAnswer)
  case servers([String])
  case health(HealthAnswer)
  case keyring(KeyringAnswer)
  case json(JSONValue)
  case text([UInt8], contentType: String)
  /// An archive and the base64 of its SHA-256.
  case snapshot([UInt8], digest: String)
  case failure(APIFailure)
}

/// An error as it reaches the client: its text is the whole body.
public struct APIFailure: Error, Hashable, Sendable {
  public var text: String
  /// `nil` lets the text decide: 403 for `Permission denied` and `ACL token not found`, else 500.
  public var status: Int?

  public init(_ text: String, status: Int? = nil) {
    self.text = text
    self.status = status
  }
}

/// One member of the gossip pool.
public struct MemberAnswer: Hashable, Sendable {
  /// `<node>.<region>`
  public var name: String
  /// IP address of gossip.
  public var address: String
  public var port: UInt16
  /// `alive`, `leaving`, `left`, `failed`, `none`
  public var status: String
  public var tags: [String: String]
  public var protocolMin: UInt8 = 1
  public var protocolMax: UInt8 = 5
  public var protocolCurrent: UInt8 = 2
  public var delegateMin: UInt8 = 2
  public var delegateMax: UInt8 = 5
  public var delegateCurrent: UInt8 = 4

  public init(name: String, address: String, port: UInt16, status: String, tags: [String: String]) {
    self.name = name
    self.address = address
    self.port = port
    self.status = status
    self.tags = tags
  }
}

/// `GET /v1/agent/members`
public struct MembersAnswer: Hashable, Sendable {
  public var serverName: String
  public var serverRegion: String
  public var serverDatacenter: String
  public var members: [MemberAnswer]

  public init(serverName: String, serverRegion: String, serverDatacenter: String, members: [MemberAnswer]) {
    self.serverName = serverName
    self.serverRegion = serverRegion
    self.serverDatacenter = serverDatacenter
    self.members = members
  }
}

/// `GET /v1/agent/self`
public struct AgentSelfAnswer: Hashable, Sendable {
  /// The effective configuration, made with `AgentConfigurationAnswer.json`.
  public var configuration: JSONValue
  /// This server; `nil` on a client-only agent.
  public var member: MemberAnswer?
  /// Section -> key -> value: `nomad`, `raft`, `serf`, `runtime`, `client`.
  public var stats: [String: [String: String]]

  public init(configuration: JSONValue, member: MemberAnswer?, stats: [String: [String: String]]) {
    self.configuration = configuration
    self.member = member
    self.stats = stats
  }
}

/// `PUT /v1/agent/join`
public struct JoinAnswer: Hashable, Sendable {
  /// Addresses that were contacted.
  public var joined: Int
  /// One message for each address that failed; shown only when none succeeded.
  public var errors: [String]

  public init(joined: Int, errors: [String]) {
    self.joined = joined
    self.errors = errors
  }
}

/// `GET /v1/agent/health`
public struct HealthAnswer: Hashable, Sendable {
  public struct Check: Hashable, Sendable {
    public var isHealthy: Bool
    /// `ok`, `no leader`, `No cluster leader`, `no known servers`, `server not enabled`, `client not enabled`
    public var message: String

    public init(isHealthy: Bool, message: String) {
      self.isHealthy = isHealthy
      self.message = message
    }
  }

  public var server: Check?
  public var client: Check?

  public init(server: Check? = nil, client: Check? = nil) {
    self.server = server
    self.client = client
  }
}

/// `/v1/agent/keyring/...`
public struct KeyringAnswer: Hashable, Sendable {
  /// Base64 key -> number of nodes that have it; only for `list`.
  public var keys: [String: Int]
  /// Node name -> what it complained about.
  public var messages: [String: String]
  public var nodes: Int

  public init(keys: [String: Int], messages: [String: String], nodes: Int) {
    self.keys = keys
    self.messages = messages
    self.nodes = nodes
  }
}

/// The layout of Go's `multierror`, which several endpoints use.
public func multipleErrors(_ messages: [String]) -> String {
  "\(messages.count) error\(messages.count == 1 ? "" : "s") occurred:\n"
    + messages.map { "\t* \($0)\n" }.joined() + "\n"
}
