import Base
import HTTP

/// The commands outside of the families (cli.md section 6).
enum OtherCommands {
  static var all: [Command] {
    [
      Command(
        words: ["agent"], synopsis: "Runs a Nomad agent", usage: "[options]",
        help: "Starts the agent: the same as running nomadd with these options.", usesAPI: false, run: agent),
      Command(
        words: ["agent-info"], synopsis: "Display status information about the local agent", usage: "[options]",
        help: "Shows the numbers that the agent keeps about itself.",
        options: [.init("json", help: "Print as JSON.")], run: agentInfo),
      Command(
        words: ["check"], synopsis: "Check health of the local agent", usage: "[options]",
        help: "Exits with 0 when the agent is fit and with 2 when it is not.",
        options: [
          .init("min-peers", .integer, "<n>", "Other servers in Raft that must be known."),
          .init("min-servers", .integer, "<n>", "Servers that a client must know. Default: 1"),
        ], isHidden: true, run: check),
      Command(
        words: ["monitor"], synopsis: "Stream logs from a Nomad agent", usage: "[options]",
        help: "Prints the log lines of an agent as they come.",
        options: [
          .init("log-level", .string, "<level>", "trace, debug, info, warn or error. Default: info"),
          .init("node-id", .string, "<node>", "The node whose agent is asked."),
          .init("server-id", .string, "<server>", "The server that is asked; leader is possible."),
          .init("json", help: "Lines are JSON objects."),
        ], run: monitor),
      Command(
        words: ["status"], synopsis: "Display the status output for a resource", usage: "[options] <identifier>",
        help: "Finds what an id belongs to and shows it.",
        options: [.init("verbose", help: "Show full ids."), .init("json", help: "Print as JSON.")], run: status),
      Command(
        words: ["system", "gc"], synopsis: "Run the system garbage collection process", usage: "[options]",
        help: "Removes nodes that are down, at once.", run: collectGarbage),
      Command(
        words: ["system", "reconcile", "summaries"], synopsis: "Reconciles the summaries of all registered jobs",
        usage: "[options]", help: "Kept for scripts.", run: reconcile),
      Command(
        words: ["namespace", "list"], synopsis: "List namespaces", usage: "[options]", help: "Lists the namespaces.",
        options: [.init("json", help: "Print as JSON.")], isHidden: true, run: namespaces),
      Command(
        words: ["version"], synopsis: "Prints the Nomad version", usage: "", help: "Prints the version.",
        usesAPI: false
      ) { call in
        call.console.print(Dispatcher.versionLine)
        return 0
      },
      Command(
        words: ["ui"], synopsis: "Open the Nomad Web UI", usage: "[options]",
        help: "Prints the address of the page that the agent serves.", run: ui),
    ] + deprecated
  }

  private static var deprecated: [Command] {
    ["members", "join", "force-leave"].compactMap { name in
      guard let present = ServerCommands.all.first(where: { $0.words == ["server", name] }) else { return nil }
      return Command(
        words: ["server-" + name], synopsis: present.synopsis, usage: present.usage, help: present.help,
        options: present.options, isHidden: true, replacedBy: present.words, run: present.run)
    }
  }

  private static func agent(_ call: inout Invocation) -> Int32 {
    call.fail("Agents are started with nomadd, which was not found beside this program.")
  }

  private static func agentInfo(_ call: inout Invocation) -> Int32 {
    guard call.arguments.isEmpty else { return call.misuse("This command takes no arguments") }
    guard let client = call.client() else { return 1 }
    do throws(ClientError) {
      let answer = try client.get("/v1/agent/self")
      if call.wantsData {
        return call.printData(answer)
      }
      for section in answer.members("stats") {
        call.console.print(section.name)
        for pair in section.value.object?.sorted.members ?? [] {
          call.console.print("  \(pair.name) = \(pair.value.string ?? pair.value.text())")
        }
      }
      return 0
    } catch {
      return call.fail("Error querying agent info: failed querying self endpoint: \(error.text)")
    }
  }

  private static func check(_ call: inout Invocation) -> Int32 {
    guard let client = call.client() else { return 2 }
    func critical(_ text: String) -> Int32 {
      call.console.print(text)
      return 2
    }
    let stats: JSONValue
    do throws(ClientError) {
      stats = try client.get("/v1/agent/self")["stats"] ?? nil
    } catch {
      return critical("unable to query agent info: failed querying self endpoint: \(error.text)")
    }
    if let raft = stats["raft"] {
      let peers = Int64(raft.text("num_peers")) ?? 0
      let wanted = call.flags.integer("min-peers") ?? 0
      if peers < wanted {
        return critical("known peers: \(peers), is less than expected number of peers: \(wanted)")
      }
    }
    if let own = stats["client"] {
      let servers = Int64(own.text("known_servers").split(separator: ",").count)
      let wanted = call.flags.integer("min-servers") ?? 1
      if servers < wanted {
        return critical("known servers: \(servers), is less than expected number of servers: \(wanted)")
      }
      let last = GoDuration.parse(own.text("last_heartbeat"))
      let limit = GoDuration.parse(own.text("heartbeat_ttl"))
      if let last, let limit, last > limit {
        return critical(
          "last heartbeat was \"\(own.text("last_heartbeat"))\" time ago, expected heartbeat ttl: "
            + "\"\(own.text("heartbeat_ttl"))\"")
      }
    }
    return 0
  }

  private static func monitor(_ call: inout Invocation) -> Int32 {
    guard call.arguments.isEmpty else { return call.misuse("This command takes no arguments") }
    guard let client = call.client() else { return 1 }
    var query: [Parameter] = [("plain", "true")]
    for (option, parameter) in [("log-level", "log_level"), ("node-id", "node_id"), ("server-id", "server_id")] {
      if let value = call.flags.string(option), !value.isEmpty { query.append((parameter, value)) }
    }
    if call.flags.bool("json") { query.append(("log_json", "true")) }
    let console = call.console
    exitQuietlyOnInterrupt()
    do throws(ClientError) {
      _ = try client.send("GET", "/v1/agent/monitor", query, sink: { console.print(bytes: $0) })
      return 0
    } catch {
      call.console.error("==> Error starting monitor: \(error.text)")
      call.console.error("==> For additional help try 'nomad monitor -help'")
      return 1
    }
  }

  private static func status(_ call: inout Invocation) -> Int32 {
    guard call.arguments.count <= 1 else {
      return call.misuse("This command takes either no arguments or one: <identifier>")
    }
    guard let client = call.client() else { return 1 }
    let id = call.arguments.first ?? ""
    do throws(ClientError) {
      if id.isEmpty {
        let jobs = try client.get("/v1/jobs").array ?? []
        if jobs.isEmpty {
          call.console.print("No running jobs")
        } else {
          call.console.print(
            table(
              [["ID", "Type", "Priority", "Status"]]
                + jobs.map { [$0.text("ID"), $0.text("Type"), $0.text("Priority"), $0.text("Status")] }))
        }
        return 0
      }
      let answer = try client.json(client.put("/v1/search", [], ["Context": "all", "Prefix": .string(id)]))
      return show(id, answer.members("Matches"), call)
    } catch {
      return call.fail("Error querying search for id: \"\(error.text)\"")
    }
  }

  private static func show(_ id: String, _ contexts: [JSONObject.Member], _ call: Invocation) -> Int32 {
    let matches = contexts.map { (context: $0.name, ids: ($0.value.array ?? []).compactMap(\.string)) }
      .filter { !$0.ids.isEmpty }
    let total = matches.reduce(0) { $0 + $1.ids.count }
    if total == 0 { return call.fail("Unable to resolve ID: \"\(id)\"") }
    if total > 1 {
      call.console.error("Multiple matches found for id \"\(id)\"\n")
      for match in matches {
        let title = match.context.prefix(1).uppercased() + match.context.dropFirst()
        call.console.error("\(title):\n\(match.ids.joined(separator: ", "))\n")
      }
      return 1
    }
    guard matches[0].context == "nodes" else {
      return call.fail("This build manages clusters only; it does not show \(matches[0].context).")
    }
    var words = [matches[0].ids[0]]
    if call.flags.bool("verbose") { words.insert("-verbose", at: 0) }
    if call.flags.bool("json") { words.insert("-json", at: 0) }
    for option in ["address", "region", "namespace", "token"] {
      if let value = call.flags.string(option) { words.insert("-\(option)=\(value)", at: 0) }
    }
    return Dispatcher(
      commands: NodeCommands.all, console: call.console, environment: call.environment, transport: call.transport
    ).run(["node", "status"] + words)
  }

  private static func collectGarbage(_ call: inout Invocation) -> Int32 {
    guard let client = call.client() else { return 1 }
    do throws(ClientError) {
      try client.put("/v1/system/gc")
      return 0
    } catch {
      return call.fail("Error running system garbage-collection: \(error.text)")
    }
  }

  private static func reconcile(_ call: inout Invocation) -> Int32 {
    guard let client = call.client() else { return 1 }
    do throws(ClientError) {
      try client.put("/v1/system/reconcile/summaries")
      return 0
    } catch {
      return call.fail("Error running system summary reconciliation: \(error.text)")
    }
  }

  private static func namespaces(_ call: inout Invocation) -> Int32 {
    guard let client = call.client() else { return 1 }
    do throws(ClientError) {
      let answer = try client.get("/v1/namespaces")
      if call.wantsData { return call.printData(answer) }
      call.console.print(
        table([["Name", "Description"]] + (answer.array ?? []).map { [$0.text("Name"), $0.text("Description")] }))
      return 0
    } catch {
      return call.fail("Error retrieving namespaces: \(error.text)")
    }
  }

  private static func ui(_ call: inout Invocation) -> Int32 {
    guard let client = call.client() else { return 1 }
    call.console.print("Opening URL \"\(client.address.text)\"")
    return call.fail("Error opening URL: this command starts no browser")
  }
}
