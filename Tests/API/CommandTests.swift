import HTTP
import Testing

@testable import nomad

/// Runs one command against canned answers: `GET /v1/nodes` -> status and body. Anything else is refused.
struct CommandBench {
  var answers: [String: (status: Int, body: String)] = [:]
  var variables: [String: String] = [:]
  var input: [String] = []
  private(set) var output = ""
  private(set) var errors = ""
  private(set) var sent: [String] = []

  init(_ answers: [String: String] = [:]) { self.answers = answers.mapValues { (200, $0) } }

  mutating func run(_ line: String) -> Int32 {
    let answers = answers
    let variables = variables
    var input = input
    var requests: [OutgoingRequest] = []
    let console = Console(isLive: false, input: { input.isEmpty ? nil : input.removeFirst() })
    let transport: Transport = { request, _ throws(TransportError) in
      requests.append(request)
      guard let answer = answers[request.method + " " + request.target] else {
        throw TransportError(text: "dial tcp 127.0.0.1:4646: connect: connection refused")
      }
      return HTTPResponse(
        status: answer.status, headers: [HTTPHeader("X-Nomad-Index", "9")], body: Array(answer.body.utf8))
    }
    let code = Dispatcher(
      commands: Dispatcher.everything, console: console, environment: { variables[$0] }, transport: transport
    ).run(line.split(separator: " ").map(String.init))
    output = console.output
    errors = console.errors
    sent = requests.map { request in
      request.method + " " + request.target + (request.body.map { " " + String(decoding: $0, as: UTF8.self) } ?? "")
    }
    return code
  }
}

@Suite struct CommandTests {
  static let members = #"""
    {"Members":[
    {"Addr":"127.0.2.1","Name":"w1.west","Port":4648,"ProtocolCur":2,"Status":"alive",
     "Tags":{"region":"west","dc":"dc2","build":"1.1.2","port":"4647","raft_vsn":"2"}},
    {"Addr":"127.0.1.2","Name":"s2.global","Port":4648,"ProtocolCur":2,"Status":"failed",
     "Tags":{"region":"global","dc":"dc1","build":"1.1.2","port":"4647","raft_vsn":"2"}},
    {"Addr":"127.0.1.1","Name":"s1.global","Port":4648,"ProtocolCur":2,"Status":"alive",
     "Tags":{"region":"global","dc":"dc1","build":"1.1.2","port":"4647","raft_vsn":"2"}}],
    "ServerDC":"dc1","ServerName":"s1","ServerRegion":"global"}
    """#
  static let leaders = [
    "GET /v1/agent/members": members, "GET /v1/status/leader?region=global": #""127.0.1.1:4647""#,
    "GET /v1/status/leader?region=west": #""127.0.2.1:4647""#,
  ]
  static let memberTable = """
    Name       Address    Port  Status  Leader  Protocol  Build  Datacenter  Region
    s1.global  127.0.1.1  4648  alive   true    2         1.1.2  dc1         global
    s2.global  127.0.1.2  4648  failed  false   2         1.1.2  dc1         global
    w1.west    127.0.2.1  4648  alive   true    2         1.1.2  dc2         west

    """

  @Test func listsServers() {
    var bench = CommandBench(Self.leaders)
    #expect(bench.run("server members") == 0)
    #expect(bench.output == Self.memberTable)
    #expect(bench.errors == "")
    #expect(bench.run("server members -detailed") == 0)
    #expect(bench.output.hasPrefix("Name       Address    Port  Tags\ns1.global  127.0.1.1  4648  build=1.1.2,dc=dc1,"))
  }

  @Test func warnsAboutTheOldSpelling() {
    var bench = CommandBench(Self.leaders)
    #expect(bench.run("server-members") == 0)
    #expect(bench.output == Self.memberTable)
    #expect(
      bench.errors == """
        WARNING! The "nomad server-members" command is deprecated. Please use "nomad
        server members" instead. This command will be removed in Nomad 0.10 (or
        later).


        """)
  }

  @Test func aRegionWithoutAnswerFailsAfterTheTable() {
    var bench = CommandBench(Self.leaders)
    bench.answers["GET /v1/status/leader?region=west"] = (500, "No path to region")
    #expect(bench.run("server members") == 1)
    #expect(
      bench.output == Self.memberTable.replacing(
        "w1.west    127.0.2.1  4648  alive   true ", with: "w1.west    127.0.2.1  4648  alive   false") + "\n")
    #expect(
      bench.errors
        == "Error determining leaders: 1 error occurred:\n\t* Region \"west\": Unexpected response code: "
        + "500 (No path to region)\n\n\n"
    )
  }

  @Test(arguments: [
    (
      "server members", 1,
      "Error querying servers: Get \"http://127.0.0.1:4646/v1/agent/members\": dial tcp "
        + "127.0.0.1:4646: connect: connection refused\n"
    ),
    ("server members x", 1, "This command takes no arguments\nFor additional help try 'nomad server members -help'\n"),
    (
      "node status a b", 1,
      "This command takes either one or no arguments\nFor additional help try 'nomad node-status -help'\n"
    ),
    (
      "server members -address 127.0.0.1:4646", 1,
      "Error initializing client: invalid address '127.0.0.1:4646': parse \"127.0.0.1:4646\": first "
        + "path segment in URL cannot contain colon\n"
    ),
    (
      "server force-leave nope", 1,
      "Error force-leaving server nope: Put \"http://127.0.0.1:4646/v1/agent/force-leave?node=nope\": "
        + "dial tcp 127.0.0.1:4646: connect: connection refused\n"
    ),
    ("node status a", 1, "Identifier must contain at least two characters.\n"),
    (
      "node eligibility", 1,
      "Either the '-enable' or '-disable' flag must be set\nFor additional help try 'nomad node eligibility -help'\n"
    ),
    (
      "node drain -enable -deadline 5 abcd", 1,
      "Failed to parse deadline \"5\": time: missing unit in duration \"5\"\n"
    ),
    ("operator raft remove-peer", 1, "Error removing peer: an address or id is required for the peer to remove\n"),
    (
      "operator keyring", 1,
      "No actionable argument was passed\nEither the '-install', '-use', '-remove' or '-list' flag "
        + "must be set\nFor additional help try 'nomad operator keyring -help'\n"
    ),
    (
      "server members -client-cert x", 1,
      "Error initializing client: Both client cert and client key must be provided\n"
    ),
    ("job run x", 1, "This build manages clusters only; \"nomad job\" is not part of it.\n"),
  ])
  func complainsInTheRealWords(line: String, code: Int32, errors: String) {
    var bench = CommandBench()
    #expect(bench.run(line) == code)
    #expect(bench.errors == errors)
    #expect(bench.output == "")
  }

  @Test func exitCodesAndHelpFollowTheRealCommand() {
    var bench = CommandBench()
    #expect(bench.run("") == 127)
    #expect(
      bench.output.hasPrefix(
        "Usage: nomad [-version] [-help] [-autocomplete-(un)install] <command> [args]\n\nCommon commands:\n    agent "))
    #expect(bench.run("help") == 127)
    #expect(bench.run("-h") == 0)
    #expect(bench.run("server") == 1)
    #expect(
      bench.output.contains(
        "    force-leave    Force a server into the 'left' state\n    join           Join server nodes together\n"))
    #expect(bench.run("operator raft") == 1)
    #expect(bench.run("server members -h") == 0)
    #expect(bench.output.hasPrefix("Usage: nomad server members [options]\n"))
    #expect(bench.run("-region=x server members") == 1)
    #expect(
      bench.output.hasPrefix(
        "Invalid flags before the subcommand. If these flags are for\nthe subcommand, please put them "
          + "after the subcommand.\n\nUsage: nomad server members"
      ))
    #expect(bench.run("server members -bogus") == 1)
    #expect(bench.errors == "flag provided but not defined: -bogus\n")
    #expect(bench.run("operator raft list-peers --bogus=1") == 1)
    #expect(bench.errors == "Failed to parse args: flag provided but not defined: -bogus\n")
    for line in ["version", "-v", "--version"] {
      #expect(bench.run(line) == 0)
      #expect(bench.output.split(separator: " ")[1] == "v1.1.2")
    }
  }

  static let node = #"""
    {"ID":"f717f0f9-db57-a4ed-2588-74b061d1a2c5","Name":"c1","NodeClass":"compute","Datacenter":"dc1","Drain":false,
    "Address":"127.0.1.4","Version":"1.1.2","DrainStrategy":null,"SchedulingEligibility":"eligible","Status":"ready",
    "CSIControllerPlugins":null,"CSINodePlugins":null,"HostVolumes":null,"Meta":{},
    "Attributes":{"driver.raw_exec":"1","kernel.name":"linux"},
    "Drivers":{"raw_exec":{"Detected":true,"Healthy":true},"mock_driver":{"Detected":true,"Healthy":true},
      "docker":{"Detected":false,"Healthy":false}},
    "NodeResources":{"Cpu":{"CpuShares":5192},"Memory":{"MemoryMB":24576},"Disk":{"DiskMB":79872}},
    "ReservedResources":{"Cpu":{"CpuShares":0},"Memory":{"MemoryMB":0},"Disk":{"DiskMB":0}},
    "Events":[{"Message":"Node marked as eligible for scheduling","Subsystem":"Cluster",
    "Timestamp":"2026-11-22T12:25:58Z"},
      {"Message":"Node drain complete","Subsystem":"Drain","Timestamp":"2026-11-22T12:28:50.5Z"}]}
    """#
  static let stats = #"""
    {"AllocDirStats":{"Size":270582939648,"Used":19327352832},"CPUTicksConsumed":4155.9,"Uptime":1211,
    "Memory":{"Total":25769803776,"Used":409993216}}
    """#
  static let nodes = [
    "GET /v1/nodes": "[\(node)]", "GET /v1/nodes?prefix=f717f0": "[\(node)]",
    "GET /v1/nodes?prefix=f717f0f9-db57-a4ed-2588-74b061d1a2c5": "[\(node)]",
    "GET /v1/node/f717f0f9-db57-a4ed-2588-74b061d1a2c5": node,
    "GET /v1/node/f717f0f9-db57-a4ed-2588-74b061d1a2c5/allocations": "[]",
    "GET /v1/client/stats?node_id=f717f0f9-db57-a4ed-2588-74b061d1a2c5": stats,
  ]

  @Test func listsNodes() {
    var bench = CommandBench(Self.nodes)
    #expect(bench.run("node status") == 0)
    #expect(
      bench.output == """
        ID        DC   Name  Class    Drain  Eligibility  Status
        f717f0f9  dc1  c1    compute  false  eligible     ready

        """)
    #expect(bench.run("node status -verbose") == 0)
    #expect(
      bench.output == """
        ID                                    DC   Name  Class    Address    Version  Drain  Eligibility  Status
        f717f0f9-db57-a4ed-2588-74b061d1a2c5  dc1  c1    compute  127.0.1.4  1.1.2    false  eligible     ready

        """)
    bench.answers["GET /v1/nodes"] = (200, "[]")
    #expect(bench.run("node-status") == 0)
    #expect(bench.output == "" && bench.errors == "")
  }

  @Test func showsOneNode() {
    var bench = CommandBench(Self.nodes)
    // An odd digit at the end is dropped before the query.
    #expect(bench.run("node status f717f0f") == 0)
    #expect(
      bench.output == """
        ID              = f717f0f9-db57-a4ed-2588-74b061d1a2c5
        Name            = c1
        Class           = compute
        DC              = dc1
        Drain           = false
        Eligibility     = eligible
        Status          = ready
        CSI Controllers = <none>
        CSI Drivers     = <none>
        Uptime          = 20m11s
        Host Volumes    = <none>
        CSI Volumes     = <none>
        Driver Status   = mock_driver,raw_exec

        Node Events
        Time                  Subsystem  Message
        \(localTime(1_795_350_530))  Drain      Node drain complete
        \(localTime(1_795_350_358))  Cluster    Node marked as eligible for scheduling

        Allocated Resources
        CPU         Memory      Disk
        0/5192 MHz  0 B/24 GiB  0 B/78 GiB

        Allocation Resource Utilization
        CPU         Memory
        0/5192 MHz  0 B/24 GiB

        Host Resource Utilization
        CPU            Memory          Disk
        4155/5192 MHz  391 MiB/24 GiB  18 GiB/252 GiB

        Allocations
        No allocations placed

        """)
    #expect(bench.run("node status -short f717f0f") == 0)
    #expect(bench.output.contains("CSI Drivers     = <none>\nDrivers         = raw_exec\n\nAllocations\n"))
    #expect(bench.run("node status -json f717f0f") == 0)
    #expect(bench.output.hasPrefix("{\n    \"Address\": \"127.0.1.4\",\n    \"Attributes\": {\n"))
  }

  @Test func namesThatAreNotUniqueAreListed() {
    var bench = CommandBench(Self.nodes)
    bench.answers["GET /v1/nodes?prefix=f7"] = (200, "[\(Self.node),\(Self.node)]")
    bench.answers["GET /v1/nodes?prefix=00"] = (200, "[]")
    #expect(bench.run("node status f7") == 1)
    #expect(bench.output == "")
    #expect(bench.errors.hasPrefix("Prefix matched multiple nodes\n\nID        DC   Name  Class    Drain"))
    #expect(bench.run("node eligibility -enable f7") == 1)
    #expect(bench.errors.contains("\nf717f0f9-db57-a4ed-2588-74b061d1a2c5  dc1"))
    #expect(bench.run("node status 00") == 1)
    #expect(bench.errors == "No node(s) with prefix \"00\" found\n")
    #expect(bench.run("node drain -enable 00") == 1)
    #expect(bench.errors == "No node(s) with prefix or id \"00\" found\n")
  }

  @Test func changesNodes() {
    let id = "f717f0f9-db57-a4ed-2588-74b061d1a2c5"
    var bench = CommandBench(Self.nodes)
    bench.answers["PUT /v1/node/\(id)/eligibility"] = (200, "{}")
    bench.answers["PUT /v1/node/\(id)/drain"] = (200, "{}")
    #expect(bench.run("node eligibility -disable f717f0") == 0)
    #expect(bench.output == "Node \"\(id)\" scheduling eligibility set: ineligible for scheduling\n")
    #expect(bench.sent.last == #"PUT /v1/node/\#(id)/eligibility {"Eligibility":"ineligible","NodeID":"\#(id)"}"#)
    #expect(bench.run("node drain -enable -detach -deadline 10m -m hello \(id)") == 0)
    #expect(bench.output == "Node \"\(id)\" drain strategy set\n")
    #expect(
      bench.sent.last == #"PUT /v1/node/\#(id)/drain {"DrainSpec":{"Deadline":600000000000,"IgnoreSystemJobs":false},"#
        + #""MarkEligible":false,"Meta":{"message":"hello"},"NodeID":"\#(id)"}"#)
    #expect(bench.run("node drain -disable -yes f717f0") == 0)
    #expect(bench.output == "Node \"\(id)\" drain strategy unset\n")
    #expect(bench.run("node drain -enable -yes f717f0") == 0)
    let lines = bench.output.split(separator: "\n").map { $0.drop { $0 != " " } }
    #expect(
      lines == [
        " Ctrl-C to stop monitoring: will not cancel the node drain", " Node \"\(id)\" drain strategy set",
        " All allocations on node \"\(id)\" have stopped", " Drain complete for node \(id)",
      ])
    bench.input = ["n"]
    #expect(bench.run("node drain -enable f717f0") == 0)
    #expect(
      bench.output == "Are you sure you want to enable drain mode for node \"\(id)\"? [y/N] Canceling drain toggle\n")
    #expect(bench.sent.count == 1)
  }

  @Test func joinsAndLeaves() {
    var bench = CommandBench([
      "PUT /v1/agent/join?address=127.0.1.2&address=b%3A1": #"{"error":"","num_joined":2}"#,
      "PUT /v1/agent/join?address=x": #"{"error":"1 error occurred:\n\t* Failed to join x: no\n\n","num_joined":0}"#,
      "PUT /v1/agent/force-leave?node=s2.global&prune=1&region=west": "",
    ])
    #expect(bench.run("server join 127.0.1.2 b:1") == 0)
    #expect(bench.output == "Joined 2 servers successfully\n")
    #expect(bench.run("server join x") == 1)
    #expect(bench.errors == "Error joining: failed joining: 1 error occurred:\n\t* Failed to join x: no\n\n\n")
    bench.variables["NOMAD_REGION"] = "west"
    #expect(bench.run("server force-leave --prune s2.global") == 0)
    #expect(bench.output == "" && bench.errors == "")
  }

  @Test func showsRaftPeersInTheNewerOrder() {
    var bench = CommandBench([
      "GET /v1/operator/raft/configuration?stale=": #"""
      {"Index":0,"Servers":[
      {"Address":"127.0.3.3:4647","ID":"6f7be246-f625-9e37-4abd-55bdfb6a60d2","Leader":true,"Node":"p3.r3",
      "RaftProtocol":"3","Voter":true},
      {"Address":"127.0.3.2:4647","ID":"3425d2c2-68f3-7803-f96c-5651bd17d0ea","Leader":false,"Node":"p2.r3",
      "RaftProtocol":"3","Voter":false}]}
      """#
    ])
    #expect(bench.run("operator raft list-peers -stale") == 0)
    #expect(
      bench.output == """
        Node   ID                                    Address         State     Voter  RaftProtocol
        p2.r3  3425d2c2-68f3-7803-f96c-5651bd17d0ea  127.0.3.2:4647  follower  false  3
        p3.r3  6f7be246-f625-9e37-4abd-55bdfb6a60d2  127.0.3.3:4647  leader    true   3

        """)
  }

  @Test func readsAndChangesAutopilot() {
    var bench = CommandBench([
      "GET /v1/operator/autopilot/configuration": #"""
      {"CleanupDeadServers":true,"LastContactThreshold":"200ms","MaxTrailingLogs":250,"MinQuorum":0,
      "ServerStabilizationTime":"10s","EnableRedundancyZones":false,"DisableUpgradeMigration":false,
      "EnableCustomUpgrades":false,"ModifyIndex":4}
      """#,
      "PUT /v1/operator/autopilot/configuration?cas=4": "true",
    ])
    #expect(bench.run("operator autopilot get-config") == 0)
    #expect(bench.output.hasPrefix("CleanupDeadServers = true\nLastContactThreshold = 200ms\nMaxTrailingLogs = 250\n"))
    #expect(bench.run("operator autopilot set-config -min-quorum=3 -cleanup-dead-servers=false") == 0)
    #expect(bench.output == "Configuration updated!\n")
    #expect(bench.sent.last?.contains(#""MinQuorum":3"#) == true)
    #expect(bench.sent.last?.contains(#""CleanupDeadServers":false"#) == true)
    bench.answers["PUT /v1/operator/autopilot/configuration?cas=4"] = (200, "false")
    #expect(bench.run("operator autopilot set-config") == 1)
    #expect(bench.output == "Configuration could not be atomically updated, please try again\n")
  }

  @Test func showsAgentInfoAndQuorum() {
    var bench = CommandBench([
      "GET /v1/agent/self":
        #"{"config":{},"stats":{"raft":{"term":"2","state":"Leader","num_peers":"2"},"nomad":{"server":"true"}}}"#,
      "GET /v1/operator/quorum": #"""
      {"Summary":"No leader: 1 of 3 voters can be reached.","Remedy":"Start s2.","HasLeader":false,
      "Servers":[{"Name":"s1","LastContact":"1s"},{"Name":"s2","Note":"down"}]}
      """#,
    ])
    #expect(bench.run("agent-info") == 0)
    #expect(bench.output == "nomad\n  server = true\nraft\n  num_peers = 2\n  state = Leader\n  term = 2\n")
    #expect(bench.run("check -min-peers=2") == 0)
    #expect(bench.run("check -min-peers=3") == 2)
    #expect(bench.output == "known peers: 2, is less than expected number of peers: 3\n")
    #expect(bench.run("operator quorum") == 0)
    #expect(
      bench.output == """
        No leader: 1 of 3 voters can be reached.

        Start s2.

        Has Leader = false

        Servers
        Name  Last Contact  Note
        s1    1s            <none>
        s2    <none>        down

        """)
  }

  @Test func findsWhatAnIdBelongsTo() {
    var bench = CommandBench(Self.nodes)
    bench.answers["GET /v1/jobs"] = (200, "[]")
    bench.answers["PUT /v1/search"] = (200, #"{"Matches":{"nodes":null,"jobs":null}}"#)
    #expect(bench.run("status") == 0)
    #expect(bench.output == "No running jobs\n")
    #expect(bench.run("status nope") == 1)
    #expect(bench.errors == "Unable to resolve ID: \"nope\"\n")
    bench.answers["PUT /v1/search"] = (
      200, #"{"Matches":{"nodes":["f717f0f9-db57-a4ed-2588-74b061d1a2c5"],"jobs":null}}"#
    )
    #expect(bench.run("status f717") == 0)
    #expect(bench.output.hasPrefix("ID              = f717f0f9"))
  }

  @Test func completesWords() {
    var bench = CommandBench()
    bench.variables["COMP_LINE"] = "nomad server "
    #expect(bench.run("") == 0)
    #expect(bench.output == "detach\nforce-leave\njoin\nleave\nmembers\nremove\n")
    bench.variables["COMP_LINE"] = "nomad server members -deta"
    #expect(bench.run("") == 0)
    #expect(bench.output == "-detailed\n")
  }

  @Test(arguments: [
    (UInt64(0), "0 B"), (9, "9 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (10_240, "10 KiB"),
    (.max, "16 EiB"),
  ])
  func sizesAreInPowersOf1024(bytes: UInt64, text: String) { #expect(binarySize(bytes) == text) }
}
