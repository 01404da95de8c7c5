import Base
import HTTP

extension Route {
  func agent() throws(APIFailure) -> Plan? {
    guard segments.count > 1 else { return nil }
    if segments[1] == "keyring" { return try keyring() }
    if segments[1] == "pprof" { return try profile() }
    guard segments.count == 2 else { return nil }
    switch segments[1] {
    case "self":
      try require(.get)
      return .call(.agentSelf)
    case "members":
      try require(.get)
      if settings.isServer {
        // Only the syntax of the common parameters counts: the view is local.
        _ = try parameters()
        return .call(.members)
      }
      return try read("Status.Members", .whole(Shapes.members, .none))
    case "join":
      try requireWrite()
      try requireServer()
      let addresses = request.query.all("address")
      if addresses.isEmpty { throw APIFailure("missing address to join", status: 400) }
      return .call(.join(addresses))
    case "force-leave":
      try requireWrite()
      try requireServer()
      return try forceLeave()
    case "detach":
      try requireWrite()
      try requireServer()
      guard let region = request.query.first("from"), !region.isEmpty else {
        throw APIFailure("missing region to detach from: ?from=<name>", status: 400)
      }
      return .call(.detach(region: region, undo: try option("undo", "undo")))
    case "leave":
      try requireWrite()
      return .call(.leave(isForced: try option("force", "force")))
    case "reload":
      try requireWrite()
      return .call(.reload)
    case "servers": return try servers()
    case "health": return try health()
    case "host": return try host()
    case "monitor": return try monitor()
    default: return nil
    }
  }

  private func requireServer() throws(APIFailure) {
    guard settings.isServer else { throw .wrongRole }
  }

  private func forceLeave() throws(APIFailure) -> Plan {
    guard let node = request.query.first("node"), !node.isEmpty else {
      throw APIFailure("missing node to force leave", status: 400)
    }
    var prune = false
    if let text = request.query.first("prune") {
      guard let flag = text.isEmpty ? true : goBool(text) else {
        throw APIFailure("invalid prune value", status: 400)
      }
      prune = flag
    }
    return .call(.forceLeave(node: node, prune: prune))
  }

  private func servers() throws(APIFailure) -> Plan {
    switch request.method {
    case .get:
      guard settings.isClient else { throw .wrongRole }
      return .call(.servers)
    case .put, .post:
      guard settings.isClient else { throw .wrongRole }
      let addresses = request.query.all("address")
      if addresses.isEmpty { throw APIFailure("missing server address", status: 400) }
      return .call(.setServers(addresses))
    default: throw .invalidMethod
    }
  }

  private func health() throws(APIFailure) -> Plan {
    try require(.get)
    let parameters = try parameters()
    let types = request.query.all("type")
    let wantsServer = types.isEmpty ? settings.isServer : types.contains("server")
    let wantsClient = types.isEmpty ? settings.isClient : types.contains("client")
    let question = APIHealthQuestion(
      server: wantsServer && settings.isServer, client: wantsClient && settings.isClient,
      region: parameters.region, allowStale: parameters.allowStale)
    let projection = Projection.health(server: wantsServer, client: wantsClient)
    // Checks of roles that this agent does not have need nobody to be asked.
    guard question.server || question.client else {
      return Plan(action: .answer(.health(HealthAnswer())), projection: projection)
    }
    return .call(.health(question), projection)
  }

  private func host() throws(APIFailure) -> Plan {
    try require(.get)
    guard settings.enableDebug else { throw .permissionDenied }
    let node = request.query.first("node_id") ?? ""
    let server = request.query.first("server_id") ?? ""
    if !node.isEmpty, !server.isEmpty {
      throw APIFailure("Can only forward to either client node or server", status: 400)
    }
    if node.isEmpty, server.isEmpty { return .call(.host) }
    return try read("Agent.Host", .whole(.any, .none)) {
      $0.add("NodeID", node)
      $0.add("ServerID", server)
    }
  }

  private func monitor() throws(APIFailure) -> Plan {
    try require(.get)
    let name = request.query.first("log_level") ?? ""
    let level: LogLevel
    switch (name.isEmpty ? "info" : name).lowercased() {
    case "trace": level = .trace
    case "debug": level = .debug
    case "info": level = .info
    case "warn": level = .warn
    case "error": level = .error
    default: throw APIFailure("Unknown log level: \(name)", status: 400)
    }
    let isJSON = try option("log_json", "log json")
    let isPlain = try option("plain", "plain")
    let node = request.query.first("node_id") ?? ""
    let server = request.query.first("server_id") ?? ""
    if !node.isEmpty, !server.isEmpty {
      throw APIFailure("Cannot target node and server simultaneously", status: 400)
    }
    return .call(
      .monitor(APIMonitor(level: level, isJSON: isJSON, isPlain: isPlain, nodeID: node, serverID: server)))
  }

  private func option(_ parameter: String, _ name: String) throws(APIFailure) -> Bool {
    guard let text = request.query.first(parameter), !text.isEmpty else { return false }
    guard let flag = goBool(text) else {
      throw APIFailure(
        "Unknown option for \(name): strconv.ParseBool: parsing \(goQuoted(text)): invalid syntax", status: 400)
    }
    return flag
  }

  // MARK: Keyring, profiles

  private func keyring() throws(APIFailure) -> Plan {
    try requireServer()
    guard segments.count == 3 else { throw APIFailure("resource not found", status: 404) }
    if segments[2] == "list" { return .call(.keyring(.list)) }
    guard ["install", "use", "remove"].contains(segments[2]) else {
      throw APIFailure("resource not found", status: 404)
    }
    let text: String
    do throws(APIFailure) {
      text = try RequestBody(request.body, type: "KeyringRequest").string("Key")
    } catch {
      throw APIFailure(error.text, status: 500)
    }
    let key: [UInt8]
    do throws(Base64Error) {
      key = try Base64.decode(text)
    } catch {
      throw APIFailure("illegal base64 data at input byte \(error.offset)")
    }
    switch segments[2] {
    case "install": return .call(.keyring(.install(key)))
    case "use": return .call(.keyring(.use(key)))
    default: return .call(.keyring(.remove(key)))
    }
  }

  /// There are no Go profiles here; `operator debug` records the failure and goes on.
  private func profile() throws(APIFailure) -> Plan {
    guard segments.count == 3, !segments[2].isEmpty else { throw APIFailure("Invalid method", status: 404) }
    guard settings.enableDebug else { throw .permissionDenied }
    throw APIFailure("Pprof profile not found profile: \(segments[2])", status: 404)
  }
}
