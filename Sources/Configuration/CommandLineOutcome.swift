import ArgumentParser

/// What the command line asks for.
public enum CommandLineOutcome: Sendable {
  /// Start an agent. `warnings` are sentences for the operator, in order, without a prefix.
  case run(AgentConfiguration, warnings: [String])
  /// Print `text` and a new line, and end: help and version to standard output with status 0, one sentence about
  /// what is wrong to standard error with status 1.
  case printAndExit(text: String, status: Int32)
}

/// Resolves the command line of the agent. `arguments` are the words after the program name (for the `nomad`
/// program: after `agent`); a leading `agent` is skipped. Reads the files of `--config` through `files`; a reload
/// calls this again with the same arguments. `version` is printed as `Nomad v<version>`.
public func resolveCommandLine(
  _ arguments: [String], host: HostFacts, version: String, files: some ConfigurationFiles = DiskFiles()
) -> CommandLineOutcome {
  var words = arguments[...]
  if words.first == "agent" { words = words.dropFirst() }
  let versionText = "Nomad v\(version)"
  if words.first == "version" { return .printAndExit(text: versionText, status: 0) }
  do {
    let go = try GoArguments(Array(words))
    let options = try AgentOptions.parse(go.arguments)
    if options.version { return .printAndExit(text: versionText, status: 0) }
    var settings = Settings()
    for warning in go.warnings { settings.warn(warning) }
    let configuration = try options.configuration(&settings, host: host, files: files)
    return .run(configuration, warnings: settings.warnings)
  } catch let error as ConfigurationError {
    return .printAndExit(text: error.description, status: 1)
  } catch {
    let message = AgentOptions.message(for: error)
    guard AgentOptions.exitCode(for: error) != .success else { return .printAndExit(text: message, status: 0) }
    return .printAndExit(text: AgentOptions.sentence(message), status: 1)
  }
}

extension AgentOptions {
  /// ArgumentParser's message as one sentence that ends with a remedy.
  fileprivate static func sentence(_ message: String) -> String {
    let line = message.split(separator: "\n").joined(separator: " ")
    if line.hasSuffix("?") { return line }
    let end = line.hasSuffix(".") ? String(line.dropLast()) : line
    return end + "; nomadd --help lists the options"
  }

  fileprivate func configuration(
    _ settings: inout Settings, host: HostFacts, files: some ConfigurationFiles
  ) throws(ConfigurationError) -> AgentConfiguration {
    if dev { try Self.mergeDevelopmentDefaults(into: &settings) }
    var loaded: [String] = []
    for path in config { loaded += try settings.merge(path: path, files: files) }
    try mergeSwitches(into: &settings)
    try mergeValues(into: &settings)
    try mergeJoins(into: &settings)
    return try AgentConfiguration(&settings, host: host, developmentMode: dev, loadedFiles: loaded)
  }

  private static func mergeDevelopmentDefaults(into settings: inout Settings) throws(ConfigurationError) {
    let defaults: KeyValuePairs<String, Value.Kind> = [
      "server.enabled": .boolean(true), "client.enabled": .boolean(true), "server.bootstrap_expect": .number("1"),
      "bind_addr": .text("127.0.0.1"), "log_level": .text("DEBUG"), "enable_debug": .boolean(true),
      "telemetry.prometheus_metrics": .boolean(true), "client.network_interface": .text("lo"),
    ]
    for (path, value) in defaults { try settings.merge(path, value, from: .developmentMode) }
  }

  private func mergeSwitches(into settings: inout Settings) throws(ConfigurationError) {
    let switches: KeyValuePairs<String, (String, Bool)> = [
      "server": ("server.enabled", server), "client": ("client.enabled", client),
      "rejoin": ("server.rejoin_after_leave", rejoin), "log-json": ("log_json", logJson),
      "acl-enabled": ("acl.enabled", aclEnabled),
    ]
    for (name, (path, isOn)) in switches where isOn {
      try settings.merge(path, .boolean(true), from: .option("--\(name)"))
    }
  }

  private func mergeValues(into settings: inout Settings) throws(ConfigurationError) {
    let values: KeyValuePairs<String, (String, String?)> = [
      "bootstrap-expect": ("server.bootstrap_expect", bootstrapExpect), "bind": ("bind_addr", bind),
      "http-port": ("ports.http", httpPort), "rpc-port": ("ports.rpc", rpcPort), "serf-port": ("ports.serf", serfPort),
      "data-dir": ("data_dir", dataDir), "plugin-dir": ("plugin_dir", pluginDir), "name": ("name", name),
      "region": ("region", region), "dc": ("datacenter", dc), "log-level": ("log_level", logLevel),
      "encrypt": ("server.encrypt", encrypt), "raft-protocol": ("server.raft_protocol", raftProtocol),
      "raft-multiplier": ("server.raft_multiplier", raftMultiplier), "node-class": ("client.node_class", nodeClass),
      "node-pool": ("client.node_pool", nodePool), "state-dir": ("client.state_dir", stateDir),
      "alloc-dir": ("client.alloc_dir", allocDir), "network-interface": ("client.network_interface", networkInterface),
    ]
    for (name, (path, value)) in values {
      if let value { try settings.merge(path, .text(value), from: .option("--\(name)")) }
    }
    if let advertise { try mergeAdvertise(advertise, into: &settings) }
    let addresses: KeyValuePairs<String, String?> = ["http": advertiseHttp, "rpc": advertiseRpc, "serf": advertiseSerf]
    for (service, value) in addresses {
      if let value { try settings.merge("advertise.\(service)", .text(value), from: .option("--advertise-\(service)")) }
    }
    let entries = servers.flatMap { $0.split(separator: ",").map { String($0).trimmed } }.filter { !$0.isEmpty }
    try mergeList("client.servers", entries, option: "--servers", into: &settings)
    for pair in meta {
      let option = SourcePlace.option("--meta")
      guard let equals = pair.firstIndex(of: "="), equals > pair.startIndex else {
        throw ConfigurationError("Error parsing Client.Meta value: \(pair); write --meta key=value", at: option)
      }
      let text = Value(.text(String(pair[pair.index(after: equals)...])), at: option)
      let item = Block.Item(key: String(pair[..<equals]), place: option, value: text)
      try settings.merge("client.meta", .block(Block(items: [item])), from: option)
    }
  }

  /// One address for three services cannot carry a port.
  private func mergeAdvertise(_ text: String, into settings: inout Settings) throws(ConfigurationError) {
    let option = SourcePlace.option("--advertise")
    if !text.contains("{{") {
      do {
        _ = try HostText(text)
      } catch {
        throw ConfigurationError(error.description, at: option)
      }
    }
    for service in ["http", "rpc", "serf"] { try settings.merge("advertise.\(service)", .text(text), from: option) }
  }

  /// The join options speak of the server's block, or of the client's when server mode is off. They replace what files
  /// say, in the old spelling too.
  private func mergeJoins(into settings: inout Settings) throws(ConfigurationError) {
    let isServer = settings.boolean("server.enabled") ?? false
    let block = isServer ? "server.server_join" : "client.server_join"
    try mergeList("\(block).retry_join", retryJoin, option: "--retry-join", into: &settings)
    try mergeList("\(block).start_join", join, option: "--join", into: &settings)
    if let retryMax { try settings.merge("\(block).retry_max", .text(retryMax), from: .option("--retry-max")) }
    if let retryInterval {
      try settings.merge("\(block).retry_interval", .text(retryInterval), from: .option("--retry-interval"))
    }
  }

  private func mergeList(
    _ path: String, _ texts: [String], option: String, into settings: inout Settings
  ) throws(ConfigurationError) {
    guard !texts.isEmpty else { return }
    let place = SourcePlace.option(option)
    try settings.merge(path, .list(texts.map { Value(.text($0), at: place) }), from: place)
  }
}
