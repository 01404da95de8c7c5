import Base

extension ServerSettings {
  init(
    _ settings: inout Settings, dataDirectory parent: String?, region: String, serfPort: UInt16, developmentMode: Bool
  ) throws(ConfigurationError) {
    bootstrapExpect = settings.integer("server.bootstrap_expect") ?? 0
    if bootstrapExpect == 1, !developmentMode {
      settings.warn("Bootstrap mode enabled! Potentially unsafe operation.")
    } else if bootstrapExpect > 0, bootstrapExpect % 2 == 0 {
      settings.warn("Number of bootstrap servers should ideally be set to an odd number.")
    }
    dataDirectory = try settings.directory("server.data_dir") ?? parent.map { $0 == "/" ? "/server" : $0 + "/server" }
    join = try JoinSettings(server: settings, serfPort: serfPort)
    rejoinAfterLeave = settings.boolean("server.rejoin_after_leave") ?? false

    if let version = settings.integer("server.protocol_version"), version > 1 {
      throw settings.refused(
        "Protocol version '\(version)' too high. Must be in range: [1, 1]; remove protocol_version",
        "server.protocol_version")
    }
    raftProtocol = settings.integer("server.raft_protocol") ?? 3
    guard (2...3).contains(raftProtocol) else {
      throw settings.refused(
        "raft_protocol is \(raftProtocol), and nomadd speaks 2 and 3; use 3, or remove it", "server.raft_protocol")
    }
    let multiplier = settings.integer("server.raft_multiplier") ?? 1
    guard multiplier <= 10 else {
      throw settings.refused(
        "raft_multiplier cannot be \(multiplier). Must be between 1 and 10; lower it", "server.raft_multiplier")
    }
    raftMultiplier = max(multiplier, 1)
    raftSnapshotThreshold = settings.integer("server.raft_snapshot_threshold") ?? 8192
    raftSnapshotInterval = settings.duration("server.raft_snapshot_interval") ?? .seconds(120)
    guard raftSnapshotInterval > .milliseconds(5) else {
      throw settings.refused(
        "raft_snapshot_interval must be greater than 5ms; raise it, or remove it for 120s",
        "server.raft_snapshot_interval")
    }
    raftTrailingLogs = settings.integer("server.raft_trailing_logs") ?? 10240
    encryptionKey = try Self.encryptionKey(settings)

    heartbeatGrace = settings.duration("server.heartbeat_grace") ?? .seconds(10)
    heartbeatTTLMin = settings.duration("server.min_heartbeat_ttl") ?? .seconds(10)
    heartbeatsPerSecondMax = settings.decimal("server.max_heartbeats_per_second") ?? 50
    heartbeatTTLFailover = settings.duration("server.failover_heartbeat_ttl")
    nodeGCThreshold = settings.duration("server.node_gc_threshold") ?? .hours(24)
    authoritativeRegion = settings.text("server.authoritative_region") ?? region
    isNonVoter = settings.boolean("server.non_voting_server") ?? false
    if settings.place("server.federates_with") != nil {
      federation = settings.list("server.federates_with").map(\.text)
    }
    isWitness = settings.boolean("server.witness") ?? false
    if isWitness, isNonVoter {
      throw settings.refused(
        "a witness votes, and non_voting_server = true says that it does not; remove one of them", "server.witness")
    }
    if isWitness, bootstrapExpect == 1 {
      throw settings.refused(
        "a witness cannot be a cluster of its own; raise bootstrap_expect to the number of servers, itself included",
        "server.witness")
    }
    redundancyZone = settings.text("server.redundancy_zone")
    upgradeVersion = settings.text("server.upgrade_version")
  }

  /// The key itself never appears in an error: errors end up in logs.
  private static func encryptionKey(_ settings: Settings) throws(ConfigurationError) -> [UInt8]? {
    guard let text = settings.text("server.encrypt") else { return nil }
    let remedy = "write the base64 of 16, 24 or 32 random bytes, such as \"openssl rand -base64 32\" prints"
    guard let key = text.base64Bytes else {
      throw settings.refused("Invalid encryption key: illegal base64 data; \(remedy)", "server.encrypt")
    }
    guard [16, 24, 32].contains(key.count) else {
      throw settings.refused(
        "Invalid encryption key: key size must be 16, 24 or 32 bytes and is \(key.count); \(remedy)", "server.encrypt")
    }
    return key
  }
}

extension ClientSettings {
  init(
    _ settings: inout Settings, dataDirectory parent: String?, isServer: Bool, developmentMode: Bool
  ) throws(ConfigurationError) {
    stateDirectory = try settings.directory("client.state_dir") ?? parent.map { $0 == "/" ? "/client" : $0 + "/client" }
    if stateDirectory == nil, !developmentMode {
      throw ConfigurationError(
        "Must specify the state, alloc dir, and plugin dir if data-dir is omitted: give --data-dir, such as "
          + "--data-dir /var/lib/nomad, or at least --state-dir")
    }
    join = try JoinSettings(client: settings)
    servers = []
    for entry in settings.list("client.servers") {
      do {
        servers.append(try Endpoint(entry.text.trimmed, defaultPort: AgentConfiguration.defaultRPCPort))
      } catch {
        throw ConfigurationError("client.servers: \(error)", at: entry.place)
      }
    }
    if !isServer, servers.isEmpty, join.retry.isEmpty {
      settings.warn(
        "the client knows no server and waits to be told one; set servers = [\"address:4647\"], or give --servers")
    }
    nodeClass = settings.text("client.node_class") ?? ""
    nodePool = settings.text("client.node_pool") ?? "default"
    guard Self.isPoolName(nodePool) else {
      throw settings.refused(
        "Invalid node pool: \(nodePool.quoted); use 1 to 128 letters, digits, \"-\" and \"_\"", "client.node_pool")
    }
    meta = settings.pairs("client.meta")
    for pair in settings.map("client.meta") where !Self.isMetaKey(pair.key) {
      throw ConfigurationError(
        "Invalid Client.Meta key: \(pair.key.quoted); leave out dots at its ends and double dots", at: pair.place)
    }
    options = settings.pairs("client.options")
    networkInterface = settings.text("client.network_interface")
    settings.warnWithoutEffect("client.network_interface", "no network is fingerprinted; set advertise")
  }

  private static func isPoolName(_ name: String) -> Bool {
    (1...128).contains(name.utf8.count) && name.utf8.allSatisfy { $0.isWordByte && $0 < 0x80 && $0 != 46 }
  }

  private static func isMetaKey(_ key: String) -> Bool {
    !key.isEmpty && !key.hasPrefix(".") && !key.hasSuffix(".") && !key.contains("..")
  }
}

extension JoinSettings {
  /// The list may be long, and each entry costs a dial per round.
  static let maximumEntries = 1000

  fileprivate init(server settings: Settings, serfPort: UInt16) throws(ConfigurationError) {
    let block = "server.server_join"
    for key in ["retry_join", "start_join", "retry_max", "retry_interval"] {
      guard let place = settings.place("server.\(key)"),
        let blockPlace = settings.list("\(block).retry_join").first?.place
          ?? (key == "start_join" ? settings.list("\(block).start_join").first?.place : nil)
      else { continue }
      // Options win over files, in whichever spelling the files say it.
      if case .option = blockPlace { continue }
      throw ConfigurationError(
        "server_join and \(key) cannot both be defined; prefer setting the server_join stanza at \(blockPlace) "
          + "and remove this \(key)", at: place)
    }
    let retry = settings.list("\(block).retry_join")
    try self.init(
      settings, start: settings.list("\(block).start_join") + settings.list("server.start_join"),
      retry: retry.isEmpty ? settings.list("server.retry_join") : retry,
      paths: [block, "server"], defaultPort: serfPort)
    if let start = settings.list("\(block).start_join").first, !retry.isEmpty {
      throw ConfigurationError(
        "retry_join and start_join cannot both be defined; keep retry_join, which also waits for servers that "
          + "start later",
        at: start.place)
    }
  }

  fileprivate init(client settings: Settings) throws(ConfigurationError) {
    let block = "client.server_join"
    if let start = settings.list("\(block).start_join").first {
      throw ConfigurationError("start_join is not supported for Nomad clients; use retry_join", at: start.place)
    }
    try self.init(
      settings, start: [], retry: settings.list("\(block).retry_join"), paths: [block],
      defaultPort: AgentConfiguration.defaultRPCPort)
  }

  private init(
    _ settings: Settings, start: [Setting.Element], retry: [Setting.Element], paths: [String], defaultPort: UInt16
  ) throws(ConfigurationError) {
    self.start = try Self.entries(start, "start_join", defaultPort)
    self.retry = try Self.entries(retry, "retry_join", defaultPort)
    retryMax = paths.lazy.compactMap { settings.integer("\($0).retry_max") }.first ?? 0
    retryInterval = .seconds(30)
    for path in paths {
      guard let interval = settings.duration("\(path).retry_interval") else { continue }
      guard interval > .zero else {
        throw settings.refused(
          "retry_interval is zero, which would join without pause; use \"1s\" or more", "\(path).retry_interval")
      }
      retryInterval = interval
      break
    }
  }

  private static func entries(
    _ elements: [Setting.Element], _ key: String, _ defaultPort: UInt16
  ) throws(ConfigurationError) -> [JoinEntry] {
    if elements.count > maximumEntries, let last = elements.last {
      throw ConfigurationError(
        "\(key) has \(elements.count) entries; use at most \(maximumEntries), one that answers is enough",
        at: last.place)
    }
    var entries: [JoinEntry] = []
    for element in elements {
      do {
        entries.append(try JoinEntry(element.text, defaultPort: defaultPort))
      } catch {
        // The option is the place already; the key would only repeat it.
        if case .option = element.place { throw ConfigurationError(error.description, at: element.place) }
        throw ConfigurationError("\(key): \(error)", at: element.place)
      }
    }
    return entries
  }
}
