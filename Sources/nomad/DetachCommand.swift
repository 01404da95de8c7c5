import Base
import HTTP

/// `nomad server detach`: parts two regions whose servers share a pool by mistake. Not part of the original command.
enum DetachCommand {
  static func make() -> Command {
    Command(
      words: ["server", "detach"], synopsis: "Part this region from another one", usage: "[options] <region>",
      help: "All servers of the agent's region forget those of the other one and answer them no\n"
        + "more, so that it finds them failed. That holds until it is undone, over restarts.\n"
        + "Not part of the original command.",
      options: [
        .init("dry-run", help: "Say what would be done, and do nothing."),
        .init("undo", help: "Let the other region join again (nomad server join)."),
      ], run: run)
  }

  private static func run(_ call: inout Invocation) -> Int32 {
    guard call.arguments.count == 1 else { return call.misuse("This command takes one argument: <region>") }
    guard let client = call.client() else { return 1 }
    let region = call.arguments[0]
    let isDry = call.flags.bool("dry-run")
    do throws(ClientError) {
      let answer = try client.get("/v1/agent/members")
      let own = answer.text("ServerRegion")
      guard region != own else {
        return call.fail("\(region) is the region of the agent that was asked; ask one of those that stay together")
      }
      let undo = call.flags.bool("undo")
      if !isDry { try client.put("/v1/agent/detach", [("from", region)] + (undo ? [("undo", "true")] : [])) }
      if undo {
        call.console.print("\(isDry ? "would be " : "")allowed again: \(region)")
        return 0
      }
      tell(answer.rows("Members"), own: own, region: region, isDry: isDry, call)
      return 0
    } catch {
      return call.fail("Error detaching region \(region): \(error.text)")
    }
  }

  private static func tell(_ members: [JSONValue], own: String, region: String, isDry: Bool, _ call: Invocation) {
    let foreign = members.filter { ServerCommands.tag($0, "region") == region }
    if foreign.isEmpty {
      call.console.print("no server of region \(region) is known; none will be admitted")
    }
    for member in foreign { call.console.print("\(isDry ? "would be " : "")forgotten: \(member.text("Name"))") }
    for member in members
    where ServerCommands.tag(member, "region") == own && ServerCommands.tag(member, "nomadd").isEmpty {
      call.console.error(
        "\(member.text("Name")) is not nomadd and stays in both regions' pools; stop it, or they meet again")
    }
  }
}
