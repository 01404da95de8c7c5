import Base
import HTTP
import Testing
import Wire

@testable import API

/// A request in one line: `PUT /v1/nodes {"a":1}`.
func request(_ line: String, headers: [HTTPHeader] = []) throws -> HTTPRequest {
  let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
  return try HTTPRequest(
    method: HTTPMethod(name: String(words[0])), target: String(words[1]), headers: headers,
    body: words.count > 2 ? Array(words[2].utf8) : [])
}

let serverSettings = APISettings(
  region: "global", isServer: true, isClient: false, responseHeaders: [HTTPHeader("X-Own", "1")])
let clientSettings = APISettings(region: "global", isServer: false, isClient: true)

/// A MessagePack map as text with its members sorted: `{NodeID: "n", UpdatedAt: 0}`.
func describe(_ bytes: [UInt8]) throws -> String {
  var converter = ReplyConverter(pretty: false, reserving: 64)
  try converter.convert(bytes.borrowedBytes, at: 0, as: .any)
  return String(decoding: converter.finish(), as: UTF8.self)
}

extension HTTPResponse {
  var text: String { String(decoding: body, as: UTF8.self) }
}

@Suite struct RoutingTests {
  let server = APIMachine(settings: serverSettings)
  let client = APIMachine(settings: clientSettings)

  @Test(arguments: [
    ("GET /v1/status/leader", "Status.Leader"), ("GET /v1/status/peers?stale", "Status.Peers"),
    ("GET /v1/regions", "Region.List"), ("GET /v1/nodes", "Node.List"), ("GET /v1/node/abc", "Node.GetNode"),
    ("GET /v1/node/abc/allocations", "Node.GetAllocs"), ("PUT /v1/node/abc/evaluate", "Node.Evaluate"),
    ("POST /v1/node/abc/purge", "Node.Deregister"),
    (#"PUT /v1/node/abc/eligibility {"Eligibility":"eligible"}"#, "Node.UpdateEligibility"),
    (#"PUT /v1/node/abc/drain {"DrainSpec":null}"#, "Node.UpdateDrain"),
    ("GET /v1/operator/raft/configuration", "Operator.RaftGetConfiguration"),
    ("DELETE /v1/operator/raft/peer?id=a", "Operator.RaftRemovePeerByID"),
    ("DELETE /v1/operator/raft/peer?address=a:1&stale=False", "Operator.RaftRemovePeerByAddress"),
    ("PUT /v1/operator/raft/transfer-leadership?id=a", "Operator.TransferLeadershipToPeer"),
    ("GET /v1/operator/autopilot/configuration", "Operator.AutopilotGetConfiguration"),
    ("PUT /v1/operator/autopilot/configuration {}", "Operator.AutopilotSetConfiguration"),
    ("GET /v1/operator/autopilot/health", "Operator.ServerHealth"),
    ("GET /v1/operator/scheduler/configuration", "Operator.SchedulerGetConfiguration"),
    ("PUT /v1/operator/scheduler/configuration {}", "Operator.SchedulerSetConfiguration"),
    ("GET /v1/jobs?prefix=&namespace=*", "Job.List"), ("GET /v1/allocations", "Alloc.List"),
    ("GET /v1/evaluations", "Eval.List"), ("GET /v1/deployments", "Deployment.List"),
    ("GET /v1/plugins?type=csi", "CSIPlugin.List"), ("GET /v1/volumes?type=csi", "CSIVolume.List"),
    ("GET /v1/scaling/policies", "Scaling.ListPolicies"), ("GET /v1/namespaces", "Namespace.ListNamespaces"),
    ("GET /v1/namespace/default", "Namespace.GetNamespace"), ("PUT /v1/system/gc", "System.GarbageCollect"),
    ("PUT /v1/system/reconcile/summaries", "System.ReconcileJobSummaries"),
    (#"PUT /v1/search {"Prefix":"ab","Context":"nodes"}"#, "Search.PrefixSearch"),
    (#"POST /v1/search/fuzzy {"Text":"ab"}"#, "Search.FuzzySearch"),
  ])
  func oneRequestIsOneCallUnderItsRealName(line: String, method: String) throws {
    for machine in [server, client] {
      guard case .call(.rpc(let rpc), _) = machine.handle(try request(line)) else {
        Issue.record("\(line) is no RPC")
        continue
      }
      #expect(rpc.method == method)
      #expect(rpc.region == "global")
      #expect(try describe(rpc.body).contains(#""Region":"global""#))
    }
  }

  @Test func readsCarryTheQueryOptions() throws {
    let line =
      "GET /v1/nodes?region=west&index=7&wait=1500ms&stale&prefix=ab&namespace=x&per_page=3&next_token=t&resources=true"
    guard
      case .call(.rpc(let rpc), _) = server.handle(
        try request(line, headers: [HTTPHeader("X-Nomad-Token", "secret")]))
    else { return #expect(Bool(false)) }
    #expect(rpc.region == "west" && rpc.allowStale)
    #expect(
      try describe(rpc.body)
        == #"{"AllowStale":true,"AuthToken":"secret","Fields":{"Resources":true},"Forwarded":false,"#
        + #""MaxQueryTime":1500000000,"MinQueryIndex":7,"Namespace":"x","NextToken":"t","PerPage":3,"#
        + #""Prefix":"ab","Region":"west"}"#)
  }

  @Test func writesCarryTheirBody() throws {
    func body(_ line: String) throws -> String {
      guard
        case .call(.rpc(let rpc), _) = server.handle(
          try request(line, headers: [HTTPHeader("Authorization", "Bearer b")]))
      else { return "no call" }
      return try describe(rpc.body)
    }
    let tail = #""Namespace":"default","#
    #expect(
      try body(#"PUT /v1/node/abc/eligibility {"eligibility":"ineligible","Other":[1]}"#)
        == #"{"AuthToken":"b","Eligibility":"ineligible","Forwarded":false,"# + tail
        + #""NodeEvent":null,"NodeID":"abc","Region":"global","UpdatedAt":0}"#)
    #expect(
      try body(
        #"PUT /v1/node/abc/drain {"NodeID":"x","DrainSpec":{"Deadline":-1,"IgnoreSystemJobs":true},"Meta":{"m":"n"}}"#)
        == #"{"AuthToken":"b","DrainStrategy":{"Deadline":-1,"ForceDeadline":"0001-01-01T00:00:00Z","#
        + #""IgnoreSystemJobs":true,"StartedAt":"0001-01-01T00:00:00Z"},"Forwarded":false,"MarkEligible":false,"#
        + #""Meta":{"m":"n"},"# + tail + #""NodeEvent":null,"NodeID":"x","Region":"global","UpdatedAt":0}"#)
    // python-nomad sends this; it means "no deadline".
    #expect(try body(#"POST /v1/node/abc/drain {"DrainSpec":{"Duration":"-100000000"}}"#).contains(#""Deadline":0,"#))
    #expect(try body("PUT /v1/node/abc/drain {}").contains(#""DrainStrategy":null"#))
    #expect(
      try body(
        #"PUT /v1/operator/autopilot/configuration?cas=9 "#
          + #"{"LastContactThreshold":"200ms","ServerStabilizationTime":null,"#
          + #""MaxTrailingLogs":250,"CleanupDeadServers":true}"#
      )
        == #"{"AuthToken":"b","CAS":true,"Config":{"CleanupDeadServers":true,"CreateIndex":0,"#
        + #""DisableUpgradeMigration":false,"EnableCustomUpgrades":false,"EnableRedundancyZones":false,"#
        + #""LastContactThreshold":200000000,"MaxTrailingLogs":250,"MinQuorum":0,"ModifyIndex":9,"#
        + #""ServerStabilizationTime":0},"Datacenter":"","Forwarded":false,"# + tail + #""Region":"global"}"#)
  }

  @Test(arguments: [
    // http.md section 1
    ("GET /v2", 404, ""), ("GET /v1/nope", 404, ""), ("GET /v1/nodes/", 404, ""), ("GET /v1/vars", 404, ""),
    // section 4
    ("GET /v1/nodes?index=-1", 400, "Invalid index"), ("GET /v1/nodes?wait=10", 400, "Invalid wait time"),
    ("GET /v1/status/leader?wait=x&index=y", 400, "Invalid wait time"),
    ("GET /v1/nodes?stale=maybe", 400, "Expect `true` or `false` for `stale` query string parameter"),
    ("GET /v1/nodes?per_page=x", 400, "Expect a number for `per_page` query string parameter"),
    (
      "GET /v1/nodes?resources=x", 500,
      #"Failed to parse value of "resources" (x) as a bool: strconv.ParseBool: parsing "x": invalid syntax"#
    ),
    // methods
    ("POST /v1/status/leader", 405, "Invalid method"), ("HEAD /v1/nodes", 405, "Invalid method"),
    ("OPTIONS /v1/agent/self", 405, "Invalid method"), ("POST /v1/system/gc", 405, "Invalid method"),
    ("GET /v1/agent/join", 405, "Invalid method"), ("POST /v1/operator/raft/configuration", 405, ""),
    ("POST /v1/operator/raft/peer", 404, "Invalid method"), ("GET /v1/operator/raft/nope", 404, "Invalid method"),
    ("POST /v1/operator/autopilot/configuration {}", 404, "Invalid method"),
    ("PUT /v1/operator/autopilot/health", 404, "Invalid method"),
    // section 6
    ("PUT /v1/agent/join", 400, "missing address to join"),
    ("PUT /v1/agent/force-leave", 400, "missing node to force leave"),
    ("PUT /v1/agent/force-leave?node=a&prune=x", 400, "invalid prune value"),
    ("GET /v1/agent/servers", 501, "Invalid method"), ("PUT /v1/agent/servers?address=a", 501, "Invalid method"),
    ("DELETE /v1/agent/servers", 405, "Invalid method"), ("GET /v1/agent/keyring/", 404, "resource not found"),
    ("PUT /v1/agent/keyring/nope", 404, "resource not found"),
    ("PUT /v1/agent/keyring/install", 500, "Request body is empty"),
    (#"PUT /v1/agent/keyring/install {"Key":"*"}"#, 500, "illegal base64 data at input byte 0"),
    ("GET /v1/agent/host", 403, "Permission denied"), ("GET /v1/agent/pprof/heap", 403, "Permission denied"),
    ("GET /v1/agent/monitor?log_level=bogus", 400, "Unknown log level: bogus"),
    (
      "GET /v1/agent/monitor?log_json=bogus", 400,
      #"Unknown option for log json: strconv.ParseBool: parsing "bogus": invalid syntax"#
    ),
    ("GET /v1/agent/monitor?node_id=a&server_id=b", 400, "Cannot target node and server simultaneously"),
    // section 7
    ("PUT /v1/node/a/eligibility", 400, "Request body is empty"),
    ("PUT /v1/node/a/eligibility x", 400, "invalid character 'x' looking for beginning of value"),
    (
      #"PUT /v1/node/a/eligibility {"Eligibility":1}"#, 400,
      "json: cannot unmarshal number into Go struct field NodeUpdateEligibilityRequest.Eligibility of type string"
    ),
    ("PUT /v1/node/a/drain?enable=true", 400, "Request body is empty"),
    (
      #"PUT /v1/node/a/drain {"DrainSpec":{"Deadline":"1h"}}"#, 400,
      "json: cannot unmarshal string into Go struct field DrainSpec.DrainSpec.Deadline of type time.Duration"
    ),
    ("GET /v1/node/", 500, "missing node ID"),
    ("GET /v1/nodes?filter=Name", 400, "filter expressions are not supported by this server"),
    ("GET /v1/client/stats", 400, "No local Node and node_id not provided"),
    // section 8
    (
      "DELETE /v1/operator/raft/peer", 400,
      "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove"
    ),
    ("DELETE /v1/operator/raft/peer?id=a&address=b", 400, "Must specify only one of ?id or ?address"),
    (
      "PUT /v1/operator/autopilot/configuration?cas=x {}", 400,
      #"Error parsing cas value: strconv.ParseUint: parsing "x": invalid syntax"#
    ),
    ("PUT /v1/operator/autopilot/configuration", 400, "Error parsing autopilot config: Request body is empty"),
    (
      #"PUT /v1/operator/autopilot/configuration {"LastContactThreshold":"xx"}"#, 400,
      #"Error parsing autopilot config: time: invalid duration "xx""#
    ),
    (
      #"PUT /v1/operator/autopilot/configuration {"LastContactThreshold":5}"#, 400,
      "Error parsing autopilot config: json: cannot unmarshal number into Go struct field "
        + ".LastContactThreshold of type string"
    ),
    (
      #"PUT /v1/operator/scheduler/configuration {"SchedulerAlgorithm":"nope"}"#, 400,
      "invalid scheduler algorithm: nope"
    ),
    ("PUT /v1/operator/raft/transfer-leadership", 400, "must specify id or address"),
    ("PUT /v1/operator/raft/transfer-leadership?id=a&address=b", 400, "must specify either id or address"),
    ("PUT /v1/operator/raft/transfer-leadership?id=", 400, "id must be non-empty"),
    ("PUT /v1/operator/raft/transfer-leadership?id=a&id=b", 400, "must specify only one id"),
    ("GET /v1/operator/license", 204, ""), ("PUT /v1/operator/license", 501, "Nomad Enterprise only endpoint"),
    // sections 9 and 10
    ("GET /v1/event/stream?index=x", 400, #"Unable to parse index: strconv.Atoi: parsing "x": invalid syntax"#),
    (
      "GET /v1/event/stream?topic=a:b:c", 400,
      "Invalid topic query: error parsing topics: Invalid key value pair for topic, topic: a:b:c"
    ),
    ("GET /v1/metrics?format=prometheus", 415, "Prometheus is not enabled"),
    ("POST /v1/metrics", 405, "Invalid method"),
    ("GET /v1/job/x", 404, "job not found"), ("PUT /v1/jobs {}", 400, "Job must be specified"),
    (#"PUT /v1/jobs {"Job":{}}"#, 501, "job scheduling is not supported by this server"),
    ("GET /v1/allocation/x", 500, "alloc lookup failed: index error: UUID must be 36 characters"),
    ("GET /v1/evaluation/f717f0f9-db57-a4ed-2588-74b061d1a2c5", 404, "eval not found"),
    ("GET /v1/acl/tokens", 400, "ACL support disabled"), ("GET /v1/quotas", 501, "Nomad Enterprise only endpoint"),
    ("GET /v1/namespace", 400, "Missing Namespace Name"),
    (#"PUT /v1/namespace/a {"Name":"b"}"#, 400, "Namespace name does not match request path"),
  ])
  func refusesInTheRealWords(line: String, status: Int, text: String) throws {
    guard case .respond(let response) = server.handle(try request(line)) else {
      Issue.record("\(line) became a call")
      return
    }
    #expect(response.status == status)
    #expect(response.text == text)
    if status == 404, text.isEmpty {
      #expect(response.headers.isEmpty)
    } else {
      #expect(response.headers.first(named: "x-own") == "1")
      #expect(response.headers.first(named: "vary") == "Accept-Encoding")
    }
    #expect(response.headers.first(named: "content-type") == (text.isEmpty ? nil : "text/plain; charset=utf-8"))
  }

  @Test(arguments: [
    ("PUT /v1/agent/join?address=a", 501), ("PUT /v1/agent/force-leave?node=a", 501),
    ("GET /v1/agent/keyring/list", 501),
  ])
  func clientsRefuseWhatOnlyServersDo(line: String, status: Int) throws {
    guard case .respond(let response) = client.handle(try request(line)) else { return #expect(Bool(false)) }
    #expect(response.status == status && response.text == "Invalid method")
  }

  @Test(arguments: [
    ("GET //v1/nodes?a=b", 301, "/v1/nodes?a=b", "Moved Permanently"),
    ("GET /v1/./node/../nodes", 301, "/v1/nodes", "Moved Permanently"),
    ("GET /v1/agent/keyring", 301, "/v1/agent/keyring/", "Moved Permanently"),
    ("GET /?token=x", 307, "/ui/?token=x", "Temporary Redirect"), ("GET /ui", 301, "/ui/", "Moved Permanently"),
  ])
  func redirectsAsTheMultiplexerDoes(line: String, status: Int, location: String, name: String) throws {
    guard case .respond(let response) = server.handle(try request(line)) else { return #expect(Bool(false)) }
    #expect(response.status == status)
    #expect(response.headers.first(named: "location") == location)
    #expect(response.text == "<a href=\"\(location)\">\(name)</a>.\n\n")
  }

  @Test func agentCallsStayLocal() throws {
    func call(_ machine: APIMachine, _ line: String) throws -> APICall? {
      if case .call(let call, _) = machine.handle(try request(line)) { call } else { nil }
    }
    #expect(try call(server, "GET /v1/agent/self?region=west") == .agentSelf)
    #expect(try call(server, "GET /v1/agent/members?region=west") == .members)
    guard case .rpc(let rpc)? = try call(client, "GET /v1/agent/members") else { return #expect(Bool(false)) }
    #expect(rpc.method == "Status.Members")
    #expect(try call(server, "POST /v1/agent/join?address=a&address=b") == .join(["a", "b"]))
    #expect(
      try call(server, "PUT /v1/agent/force-leave?node=s2.global&prune=1")
        == .forceLeave(node: "s2.global", prune: true))
    #expect(try call(server, "PUT /v1/agent/detach?from=west") == .detach(region: "west", undo: false))
    #expect(try call(server, "PUT /v1/agent/detach?from=west&undo=1") == .detach(region: "west", undo: true))
    for line in ["PUT /v1/agent/detach", "PUT /v1/agent/detach?from=west&undo=x", "GET /v1/agent/detach?from=west"] {
      #expect(try call(server, line) == nil)
    }
    #expect(try call(client, "PUT /v1/agent/detach?from=west") == nil)
    #expect(try call(client, "GET /v1/agent/servers") == .servers)
    #expect(try call(client, "PUT /v1/agent/servers?address=a") == .setServers(["a"]))
    #expect(try call(server, "GET /v1/agent/keyring/list") == .keyring(.list))
    #expect(try call(server, #"POST /v1/agent/keyring/use {"Key":"AAEC"}"#) == .keyring(.use([0, 1, 2])))
    #expect(try call(server, "GET /v1/operator/quorum") == .quorumReport)
    #expect(try call(server, "GET /v1/metrics?format=x") == .metrics(prometheus: false))
    #expect(
      try call(server, "PUT /v1/operator/snapshot abc")
        == .snapshotRestore(Array("abc".utf8), region: "global", token: ""))
    #expect(
      try call(server, "GET /v1/agent/health?type=server&stale")
        == .health(APIHealthQuestion(server: true, client: false, region: "global", allowStale: true)))
  }
}
