import Base
import HTTP

/// `nomad node drain|eligibility|config` (cli.md section 4).
enum NodeCommands {
  static var all: [Command] {
    [
      NodeStatusCommand.make(words: ["node", "status"]),
      NodeStatusCommand.make(words: ["node-status"], isHidden: true),
      drainCommand(["node", "drain"]), drainCommand(["node-drain"], isHidden: true),
      Command(
        words: ["node", "eligibility"], synopsis: "Toggle scheduling eligibility for a given node",
        usage: "[options] <node>", help: "Says whether new work may be placed on a node.",
        options: [
          .init("enable", help: "The node may get new work."), .init("disable", help: "The node gets no new work."),
          .init("self", help: "The node of the agent that is asked."),
        ], run: eligibility),
      configCommand(["node", "config"]), configCommand(["client-config"], replacedBy: ["node", "config"]),
    ]
  }

  // MARK: Eligibility

  private static func eligibility(_ call: inout Invocation) -> Int32 {
    let enable = call.flags.bool("enable")
    guard enable != call.flags.bool("disable") else {
      return call.misuse("Either the '-enable' or '-disable' flag must be set")
    }
    let isSelf = call.flags.bool("self")
    guard call.arguments.count == (isSelf ? 0 : 1) else {
      return call.misuse(
        call.arguments.isEmpty
          ? "Node ID must be specified if -self isn't being used" : "This command takes one argument: <node>")
    }
    guard let client = call.client() else { return 1 }
    guard case .found(let id) = target(client, call, failure: "Error updating scheduling eligibility") else { return 1 }
    do throws(ClientError) {
      try client.put(
        "/v1/node/\(id.percentEncoded())/eligibility", [],
        ["Eligibility": enable ? "eligible" : "ineligible", "NodeID": .string(id)])
      call.console.print(
        "Node \"\(id)\" scheduling eligibility set: \(enable ? "eligible" : "ineligible") for scheduling")
      return 0
    } catch {
      return call.fail("Error updating scheduling eligibility: \(error.text)")
    }
  }

  /// The node that `-self` or the argument names.
  private static func target(_ client: APIClient, _ call: Invocation, failure: String) -> NodeLookup.Outcome {
    call.flags.bool("self")
      ? NodeLookup.own(client, call, failure: failure)
      : NodeLookup.find(call.arguments[0], noun: "prefix or id", length: 36, failure: failure, client, call)
  }

  // MARK: Config

  private static func configCommand(_ words: [String], replacedBy: [String]? = nil) -> Command {
    Command(
      words: words, synopsis: "View or modify client configuration details", usage: "[options]",
      help: "Shows or replaces the list of servers that a client agent uses. Must be asked of a\nclient agent.",
      options: [
        .init("servers", help: "List the servers that the client uses."),
        .init("update-servers", help: "Replace the list by the arguments."),
      ], isHidden: replacedBy != nil, replacedBy: replacedBy, run: config)
  }

  private static func config(_ call: inout Invocation) -> Int32 {
    let updates = call.flags.bool("update-servers")
    guard updates || call.flags.bool("servers") else {
      return call.misuse("The '-servers' or '-update-servers' flag(s) must be set")
    }
    guard let client = call.client() else { return 1 }
    if updates {
      guard !call.arguments.isEmpty else {
        return call.misuse("If the '-update-servers' flag is set, at least one server argument must be provided")
      }
      do throws(ClientError) {
        try client.put("/v1/agent/servers", call.arguments.map { ("address", $0) })
        call.console.print("Updated server list")
      } catch {
        return call.fail("Error updating server list: \(error.text)")
      }
    }
    guard call.flags.bool("servers") else { return 0 }
    do throws(ClientError) {
      for server in try client.get("/v1/agent/servers").array ?? [] { call.console.print(server.string ?? "") }
      return 0
    } catch {
      return call.fail("Error querying server list: \(error.text)")
    }
  }

  // MARK: Drain

  private static func drainCommand(_ words: [String], isHidden: Bool = false) -> Command {
    Command(
      words: words, synopsis: "Toggle drain mode on a given node", usage: "[options] <node>",
      help: "Moves the work of a node elsewhere, or stops doing so.",
      options: [
        .init("enable", help: "Start or change a drain."), .init("disable", help: "Stop a drain."),
        .init("deadline", .string, "<duration>", "When what is left is stopped. Default: 1h"),
        .init("force", help: "Stop everything at once."), .init("no-deadline", help: "Wait for ever."),
        .init("ignore-system", help: "Leave system jobs alone."),
        .init("keep-ineligible", help: "Stay ineligible after -disable."),
        .init("detach", help: "Return at once instead of watching."),
        .init("monitor", help: "Watch a drain without changing it."),
        .init("self", help: "The node of the agent that is asked."), .init("yes", help: "Do not ask."),
        .init("m", .string, "<message>", "A message kept with the drain."),
        .init("meta", .strings, "<key>=<value>", "More to keep with the drain; repeatable."),
      ], isHidden: isHidden, canonicalName: "node-drain", run: drain)
  }

  /// The deadline in nanoseconds; `nil` after an error message.
  private static func deadline(_ call: Invocation) -> Int64? {
    if call.flags.bool("force") { return -1_000_000_000 }
    if call.flags.bool("no-deadline") { return 0 }
    guard let text = call.flags.string("deadline") else { return Interval.hours(1).nanoseconds }
    guard let interval = GoDuration.parse(text) else {
      let reason = Int64(text) != nil ? "missing unit in duration" : "invalid duration"
      call.console.error("Failed to parse deadline \"\(text)\": time: \(reason) \"\(text)\"")
      return nil
    }
    guard interval > .zero else {
      call.console.error("A positive drain duration must be given")
      return nil
    }
    return interval.nanoseconds
  }

  private static func drain(_ call: inout Invocation) -> Int32 {
    let flags = call.flags
    let enable = flags.bool("enable")
    let onlyMonitors = flags.bool("monitor") && !enable && !flags.bool("disable")
    guard onlyMonitors || enable != flags.bool("disable") else {
      return call.misuse("Either the '-enable' or '-disable' flag must be set, unless using '-monitor'")
    }
    let hasDeadline = flags.string("deadline") != nil
    let isForced = flags.bool("force")
    if isForced, flags.bool("no-deadline") { return call.misuse("-force and -no-deadline are mutually exclusive") }
    if hasDeadline, isForced || flags.bool("no-deadline") {
      return call.misuse("-deadline can't be combined with -force or -no-deadline")
    }
    if flags.bool("disable"), hasDeadline || isForced || flags.bool("no-deadline") || flags.bool("ignore-system") {
      return call.misuse("-disable can't be combined with flags configuring drain strategy")
    }
    guard let deadline = deadline(call) else { return 1 }
    let isSelf = flags.bool("self")
    guard call.arguments.count == (isSelf ? 0 : 1) else {
      return call.misuse(
        call.arguments.isEmpty && !isSelf
          ? "Node ID must be specified if -self isn't being used" : "This command takes one argument: <node>")
    }
    guard let client = call.client() else { return 1 }
    guard case .found(let id) = target(client, call, failure: "Error toggling drain mode") else { return 1 }
    if onlyMonitors { return watch(id, from: 1, isSetByUs: false, client, call) }
    let verb = enable ? "enable" : "disable"
    if !isSelf, call.arguments[0] != id, !flags.bool("yes"), !confirms(id, verb, call) { return 0 }
    return change(id, enable: enable, deadline: deadline, client, call)
  }

  /// A prefix may name another node than the user thinks of, so it is asked back.
  private static func confirms(_ id: String, _ verb: String, _ call: Invocation) -> Bool {
    call.console.print("Are you sure you want to \(verb) drain mode for node \"\(id)\"? [y/N] ", terminator: "")
    let answer = call.console.input() ?? ""
    if answer == "y" { return true }
    let isNo = answer.isEmpty || answer.lowercased().hasPrefix("n")
    call.console.print(
      isNo ? "Canceling drain toggle" : "For confirmation, an exact 'y' is required.")
    return false
  }

  private static func change(
    _ id: String, enable: Bool, deadline: Int64, _ client: APIClient, _ call: Invocation
  ) -> Int32 {
    var meta = JSONObject()
    if let message = call.flags.string("m"), !message.isEmpty {
      meta[enable ? "message" : "cancel_message"] = .string(message)
    }
    for pair in call.flags.strings("meta") {
      let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      meta[String(halves[0])] = .string(halves.count > 1 ? String(halves[1]) : "")
    }
    let specification: JSONValue =
      enable
      ? ["Deadline": .integer(deadline), "IgnoreSystemJobs": .bool(call.flags.bool("ignore-system"))] : nil
    let body: JSONValue = [
      "DrainSpec": specification, "MarkEligible": .bool(!enable && !call.flags.bool("keep-ineligible")),
      "Meta": .object(meta), "NodeID": .string(id),
    ]
    let index: UInt64
    do throws(ClientError) {
      index = client.index(try client.put("/v1/node/\(id.percentEncoded())/drain", [], body))
    } catch {
      return call.fail("Error updating drain specification: \(error.text)")
    }
    guard enable else {
      call.console.print("Node \"\(id)\" drain strategy unset")
      return 0
    }
    if call.flags.bool("detach") {
      call.console.print("Node \"\(id)\" drain strategy set")
      return 0
    }
    call.console.print("\(localTime(unixNow())): Ctrl-C to stop monitoring: will not cancel the node drain")
    call.console.print("\(localTime(unixNow())): Node \"\(id)\" drain strategy set")
    return watch(id, from: index, isSetByUs: true, client, call)
  }

  /// Waits until the node has no drain strategy any more.
  private static func watch(
    _ id: String, from start: UInt64, isSetByUs: Bool, _ client: APIClient, _ call: Invocation
  ) -> Int32 {
    var index = start > 0 ? start - 1 : 0
    var isFirst = true
    while true {
      do throws(ClientError) {
        let query: [Parameter] = index > 0 && !isFirst ? [("index", "\(index)")] : []
        let (node, newIndex) = try client.getIndexed("/v1/node/\(id.percentEncoded())", query)
        let isDraining = node["DrainStrategy"].map { !$0.isNull } ?? false
        if isFirst, !isSetByUs, !isDraining {
          call.console.error("No drain strategy set")
          return 0
        }
        if !isDraining {
          call.console.print("\(localTime(unixNow())): All allocations on node \"\(id)\" have stopped")
          call.console.print("\(localTime(unixNow())): Drain complete for node \(id)")
          return 0
        }
        isFirst = false
        // A server that answers at once with an old index must not be asked in a tight loop.
        index = max(newIndex, 1)
      } catch {
        return call.fail("Error monitoring node: \(error.text)")
      }
    }
  }
}
