import Base
import Configuration
import Durable
import Glibc
import Raft
import Server
import Wire

/// `nomadd operator raft recover`: the guided way to a `peers.json`, for a server that lost its quorum for ever. Works
/// on the data directory of a stopped server, explains, and changes nothing without consent.
public func runRecover(arguments: [String]) -> Int32 {
  do throws(StartFailure) {
    guard let options = try RecoverOptions(arguments) else {
      printText(RecoverOptions.help, to: STDOUT_FILENO)
      return 0
    }
    let plan = try RecoverPlan(options)
    printText(plan.explanation, to: STDOUT_FILENO)
    return try plan.carryOut(options)
  } catch {
    printText("nomadd: \(error.sentence)", to: STDERR_FILENO)
    return 1
  }
}

/// The words behind `operator raft recover`.
struct RecoverOptions {
  var dataDirectory = ""
  var kept: [String] = []
  var own = ""
  var isDryRun = false
  var isConfirmed = false

  static let help = """
    Usage: nomadd operator raft recover -data-dir=<dir> [options]

      Gives a server whose cluster lost its quorum for ever a new Raft configuration:
      by default itself alone. The server must be stopped. Says what will happen and
      what may be lost, asks, and writes raft/peers.json, which the server carries out
      at its next start.

      If enough of the other servers can still be started, do that instead: then
      nothing is lost. To take single servers out of a cluster that has a leader, use
      'nomad operator raft remove-peer'.

    Options:

      -data-dir=<dir>
        The data_dir of the stopped server.

      -keep=<id or address>
        Another server of the old configuration that lives on; repeatable. It must be
        stopped as well, and needs the same peers.json.

      -self=<id or address>
        Which server of the old configuration this one is. Needed only under Raft
        protocol 2, where ids are addresses.

      -dry-run
        Explain, and write nothing.

      -yes
        Do not ask.
    """

  /// Nil when the help is asked for.
  init?(_ arguments: [String]) throws(StartFailure) {
    var words = arguments[...]
    while let word = words.popFirst() {
      guard word.hasPrefix("-") else {
        throw StartFailure(sentence: "operator raft recover: unexpected word \"\(word)\"; -help lists the options")
      }
      let body = word.drop { $0 == "-" }
      let name = String(body.prefix { $0 != "=" })
      let given = body.firstIndex(of: "=").map { String(body[body.index(after: $0)...]) }
      switch name {
      case "h", "help": return nil
      case "dry-run": isDryRun = true
      case "yes": isConfirmed = true
      case "data-dir", "keep", "self":
        guard let value = given ?? words.popFirst(), !value.isEmpty else {
          throw StartFailure(sentence: "operator raft recover: -\(name) needs a value; -help explains it")
        }
        switch name {
        case "data-dir": dataDirectory = value
        case "keep": kept.append(value)
        default: own = value
        }
      default:
        throw StartFailure(sentence: "operator raft recover: unknown option -\(name); -help lists the options")
      }
    }
    guard !dataDirectory.isEmpty else {
      throw StartFailure(sentence: "operator raft recover: name the server's directory with -data-dir; -help explains")
    }
  }
}

/// What is on the disk, and what shall be.
struct RecoverPlan {
  let directory: String
  let own: RaftServer
  let summary: RaftSummary
  let snapshot: SnapshotMetadata?
  let hardState: HardState
  let after: RaftConfiguration
  let isLegacy: Bool
  private let lock: DirectoryLock

  init(_ options: RecoverOptions) throws(StartFailure) {
    directory = try Self.serverDirectory(options.dataDirectory)
    let log: LogStore
    let restored: RaftRestoredState
    do throws(DurableError) {
      lock = try DirectoryLock(directory)
      log = try LogStore(directory: directory + "/raft")
      restored = try ServerStorage.readRaft(
        log, try SnapshotStore(directory: directory + "/raft/snapshots"), directory).0
    } catch {
      if case .inUse = error {
        throw StartFailure(
          sentence: "the server of \(directory) is running; stop it first. While it has a leader, use "
            + "'nomad operator raft remove-peer' instead")
      }
      throw StartFailure(sentence: "\(error)")
    }
    summary = try RaftSummary(restored, StoredLogReader(log), directory + "/raft")
    snapshot = restored.snapshot
    hardState = restored.hardState
    guard summary.lastIndex > 0, !summary.configuration.isEmpty else {
      throw StartFailure(sentence: "\(directory)/raft holds no configuration: this server never was in a cluster")
    }
    let own = try Self.ownServer(in: summary.configuration, options.own, directory)
    self.own = own
    var servers: [RaftServer] = []
    for name in options.kept {
      guard let server = summary.configuration.servers.first(where: { $0.id == name || $0.address == name }) else {
        throw StartFailure(
          sentence: "-keep=\(name): no server of the configuration has this id or address; it has "
            + summary.configuration.summary)
      }
      if server.id != own.id, !servers.contains(server) { servers.append(server) }
    }
    let kept = summary.configuration.servers.filter { $0.id == own.id || servers.contains($0) }
    // The last one left must be able to lead.
    let voters = kept.contains { $0.isVoter } ? kept : kept.map { RaftServer(id: $0.id, address: $0.address) }
    after = RaftConfiguration(voters)
    isLegacy = after.servers.allSatisfy { $0.id == $0.address }
  }

  private static func serverDirectory(_ path: String) throws(StartFailure) -> String {
    let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    for candidate in [path + "/server", path] where SmallFile.directoryExists(candidate + "/raft") { return candidate }
    throw StartFailure(sentence: "\(path) holds no data of a server (\(path)/server/raft); check -data-dir")
  }

  private static func ownServer(
    in configuration: RaftConfiguration, _ named: String, _ directory: String
  ) throws(StartFailure) -> RaftServer {
    var name = named
    if name.isEmpty {
      do throws(DurableError) {
        name = String(decoding: try SmallFile(directory + "/node-id").read() ?? [], as: UTF8.self)
          .filter { !$0.isWhitespace }.lowercased()
      } catch {
        throw StartFailure(sentence: "\(error)")
      }
    }
    if let server = configuration.servers.first(where: { $0.id == name || $0.address == name }) { return server }
    throw StartFailure(
      sentence: "which server of the configuration is this one? Its id is not among \(configuration.summary); "
        + "say it with -self=<id or address>")
  }

  // MARK: Words

  var explanation: String {
    let removed = summary.configuration.servers.filter { server in !after.servers.contains { $0.id == server.id } }
    var lines = [
      "==> Recovery of a Raft configuration", "",
      "Data directory  = \(directory)", "This server     = \(own.id) (\(own.address))",
      "Last entry      = index \(summary.lastIndex), term \(summary.lastTerm)",
      "Newest snapshot = " + (snapshot.map { "index \($0.index), term \($0.term)" } ?? "none"),
      "Current term    = \(hardState.term)", "",
      "Configuration now (index \(summary.configurationIndex)):",
    ]
    lines += Self.table(summary.configuration)
    lines += ["", "Configuration after the recovery:"] + Self.table(after)
    lines += [
      "", "What will happen:",
      "  - raft/peers.json is written. At its next start this server applies its whole log,",
      "    makes the configuration above its own, and removes the file.",
      after.voterCount == 1
        ? "  - It becomes leader by itself. New servers join as usual, with empty directories."
        : "  - The \(after.voterCount) voters elect a leader. Copy the same peers.json to raft/ of each, all stopped.",
      "", "What may be lost:",
      "  - Every change after index \(summary.lastIndex) that only the other servers have.",
      "    If another one can still be read, compare: recover the one with the highest term and index.",
      "  - Changes up to index \(summary.lastIndex) that were never confirmed become valid.",
    ]
    if !removed.isEmpty {
      lines += [
        "", "Never start these servers again with their old data, or there will be two clusters:",
      ]
      lines += removed.map { "  \($0.id)  \($0.address)" }
    }
    return lines.joined(separator: "\n")
  }

  private static func table(_ configuration: RaftConfiguration) -> [String] {
    let width = configuration.servers.map { $0.id.count }.max() ?? 0
    return configuration.servers.map { server in
      "  " + server.id + String(repeating: " ", count: width - server.id.count) + "  \(server.address)  "
        + (server.isVoter ? "voter" : "non-voter")
    }
  }

  // MARK: Doing

  func carryOut(_ options: RecoverOptions) throws(StartFailure) -> Int32 {
    if options.isDryRun {
      printText("\nNothing was written (-dry-run).", to: STDOUT_FILENO)
      return 0
    }
    if !options.isConfirmed {
      guard isatty(STDIN_FILENO) == 1 else {
        throw StartFailure(sentence: "nothing was written: there is nobody to ask. Add -yes, or -dry-run to only look")
      }
      printText("\nWrite peers.json? Only \"yes\" is accepted:", to: STDOUT_FILENO)
      guard readLine() == "yes" else {
        printText("Nothing was written.", to: STDOUT_FILENO)
        return 1
      }
    }
    let file = ServerStorage.recoveryFile(in: directory)
    do throws(DurableError) { try file.replaceForOwner(after.recoveryText(legacy: isLegacy)) } catch {
      throw StartFailure(sentence: "\(error)")
    }
    printText(
      "\nWritten: \(file.path)\nStart the server now. To take it back before, remove the file.", to: STDOUT_FILENO)
    return 0
  }
}
