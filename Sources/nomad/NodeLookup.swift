import Base
import HTTP

/// Finding a node by the beginning of its id (cli.md section 1.3).
enum NodeLookup {
  enum Outcome {
    case found(String)
    /// The message has been printed.
    case failed
  }

  /// The prefix as it may be queried: an odd last hexadecimal digit is dropped.
  static func sanitized(_ prefix: String) -> String {
    let digits = prefix.filter { $0 != "-" }.count
    return digits % 2 == 0 ? prefix : String(prefix.dropLast())
  }

  /// `noun` is `prefix` or `prefix or id`, as the commands differ; `length` is how many characters of ids are shown.
  static func find(
    _ argument: String, noun: String, length: Int, failure: String, _ client: APIClient, _ call: Invocation
  ) -> Outcome {
    if argument.count == 1 {
      call.console.error("Identifier must contain at least two characters.")
      return .failed
    }
    let nodes: [JSONValue]
    do throws(ClientError) {
      nodes = try client.get("/v1/nodes", [("prefix", sanitized(argument))]).array ?? []
    } catch {
      call.console.error("\(failure): \(error.text)")
      return .failed
    }
    switch nodes.count {
    case 0: call.console.error("No node(s) with \(noun) \"\(sanitized(argument))\" found")
    case 1: return .found(nodes[0].text("ID"))
    default:
      call.console.error(
        "Prefix matched multiple nodes\n\n" + table(rows(nodes, idLength: length, verbose: false)))
    }
    return .failed
  }

  /// The rows of a node list.
  static func rows(_ nodes: [JSONValue], idLength: Int, verbose: Bool) -> [[String]] {
    let header =
      verbose
      ? ["ID", "DC", "Name", "Class", "Address", "Version", "Drain", "Eligibility", "Status"]
      : ["ID", "DC", "Name", "Class", "Drain", "Eligibility", "Status"]
    return [header]
      + nodes.map { node in
        [String(node.text("ID").prefix(idLength)), node.text("Datacenter"), node.text("Name"), node.text("NodeClass")]
          + (verbose ? [node.text("Address"), node.text("Version")] : [])
          + ["\(node.flag("Drain"))", node.text("SchedulingEligibility"), node.text("Status")]
      }
  }

  /// The node id of the agent asked; prints why there is none.
  static func own(_ client: APIClient, _ call: Invocation, failure: String) -> Outcome {
    do throws(ClientError) {
      let answer = try client.get("/v1/agent/self")
      if let id = answer["stats"]?["client"]?["node_id"]?.string, !id.isEmpty { return .found(id) }
      call.console.error("Nomad not running in client mode")
    } catch {
      call.console.error("\(failure): \(error.text)")
    }
    return .failed
  }
}
