import HTTP

/// What the arguments of the program mean.
struct Dispatcher {
  let commands: [Command]
  let console: Console
  let environment: (String) -> String?
  let transport: Transport

  /// All commands of the program.
  static var everything: [Command] {
    ServerCommands.all + NodeCommands.all + OperatorCommands.all + SnapshotCommands.all + OtherCommands.all
  }

  /// The Nomad version whose command line this is, and the word scripts read.
  static let version = "1.1.2"

  /// Runs the command and returns the exit code: 0, 1, 2 (`check`), 127 (unknown command).
  func run(_ arguments: [String]) -> Int32 {
    if let line = environment("COMP_LINE") { return complete(line) }
    guard let first = arguments.first else {
      console.print(mainHelp)
      return 127
    }
    if ["-v", "-version", "--version"].contains(first) {
      console.print(Self.versionLine)
      return 0
    }
    let path = arguments.prefix { !$0.hasPrefix("-") }
    let beforeDashes = arguments.prefix { $0 != "--" }
    let wantsHelp = beforeDashes.contains { ["-h", "-help", "--help", "--h"].contains($0) }
    if path.isEmpty { return flagsFirst(arguments, wantsHelp: wantsHelp) }
    guard let command = command(for: Array(path)) else { return group(Array(path), wantsHelp: wantsHelp) }
    if wantsHelp {
      console.print(command.helpText)
      return 0
    }
    return run(command, Array(arguments.dropFirst(command.words.count)))
  }

  static let versionLine = "Nomad v\(version) (nomadd)"

  private func run(_ command: Command, _ words: [String]) -> Int32 {
    if let replacement = command.replacedBy { warn(command, replacement) }
    var flags = Flags(Dictionary(command.allOptions.map { ($0.name, $0.kind) }, uniquingKeysWith: { a, _ in a }))
    do throws(FlagError) {
      try flags.parse(words)
    } catch {
      console.error((command.prefixesFlagErrors ? "Failed to parse args: " : "") + error.text)
      console.print(command.helpText)
      return 1
    }
    var invocation = Invocation(
      command, flags: flags, console: console, environment: environment, transport: transport)
    return command.run(&invocation)
  }

  private func warn(_ command: Command, _ replacement: [String]) {
    let text =
      "WARNING! The \"nomad \(command.name)\" command is deprecated. Please use \"nomad "
      + replacement.joined(separator: " ")
      + "\" instead. This command will be removed in Nomad 0.10 (or later)."
    console.error(wrapped(text, at: 78) + "\n")
  }

  /// The longest command that the words begin with.
  private func command(for path: [String]) -> Command? {
    commands.filter { path.starts(with: $0.words) }.max { $0.words.count < $1.words.count }
  }

  /// Options stand before the command words.
  private func flagsFirst(_ arguments: [String], wantsHelp: Bool) -> Int32 {
    let path = Array(arguments.drop { $0.hasPrefix("-") }.prefix { !$0.hasPrefix("-") })
    if path.isEmpty {
      console.print(mainHelp)
      return wantsHelp ? 0 : 127
    }
    console.print(
      "Invalid flags before the subcommand. If these flags are for\nthe subcommand, please put them "
        + "after the subcommand.\n"
    )
    console.print(command(for: path)?.helpText ?? groupHelp(path) ?? mainHelp)
    return 1
  }

  /// Words that are the beginning of commands, or nothing we know.
  private func group(_ path: [String], wantsHelp: Bool) -> Int32 {
    for count in stride(from: path.count, to: 0, by: -1) {
      guard let help = groupHelp(Array(path.prefix(count))) else { continue }
      console.print(help)
      return wantsHelp ? 0 : 1
    }
    if Self.outOfScope.contains(path[0]) {
      console.error("This build manages clusters only; \"nomad \(path[0])\" is not part of it.")
      return 1
    }
    console.print(mainHelp)
    return 127
  }

  /// Families of the real command that belong to the scheduler.
  private static let outOfScope: Set<String> = [
    "job", "run", "stop", "plan", "validate", "init", "inspect", "logs", "exec", "fs", "alloc", "alloc-status",
    "deployment", "eval", "eval-status", "plugin", "volume", "acl", "quota", "recommendation", "scaling", "sentinel",
    "license", "var", "service", "login", "setup", "tls",
  ]

  // MARK: Help

  var mainHelp: String {
    let common = ["agent", "node", "status"]
    func lines(_ names: [String]) -> String {
      let width = names.map(\.count).max() ?? 0
      return names.map { name in
        "    " + name + String(repeating: " ", count: width - name.count) + "    " + synopsis([name])
      }.joined(separator: "\n")
    }
    let others = Set(commands.filter { !$0.isHidden }.map { $0.words[0] }).subtracting(common).sorted()
    return "Usage: nomad [-version] [-help] [-autocomplete-(un)install] <command> [args]\n\nCommon commands:\n"
      + lines(common) + "\n\nOther commands:\n" + lines(others)
  }

  /// `nil` when no command begins with these words.
  private func groupHelp(_ path: [String]) -> String? {
    let inside = commands.filter { !$0.isHidden && $0.words.count > path.count && $0.words.starts(with: path) }
    guard !inside.isEmpty else { return nil }
    let names = Set(inside.map { $0.words[path.count] }).sorted()
    let width = names.map(\.count).max() ?? 0
    let lines = names.map { name in
      "    " + name + String(repeating: " ", count: width - name.count) + "    " + synopsis(path + [name])
    }
    return "Usage: nomad \(path.joined(separator: " ")) <subcommand> [options] [args]\n\n"
      + "  \(synopsis(path)).\n\nSubcommands:\n\n" + lines.joined(separator: "\n")
  }

  private func synopsis(_ path: [String]) -> String {
    commands.first { $0.words == path }?.synopsis ?? Self.groupSynopses[path.joined(separator: " ")] ?? ""
  }

  private static let groupSynopses = [
    "server": "Interact with servers", "node": "Interact with nodes",
    "operator": "Provides cluster-level tools for Nomad operators", "system": "Interact with the system API",
    "system reconcile": "Perform system reconciliation tasks", "operator raft": "Provides access to the Raft subsystem",
    "operator autopilot": "Provides tools for modifying Autopilot configuration",
    "operator snapshot": "Saves and restores snapshots of the cluster state",
    "operator gossip": "Manages the keys of gossip encryption",
    "operator gossip keyring": "Manages the keys of gossip encryption",
    "operator scheduler": "Provides access to the scheduler configuration",
  ]

  // MARK: Completion

  /// The shell runs us with the line typed so far; one candidate a line (cli.md section 7).
  private func complete(_ line: String) -> Int32 {
    var words = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    let last = words.popLast() ?? ""
    let path = words.dropFirst().filter { !$0.isEmpty && !$0.hasPrefix("-") }
    var candidates: Set<String> = []
    if last.hasPrefix("-") {
      if let command = command(for: Array(path)) { candidates = Set(command.allOptions.map { "-" + $0.name }) }
    } else {
      for command in commands where !command.isHidden && command.words.count > path.count {
        if command.words.starts(with: path) { candidates.insert(command.words[path.count]) }
      }
    }
    for candidate in candidates.sorted() where candidate.hasPrefix(last) { console.print(candidate) }
    return 0
  }
}
