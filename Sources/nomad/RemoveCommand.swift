import Base
import HTTP

/// `nomad server remove`: takes a lost server out of gossip, Raft and the clients' lists in one step. Not part of the
/// original command; made of its requests, so that it works with every Nomad server.
enum RemoveCommand {
  static func make() -> Command {
    Command(
      words: ["server", "remove"], synopsis: "Remove a lost server from gossip, Raft and the clients' lists",
      usage: "[options] <server>",
      help: "The server is named by its name, id or address. One that is alive is not removed: let it\n"
        + "leave (nomad server leave). Not part of the original command.",
      options: [
        .init("dry-run", help: "Say what would be done, and do nothing."),
        .init("force", help: "Remove it although those that stay are no quorum."),
      ], run: run)
  }

  /// How often Raft's configuration is looked at until the server is gone.
  private static let patience = 50

  private static func run(_ call: inout Invocation) -> Int32 {
    guard call.arguments.count == 1 else { return call.misuse("This command takes one argument: <server>") }
    guard let client = call.client() else { return 1 }
    let name = call.arguments[0]
    do throws(ClientError) {
      let members = try client.get("/v1/agent/members").rows("Members")
      let peers = try client.get("/v1/operator/raft/configuration", [("stale", "")]).rows("Servers")
      let member = ServerCommands.member(name, of: members)
      let peer = peer(name, member, peers)
      guard member != nil || peer != nil else {
        return call.fail("No server has the name, id or address \"\(name)\"")
      }
      if let member, member.text("Status") == "alive" {
        return call.fail("\(member.text("Name")) is alive; let it leave by itself: nomad server leave -address=...")
      }
      if let obstacle = obstacle(removing: peer, peers, members), !call.flags.bool("force") {
        return call.fail(obstacle)
      }
      return try remove(member, peer, client, call)
    } catch {
      return call.fail("Error removing server \(name): \(error.text)")
    }
  }

  private static func peer(_ name: String, _ member: JSONValue?, _ peers: [JSONValue]) -> JSONValue? {
    let id = member.map { ServerCommands.tag($0, "id") } ?? ""
    return peers.first { peer in
      [peer.text("ID"), peer.text("Address"), peer.text("Node")].contains(name)
        || (!id.isEmpty && peer.text("ID") == id)
        || (member != nil && peer.text("Node") == member?.text("Name"))
    }
  }

  /// Those that stay must be able to agree, or nobody can remove anything.
  private static func obstacle(
    removing peer: JSONValue?, _ peers: [JSONValue], _ members: [JSONValue]
  ) -> String? {
    guard let peer, peer.flag("Voter") else { return nil }
    let staying = peers.filter { $0.flag("Voter") && $0.text("ID") != peer.text("ID") }
    let alive = staying.filter { one in
      members.contains { $0.text("Status") == "alive" && $0.text("Name") == one.text("Node") }
    }
    if staying.isEmpty { return "It is the only voter: nothing would be left" }
    guard alive.count < peers.count(where: { $0.flag("Voter") }) / 2 + 1 else { return nil }
    return "\(alive.count) of \(staying.count + 1) voters are alive, which is no quorum: start others before one is "
      + "removed"
  }

  private static func remove(
    _ member: JSONValue?, _ peer: JSONValue?, _ client: APIClient, _ call: Invocation
  ) throws(ClientError) -> Int32 {
    let isDry = call.flags.bool("dry-run")
    func say(_ text: String) { call.console.print((isDry ? "would be " : "") + text) }
    if let member {
      let name = member.text("Name")
      if !isDry { try client.put("/v1/agent/force-leave", [("node", name), ("prune", "1")]) }
      say("removed from gossip: \(name) (\(member.text("Status")))")
    } else {
      call.console.print("not in gossip")
    }
    guard let peer else {
      call.console.print("not in Raft")
      return 0
    }
    if !isDry, try !removePeer(peer.text("ID"), client) {
      return call.fail("\(peer.text("ID")) is still in Raft; ask again, or use nomad operator raft remove-peer")
    }
    say("removed from Raft: \(peer.text("ID")) (\(peer.text("Address")))")
    say("removed from the clients' lists: nomadd's own clients at once, others with their next heartbeat")
    return 0
  }

  /// The leader removes who has left gossip by itself; this only makes sure.
  private static func removePeer(_ id: String, _ client: APIClient) throws(ClientError) -> Bool {
    for attempt in 0..<patience {
      let peers = try client.get("/v1/operator/raft/configuration").rows("Servers")
      guard peers.contains(where: { $0.text("ID") == id }) else { return true }
      if attempt == patience / 2 { _ = try client.sendAny("DELETE", "/v1/operator/raft/peer", [("id", id)]) }
      sleepBriefly()
    }
    return false
  }
}
