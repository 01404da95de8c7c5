import Base
import HTTP
import Wire

extension Route {
  // MARK: Status, regions, system, search, metrics

  func status() throws(APIFailure) -> Plan? {
    switch segments.dropFirst().first {
    case "leader" where segments.count == 2:
      try require(.get)
      return try read("Status.Leader", .whole(.string, .none))
    case "peers" where segments.count == 2:
      try require(.get)
      return try read("Status.Peers", .whole(Shapes.texts, .none))
    default: return nil
    }
  }

  func regions() throws(APIFailure) -> Plan {
    try require(.get)
    // Answered from gossip by any server of any region: never forwarded.
    var body = RPCBody()
    var parameters = try parameters()
    parameters.region = settings.region
    parameters.allowStale = true
    body.addQuery(parameters)
    return .call(
      .rpc(APIRPC(method: "Region.List", body: body.bytes, region: settings.region, allowStale: true)),
      .whole(Shapes.texts, .none))
  }

  func system() throws(APIFailure) -> Plan? {
    switch segments {
    case ["system", "gc"]:
      try require(.put)
      return try read("System.GarbageCollect", .nothing(.none))
    case ["system", "reconcile", "summaries"]:
      try require(.put)
      return try read("System.ReconcileJobSummaries", .nothing(.none))
    default: return nil
    }
  }

  func search() throws(APIFailure) -> Plan? {
    let isFuzzy = segments == ["search", "fuzzy"]
    guard isFuzzy || segments == ["search"] else { return nil }
    try requireWrite()
    let body = try RequestBody(request.body, type: isFuzzy ? "FuzzySearchRequest" : "SearchRequest")
    let context = try body.string("Context")
    let text = try body.string(isFuzzy ? "Text" : "Prefix")
    var parameters = try parameters()
    var rpc = RPCBody()
    if isFuzzy { rpc.add("Text", text) } else { parameters.prefix = text }
    rpc.add("Context", context)
    rpc.addQuery(parameters)
    return .call(
      .rpc(
        APIRPC(
          method: isFuzzy ? "Search.FuzzySearch" : "Search.PrefixSearch", body: rpc.bytes,
          region: parameters.region, allowStale: parameters.allowStale)),
      .whole(Shapes.search, .all))
  }

  func metrics() throws(APIFailure) -> Plan {
    try require(.get)
    let isPrometheus = request.query.first("format") == "prometheus"
    if isPrometheus, !settings.prometheus { throw APIFailure("Prometheus is not enabled", status: 415) }
    return .call(.metrics(prometheus: isPrometheus))
  }

  func client() throws(APIFailure) -> Plan? {
    switch segments {
    case ["client", "stats"]:
      let parameters = try parameters()
      let node = request.query.first("node_id") ?? ""
      if node.isEmpty, !settings.isClient {
        throw APIFailure("No local Node and node_id not provided", status: 400)
      }
      var body = RPCBody()
      body.add("NodeID", node)
      body.addQuery(parameters)
      let rpc = APIRPC(
        method: "ClientStats.Stats", body: body.bytes, region: parameters.region, allowStale: parameters.allowStale)
      return .call(.clientStats(nodeID: node, rpc: rpc), .member("HostStats", .any, .none, missing: nil))
    case ["client", "gc"]: return .response(HTTPResponse(status: 200))
    default: return nil
    }
  }

  func eventStream() throws(APIFailure) -> Plan {
    try require(.get)
    var index: UInt64 = 0
    if let text = request.query.first("index"), !text.isEmpty {
      guard let value = UInt64(text) else {
        throw APIFailure(
          "Unable to parse index: strconv.Atoi: parsing \(goQuoted(text)): invalid syntax", status: 400)
      }
      index = value
    }
    var topics: [APIEventStream.Topic] = []
    for text in request.query.all("topic") {
      let parts = text.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count <= 2 else {
        throw APIFailure(
          "Invalid topic query: error parsing topics: Invalid key value pair for topic, topic: \(text)", status: 400)
      }
      topics.append(APIEventStream.Topic(name: String(parts[0]), key: parts.count == 2 ? String(parts[1]) : "*"))
    }
    if topics.isEmpty { topics = [APIEventStream.Topic(name: "*", key: "*")] }
    let region = request.query.first("region") ?? ""
    return .call(
      .eventStream(
        APIEventStream(
          topics: topics, index: index, namespace: request.query.first("namespace") ?? "default",
          region: region.isEmpty ? settings.region : region, token: request.header("x-nomad-token") ?? "")))
  }

  // MARK: Nodes

  func nodes() throws(APIFailure) -> Plan {
    try require(.get)
    // Ignoring a filter would show nodes that the caller wants excluded (http.md section 12).
    if let filter = request.query.first("filter"), !filter.isEmpty {
      throw APIFailure("filter expressions are not supported by this server", status: 400)
    }
    let resources = try flag("resources")
    let system = try flag("os")
    return try read("Node.List", .member("Nodes", .rows(Shapes.nodeStub), .all, missing: nil)) {
      guard resources || system else { return }
      $0.add("Fields") {
        $0.packMapHeader(system ? 2 : 1)
        $0.pack("Resources" as StaticString)
        $0.pack(resources)
        if system {
          $0.pack("OS" as StaticString)
          $0.pack(true)
        }
      }
    }
  }

  private func flag(_ name: String) throws(APIFailure) -> Bool {
    guard let text = request.query.first(name), !text.isEmpty else { return false }
    guard let value = goBool(text) else {
      throw APIFailure(
        "Failed to parse value of \(goQuoted(name)) (\(text)) as a bool: "
          + "strconv.ParseBool: parsing \(goQuoted(text)): invalid syntax")
    }
    return value
  }

  func node() throws(APIFailure) -> Plan {
    // The operation is cut off the end, so that an id may be anything, as upstream.
    let id = segments.dropFirst().dropLast(segments.count > 2 ? 1 : 0).joined(separator: "/")
    switch segments.count > 2 ? segments.last : nil {
    case "evaluate": return try nodeWrite("Node.Evaluate", id)
    case "purge": return try nodeWrite("Node.Deregister", id)
    case "eligibility": return try eligibility(id)
    case "drain": return try drain(id)
    case "allocations":
      try require(.get)
      return try read("Node.GetAllocs", .member("Allocs", .rows(.any), .all, missing: nil)) {
        $0.add("NodeID", id)
        $0.add("SecretID", "")
      }
    default:
      try require(.get)
      let id = segments.dropFirst().joined(separator: "/")
      if id.isEmpty { throw APIFailure("missing node ID") }
      return try read("Node.GetNode", .member("Node", Shapes.node, .all, missing: "node not found")) {
        $0.add("NodeID", id)
        $0.add("SecretID", "")
      }
    }
  }

  private func nodeWrite(_ method: String, _ id: String) throws(APIFailure) -> Plan {
    try requireWrite()
    return try write(method, .whole(Shapes.nodeUpdate, .index)) { $0.add("NodeID", id) }
  }

  private func eligibility(_ id: String) throws(APIFailure) -> Plan {
    try requireWrite()
    let body = try RequestBody(request.body, type: "NodeUpdateEligibilityRequest")
    let eligibility = try body.string("Eligibility")
    let named = try body.string("NodeID")
    return try write("Node.UpdateEligibility", .whole(Shapes.nodeChange, .index)) {
      $0.add("NodeID", named.isEmpty ? id : named)
      $0.add("Eligibility", eligibility)
      $0.addNil("NodeEvent")
      $0.add("UpdatedAt") { $0.pack(signed: 0) }
    }
  }

  private func drain(_ id: String) throws(APIFailure) -> Plan {
    try requireWrite()
    let body = try RequestBody(request.body, type: "NodeUpdateDrainRequest")
    let specification = try body.structure("DrainSpec", type: "DrainSpec.DrainSpec", goType: "api.DrainSpec")
    let deadline = try specification?.integer("Deadline", goType: "time.Duration") ?? 0
    let ignoresSystemJobs = try specification?.bool("IgnoreSystemJobs") ?? false
    let marksEligible = try body.bool("MarkEligible")
    let meta = try body.strings("Meta")
    let named = try body.string("NodeID")
    return try write("Node.UpdateDrain", .whole(Shapes.nodeChange, .index)) {
      $0.add("NodeID", named.isEmpty ? id : named)
      $0.add("DrainStrategy") {
        guard specification != nil else { return $0.packNil() }
        $0.packMapHeader(4)
        $0.pack("Deadline" as StaticString)
        $0.pack(signed: deadline)
        $0.pack("ForceDeadline" as StaticString)
        GoTime.pack(.zero, into: &$0)
        $0.pack("IgnoreSystemJobs" as StaticString)
        $0.pack(ignoresSystemJobs)
        $0.pack("StartedAt" as StaticString)
        GoTime.pack(.zero, into: &$0)
      }
      $0.add("MarkEligible", marksEligible)
      $0.addNil("NodeEvent")
      $0.add("UpdatedAt") { $0.pack(signed: 0) }
      $0.add("Meta") {
        guard let meta else { return $0.packNil() }
        $0.packMapHeader(meta.count)
        for entry in meta {
          $0.pack(entry.key)
          $0.pack(entry.value)
        }
      }
    }
  }
}
