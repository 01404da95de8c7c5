import HTTP

/// What one endpoint decided about one request.
struct Plan {
  enum Action {
    case call(APICall)
    case answer(APIAnswer)
    case response(HTTPResponse)
  }

  var action: Action
  var projection: Projection

  static func call(_ call: APICall, _ projection: Projection = .local) -> Plan {
    Plan(action: .call(call), projection: projection)
  }

  /// A JSON value known without asking anyone.
  static func json(_ value: JSONValue) -> Plan { Plan(action: .answer(.json(value)), projection: .local) }

  static func response(_ response: HTTPResponse) -> Plan { Plan(action: .response(response), projection: .local) }
}

extension APIFailure {
  static let invalidMethod = APIFailure("Invalid method", status: 405)
  /// A server-only endpoint asked of a client, or the other way round.
  static let wrongRole = APIFailure("Invalid method", status: 501)
  static let enterprise = APIFailure("Nomad Enterprise only endpoint", status: 501)
  static let permissionDenied = APIFailure("Permission denied", status: 403)
}

/// One request with its path cut at the slashes.
struct Route {
  let request: HTTPRequest
  /// The segments behind `/v1/`: `node`, `<id>`, `drain`. A trailing slash leaves an empty last segment.
  let segments: [String]
  let settings: APISettings

  init(_ request: HTTPRequest, _ settings: APISettings) {
    self.request = request
    self.settings = settings
    segments = request.path.split(separator: "/", omittingEmptySubsequences: false).dropFirst(2).map(String.init)
  }

  /// Throws 405 unless the method is one of these.
  func require(_ methods: HTTPMethod...) throws(APIFailure) {
    guard methods.contains(request.method) else { throw .invalidMethod }
  }

  func requireWrite() throws(APIFailure) { try require(.put, .post) }

  func parameters() throws(APIFailure) -> QueryParameters { try QueryParameters(request, settings) }

  /// A read RPC. `add` writes the fields beyond the query options.
  func read(
    _ method: String, _ projection: Projection, _ add: (inout RPCBody) -> Void = { _ in }
  ) throws(APIFailure) -> Plan {
    let parameters = try parameters()
    var body = RPCBody()
    add(&body)
    body.addQuery(parameters)
    return .call(
      .rpc(
        APIRPC(
          method: method, body: body.bytes, region: parameters.region, allowStale: parameters.allowStale)),
      projection)
  }

  /// A write RPC.
  func write(
    _ method: String, _ projection: Projection, _ add: (inout RPCBody) -> Void = { _ in }
  ) throws(APIFailure) -> Plan {
    let parameters = try parameters()
    var body = RPCBody()
    add(&body)
    body.addWrite(parameters)
    return .call(
      .rpc(APIRPC(method: method, body: body.bytes, region: parameters.region, allowStale: false)), projection)
  }
}

extension APIMachine {
  /// `nil` for a path that no endpoint is registered at.
  func route(_ request: HTTPRequest) throws(APIFailure) -> Plan? {
    let route = Route(request, settings)
    guard let first = route.segments.first else { return nil }
    let isAlone = route.segments.count == 1
    switch first {
    case "status": return try route.status()
    case "regions" where isAlone: return try route.regions()
    case "agent": return try route.agent()
    case "nodes" where isAlone: return try route.nodes()
    case "node" where !isAlone: return try route.node()
    case "operator": return try route.operatorEndpoints()
    case "system": return try route.system()
    case "search": return try route.search()
    case "metrics" where isAlone: return try route.metrics()
    case "client": return try route.client()
    case "event" where route.segments == ["event", "stream"]: return try route.eventStream()
    default: return try route.scheduling(first)
    }
  }
}
