import HTTP

/// What is needed to turn the agent's answer into HTTP; the caller keeps it while the call runs.
public struct APIContext: Sendable {
  let projection: Projection
  let isPretty: Bool
}

/// Which `X-Nomad-...` headers an answer has (http.md section 3).
enum MetaHeaders: Sendable {
  case none
  /// Only the index, of a write.
  case index
  /// Index, known leader, last contact.
  case all
}

/// How an answer becomes a body.
enum Projection: Sendable {
  /// 200 without a body.
  case nothing(MetaHeaders)
  /// The whole RPC answer.
  case whole(ReplyShape, MetaHeaders)
  /// One member of the RPC answer; when it is missing or nil: the shape's zero, or 404 with this text.
  case member(StaticString, ReplyShape, MetaHeaders, missing: String?)
  /// Autopilot health: 429 when `Healthy` is false.
  case serverHealth
  /// Agent health: which checks were asked for, whether or not this agent has the role.
  case health(server: Bool, client: Bool)
  /// One of the agent's own answers.
  case local
}

/// What `APIMachine.handle` decided.
public enum APIOutcome: Sendable {
  /// Answer at once.
  case respond(HTTPResponse)
  /// Ask the agent, then make the answer with `APIMachine.response(to:for:)`.
  case call(APICall, APIContext)
}

/// What the endpoints need to know about their agent.
public struct APISettings: Hashable, Sendable {
  public var region: String
  public var isServer: Bool
  public var isClient: Bool
  /// `enable_debug`: opens `/v1/agent/host` and the like.
  public var enableDebug: Bool
  /// `telemetry.prometheus_metrics`
  public var prometheus: Bool
  /// `http_api_response_headers`, added to every `/v1/...` answer.
  public var responseHeaders: [HTTPHeader]

  public init(
    region: String, isServer: Bool, isClient: Bool, enableDebug: Bool = false, prometheus: Bool = false,
    responseHeaders: [HTTPHeader] = []
  ) {
    self.region = region
    self.isServer = isServer
    self.isClient = isClient
    self.enableDebug = enableDebug
    self.prometheus = prometheus
    self.responseHeaders = responseHeaders
  }
}
