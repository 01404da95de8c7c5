import Archive
import HTTP

/// `nomad operator snapshot|keygen|keyring|metrics` (cli.md section 5).
enum SnapshotCommands {
  static var all: [Command] {
    [
      Command(
        words: ["operator", "snapshot", "save"], synopsis: "Save a snapshot of the Nomad server state",
        usage: "[options] [<file>]", help: "Writes the replicated state to a file, which is checked before.",
        options: [.init("stale", help: "Any server may answer, even without a leader.")], prefixesFlagErrors: true,
        run: save),
      Command(
        words: ["operator", "snapshot", "restore"], synopsis: "Restore snapshot of Nomad server state",
        usage: "[options] <file>", help: "Replaces the replicated state by that of a file.", run: restore),
      Command(
        words: ["operator", "snapshot", "inspect"], synopsis: "Displays information about a Nomad snapshot file",
        usage: "[options] <file>",
        help: "Checks a snapshot file wholly and shows what it stands for. Asks no agent.",
        options: [.init("json", help: "Print as JSON.")], usesAPI: false, prefixesFlagErrors: true, run: inspect),
      Command(
        words: ["operator", "snapshot", "state"], synopsis: "Displays a JSON representation of a Nomad snapshot file",
        usage: "<file>",
        help: "Checks a snapshot file wholly and prints every record of it as JSON, by table.\nSecrets are left out. "
          + "Asks no agent.",
        usesAPI: false, prefixesFlagErrors: true, run: state),
      Command(
        words: ["operator", "keygen"], synopsis: "Generates a new encryption key", usage: "",
        help: "Prints a new key for the encryption of gossip.", usesAPI: false, run: keygen),
      Command(
        words: ["keygen"], synopsis: "Generates a new encryption key", usage: "",
        help: "Prints a new key for the encryption of gossip.", usesAPI: false, isHidden: true,
        replacedBy: ["operator", "keygen"], run: keygen),
      Command(
        words: ["operator", "gossip", "keyring", "generate"], synopsis: "Generates a new encryption key", usage: "",
        help: "Prints a new key for the encryption of gossip.", usesAPI: false, run: keygen),
      keyringCommand(["operator", "keyring"]), keyringCommand(["keyring"], replacedBy: ["operator", "keyring"]),
      gossipCommand("list", "Lists the installed encryption keys"),
      gossipCommand("install", "Installs a new encryption key"),
      gossipCommand("use", "Changes the primary encryption key"),
      gossipCommand("remove", "Removes an encryption key"),
      Command(
        words: ["operator", "metrics"], synopsis: "Retrieve Nomad metrics", usage: "[options]",
        help: "Prints the metrics of the agent as the API gives them.",
        options: [
          .init("pretty", help: "Indent the JSON."), .init("format", .string, "<format>", "json or prometheus"),
          .init("json", help: "Print as JSON with sorted names."),
        ], run: metrics),
    ]
  }

  // MARK: Snapshots

  private static func save(_ call: inout Invocation) -> Int32 {
    guard call.arguments.count <= 1 else {
      return call.misuse("This command takes either no arguments or one: <filename>")
    }
    let day = localTime(unixNow()).prefix(10).filter { $0 != "-" }
    let file = call.arguments.first ?? "nomad-state-\(day)-\(unixNow()).snap"
    if fileExists(file) { return call.fail("Destination file already exists: \"\(file)\"") }
    guard let client = call.client() else { return 1 }
    do throws(ClientError) {
      let query: [Parameter] = call.flags.bool("stale") ? [("stale", "")] : []
      let response = try client.send("GET", "/v1/operator/snapshot", query)
      if let reason = damage(of: response) { return call.fail("Failed to get snapshot file: \(reason)") }
      do throws(SystemError) {
        try writeFile(file, response.body)
      } catch {
        return call.fail("Failed to write snapshot file: \(error.text)")
      }
      call.console.print("State file written to \(file)")
      return 0
    } catch {
      return call.fail("Failed to get snapshot file: \(error.text)")
    }
  }

  /// What is wrong with a downloaded archive, or `nil`.
  private static func damage(of response: HTTPResponse) -> String? {
    guard let digest = response.headers.first(named: "digest") else {
      return "missing or duplicate digest header"
    }
    do throws(SnapshotArchive.Failure) {
      guard try SnapshotArchive.digest(of: response.body) == digest else { return "snapshot checksum mismatch" }
      _ = try SnapshotArchive(decoding: response.body)
      return nil
    } catch {
      return error.text
    }
  }

  /// The archive that the only argument names, checked; `nil` when it was said what is wrong.
  private static func checkedArchive(_ call: inout Invocation) -> SnapshotArchive? {
    guard call.arguments.count == 1 else {
      _ = call.misuse("This command takes one argument: <filename>")
      return nil
    }
    do throws(SystemError) {
      let bytes = try readFile(call.arguments[0])
      do throws(SnapshotArchive.Failure) { return try SnapshotArchive(decoding: bytes) } catch {
        _ = call.fail("Error verifying snapshot: \(error.text)")
      }
    } catch {
      _ = call.fail("Error opening snapshot file: \(error.text)")
    }
    return nil
  }

  private static func state(_ call: inout Invocation) -> Int32 {
    guard let archive = checkedArchive(&call) else { return 1 }
    do throws(SnapshotState.Failure) {
      let state = try SnapshotState(decoding: archive.state)
      call.console.print(state.json(of: archive.metadata).text(pretty: true))
      return 0
    } catch {
      return call.fail("Error reading snapshot: \(error.text)")
    }
  }

  private static func inspect(_ call: inout Invocation) -> Int32 {
    guard let archive = checkedArchive(&call) else { return 1 }
    let metadata = archive.metadata
    if call.wantsData {
      return call.printData([
        "ID": .string(metadata.id), "Size": .integer(Int64(metadata.size)), "Index": .unsigned(metadata.index.value),
        "Term": .unsigned(metadata.term.value), "Version": .integer(metadata.version),
      ])
    }
    call.console.print(
      table(
        [
          ["ID", metadata.id], ["Size", "\(metadata.size)"], ["Index", "\(metadata.index)"],
          ["Term", "\(metadata.term)"], ["Version", "\(metadata.version)"],
        ]))
    return 0
  }

  private static func restore(_ call: inout Invocation) -> Int32 {
    guard call.arguments.count == 1 else { return call.misuse("This command takes one argument: <filename>") }
    let archive: [UInt8]
    do throws(SystemError) {
      archive = try readFile(call.arguments[0])
    } catch {
      return call.fail("Error opening snapshot file: \"\(error.text)\"")
    }
    guard let client = call.client() else { return 1 }
    do throws(ClientError) {
      _ = try client.send("PUT", "/v1/operator/snapshot", [], body: archive)
      call.console.print("Snapshot Restored")
      return 0
    } catch {
      return call.fail("Failed to get restore snapshot: \(error.text)")
    }
  }

  // MARK: Keys

  private static func keygen(_ call: inout Invocation) -> Int32 {
    guard call.arguments.isEmpty else { return call.misuse("This command takes no arguments") }
    call.console.print(Base64.encode(randomBytes(32).borrowedBytes))
    return 0
  }

  private static func keyringCommand(_ words: [String], replacedBy: [String]? = nil) -> Command {
    Command(
      words: words, synopsis: "Manages gossip layer encryption keys", usage: "[options]",
      help: "Lists, installs, activates or removes keys on all servers of all regions.",
      options: [
        .init("list", help: "List the keys."), .init("install", .string, "<key>", "Install a key, not yet used."),
        .init("use", .string, "<key>", "Encrypt with an installed key from now on."),
        .init("remove", .string, "<key>", "Remove a key that is not in use."),
      ], isHidden: replacedBy != nil, replacedBy: replacedBy, run: keyring)
  }

  private static func gossipCommand(_ action: String, _ synopsis: String) -> Command {
    Command(
      words: ["operator", "gossip", "keyring", action], synopsis: synopsis,
      usage: "[options]" + (action == "list" ? "" : " <key>"), help: synopsis + "."
    ) { call in
      if action == "list" { return change("list", nil, call) }
      guard call.arguments.count == 1 else { return call.misuse("This command requires one argument: <key>") }
      return change(action, call.arguments[0], call)
    }
  }

  private static func keyring(_ call: inout Invocation) -> Int32 {
    var actions: [(String, String?)] = call.flags.bool("list") ? [("list", nil)] : []
    for action in ["install", "use", "remove"] {
      if let key = call.flags.string(action), !key.isEmpty { actions.append((action, key)) }
    }
    guard let action = actions.first else {
      call.console.error("No actionable argument was passed")
      return call.misuse("Either the '-install', '-use', '-remove' or '-list' flag must be set")
    }
    guard actions.count == 1 else { return call.misuse("Only a single action is allowed") }
    return change(action.0, action.1, call)
  }

  private static func change(_ action: String, _ key: String?, _ call: Invocation) -> Int32 {
    guard let client = call.client() else { return 1 }
    switch action {
    case "list": call.console.print("Gathering installed encryption keys...")
    case "install": call.console.print("Installing new gossip encryption key...")
    case "use": call.console.print("Changing primary gossip encryption key...")
    default: call.console.print("Removing gossip encryption key...")
    }
    do throws(ClientError) {
      guard let key else {
        let keys = try client.get("/v1/agent/keyring/list").members("Keys")
        call.console.print(table([["Key"]] + keys.map { [$0.name] }))
        return 0
      }
      try client.put("/v1/agent/keyring/\(action)", [], ["Key": .string(key)])
      return 0
    } catch {
      return call.fail("error: \(error.text)")
    }
  }

  // MARK: Metrics

  private static func metrics(_ call: inout Invocation) -> Int32 {
    guard call.arguments.isEmpty else { return call.misuse("This command takes no arguments") }
    guard let client = call.client() else { return 1 }
    do throws(ClientError) {
      if call.wantsData {
        return call.printData(try client.get("/v1/metrics"))
      }
      var query: [Parameter] = []
      if call.flags.bool("pretty") { query.append(("pretty", "true")) }
      if let format = call.flags.string("format") { query.append(("format", format)) }
      let response = try client.send("GET", "/v1/metrics", query)
      call.console.print(String(decoding: response.body, as: UTF8.self))
      return 0
    } catch {
      return call.fail("Error getting metrics: \(error.text)")
    }
  }
}
