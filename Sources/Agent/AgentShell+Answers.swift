import API
import Base
import Client
import Configuration
import Gossip
import HTTP
import Membership
import Reactor
import Server
import Telemetry

/// What the agent says about itself, from local knowledge alone.
extension AgentShell {
  var members: APIAnswer {
    guard let server else { return .failure(APIFailure("server not enabled", status: 501)) }
    return .members(
      MembersAnswer(
        serverName: configuration.name, serverRegion: configuration.region,
        serverDatacenter: configuration.datacenter, members: server.membership.members.map(Self.answer)))
  }

  private static func answer(_ member: Member) -> MemberAnswer {
    var tags: [String: String] = [:]
    for tag in member.tags.tags { tags[tag.key] = tag.value }
    var answer = MemberAnswer(
      name: member.name, address: "\(member.address.host)", port: member.address.port,
      status: "\(member.status)", tags: tags)
    answer.protocolMin = member.versions.protocolMin
    answer.protocolMax = member.versions.protocolMax
    answer.protocolCurrent = member.versions.protocolCurrent
    answer.delegateMin = member.versions.delegateMin
    answer.delegateMax = member.versions.delegateMax
    answer.delegateCurrent = member.versions.delegateCurrent
    return answer
  }

  var agentSelf: AgentSelfAnswer {
    AgentSelfAnswer(
      configuration: configurationAnswer.json, member: server.map { Self.answer($0.membership.local) },
      stats: statistics)
  }

  private var statistics: [String: [String: String]] {
    var result = ["runtime": runtime]
    if let server {
      result["nomad"] = nomadStatistics(server)
      result["raft"] = raftStatistics(server)
      result["serf"] = serfStatistics(server)
    }
    if let client {
      let status = client.status
      result["client"] = [
        "node_id": client.persisted.nodeID,
        "known_servers": status.servers.map(\.description).joined(separator: ","), "num_allocations": "0",
        "last_heartbeat": status.lastHeartbeat.map { Self.duration(loop.now - $0) } ?? "never",
        "heartbeat_ttl": Self.duration(status.heartbeatPeriod),
      ]
    }
    return result
  }

  private var runtime: [String: String] {
    [
      "arch": NomadVersion.architecture, "kernel.name": "linux", "version": "swift", "max_procs": "1",
      "goroutines": "1", "cpu_count": "\(HostSystem.processorCount)",
    ]
  }

  private func nomadStatistics(_ server: ServerMachine) -> [String: String] {
    [
      "server": "true", "leader": "\(server.raft.role == .leader)", "leader_addr": server.raft.leader?.address ?? "",
      "bootstrap": "\(configuration.server?.bootstrapExpect == 1)",
      "known_regions": "\(server.directory.regions.count)",
    ]
  }

  private func raftStatistics(_ server: ServerMachine) -> [String: String] {
    let raft = server.raft
    let state: String
    switch raft.role {
    case .leader: state = "Leader"
    case .follower: state = "Follower"
    case .candidate, .preCandidate: state = "Candidate"
    }
    let contact = raft.role == .leader ? "0" : raft.lastContact(at: loop.now).map(Self.duration) ?? "never"
    let servers = raft.configuration.servers.map {
      "{Suffrage:\($0.isVoter ? "Voter" : "Nonvoter") ID:\($0.id) Address:\($0.address)}"
    }
    return [
      "state": state, "term": "\(raft.term)", "last_log_index": "\(raft.lastLogIndex)",
      "last_log_term": "\(raft.lastLogTerm)", "commit_index": "\(raft.commitIndex)",
      "applied_index": "\(raft.appliedIndex)", "fsm_pending": "0", "last_snapshot_index": "\(raft.snapshotIndex)",
      "last_snapshot_term": "\(raft.snapshotTerm)", "latest_configuration": "[\(servers.joined(separator: " "))]",
      "latest_configuration_index": "\(raft.configurationIndex)", "last_contact": contact,
      "num_peers": "\(max(0, raft.configuration.voterCount - (raft.isVoter ? 1 : 0)))",
      "heartbeat_timeout": Self.duration(raft.heartbeatTimeout),
      "election_timeout": Self.duration(raft.electionTimeout),
      "protocol_version": "\(server.configuration.raftProtocol)", "protocol_version_min": "0",
      "protocol_version_max": "3", "snapshot_version_min": "0", "snapshot_version_max": "1",
    ]
  }

  private func serfStatistics(_ server: ServerMachine) -> [String: String] {
    let members = server.membership.members
    let clocks = server.membership.clocks
    let queues = server.membership.queueDepths
    return [
      "members": "\(members.count)", "failed": "\(members.count { $0.status == .failed })",
      "left": "\(members.count { $0.status == .left })", "health_score": "\(server.membership.gossip.awareness)",
      "member_time": "\(clocks.members)", "event_time": "\(clocks.events)", "query_time": "\(clocks.queries)",
      "intent_queue": "\(queues.intents)", "event_queue": "\(queues.events)", "query_queue": "\(queues.queries)",
      "encrypted": "\(server.membership.gossip.cipher != nil)",
      "coordinate_resets": "0",
    ]
  }

  /// Go's form of a duration, to a tenth of a millisecond or of a second.
  private static func duration(_ interval: Interval) -> String {
    let nanoseconds = max(0, interval.nanoseconds)
    if nanoseconds == 0 { return "0s" }
    func tenths(_ unit: Int64) -> String { "\(nanoseconds / unit).\(nanoseconds % unit * 10 / unit)" }
    return nanoseconds < 1_000_000_000 ? tenths(1_000_000) + "ms" : tenths(1_000_000_000) + "s"
  }

  private var configurationAnswer: AgentConfigurationAnswer {
    typealias Endpoints = AgentConfigurationAnswer.Endpoints
    var answer = AgentConfigurationAnswer()
    answer.region = configuration.region
    answer.datacenter = configuration.datacenter
    answer.nodeName = configuration.name
    answer.dataDirectory = configuration.dataDirectory ?? ""
    answer.logLevel = configuration.log.levelText
    answer.logsJSON = configuration.log.json
    answer.logFile = configuration.log.file ?? ""
    answer.logRotateBytes = configuration.log.rotateBytes
    let rotation = configuration.log.rotateInterval
    answer.logRotateDuration = rotation == .hours(24) ? "" : "\(rotation.nanoseconds / 1_000_000_000)s"
    answer.logRotateFilesMax = configuration.log.rotateFiles
    answer.isDevMode = configuration.developmentMode
    answer.bindAddress = configuration.bind.serf.host.description
    answer.enablesDebug = configuration.enableDebug
    answer.leavesOnInterrupt = configuration.leaveOnInterrupt
    answer.leavesOnTerminate = configuration.leaveOnTerminate
    answer.files = configuration.loadedFiles
    let bind = configuration.bind
    let http = bind.http.first ?? bind.rpc
    answer.ports = Endpoints(http: Int(http.port), rpc: Int(bind.rpc.port), serf: Int(bind.serf.port))
    answer.addresses = Endpoints(
      http: http.host.description, rpc: bind.rpc.host.description, serf: bind.serf.host.description)
    let advertise = configuration.advertise
    answer.advertiseAddresses = Endpoints(
      http: advertise.http.description, rpc: advertise.rpc.description, serf: advertise.serf.description)
    answer.version = NomadVersion.compatible
    if let settings = configuration.server { describe(settings, in: &answer) }
    if let settings = configuration.client {
      answer.isClient = true
      answer.clientServers = settings.servers.map(\.description)
      answer.stateDirectory = settings.stateDirectory ?? ""
      answer.nodeClass = settings.nodeClass
      for pair in settings.meta { answer.meta[pair.key] = pair.value }
    }
    return answer
  }

  private func describe(_ settings: ServerSettings, in answer: inout AgentConfigurationAnswer) {
    answer.isServer = true
    answer.bootstrapExpect = settings.bootstrapExpect
    answer.raftProtocol = settings.raftProtocol
    answer.raftMultiplier = settings.raftMultiplier
    answer.authoritativeRegion = settings.authoritativeRegion
    answer.isNonVoter = settings.isNonVoter
    answer.rejoinsAfterLeave = settings.rejoinAfterLeave
    answer.serverDataDirectory = settings.dataDirectory ?? ""
    answer.heartbeatGrace = settings.heartbeatGrace
    answer.minHeartbeatTTL = settings.heartbeatTTLMin
    answer.maxHeartbeatsPerSecond = settings.heartbeatsPerSecondMax
  }

  // MARK: Diagnosis

  var quorumReport: APIAnswer {
    guard let report = server?.quorumReport else {
      return .failure(APIFailure("server not enabled", status: 501))
    }
    return .json([
      "Summary": .string(report.summary), "Explanation": .string(report.remedy), "Leader": .string(report.leader),
      "Term": .integer(Int64(clamping: report.term)), "Expected": .integer(Int64(report.expected)),
      "Present": .integer(Int64(report.present)), "Voters": .integer(Int64(report.voters)),
      "Needed": .integer(Int64(report.needed)),
      "Servers": .array(
        report.servers.map {
          [
            "Name": .string($0.name), "ID": .string($0.id), "Address": .string($0.address),
            "Status": .string($0.status),
            "Voter": .bool($0.isVoter), "Expect": .integer(Int64($0.expect)), "Note": .string($0.note),
          ]
        }),
    ])
  }

  /// Gauges by the names that Nomad gives them, where it has them.
  private var gauges: [(name: String, value: Int)] {
    var gauges = [("runtime.uptime_seconds", Int((loop.now - startedAt).seconds))]
    if let server {
      let members = server.membership.members
      gauges += [
        ("serf.members", members.count), ("serf.members_failed", members.count { $0.status == .failed }),
        ("raft.commit_index", Int(clamping: server.raft.commitIndex.value)),
        ("raft.appliedIndex", Int(clamping: server.raft.appliedIndex.value)),
        ("raft.lastIndex", Int(clamping: server.raft.lastLogIndex.value)),
        ("raft.term", Int(clamping: server.raft.term.value)), ("raft.leader", server.raft.role == .leader ? 1 : 0),
        ("raft.leader_known", server.raft.leader == nil ? 0 : 1),
        ("raft.voters", server.raft.configuration.voterCount), ("nodes", server.state.nodeCount),
        ("nomad.heartbeat.active", server.watchedNodeCount), ("rpc.connections", server.rpc.connectionCount),
      ]
      gauges += Self.gossipNumbers(server.membership.gossip)
      if server.raft.role == .leader {
        let health = server.autopilotSummary
        gauges += [
          ("nomad.autopilot.healthy", health.isHealthy ? 1 : 0),
          ("nomad.autopilot.failure_tolerance", health.failureTolerance),
        ]
      }
    }
    if let client {
      gauges += [
        ("client.registered", client.status.isRegistered ? 1 : 0),
        ("client.known_servers", client.status.servers.count),
      ]
    }
    gauges.append(("http.connections", http.connectionCount))
    return gauges
  }

  /// `host`, as every metric of Nomad carries it.
  private var metricLabels: [(key: String, value: String)] {
    let telemetry = configuration.telemetry
    if telemetry.disableHostname { return [] }
    return [("host", telemetry.useNodeName ? configuration.name : HostSystem.name)]
  }

  var metrics: JSONValue {
    var labels = JSONObject()
    for label in metricLabels { labels[label.key] = .string(label.value) }
    let rows = gauges.sorted { $0.name < $1.name }.map { gauge -> JSONValue in
      ["Labels": .object(labels), "Name": .string("nomad." + gauge.name), "Value": .integer(Int64(gauge.value))]
    }
    return ["Counters": [], "Gauges": .array(rows), "Points": [], "Samples": []]
  }

  var prometheusMetrics: String {
    var metrics = Metrics()
    let labels = metricLabels.map { Metrics.Label($0.key, $0.value) }
    for gauge in gauges { metrics.set(metrics.gauge("nomad." + gauge.name, labels), to: Double(gauge.value)) }
    return metrics.prometheusText()
  }

  /// The health of the gossip layer. Sums are given as they are, from the start of the agent.
  private static func gossipNumbers(_ gossip: GossipMachine) -> [(name: String, value: Int)] {
    let statistics = gossip.statistics
    func count(_ value: UInt64) -> Int { Int(clamping: value) }
    let numbers = [
      ("queue_depth", gossip.queueDepth), ("health_score", gossip.awareness), ("suspects", gossip.suspectCount),
      ("udp_blocked", gossip.datagramBlockedNames.count),
      ("probe_rtt_us", Int(statistics.lastRoundTrip.nanoseconds / 1000)),
      ("probe_rtt_mean_us", Int(statistics.roundTripSum.nanoseconds / 1000) / max(1, count(statistics.roundTrips))),
      ("probes_succeeded", count(statistics.probesSucceeded)), ("probes_failed", count(statistics.probesFailed)),
      ("suspicions", count(statistics.suspicions)), ("refutations", count(statistics.refutations)),
      ("packets_received", count(statistics.packetsReceived)), ("packets_sent", count(statistics.packetsSent)),
    ]
    let drops = DropCause.allCases.map { ("dropped.\($0)", count(statistics[$0])) }
    return (numbers + drops).map { (name: "memberlist.\($0.0)", value: $0.1) }
  }
}
