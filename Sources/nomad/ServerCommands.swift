import Base
import HTTP

/// `nomad server ...` (cli.md section 3).
enum ServerCommands {
  static var all: [Command] {
    let members = Command(
      words: ["server", "members"], synopsis: "Display a list of known servers and their status", usage: "[options]",
      help: "Shows the servers of all regions as this agent's gossip sees them.",
      options: [
        .init("detailed", help: "Show the tags of every server."),
        .init("verbose", help: "Show every column, with Raft version and tags."),
        .init("json", help: "Print the members as JSON."),
      ], run: members)
    let join = Command(
      words: ["server", "join"], synopsis: "Join server nodes together", usage: "[options] <addr> [<addr>...]",
      help: "Makes the server join the gossip pool of the servers at the given addresses.\n"
        + "One address of an existing cluster is enough.", run: join)
    let forceLeave = Command(
      words: ["server", "force-leave"], synopsis: "Force a server into the 'left' state", usage: "[options] <node>",
      help: "Marks a failed server as left, so that it is removed from Raft, and says what was\n"
        + "done. It is named by its name (<node>.<region> or <node>), id or address. A server\n"
        + "that is alive stays.",
      options: [.init("prune", help: "Remove the server from the list of members at once.")], run: forceLeave)
    let leave = Command(
      words: ["server", "leave"], synopsis: "Make a server leave its cluster for good and stop", usage: "[options]",
      help: "The server that is asked hands leadership over, leaves gossip and Raft, and ends. It\n"
        + "refuses when the servers that stay could not decide anything without it.\nNot part of the original command.",
      options: [.init("force", help: "Leave even if that costs the others their quorum.")], run: leave)
    return [members, join, forceLeave, leave, RemoveCommand.make(), DetachCommand.make()]
  }

  private static func members(_ call: inout Invocation) -> Int32 {
    guard call.arguments.isEmpty else { return call.misuse("This command takes no arguments") }
    guard let client = call.client() else { return 1 }
    let answer: JSONValue
    do throws(ClientError) {
      answer = try client.get("/v1/agent/members")
    } catch {
      return call.fail("Error querying servers: \(error.text)")
    }
    let members = answer.rows("Members").sorted { sortKey($0).lexicographicallyPrecedes(sortKey($1)) }
    let (leaders, failures) = leaders(members, client)
    if call.wantsData {
      let code = call.printData(.array(members.map { withLeaderTag($0, leaders) }))
      if code != 0 { return code }
    } else if call.flags.bool("verbose") {
      call.console.print(verboseTable(members, leaders))
    } else if call.flags.bool("detailed") {
      call.console.print(detailedTable(members))
    } else {
      call.console.print(standardTable(members, leaders))
    }
    guard !failures.isEmpty else { return 0 }
    call.console.print("")
    let list = failures.map { "\t* \($0)\n" }.joined()
    let count = "\(failures.count) error\(failures.count == 1 ? "" : "s") occurred:\n"
    return call.fail("Error determining leaders: " + count + list + "\n")
  }

  static func tag(_ member: JSONValue, _ name: String) -> String { member["Tags"]?.text(name) ?? "" }

  private static func sortKey(_ member: JSONValue) -> [String] {
    [tag(member, "region"), tag(member, "dc"), member.text("Name")]
  }

  /// Asks each region with a member that has not left for its leader.
  private static func leaders(_ members: [JSONValue], _ client: APIClient) -> (Set<String>, [String]) {
    var leaders: Set<String> = []
    var failures: [String] = []
    let regions = Set(members.filter { $0.text("Status") != "left" }.map { tag($0, "region") })
    for region in regions.sorted() {
      do throws(ClientError) {
        let leader = try client.get("/v1/status/leader", [("region", region)])
        if let address = leader.string, !address.isEmpty { leaders.insert(region + "/" + address) }
      } catch {
        failures.append("Region \"\(region)\": \(error.text)")
      }
    }
    return (leaders, failures)
  }

  private static func isLeader(_ member: JSONValue, _ leaders: Set<String>) -> Bool {
    let address = member.text("Addr")
    let host = address.contains(":") ? "[\(address)]" : address
    return leaders.contains(tag(member, "region") + "/" + host + ":" + tag(member, "port"))
  }

  private static func standardTable(_ members: [JSONValue], _ leaders: Set<String>) -> String {
    let header = ["Name", "Address", "Port", "Status", "Leader", "Protocol", "Build", "Datacenter", "Region"]
    return table(
      [header]
        + members.map {
          [
            $0.text("Name"), $0.text("Addr"), $0.text("Port"), $0.text("Status"), "\(isLeader($0, leaders))",
            $0.text("ProtocolCur"), tag($0, "build"), tag($0, "dc"), tag($0, "region"),
          ]
        }, emptyCell: "")
  }

  private static func tagList(_ member: JSONValue) -> String {
    member.members("Tags").map { "\($0.name)=\($0.value.string ?? "")" }.joined(separator: ",")
  }

  private static func detailedTable(_ members: [JSONValue]) -> String {
    table(
      [["Name", "Address", "Port", "Tags"]]
        + members.map { [$0.text("Name"), $0.text("Addr"), $0.text("Port"), tagList($0)] }, emptyCell: "")
  }

  private static func verboseTable(_ members: [JSONValue], _ leaders: Set<String>) -> String {
    let header = [
      "Name", "Address", "Port", "Status", "Leader", "Protocol", "Raft Version", "Build", "Datacenter", "Region",
      "Tags",
    ]
    return table(
      [header]
        + members.map {
          [
            $0.text("Name"), $0.text("Addr"), $0.text("Port"), $0.text("Status"), "\(isLeader($0, leaders))",
            $0.text("ProtocolCur"), tag($0, "raft_vsn"), tag($0, "build"), tag($0, "dc"), tag($0, "region"),
            tagList($0),
          ]
        }, emptyCell: "")
  }

  private static func withLeaderTag(_ member: JSONValue, _ leaders: Set<String>) -> JSONValue {
    guard var object = member.object, var tags = object["Tags"]?.object else { return member }
    tags["Leader"] = .string("\(isLeader(member, leaders))")
    object["Tags"] = .object(tags)
    return .object(object)
  }

  private static func join(_ call: inout Invocation) -> Int32 {
    guard !call.arguments.isEmpty else {
      return call.misuse("One or more node addresses must be given as arguments")
    }
    guard let client = call.client() else { return 1 }
    do throws(ClientError) {
      let answer = try client.json(client.put("/v1/agent/join", call.arguments.map { ("address", $0) }))
      let error = answer.text("error")
      if !error.isEmpty { return call.fail("Error joining: failed joining: \(error)") }
      call.console.print("Joined \(answer.text("num_joined")) servers successfully")
      return 0
    } catch {
      return call.fail("Error joining: failed joining: \(error.text)")
    }
  }

  private static func leave(_ call: inout Invocation) -> Int32 {
    guard call.arguments.isEmpty else { return call.misuse("This command takes no arguments") }
    guard let client = call.client() else { return 1 }
    do throws(ClientError) {
      try client.put("/v1/agent/leave", call.flags.bool("force") ? [("force", "true")] : [])
      call.console.print("The server is leaving")
      return 0
    } catch {
      return call.fail("Error leaving: \(error.text)")
    }
  }

  private static func forceLeave(_ call: inout Invocation) -> Int32 {
    guard call.arguments.count == 1 else { return call.misuse("This command takes one argument: <node>") }
    guard let client = call.client() else { return 1 }
    let name = call.arguments[0]
    var query: [Parameter] = [("node", name)]
    if call.flags.bool("prune") { query.append(("prune", "1")) }
    // What was done can only be told by who knows the members; the command itself does not depend on it.
    var members: [JSONValue]?
    do throws(ClientError) { members = try client.get("/v1/agent/members").rows("Members") } catch { members = nil }
    do throws(ClientError) {
      try client.put("/v1/agent/force-leave", query)
      if let members { tell(name, members, call) }
      return 0
    } catch {
      return call.fail("Error force-leaving server \(name): \(error.text)")
    }
  }

  private static func tell(_ name: String, _ members: [JSONValue], _ call: Invocation) {
    guard let member = member(name, of: members) else {
      return call.console.error("No server has the name, id or address \"\(name)\": nothing was done")
    }
    let known = member.text("Name")
    switch member.text("Status") {
    case "alive":
      call.console.error("\(known) is alive and stays: stop it first, or let it leave by itself (nomad server leave)")
    case "left": call.console.print("\(known) had left already" + (call.flags.bool("prune") ? "; it is forgotten" : ""))
    case let status:
      let end = call.flags.bool("prune") ? "forgotten" : "declared left"
      call.console.print("\(known) was \(status); it is \(end), and the leader takes it out of Raft")
    }
  }

  /// A member by its gossip name, its name without region, its id, or one of its addresses.
  static func member(_ name: String, of members: [JSONValue]) -> JSONValue? {
    func names(_ member: JSONValue) -> [String] {
      let address = member.text("Addr")
      let host = address.contains(":") ? "[\(address)]" : address
      let full = member.text("Name")
      let region = "." + tag(member, "region")
      let short = full.hasSuffix(region) ? String(full.dropLast(region.count)) : full
      let addresses = ["\(host):\(member.text("Port"))", "\(host):\(tag(member, "port"))", address]
      return [full, short, tag(member, "id")] + addresses
    }
    // The whole name first: a short one may be another's whole name.
    return members.first { $0.text("Name") == name } ?? members.first { names($0).contains(name) }
  }
}
