import Base

extension AgentConfiguration {
  /// Checks and completes merged settings. Sentences for the operator go to `settings.warnings`.
  init(
    _ settings: inout Settings, host: HostFacts, developmentMode: Bool, loadedFiles: [String]
  ) throws(ConfigurationError) {
    let isServer = settings.boolean("server.enabled") ?? false
    let isClient = settings.boolean("client.enabled") ?? false
    try Self.checkModes(&settings, isServer: isServer, isClient: isClient)
    try settings.refuseUnsupported()

    region = try settings.label("region", default: "global")
    datacenter = try settings.label("datacenter", default: "dc1")
    if datacenter.contains("*") {
      throw ConfigurationError(
        "datacenter is \(datacenter.quoted), and a datacenter may not contain \"*\"; choose another name",
        at: settings.place("datacenter"))
    }
    name = try settings.label("name", default: host.hostName)
    self.developmentMode = developmentMode
    self.loadedFiles = loadedFiles

    dataDirectory = try settings.directory("data_dir")
    for path in ["plugin_dir", "client.alloc_dir"] { _ = try settings.directory(path) }
    if isServer, dataDirectory == nil, !developmentMode {
      throw ConfigurationError(
        "Must specify \"data_dir\" config option or \"data-dir\" CLI flag: a server keeps its state in an absolute "
          + "directory, such as --data-dir /var/lib/nomad")
    }

    (bind, advertise) = try AddressResolution(host: host, developmentMode: developmentMode, isServer: isServer)
      .resolve(&settings)
    log = try LogSettings(settings)
    settings.warnOfSettingsWithoutEffect()
    leaveOnInterrupt = settings.boolean("leave_on_interrupt") ?? false
    leaveOnTerminate = settings.boolean("leave_on_terminate") ?? false
    enableDebug = settings.boolean("enable_debug") ?? false
    httpResponseHeaders = settings.pairs("http_api_response_headers")
    autopilot = AutopilotSettings(settings)
    limits = try LimitSettings(settings)
    telemetry = try TelemetrySettings(settings)
    server =
      isServer
      ? try ServerSettings(
        &settings, dataDirectory: dataDirectory, region: region, serfPort: bind.serf.port,
        developmentMode: developmentMode)
      : nil
    client =
      isClient
      ? try ClientSettings(
        &settings, dataDirectory: dataDirectory, isServer: isServer, developmentMode: developmentMode)
      : nil
  }

  private static func checkModes(
    _ settings: inout Settings, isServer: Bool, isClient: Bool
  ) throws(ConfigurationError) {
    guard isServer || isClient else {
      throw ConfigurationError(
        "Must specify either server, client or dev mode for the agent: write enabled = true in the block server or "
          + "client, or give --server, --client or --dev")
    }
    if !isServer, let expect = settings.integer("server.bootstrap_expect"), expect > 0,
      let place = settings.place("server.bootstrap_expect")
    {
      if case .option = place {
        throw ConfigurationError(
          "Bootstrap requires server mode to be enabled: add --server, or leave out --bootstrap-expect", at: place)
      }
      settings.warn("\(place): bootstrap_expect has no effect, because server mode is not enabled")
    }
  }
}

extension Settings {
  /// Longest region, datacenter or agent name: name and region share a gossip packet.
  static let maximumNameBytes = 128

  func refused(_ message: String, _ path: String) -> ConfigurationError {
    ConfigurationError(message, at: place(path))
  }

  /// A name that other agents see.
  fileprivate func label(_ path: String, default value: String) throws(ConfigurationError) -> String {
    let label = text(path) ?? value
    guard !label.isEmpty else {
      throw refused("\(path) is empty, and this machine has no host name to take its place; set \(path)", path)
    }
    guard label.unicodeScalars.allSatisfy({ $0.value >= 32 && $0.value != 127 }) else {
      throw refused("\(path) contains invalid characters: \(label.quoted); leave out control characters", path)
    }
    guard label.utf8.count <= Self.maximumNameBytes else {
      throw refused("\(path) has \(label.utf8.count) bytes; use at most \(Self.maximumNameBytes)", path)
    }
    return label
  }

  func directory(_ path: String) throws(ConfigurationError) -> String? {
    guard let text = text(path) else { return nil }
    guard text.hasPrefix("/"), !text.contains("\0") else {
      let option = (path.split(separator: ".").last ?? "").map { $0 == "_" ? "-" : String($0) }.joined()
      throw refused(
        "\(option) must be given as an absolute path: got \(text); start it with \"/\", such as /var/lib/nomad", path)
    }
    return text.count > 1 && text.hasSuffix("/") ? String(text.dropLast()) : text
  }

  func pairs(_ path: String) -> [TextPair] {
    map(path).map { TextPair(key: $0.key, value: $0.text) }
  }

  /// What would be unsafe to ignore: an operator who asks for protection must not run without it.
  fileprivate func refuseUnsupported() throws(ConfigurationError) {
    for path in ["tls.http", "tls.rpc"] where boolean(path) == true {
      throw refused(
        "\(path) = true asks for TLS, which nomadd does not support yet; remove it to run without TLS", path)
    }
    if boolean("acl.enabled") == true {
      throw refused(
        "acl.enabled = true asks for access control lists, which nomadd does not support; remove it to run "
          + "without them",
        "acl.enabled")
    }
  }
}

extension Settings {
  /// Those that are read, checked and then used by nobody.
  fileprivate mutating func warnOfSettingsWithoutEffect() {
    for key in ["disable_upgrade_migration", "enable_custom_upgrades"] {
      warnWithoutEffect("autopilot.\(key)", "it is stored for servers of Nomad Enterprise")
    }
    warnWithoutEffect("telemetry.statsd_address", "metrics are only served, at /v1/metrics")
    for key in ["in_memory_collection_interval", "in_memory_retention_period", "prefix_filter"] {
      warnWithoutEffect("telemetry.\(key)", "/v1/metrics shows what holds when it is asked")
    }
    warnWithoutEffect("telemetry.publish_node_metrics", "servers publish no metrics about nodes")
  }
}

extension LogSettings {
  fileprivate init(_ settings: Settings) throws(ConfigurationError) {
    levelText = settings.text("log_level") ?? "INFO"
    switch levelText.uppercased() {
    case "TRACE": level = .trace
    case "DEBUG": level = .debug
    case "INFO": level = .info
    case "WARN": level = .warn
    case "ERROR": level = .error
    case "OFF": level = nil
    default:
      throw settings.refused(
        "Invalid log level: \(levelText). Valid log levels are: [TRACE DEBUG INFO WARN ERROR OFF]", "log_level")
    }
    json = settings.boolean("log_json") ?? false
    file = settings.text("log_file")
    rotateBytes = settings.integer("log_rotate_bytes") ?? 0
    rotateInterval = settings.duration("log_rotate_duration") ?? .hours(24)
    rotateFiles = settings.integer("log_rotate_max_files") ?? 0
  }
}

extension AutopilotSettings {
  fileprivate init(_ settings: Settings) {
    self.init()
    cleanupDeadServers = settings.boolean("autopilot.cleanup_dead_servers") ?? cleanupDeadServers
    lastContactThreshold = settings.duration("autopilot.last_contact_threshold") ?? lastContactThreshold
    maxTrailingLogs = settings.integer("autopilot.max_trailing_logs") ?? maxTrailingLogs
    minQuorum = settings.integer("autopilot.min_quorum") ?? minQuorum
    serverStabilizationTime = settings.duration("autopilot.server_stabilization_time") ?? serverStabilizationTime
    enableRedundancyZones = settings.boolean("autopilot.enable_redundancy_zones") ?? enableRedundancyZones
    disableUpgradeMigration = settings.boolean("autopilot.disable_upgrade_migration") ?? disableUpgradeMigration
    enableCustomUpgrades = settings.boolean("autopilot.enable_custom_upgrades") ?? enableCustomUpgrades
  }
}

extension LimitSettings {
  /// Of the connections of one client, 20 are set aside for calls that do not stream, so a smaller limit starves them.
  static let rpcConnectionsPerClientMin = 26

  fileprivate init(_ settings: Settings) throws(ConfigurationError) {
    self.init()
    httpsHandshakeTimeout = settings.duration("limits.https_handshake_timeout") ?? httpsHandshakeTimeout
    httpConnectionsPerClientMax = settings.integer("limits.http_max_conns_per_client") ?? httpConnectionsPerClientMax
    rpcHandshakeTimeout = settings.duration("limits.rpc_handshake_timeout") ?? rpcHandshakeTimeout
    rpcConnectionsPerClientMax = settings.integer("limits.rpc_max_conns_per_client") ?? rpcConnectionsPerClientMax
    guard rpcConnectionsPerClientMax == 0 || rpcConnectionsPerClientMax >= Self.rpcConnectionsPerClientMin else {
      throw settings.refused(
        "rpc_max_conns_per_client must be > 25; found: \(rpcConnectionsPerClientMax); raise it, or use 0 for no limit",
        "limits.rpc_max_conns_per_client")
    }
  }
}

extension TelemetrySettings {
  /// Port of a statsd daemon by convention.
  static let defaultStatsdPort: UInt16 = 8125

  fileprivate init(_ settings: Settings) throws(ConfigurationError) {
    self.init()
    collectionInterval = settings.duration("telemetry.collection_interval") ?? collectionInterval
    prometheusMetrics = settings.boolean("telemetry.prometheus_metrics") ?? false
    disableHostname = settings.boolean("telemetry.disable_hostname") ?? false
    useNodeName = settings.boolean("telemetry.use_node_name") ?? false
    publishNodeMetrics = settings.boolean("telemetry.publish_node_metrics") ?? false
    filterDefault = settings.boolean("telemetry.filter_default") ?? true
    retentionInterval = settings.duration("telemetry.in_memory_collection_interval") ?? retentionInterval
    retentionPeriod = settings.duration("telemetry.in_memory_retention_period") ?? retentionPeriod
    for rule in settings.list("telemetry.prefix_filter") {
      guard rule.text.hasPrefix("+") || rule.text.hasPrefix("-") else {
        throw ConfigurationError(
          "Filter rule must begin with either '+' or '-': \(rule.text.quoted); put one of them first", at: rule.place)
      }
      prefixFilter.append(rule.text)
    }
    if let text = settings.text("telemetry.statsd_address") {
      do {
        statsdAddress = try Endpoint(text, defaultPort: Self.defaultStatsdPort)
      } catch {
        throw settings.refused("telemetry.statsd_address: \(error)", "telemetry.statsd_address")
      }
    }
  }
}
