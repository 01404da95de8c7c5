import Base
import HTTP

/// `nomad operator raft|autopilot|scheduler|quorum|api` (cli.md section 5).
enum OperatorCommands {
  static var all: [Command] {
    [
      Command(
        words: ["operator", "raft", "list-peers"], synopsis: "Display the current Raft peer configuration",
        usage: "[options]", help: "Shows the servers that take part in Raft.",
        options: [.init("stale", help: "Any server may answer, even without a leader.")], prefixesFlagErrors: true,
        run: listPeers),
      Command(
        words: ["operator", "raft", "remove-peer"], synopsis: "Remove a Nomad server from the Raft configuration",
        usage: "[options]",
        help: "Takes a server out of Raft that is gone for ever and was not removed by itself.\n"
          + "A server that is still alive comes back.",
        options: [
          .init("peer-address", .string, "<ip:port>", "Address of the server to remove."),
          .init("peer-id", .string, "<id>", "Raft id of the server to remove."),
        ], prefixesFlagErrors: true, run: removePeer),
      Command(
        words: ["operator", "raft", "transfer-leadership"], synopsis: "Transfer leadership to a specified Nomad server",
        usage: "[options]", help: "Makes another server the leader, for example before maintenance.",
        options: [
          .init("peer-address", .string, "<ip:port>", "Address of the next leader."),
          .init("peer-id", .string, "<id>", "Raft id of the next leader."),
        ], prefixesFlagErrors: true, run: transferLeadership),
      Command(
        words: ["operator", "raft", "recover"], synopsis: "Recover a server that lost its quorum for ever",
        usage: "-data-dir=<dir> [options]",
        help: "Works on the data directory of a stopped server: the same as running nomadd with these words.",
        options: [
          .init("data-dir", .string, "<dir>", "The data_dir of the stopped server."),
          .init("keep", .strings, "<server>", "Another server that lives on, by id or address; repeatable."),
          .init("self", .string, "<server>", "Which server this one is, under Raft protocol 2."),
          .init("dry-run", help: "Explain, and write nothing."), .init("yes", help: "Do not ask."),
        ], usesAPI: false
      ) { call in call.fail("This is done by nomadd, which was not found beside this program.") },
      Command(
        words: ["operator", "discover"], synopsis: "Tell what join entries lead to",
        usage: "[options] <entry> ...",
        help: "Looks up entries of retry_join on this machine and dials what they lead to: the same as running nomadd\n"
          + "with these words. Nothing is joined.",
        options: [.init("port", .integer, "<port>", "For entries without one; 4648 by default.")], usesAPI: false
      ) { call in call.fail("This is done by nomadd, which was not found beside this program.") },
      Command(
        words: ["operator", "autopilot", "get-config"], synopsis: "Display the current Autopilot configuration",
        usage: "[options]", help: "Shows how failed servers are treated.", prefixesFlagErrors: true,
        run: getAutopilot),
      Command(
        words: ["operator", "autopilot", "set-config"], synopsis: "Modify the current Autopilot configuration",
        usage: "[options]", help: "Changes the given settings and leaves the others.",
        options: autopilotOptions.map { Command.Option($0.option, $0.kind, $0.value, $0.help) },
        prefixesFlagErrors: true, run: setAutopilot),
      Command(
        words: ["operator", "autopilot", "health"], synopsis: "Display the current Autopilot health",
        usage: "[options]",
        help: "Shows whether each server is fit, and how many may fail.",
        options: [.init("json", help: "Print the health as JSON.")], prefixesFlagErrors: true, run: health),
      Command(
        words: ["operator", "scheduler", "get-config"], synopsis: "Display the current scheduler configuration",
        usage: "[options]", help: "Shows the scheduler configuration.",
        options: [.init("json", help: "Print it as JSON.")], run: getScheduler),
      Command(
        words: ["operator", "quorum"], synopsis: "Explain why there is a leader, or why there is none",
        usage: "[options]",
        help:
          "Asks one server what it knows about the quorum. Works without a leader.\nNot part of the original command.",
        options: [.init("json", help: "Print the report as JSON.")], run: quorum),
      RestartCheck.make(), RegionsCommand.make(),
      Command(
        words: ["operator", "api"], synopsis: "Query the HTTP API of an agent", usage: "[options] <path>",
        help: "Sends one request and prints the body of the answer. Standard input, when it is no\n"
          + "terminal, becomes the body and makes the method POST.",
        options: [
          .init("X", .string, "<method>", "Method of the request."),
          .init("H", .strings, "<header>", "A header as name: value; repeatable."),
          .init("filter", .string, "<expression>", "Adds the parameter filter."),
          .init("dryrun", help: "Print the request instead of sending it."),
          .init("verbose", help: "Print request and answer heads to standard error."),
        ], run: api),
    ]
  }

  // MARK: Raft

  private static func listPeers(_ call: inout Invocation) -> Int32 {
    guard let client = call.client() else { return 1 }
    do throws(ClientError) {
      let query: [Parameter] = call.flags.bool("stale") ? [("stale", "")] : []
      let servers = try client.get("/v1/operator/raft/configuration", query).rows("Servers")
      let rows = servers.map { server in
        [
          server.text("Node"), server.text("ID"), server.text("Address"),
          server.flag("Leader") ? "leader" : "follower", "\(server.flag("Voter"))", server.text("RaftProtocol"),
        ]
      }
      let header = ["Node", "ID", "Address", "State", "Voter", "RaftProtocol"]
      call.console.print(table([header] + rows.sorted { $0[0] < $1[0] }, emptyCell: ""))
      return 0
    } catch {
      return call.fail("Failed to retrieve raft configuration: \(error.text)")
    }
  }

  private static func removePeer(_ call: inout Invocation) -> Int32 {
    guard let client = call.client() else { return 1 }
    let address = call.flags.string("peer-address") ?? ""
    let id = call.flags.string("peer-id") ?? ""
    if address.isEmpty, id.isEmpty {
      return call.fail("Error removing peer: an address or id is required for the peer to remove")
    }
    if !address.isEmpty, !id.isEmpty { return call.fail("Error removing peer: cannot give both an address and id") }
    do throws(ClientError) {
      try client.delete("/v1/operator/raft/peer", [address.isEmpty ? ("id", id) : ("address", address)])
      call.console.print("Removed peer with " + (address.isEmpty ? "id \"\(id)\"" : "address \"\(address)\""))
      return 0
    } catch {
      return call.fail("Error removing peer: \(error.text)")
    }
  }

  private static func transferLeadership(_ call: inout Invocation) -> Int32 {
    guard let client = call.client() else { return 1 }
    let address = call.flags.string("peer-address") ?? ""
    let id = call.flags.string("peer-id") ?? ""
    let prefix = "Error transferring leadership to peer: "
    if address.isEmpty, id.isEmpty {
      return call.fail(prefix + "an address or id is required for the destination peer")
    }
    if !address.isEmpty, !id.isEmpty { return call.fail(prefix + "cannot give both an address and id") }
    do throws(ClientError) {
      try client.put(
        "/v1/operator/raft/transfer-leadership", [address.isEmpty ? ("id", id) : ("address", address)])
      call.console.print(
        "Transferred leadership to peer with " + (address.isEmpty ? "id \"\(id)\"" : "address \"\(address)\""))
      return 0
    } catch {
      return call.fail(prefix + error.text)
    }
  }

  // MARK: Autopilot

  /// Option, JSON field and how its text becomes JSON.
  private static let autopilotOptions:
    [(option: String, field: String, kind: Flags.Kind, value: String, help: String)] = [
      ("cleanup-dead-servers", "CleanupDeadServers", .string, "true|false", "Remove dead servers automatically."),
      (
        "last-contact-threshold", "LastContactThreshold", .duration, "<duration>",
        "Time without the leader until unhealthy."
      ),
      ("max-trailing-logs", "MaxTrailingLogs", .integer, "<n>", "Log entries a server may be behind."),
      ("min-quorum", "MinQuorum", .integer, "<n>", "Never remove servers below this number."),
      (
        "server-stabilization-time", "ServerStabilizationTime", .duration, "<duration>",
        "Healthy this long before voting."
      ),
      (
        "enable-redundancy-zones", "EnableRedundancyZones", .string, "true|false", "One voter for each redundancy_zone."
      ),
      ("disable-upgrade-migration", "DisableUpgradeMigration", .string, "true|false", "Enterprise only; stored."),
      ("enable-custom-upgrades", "EnableCustomUpgrades", .string, "true|false", "Enterprise only; stored."),
    ]

  private static func getAutopilot(_ call: inout Invocation) -> Int32 {
    guard let client = call.client() else { return 1 }
    do throws(ClientError) {
      let settings = try client.get("/v1/operator/autopilot/configuration")
      let fields = [
        "CleanupDeadServers", "LastContactThreshold", "MaxTrailingLogs", "MinQuorum", "ServerStabilizationTime",
        "EnableRedundancyZones", "DisableUpgradeMigration", "EnableCustomUpgrades",
      ]
      for field in fields { call.console.print("\(field) = \(settings.text(field))") }
      return 0
    } catch {
      return call.fail("Error querying Autopilot configuration: \(error.text)")
    }
  }

  private static func setAutopilot(_ call: inout Invocation) -> Int32 {
    guard let client = call.client() else { return 1 }
    var settings: JSONObject
    do throws(ClientError) {
      settings = try client.get("/v1/operator/autopilot/configuration").object ?? JSONObject()
    } catch {
      return call.fail("Error querying for Autopilot configuration: \(error.text)")
    }
    for option in autopilotOptions {
      guard let text = call.flags.string(option.option) else { continue }
      switch option.kind {
      case .integer: settings[option.field] = call.flags.integer(option.option).map { .integer($0) }
      case .duration: settings[option.field] = .string(text)
      case .bool, .string, .strings:
        guard let flag = boolean(text) else {
          call.console.error(
            "Failed to parse args: invalid value \"\(text)\" for flag -\(option.option): "
              + "strconv.ParseBool: parsing \"\(text)\": invalid syntax")
          call.console.print(call.command.helpText)
          return 1
        }
        settings[option.field] = .bool(flag)
      }
    }
    do throws(ClientError) {
      let index = settings["ModifyIndex"]?.unsigned ?? 0
      let answer = try client.json(
        client.put("/v1/operator/autopilot/configuration", [("cas", "\(index)")], .object(settings)))
      guard answer.bool == true else {
        call.console.print("Configuration could not be atomically updated, please try again")
        return 1
      }
      call.console.print("Configuration updated!")
      return 0
    } catch {
      return call.fail("Error setting Autopilot configuration: \(error.text)")
    }
  }

  private static func health(_ call: inout Invocation) -> Int32 {
    guard let client = call.client() else { return 1 }
    do throws(ClientError) {
      // 429 is the answer of an unhealthy cluster and has the same body.
      let response = try client.sendAny("GET", "/v1/operator/autopilot/health")
      guard response.status == 200 || response.status == 429 else {
        throw ClientError(
          text: "Unexpected response code: \(response.status) (\(String(decoding: response.body, as: UTF8.self)))")
      }
      let health = try client.json(response)
      if call.wantsData {
        let code = call.printData(health)
        if code != 0 { return code }
      } else {
        printHealth(health, call)
      }
      return health.flag("Healthy") ? 0 : 1
    } catch {
      return call.fail("Error querying Autopilot health: \(error.text)")
    }
  }

  private static func printHealth(_ health: JSONValue, _ call: Invocation) {
    let servers = health.rows("Servers")
    let leader = servers.first { $0.flag("Leader") }?.text("ID") ?? ""
    call.console.print("Healthy: \(health.flag("Healthy"))")
    call.console.print("FailureTolerance: \(health.text("FailureTolerance"))")
    call.console.print("Leader: \(leader)")
    call.console.print("Voters:")
    for server in servers where server.flag("Voter") { call.console.print("\t\(server.text("ID"))") }
    call.console.print("Servers:")
    let fields = [
      "ID", "Name", "Address", "SerfStatus", "Version", "Leader", "Voter", "Healthy", "LastContact", "LastTerm",
      "LastIndex", "StableSince",
    ]
    call.console.print(table([fields] + servers.map { server in fields.map { server.text($0) } }, emptyCell: ""))
  }

  private static func getScheduler(_ call: inout Invocation) -> Int32 {
    guard let client = call.client() else { return 1 }
    do throws(ClientError) {
      let answer = try client.get("/v1/operator/scheduler/configuration")
      if call.wantsData {
        return call.printData(answer)
      }
      let settings = answer["SchedulerConfig"] ?? nil
      let preemption = settings["PreemptionConfig"] ?? nil
      call.console.print(
        keyValues([
          ("Scheduler Algorithm", settings.text("SchedulerAlgorithm")),
          ("Memory Oversubscription", "\(settings.flag("MemoryOversubscriptionEnabled"))"),
          ("Preemption System Scheduler", "\(preemption.flag("SystemSchedulerEnabled"))"),
          ("Preemption Service Scheduler", "\(preemption.flag("ServiceSchedulerEnabled"))"),
          ("Preemption Batch Scheduler", "\(preemption.flag("BatchSchedulerEnabled"))"),
          ("Modify Index", settings.text("ModifyIndex")),
        ]))
      return 0
    } catch {
      return call.fail("Error querying scheduler configuration: \(error.text)")
    }
  }

  // MARK: Quorum report

  private static func quorum(_ call: inout Invocation) -> Int32 {
    guard call.arguments.isEmpty else { return call.misuse("This command takes no arguments") }
    guard let client = call.client() else { return 1 }
    do throws(ClientError) {
      let report = try client.get("/v1/operator/quorum")
      if call.wantsData { return call.printData(report) }
      call.console.print(QuorumReport.text(report))
      return 0
    } catch {
      return call.fail("Error querying the quorum report: \(error.text)")
    }
  }

  // MARK: API

  private static func api(_ call: inout Invocation) -> Int32 {
    guard let argument = call.arguments.first, !argument.isEmpty else {
      return call.misuse("A path or URL is required")
    }
    guard call.arguments.count == 1 else {
      return call.misuse("operator api accepts exactly 1 argument, but \(call.arguments.count) arguments were found")
    }
    guard var client = call.client() else { return 1 }
    var path = argument
    if argument.contains("://") {
      do throws(Address.Failure) {
        client.address = try Address(argument)
      } catch {
        return call.fail("Error performing request: \(error.text)")
      }
      path = String(argument.dropFirst(client.address.text.count))
    }
    if !path.hasPrefix("/") { path = "/" + path }
    let isPiped = !isTerminal(0) && call.flags.string("X") == nil || ["POST", "PUT"].contains(call.flags.string("X"))
    let input = isPiped && !isTerminal(0) ? readStandardInput() : []
    let body = input.isEmpty ? nil : input
    let method = call.flags.string("X") ?? (body == nil ? "GET" : "POST")
    let headers = call.flags.strings("H").map { text in
      let halves = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      let value = halves.count > 1 ? halves[1].drop { $0 == " " } : ""
      return HTTPHeader(String(halves[0]), String(value))
    }
    let query: [Parameter] = call.flags.string("filter").map { [("filter", $0)] } ?? []
    if call.flags.bool("dryrun") {
      call.console.print("\(method) \(client.address.text)\(path)")
      return 0
    }
    if call.flags.bool("verbose") { call.console.error("> \(method) \(path)") }
    do throws(ClientError) {
      let response = try client.sendAny(method, path, query, headers: headers, body: body)
      if call.flags.bool("verbose") {
        call.console.error("< \(response.status)")
        for header in response.headers { call.console.error("< \(header.name): \(header.value)") }
      }
      call.console.print(bytes: response.body)
      return 0
    } catch {
      return call.fail("Error performing request: \(error.text)")
    }
  }
}
