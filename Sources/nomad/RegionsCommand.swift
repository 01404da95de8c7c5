import Base
import HTTP

/// `nomad operator regions`: how every region stands. Not part of the original command; made of its requests.
enum RegionsCommand {
  static func make() -> Command {
    Command(
      words: ["operator", "regions"], synopsis: "Show the regions with their servers, leaders and nodes",
      usage: "[options]",
      help: "Asks each region that gossip shows. Ends with 1 when one has no leader or does not answer.\n"
        + "Age is how long the answering server has heard nothing of its leader.\nNot part of the original command.",
      options: [.init("json", help: "Print the regions as JSON.")], run: run)
  }

  private static func run(_ call: inout Invocation) -> Int32 {
    guard call.arguments.isEmpty else { return call.misuse("This command takes no arguments") }
    guard let client = call.client() else { return 1 }
    do throws(ClientError) {
      let members = try client.get("/v1/agent/members").rows("Members")
      let listed = try client.get("/v1/regions").array?.compactMap(\.string) ?? []
      let present = members.filter { $0.text("Status") != "left" }.map { ServerCommands.tag($0, "region") }
      let regions = Set(listed + present)
      let rows = regions.sorted().map { region in self.region(region, members, client) }
      if call.wantsData {
        let code = call.printData(.array(rows.map { .object($0) }))
        if code != 0 { return code }
      } else {
        let fields = ["Region", "State", "Leader", "Servers", "Alive", "Nodes", "Age"]
        call.console.print(
          table([fields] + rows.map { row in fields.map { JSONValue.object(row).text($0) } }, emptyCell: "-"))
      }
      return rows.allSatisfy { JSONValue.object($0).text("State") == "ok" } ? 0 : 1
    } catch {
      return call.fail("Error querying regions: \(error.text)")
    }
  }

  private static func region(_ region: String, _ members: [JSONValue], _ client: APIClient) -> JSONObject {
    let own = members.filter { ServerCommands.tag($0, "region") == region && $0.text("Status") != "left" }
    var row = JSONObject()
    row["Region"] = .string(region)
    row["Servers"] = .integer(Int64(own.count))
    row["Alive"] = .integer(Int64(own.count { $0.text("Status") == "alive" }))
    do throws(ClientError) {
      let leader = try client.get("/v1/status/leader", [("region", region), ("stale", "")]).string ?? ""
      row["Leader"] = .string(leader)
      row["State"] = .string(leader.isEmpty ? "no leader" : "ok")
      let nodes = try client.sendAny("GET", "/v1/nodes", [("region", region), ("stale", "")])
      if nodes.status == 200 {
        row["Nodes"] = .integer(Int64(try client.json(nodes).array?.count ?? 0))
        let contact = nodes.headers.first(named: "x-nomad-lastcontact") ?? ""
        row["Age"] = .string(contact.isEmpty ? "" : contact + "ms")
      }
    } catch {
      row["State"] = .string(error.text.contains("No path to region") ? "unreachable" : "does not answer")
    }
    return row
  }
}
