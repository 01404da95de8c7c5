import Base
import HTTP

/// `nomad operator restart-check`: may the next server be restarted now? Not part of the original command; it asks what
/// every Nomad server answers.
enum RestartCheck {
  static func make() -> Command {
    Command(
      words: ["operator", "restart-check"], synopsis: "Say whether the next server may be restarted now",
      usage: "[options]",
      help: "Ends with 0 when one server may be stopped and the cluster goes on, with 1 when not, and\n"
        + "with 2 when nobody can tell. Restart servers one at a time, the leader last:\n\n"
        + "  nomad operator restart-check -wait 5m && systemctl restart nomadd\n\nNot part of the original command.",
      options: [
        .init("wait", .duration, "<duration>", "Keep asking until the answer is yes, at most this long."),
        .init("json", help: "Print the answer as JSON."),
      ], run: run)
  }

  struct Verdict {
    /// 0 yes, 1 no, 2 unknown.
    var status: Int32
    var reasons: [String]

    var text: String {
      switch status {
      case 0: "Yes: \(reasons.joined(separator: "; "))"
      case 1: "No: \(reasons.joined(separator: "; "))"
      default: "Unknown: \(reasons.joined(separator: "; "))"
      }
    }

    var json: JSONValue {
      [
        "MayRestart": .bool(status == 0), "Status": .integer(Int64(status)),
        "Reasons": .array(reasons.map { .string($0) }),
      ]
    }
  }

  private static func run(_ call: inout Invocation) -> Int32 {
    guard call.arguments.isEmpty else { return call.misuse("This command takes no arguments") }
    guard let client = call.client() else { return 2 }
    let wait = call.flags.string("wait").flatMap { GoDuration.parse($0) } ?? .zero
    var verdict = ask(client)
    // Each question and pause takes at least a tenth of a second.
    var rounds = max(0, wait.nanoseconds / 100_000_000)
    while verdict.status != 0, rounds > 0 {
      sleepBriefly()
      rounds -= 1
      verdict = ask(client)
    }
    if call.wantsData {
      let code = call.printData(verdict.json)
      return code == 0 ? verdict.status : code
    }
    if verdict.status == 0 { call.console.print(verdict.text) } else { call.console.error(verdict.text) }
    return verdict.status
  }

  private static func ask(_ client: APIClient) -> Verdict {
    do throws(ClientError) {
      // 429 is the answer of an unhealthy cluster and has the same body.
      let response = try client.sendAny("GET", "/v1/operator/autopilot/health")
      guard response.status == 200 || response.status == 429 else {
        let text = String(decoding: response.body, as: UTF8.self)
        return Verdict(status: text.contains("No cluster leader") ? 1 : 2, reasons: [text])
      }
      let members = try client.get("/v1/agent/members").rows("Members")
      return judge(try client.json(response), members)
    } catch {
      return Verdict(status: 2, reasons: [error.text])
    }
  }

  /// From the leader's view of health and this server's view of gossip.
  static func judge(_ health: JSONValue, _ members: [JSONValue]) -> Verdict {
    let servers = health.rows("Servers")
    let voters = servers.filter { $0.flag("Voter") }
    var reasons: [String] = []
    for server in servers where !server.flag("Healthy") {
      reasons.append("\(server.text("Name")) is not healthy (\(server.text("SerfStatus")), last contact "
        + "\(server.text("LastContact")))")
    }
    let known = Set(servers.map { $0.text("Name") })
    let region = servers.first?.text("Name").split(separator: ".").last.map(String.init) ?? ""
    for member in members
    where ServerCommands.tag(member, "region") == region && ["alive", "failed"].contains(member.text("Status"))
      && !known.contains(member.text("Name"))
    {
      reasons.append("\(member.text("Name")) is \(member.text("Status")) in gossip and not in Raft")
    }
    for server in servers where !server.flag("Voter") && ServerCommands.votes(server, members) {
      reasons.append("\(server.text("Name")) does not vote yet")
    }
    let healthy = voters.count { $0.flag("Healthy") }
    let needed = voters.count / 2 + 1
    if voters.count == 1 {
      reasons.append("there is one voter only: while it restarts there is no cluster")
    } else if healthy - 1 < needed {
      reasons.append("\(healthy) of \(voters.count) voters are healthy and \(needed) are needed")
    }
    guard reasons.isEmpty else { return Verdict(status: 1, reasons: reasons) }
    let leader = servers.first { $0.flag("Leader") }?.text("Name") ?? "unknown"
    let count = "\(healthy) of \(voters.count) voters are healthy, \(needed) are needed"
    return Verdict(status: 0, reasons: [count, "leader: \(leader), restart it last"])
  }
}

extension ServerCommands {
  /// False for a server that is configured not to vote.
  static func votes(_ server: JSONValue, _ members: [JSONValue]) -> Bool {
    !members.contains { $0.text("Name") == server.text("Name") && !tag($0, "nonvoter").isEmpty }
  }
}
