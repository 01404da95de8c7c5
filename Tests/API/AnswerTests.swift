import Base
import HTTP
import Testing
import Wire

@testable import API

@Suite struct AnswerTests {
  let machine = APIMachine(settings: APISettings(region: "global", isServer: true, isClient: false))

  /// Routes the request and answers its call.
  func answer(_ line: String, _ answer: APIAnswer) throws -> HTTPResponse {
    switch machine.handle(try request(line)) {
    case .respond(let response): return response
    case .call(_, let context): return machine.response(to: answer, for: context)
    }
  }

  func bytes(_ hex: String) -> [UInt8] {
    var bytes: [UInt8] = []
    var digits = hex.filter { !$0.isWhitespace }[...]
    while let byte = UInt8(digits.prefix(2), radix: 16), digits.count >= 2 {
      bytes.append(byte)
      digits = digits.dropFirst(2)
    }
    return bytes
  }

  @Test func showsTheLeader() throws {
    var reply: [UInt8] = []
    reply.pack("127.0.1.1:4647")
    let response = try answer("GET /v1/status/leader", .reply(reply))
    #expect(response.text == #""127.0.1.1:4647""#)
    #expect(
      response.headers == [HTTPHeader("Content-Type", "application/json"), HTTPHeader("Vary", "Accept-Encoding")])
    #expect(try answer("GET /v1/status/peers", .reply([0xC0])).text == "[]")
    #expect(try answer("GET /v1/status/peers", .reply([0x91, 0xA1, 0x61])).text == #"["a"]"#)
  }

  @Test func showsTheDefaultAutopilotConfiguration() throws {
    // rpc.md section 8.4, recorded.
    let reply = bytes(
      """
      8ab2436c65616e75704465616453657276657273c3ab437265617465496e64657800b744697361626c65557067726164654d
      6967726174696f6ec2
      b4456e61626c65437573746f6d5570677261646573c2b5456e61626c65526564756e64616e63795a6f6e6573c2b44c617374
      436f6e746163745468
      726573686f6c64d20bebc200af4d6178547261696c696e674c6f6773ccfaa94d696e51756f72756d00ab4d6f64696679496e
      64657800b753657276
      657253746162696c697a6174696f6e54696d65d300000002540be400
      """)
    let text = try answer("GET /v1/operator/autopilot/configuration", .reply(reply)).text
    #expect(
      try JSONValue(parsing: Array(text.utf8)) == [
        "LastContactThreshold": "200ms", "ServerStabilizationTime": "10s", "CleanupDeadServers": true,
        "MaxTrailingLogs": 250, "MinQuorum": 0, "EnableRedundancyZones": false, "DisableUpgradeMigration": false,
        "EnableCustomUpgrades": false, "CreateIndex": 0, "ModifyIndex": 0,
      ])
  }

  /// The node of http.md 7.1 as its RPC.
  func node() -> [UInt8] {
    var time: [UInt8] = []
    // 2021-07-01T12:34:56.123456789Z (rpc.md section 3.2).
    time += bytes("af01 0000000ed86fad70 075bcd15 ffff")
    var node: [UInt8] = []
    node.packMapHeader(8)
    node.pack("ID" as StaticString); node.pack("f717f0f9-db57-a4ed-2588-74b061d1a2c5")
    node.pack("Name" as StaticString); node.pack("c1")
    node.pack("Drivers" as StaticString)
    node.packMapHeader(1)
    node.pack("raw_exec" as StaticString)
    node.packMapHeader(2)
    node.pack("Detected" as StaticString); node.pack(true)
    node.pack("UpdateTime" as StaticString); node += time
    node.pack("DrainStrategy" as StaticString)
    node.packMapHeader(2)
    node.pack("Deadline" as StaticString); node.pack(signed: 3_600_000_000_000)
    node.pack("ForceDeadline" as StaticString); node += bytes("af01 0000000000000000 00000000 ffff")
    node.pack("SecretID" as StaticString); node.pack("very secret")
    node.pack("NodePool" as StaticString); node.pack("default")
    node.pack("Newer" as StaticString); node.packNil()
    node.pack("Meta" as StaticString); node.packMapHeader(0)
    return node
  }

  @Test func showsANodeWithEveryField() throws {
    var reply: [UInt8] = []
    reply.packMapHeader(4)
    reply.pack("Node" as StaticString); reply += node()
    reply.pack("Index" as StaticString); reply.pack(unsigned: 35)
    reply.pack("KnownLeader" as StaticString); reply.pack(true)
    reply.pack("LastContact" as StaticString); reply.pack(signed: 54_736_999_999)
    let response = try answer("GET /v1/node/f717f0f9-db57-a4ed-2588-74b061d1a2c5", .reply(reply))
    #expect(
      response.text == #"{"Attributes":null,"CSIControllerPlugins":null,"CSINodePlugins":null,"ComputedClass":"","#
        + #""CreateIndex":0,"Datacenter":"","DrainStrategy":{"Deadline":3600000000000,"ForceDeadline":null,"#
        + #""IgnoreSystemJobs":false,"StartedAt":null},"Drivers":{"raw_exec":{"Attributes":null,"Detected":true,"#
        + #""HealthDescription":"","Healthy":false,"UpdateTime":"2021-07-01T12:34:56.123456789Z"}},"Events":null,"#
        + #""HTTPAddr":"","HostVolumes":null,"ID":"f717f0f9-db57-a4ed-2588-74b061d1a2c5","LastDrain":null,"#
        + #""Links":null,"Meta":{},"ModifyIndex":0,"Name":"c1","NodeClass":"","NodePool":"default","#
        + #""NodeResources":null,"Reserved":null,"ReservedResources":null,"Resources":null,"#
        + #""SchedulingEligibility":"","SecretID":"","Status":"","StatusDescription":"","StatusUpdatedAt":0,"#
        + #""TLSEnabled":false}"#)
    #expect(response.headers.first(named: "x-nomad-index") == "35")
    #expect(response.headers.first(named: "x-nomad-knownleader") == "true")
    #expect(response.headers.first(named: "x-nomad-lastcontact") == "54736")
  }

  @Test func aMissingNodeIsNotFoundWithItsIndex() throws {
    var reply: [UInt8] = []
    reply.packMapHeader(2)
    reply.pack("Node" as StaticString); reply.packNil()
    reply.pack("Index" as StaticString); reply.pack(unsigned: 7)
    let response = try answer("GET /v1/node/f717f0f9-db57-a4ed-2588-74b061d1a2c5", .reply(reply))
    #expect(response.status == 404 && response.text == "node not found")
    #expect(response.headers.first(named: "x-nomad-index") == "7")
  }

  @Test func emptyListsAreEmpty() throws {
    let response = try answer("GET /v1/jobs", .reply(bytes("82 a44a6f6273 c0 a5496e646578 00")))
    #expect(response.text == "[]")
    #expect(response.headers.first(named: "x-nomad-index") == "0")
    #expect(try answer("GET /v1/nodes", .reply([0x80])).text == "[]")
    #expect(try answer("GET /v1/nodes?pretty=false", .reply([0x80])).text == "[]\n")
  }

  @Test func writesAnswerWithoutAValueOrWithTheirIndex() throws {
    let gone = try answer("DELETE /v1/operator/raft/peer?id=x", .reply([0x80]))
    #expect(gone.status == 200 && gone.body.isEmpty && gone.headers == [HTTPHeader("Vary", "Accept-Encoding")])
    let purge = try answer("PUT /v1/node/a/purge", .reply(bytes("81 a5496e646578 66")))
    #expect(
      purge.text == #"{"EvalCreateIndex":0,"EvalIDs":null,"Features":0,"HeartbeatTTL":0,"Index":102,"#
        + #""KnownLeader":false,"LastContact":0,"LeaderRPCAddr":"","NodeModifyIndex":0,"NumNodes":0,"Servers":null}"#)
    #expect(purge.headers.first(named: "x-nomad-index") == "102")
    #expect(purge.headers.first(named: "x-nomad-knownleader") == nil)
    #expect(try answer("PUT /v1/operator/autopilot/configuration {}", .reply([0xC3])).text == "true")
  }

  @Test func unhealthyServersAreTooManyRequests() throws {
    var reply: [UInt8] = []
    reply.packMapHeader(3)
    reply.pack("Healthy" as StaticString); reply.pack(false)
    reply.pack("FailureTolerance" as StaticString); reply.pack(signed: 0)
    reply.pack("Servers" as StaticString)
    reply.packArrayHeader(1)
    reply.packMapHeader(3)
    reply.pack("SerfStatus" as StaticString); reply.pack(signed: 4)
    reply.pack("LastContact" as StaticString); reply.pack(signed: -1)
    reply.pack("ID" as StaticString); reply.pack("x")
    let response = try answer("GET /v1/operator/autopilot/health", .reply(reply))
    #expect(response.status == 429)
    #expect(
      response.text == #"{"FailureTolerance":0,"Healthy":false,"Servers":[{"Address":"","Healthy":false,"ID":"x","#
        + #""LastContact":"-1ns","LastIndex":0,"LastTerm":0,"Leader":false,"Name":"","SerfStatus":"failed","#
        + #""StableSince":"0001-01-01T00:00:00Z","Version":"","Voter":false}]}"#)
  }

  @Test func membersLookTheSameFromHereAndFromAnotherAgent() throws {
    let member = MemberAnswer(
      name: "s1.global", address: "127.0.1.1", port: 4648, status: "alive", tags: ["role": "nomad", "dc": "dc1"])
    let local = try answer(
      "GET /v1/agent/members",
      .members(MembersAnswer(serverName: "s1", serverRegion: "global", serverDatacenter: "dc1", members: [member])))
    #expect(
      local.text == #"{"Members":[{"Addr":"127.0.1.1","DelegateCur":4,"DelegateMax":5,"DelegateMin":2,"#
        + #""Name":"s1.global","Port":4648,"ProtocolCur":2,"ProtocolMax":5,"ProtocolMin":1,"Status":"alive","#
        + #""Tags":{"dc":"dc1","role":"nomad"}}],"ServerDC":"dc1","ServerName":"s1","ServerRegion":"global"}"#)
    var reply: [UInt8] = []
    reply.packMapHeader(4)
    reply.pack("ServerName" as StaticString); reply.pack("s1")
    reply.pack("ServerRegion" as StaticString); reply.pack("global")
    reply.pack("ServerDC" as StaticString); reply.pack("dc1")
    reply.pack("Members" as StaticString)
    reply.packArrayHeader(1)
    reply.packMapHeader(11)
    reply.pack("Name" as StaticString); reply.pack("s1.global")
    reply.pack("Addr" as StaticString); reply.pack(raw: [127, 0, 1, 1] as [UInt8])
    reply.pack("Port" as StaticString); reply.pack(unsigned: 4648)
    reply.pack("Status" as StaticString); reply.pack("alive")
    reply.pack("Tags" as StaticString)
    reply.packMapHeader(2)
    reply.pack("role" as StaticString); reply.pack("nomad")
    reply.pack("dc" as StaticString); reply.pack("dc1")
    for (name, value) in [
      ("ProtocolMin", 1), ("ProtocolMax", 5), ("ProtocolCur", 2), ("DelegateMin", 2), ("DelegateMax", 5),
      ("DelegateCur", 4),
    ] as [(String, UInt64)] {
      reply.pack(name)
      reply.pack(unsigned: value)
    }
    #expect(try answer("GET /v1/agent/members", .reply(reply)).text == local.text)
  }

  @Test func joinsReportInsideTheBody() throws {
    #expect(
      try answer("PUT /v1/agent/join?address=a", .join(JoinAnswer(joined: 1, errors: ["x"]))).text
        == #"{"error":"","num_joined":1}"#)
    #expect(
      try answer("PUT /v1/agent/join?address=a", .join(JoinAnswer(joined: 0, errors: ["Failed to join a: x"]))).text
        == #"{"error":"1 error occurred:\n\t* Failed to join a: x\n\n","num_joined":0}"#)
  }

  @Test func healthIsForLoadBalancers() throws {
    let ok = HealthAnswer(server: .init(isHealthy: true, message: "ok"))
    let healthy = try answer("GET /v1/agent/health", .health(ok))
    #expect(healthy.status == 200 && healthy.text == #"{"server":{"message":"ok","ok":true}}"#)
    let both = try answer("GET /v1/agent/health?type=client&type=server", .health(ok))
    #expect(both.status == 500)
    #expect(both.headers.first(named: "content-type") == "text/plain; charset=utf-8")
    #expect(both.text.hasPrefix(#"{"client":{"ok":false,"message":"client not enabled"},"server":{"#))
    #expect(try answer("GET /v1/agent/health?type=x", .done).text == "{}")
  }

  @Test(arguments: [
    ("No cluster leader", 500), ("rpc error: Permission denied", 403), ("ACL token not found", 403),
    ("RPC Error:: 404,Unknown node \"x\"", 500),
  ])
  func failuresKeepTheirText(text: String, status: Int) throws {
    let response = try answer("GET /v1/nodes", .failure(APIFailure(text)))
    #expect(response.status == status && response.text == text)
  }

  @Test(arguments: [(404, 404), (200, 500), (-7, 500), (100_000, 500)])
  func aFailureIsAlwaysAnErrorStatus(claimed: Int, status: Int) throws {
    #expect(try answer("GET /v1/nodes", .failure(APIFailure("x", status: claimed))).status == status)
  }

  @Test func hostileRepliesAreFailuresNotTraps() throws {
    var random = RandomSource(seed: 5)
    let good = node()
    for _ in 0..<5000 {
      var bad = [0x81, 0xA4] + Array("Node".utf8) + good
      for _ in 0..<3 { bad[random.below(bad.count)] = UInt8(truncatingIfNeeded: random.next()) }
      bad.removeLast(random.below(20))
      _ = try answer("GET /v1/node/f717f0f9-db57-a4ed-2588-74b061d1a2c5", .reply(bad))
    }
    let deep = [UInt8](repeating: 0x91, count: 10_000)
    #expect(try answer("GET /v1/operator/raft/configuration", .reply(deep)).status == 500)
  }

  @Test(arguments: [
    (Int64(0), UInt32(0), "0001-01-01T00:00:00Z"), (63_760_739_696, 120_000_000, "2021-07-01T12:34:56.12Z"),
    (62_135_596_800, 0, "1970-01-01T00:00:00Z"), (63_850_000_000, 1, "2024-04-29T15:06:40.000000001Z"),
    (315_537_897_599, 0, "9999-12-31T23:59:59Z"),
  ])
  func timesAreRFC3339(seconds: Int64, nanoseconds: UInt32, text: String) {
    #expect(GoTime(seconds: seconds, nanoseconds: nanoseconds).text == text)
    #expect(GoTime(seconds: .max, nanoseconds: 0).text == nil)
    #expect(GoTime(seconds: .min, nanoseconds: 0).text == nil)
  }

  @Test(arguments: [
    ("0s", Int64(0)), ("200ms", 200_000_000), ("10s", 10_000_000_000), ("1m0s", 60_000_000_000),
    ("1h2m3.5s", 3_723_500_000_000),
    ("193.609µs", 193_609), ("-1ns", -1), ("45.1ms", 45_100_000), ("2562047h47m16.854775807s", .max),
  ])
  func durationsAreGos(text: String, nanoseconds: Int64) {
    #expect(GoDuration.text(.nanoseconds(nanoseconds)) == text)
    #expect(nanoseconds == .max || GoDuration.parse(text) == .nanoseconds(nanoseconds))
  }

  @Test(arguments: ["", "5", "x", "1x", ".", "1h-2m", "99999999999999h", "-", "1.s2"])
  func badDurationsAreRefused(text: String) { #expect(GoDuration.parse(text) == nil) }
}

@Suite struct AgentSelfTests {
  @Test func showsEveryKeyOfTheConfiguration() throws {
    var configuration = AgentConfigurationAnswer()
    configuration.nodeName = "s1"
    configuration.advertiseAddresses.rpc = "127.0.1.1:4647"
    configuration.serverJoin.retryJoin = ["127.0.1.2"]
    let machine = APIMachine(settings: APISettings(region: "global", isServer: true, isClient: false))
    guard case .call(.agentSelf, let context) = machine.handle(try request("GET /v1/agent/self")) else {
      return #expect(Bool(false))
    }
    let answer = AgentSelfAnswer(
      configuration: configuration.json, member: nil, stats: ["raft": ["term": "2"], "nomad": ["server": "true"]])
    let value = try JSONValue(parsing: machine.response(to: .agentSelf(answer), for: context).body)
    #expect(value["stats"] == ["nomad": ["server": "true"], "raft": ["term": "2"]])
    #expect(value["member"]?["Status"] == "none")
    let config = try #require(value["config"]?.object)
    #expect(config.members.count == 38)
    #expect(config.members.map(\.name) == config.sorted.members.map(\.name))
    #expect(value["config"]?["AdvertiseAddrs"]?["RPC"] == "127.0.1.1:4647")
    #expect(value["config"]?["Server"]?["ServerJoin"]?["RetryJoin"] == ["127.0.1.2"])
    #expect(value["config"]?["Telemetry"]?.object?.members.count == 26)
  }
}

@Suite struct StreamFrameTests {
  @Test func logLinesAreFramed() {
    let plain = APIMonitor(level: .info, isJSON: false, isPlain: true, nodeID: "", serverID: "")
    var framed = plain
    framed.isPlain = false
    let line = Array("2026-11-22T12:26:38.311Z [INFO]  a: b\n".utf8)
    #expect(APIMachine.frame(of: line, for: plain) == line)
    #expect(
      String(decoding: APIMachine.frame(of: Array("hello\n".utf8), for: framed), as: UTF8.self)
        == #"{"Data":"aGVsbG8K","FileEvent":"log"}"#)
    #expect(APIMachine.heartbeat(for: framed) == Array("{}".utf8))
  }

  @Test(arguments: [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
    ("foobar", "Zm9vYmFy"),
  ])
  func base64IsThatOfTheRFC(text: String, encoded: String) throws {
    #expect(Base64.encode(Array(text.utf8).borrowedBytes) == encoded)
    #expect(try Base64.decode(encoded) == Array(text.utf8))
  }

  @Test(arguments: [("*", 0), ("Zg=", 3), ("Zg", 0), ("Zm9vY", 4), ("Zg==x", 4), ("Z===", 1), ("Zm9v*", 4)])
  func badBase64NamesItsPlace(text: String, offset: Int) {
    #expect(throws: Base64Error(offset: offset)) { try Base64.decode(text) }
  }
}
