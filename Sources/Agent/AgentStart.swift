import Base
import Client
import Configuration
import Durable
import Glibc
import Raft
import Reactor
import Server
import State
import Telemetry
import Wire

/// Runs an agent from its command line until it ends; returns the exit status.
///
/// Order: configuration, listening sockets, disk, machines. What fails is told in one sentence on standard error with
/// status 1, and nothing is left half-started.
public func runAgent(arguments: [String]) -> Int32 {
  let host = HostFacts(
    hostName: HostSystem.name,
    interfaces: HostSystem.interfaces().map {
      InterfaceAddress(
        name: $0.name, address: $0.address, prefixLength: $0.prefixLength, hasDefaultRoute: $0.hasDefaultRoute)
    })
  let resolve = { resolveCommandLine(arguments, host: host, version: NomadVersion.compatible) }
  switch resolve() {
  case .printAndExit(let text, let status):
    printText(text, to: status == 0 ? STDOUT_FILENO : STDERR_FILENO)
    return status
  case .run(let configuration, let warnings):
    do throws(StartFailure) {
      return try AgentStart(configuration, warnings, rereading: resolve).run()
    } catch {
      printText("nomadd: \(error.sentence)", to: STDERR_FILENO)
      return 1
    }
  }
}

/// Why an agent did not start, for its operator.
struct StartFailure: Error {
  var sentence: String
}

func printText(_ text: String, to descriptor: Int32) {
  let bytes = Array((text.hasSuffix("\n") ? text : text + "\n").utf8)
  var offset = 0
  while offset < bytes.count {
    let count = unsafe bytes.withUnsafeBytes {
      unsafe write(descriptor, $0.baseAddress! + offset, bytes.count - offset)
    }
    if count < 0, errno == EINTR { continue }
    // Nobody reads: there is no better place to complain to.
    if count <= 0 { return }
    offset += count
  }
}

/// The steps from a configuration to a running agent.
private struct AgentStart {
  let configuration: AgentConfiguration
  let warnings: [String]
  let reread: () -> CommandLineOutcome
  /// How long answers that are under way may take when the agent ends.
  static let lastAnswersWithin = Interval.milliseconds(500)

  init(
    _ configuration: AgentConfiguration, _ warnings: [String], rereading reread: @escaping () -> CommandLineOutcome
  ) {
    self.configuration = configuration
    self.warnings = warnings
    self.reread = reread
  }

  func run() throws(StartFailure) -> Int32 {
    let loop = try Self.preparing { () throws(LoopError) in try Loop() }
    defer { loop.shutDown() }
    let network = try Self.preparing { () throws(LoopError) in
      try loop.watchSignals()
      return try NetworkShell(loop: loop)
    }
    // Its endpoints refer to it until the loop has closed them all, and nothing below keeps it for so long.
    defer {
      loop.shutDown()
      withExtendedLifetime(network) {}
    }
    return try run(loop, network, seed: try Self.preparing { () throws(LoopError) in try Loop.randomSeed() })
  }

  private static func preparing<Value>(_ body: () throws(LoopError) -> Value) throws(StartFailure) -> Value {
    do throws(LoopError) { return try body() } catch { throw StartFailure(sentence: "\(error)") }
  }

  private func run(_ loop: Loop, _ network: NetworkShell, seed: UInt64) throws(StartFailure) -> Int32 {
    let resolved = try ResolvedAddresses(configuration)
    try listen(network, resolved)
    var effects = Effects(seed: seed, minimumLogLevel: configuration.log.level ?? .error)
    let storage = try configuration.server.map { settings throws(StartFailure) in
      try StartFailure.reporting { () throws(DurableError) in try ServerStorage(directory: settings.dataDirectory) }
    }
    let clientStorage = try configuration.client.map { settings throws(StartFailure) in
      try StartFailure.reporting { () throws(DurableError) in try ClientStorage(directory: settings.stateDirectory) }
    }
    let server = try storage.map { storage throws(StartFailure) in
      try makeServer(storage, resolved, at: loop.moment, &effects)
    }
    let client = try clientStorage.map { storage throws(StartFailure) in
      try makeClient(storage, resolved, at: loop.now, &effects)
    }
    let disk = try storage.map { _ throws(StartFailure) in
      try Self.preparing { () throws(LoopError) in try WorkThread(on: loop) }
    }
    let shell = AgentShell(
      configuration: configuration, loop: loop, network: network, effects: effects, serverStorage: storage, disk: disk,
      clientStorage: clientStorage, printer: try makePrinter(), rereading: reread)
    shell.server = server
    shell.client = client
    greet(resolved)
    for warning in warnings { shell.effects.log.log(.warn, "agent", warning) }
    shell.client?.handleTimeout(at: loop.now, effects: &shell.effects)
    // Work on other threads may still report to the shell while the loop winds down.
    defer { withExtendedLifetime(shell) { _ = loop.shutDown() } }
    loop.run(shell)
    _ = loop.run(shell, within: Self.lastAnswersWithin) { network.closingCount == 0 && !shell.hasUnsentBytes }
    shell.printer.print(&shell.effects.log, at: loop.wall, from: shell.configuration.log.level ?? .error)
    if let words = shell.lastWords { printText("nomadd: \(words)", to: STDERR_FILENO) }
    return shell.exitStatus ?? 1
  }

  // MARK: Parts

  private func listen(_ network: NetworkShell, _ resolved: ResolvedAddresses) throws(StartFailure) {
    do throws(BindError) {
      if configuration.server != nil {
        try network.listen(.gossip, at: [resolved.bindSerf])
        try network.listen(.rpc, at: [resolved.bindRPC])
      }
      try network.listen(.http, at: resolved.bindHTTP)
    } catch {
      throw StartFailure(sentence: "\(error)")
    }
    if !resolved.bindRPC.host.isUnspecified { network.dialFrom = [resolved.bindRPC.host] }
  }

  private func makePrinter() throws(StartFailure) -> LogPrinter {
    let log = configuration.log
    let destination: LogDestination
    if let file = log.file {
      destination = .file(file.hasSuffix("/") ? file + "nomad.log" : file)
    } else {
      destination = .standardOutput
    }
    do throws(LogFileError) {
      return try LogPrinter(
        log.json ? .json : .text, to: destination,
        rotating: LogRotation(
          bytesMax: log.rotateBytes, interval: log.rotateInterval, filesKept: log.rotateFiles))
    } catch {
      throw StartFailure(sentence: "\(error)")
    }
  }

  private func makeServer(
    _ storage: ServerStorage, _ resolved: ResolvedAddresses, at now: Moment, _ effects: inout Effects
  ) throws(StartFailure) -> ServerMachine {
    let (id, stored, skipped, keys) = try StartFailure.reporting { () throws(DurableError) in
      let id = try storage.identity()
      let (state, warnings) = try storage.load()
      return (id, state, warnings, try storage.keyring(configured: configuration.server?.encryptionKey))
    }
    for warning in skipped { effects.log.log(.warn, "nomad.raft", warning) }
    if let warning = keys.warning { effects.log.log(.warn, "nomad.serf", warning) }
    if keys.keyring == nil, !resolved.bindSerf.host.isLoopback {
      effects.log.log(
        .warn, "nomad.serf", "gossip is not encrypted: anybody who reaches the gossip port can join; set encrypt")
    }
    var restored = stored
    let identity = ServerStorage.RecoveryIdentity(configuration.server?.raftProtocol ?? 3, id: id, resolved)
    if let recovery = try storage.recover(&restored, as: identity) {
      effects.log.log(
        .warn, "nomad", "recovered the Raft configuration from peers.json",
        [
          "index": "\(recovery.index)", "term": "\(recovery.term)", "before": recovery.before.summary,
          "after": recovery.after.summary,
        ])
    }
    var settings = serverConfiguration(id: id, resolved, restored)
    settings.keyring = keys.keyring
    guard settings.tagsFit else {
      throw StartFailure(
        sentence: "name, region, datacenter and zone of this server do not fit into 512 bytes of gossip tags; "
          + "shorten them")
    }
    do throws(RaftError) {
      return try ServerMachine(
        configuration: settings, restoring: restored, reader: StoredLogReader(storage.log), at: now, effects: &effects)
    } catch {
      throw StartFailure(
        sentence: "\(storage.directory)/raft: \(error.text); move the directory away and let this server join its "
          + "cluster again, or restore it from a backup")
    }
  }

  private func serverConfiguration(
    id: String, _ resolved: ResolvedAddresses, _ restored: ServerRestoredState
  ) -> ServerConfiguration {
    var result = ServerConfiguration(
      name: configuration.name, region: configuration.region, datacenter: configuration.datacenter, id: id,
      build: NomadVersion.compatible, gossipAdvertise: resolved.advertiseSerf, rpcAdvertise: resolved.advertiseRPC)
    if !resolved.bindSerf.host.isUnspecified { result.ownGossipAddresses = [resolved.bindSerf] }
    guard let settings = configuration.server else { return result }
    result.bootstrapExpect = settings.bootstrapExpect
    result.bootstrapExpectPlace = configuration.loadedFiles.isEmpty ? "--bootstrap-expect" : "server.bootstrap_expect"
    result.isVoter = !settings.isNonVoter
    result.isWitness = settings.isWitness
    result.raftProtocol = settings.raftProtocol
    result.raftMultiplier = settings.raftMultiplier
    result.raftLimits.snapshotThreshold = settings.raftSnapshotThreshold
    result.raftLimits.trailingEntries = settings.raftTrailingLogs
    result.snapshotInterval = settings.raftSnapshotInterval
    result.autopilot = AutopilotConfiguration(configuration.autopilot)
    result.rpc.handshakeTimeout = configuration.limits.rpcHandshakeTimeout
    result.rpc.connectionsPerAddress = configuration.limits.rpcConnectionsPerClientMax
    result.gossipBindPort = resolved.bindSerf.port
    result.rejoinAfterLeave = settings.rejoinAfterLeave
    result.redundancyZone = settings.redundancyZone ?? ""
    result.upgradeVersion = settings.upgradeVersion ?? ""
    result.heartbeatGrace = settings.heartbeatGrace
    result.heartbeatMinimumTTL = settings.heartbeatTTLMin
    result.heartbeatsPerSecond = settings.heartbeatsPerSecondMax
    result.heartbeatFailoverTTL = settings.heartbeatTTLFailover
    result.nodeGCThreshold = settings.nodeGCThreshold
    result.join.hasEntries = !settings.join.retry.isEmpty || !settings.join.start.isEmpty
    result.join.firstRoundIsFatal = !settings.join.start.isEmpty
    result.join.retryInterval = settings.join.retryInterval
    result.join.retryMax = settings.join.retryMax
    result.federation = settings.federation
    result.join.remembered = ServerConfiguration.rememberedMembers(
      in: result.federated(restored.gossipSnapshot), keepingFailed: restored.raft == RaftRestoredState())
    return result
  }

  private func makeClient(
    _ storage: ClientStorage, _ resolved: ResolvedAddresses, at now: Instant, _ effects: inout Effects
  ) throws(StartFailure) -> ClientMachine {
    let machine = HostSystem.machineID ?? ""
    let persisted = try StartFailure.reporting { () throws(DurableError) in
      try storage.load(machineID: machine)
    }
    var node = NodeDescription(
      id: persisted.nodeID, secretID: persisted.secretID, name: configuration.name,
      datacenter: configuration.datacenter, httpAddress: "\(resolved.advertiseHTTP)")
    node.attributes = nodeAttributes
    node.cores = UInt16(clamping: HostSystem.processorCount)
    node.cpuShares = Int64(HostSystem.processorCount) * 1000
    node.memoryMB = Int64(clamping: HostSystem.memoryBytes >> 20)
    if let settings = configuration.client {
      node.nodeClass = settings.nodeClass
      // Servers older than node pools know none, and all others take an absent one for the default.
      if settings.nodePool != "default" { node.nodePool = settings.nodePool }
      node.meta = settings.meta.map { NodeAttribute($0.key, $0.value) }
    }
    var result = ClientConfiguration(node: node)
    result.region = configuration.region
    result.machineID = machine
    result.servesStatistics = true
    if configuration.server != nil { result.servers = [resolved.advertiseRPC] }
    for endpoint in configuration.client?.servers ?? [] {
      switch endpoint {
      case .address(let address): result.servers.append(address)
      case .name: result.serverNames.append(endpoint.description)
      }
    }
    for entry in (configuration.client?.join.retry ?? []) {
      switch entry {
      case .endpoint(.address(let address)): result.servers.append(address)
      case .endpoint(let name): result.serverNames.append(name.description)
      case .service, .program, .file:
        // Asked like a name, whenever no server is left.
        result.serverNames.append(entry.text)
      }
    }
    return ClientMachine(configuration: result, restoring: persisted, at: now, effects: &effects)
  }

  private var nodeAttributes: [NodeAttribute] {
    var list = [
      NodeAttribute("cpu.arch", NomadVersion.architecture),
      NodeAttribute("cpu.numcores", "\(HostSystem.processorCount)"), NodeAttribute("kernel.name", "linux"),
      NodeAttribute("memory.totalbytes", "\(HostSystem.memoryBytes)"),
      NodeAttribute("nomad.version", NomadVersion.client),
      ServersChanged.attribute, NodeAttribute("unique.hostname", HostSystem.name),
    ]
    if let boot = HostSystem.bootID { list.append(NodeAttribute(NodeIDTaken.bootAttribute, boot)) }
    return list
  }

  private func greet(_ resolved: ResolvedAddresses) {
    guard configuration.log.file == nil else { return }
    let roles = [configuration.server == nil ? nil : "server", configuration.client == nil ? nil : "client"]
    printText(
      """
      ==> nomadd \(NomadVersion.own) (Nomad \(NomadVersion.compatible) protocols)
           Role: \(roles.compactMap { $0 }.joined(separator: ", "))
           Name: \(configuration.name)   Region: \(configuration.region) (DC: \(configuration.datacenter))
           HTTP: \(resolved.advertiseHTTP)   RPC: \(resolved.advertiseRPC)   Serf: \(resolved.advertiseSerf)
      ==> Nomad agent started! Log data will stream in below:

      """, to: STDOUT_FILENO)
  }
}

extension ServerStorage.RecoveryIdentity {
  /// As `ServerConfiguration` makes them of the same values.
  fileprivate init(_ raftProtocol: Int, id: String, _ resolved: ResolvedAddresses) {
    let address = "\(SocketAddress(resolved.advertiseSerf.host, port: resolved.advertiseRPC.port))"
    self.init(id: id, raftID: raftProtocol >= 3 ? id : address, address: address)
  }
}

extension AutopilotConfiguration {
  /// The block `autopilot` of the configuration.
  fileprivate init(_ settings: AutopilotSettings) {
    self.init()
    cleanupDeadServers = settings.cleanupDeadServers
    lastContactThreshold = settings.lastContactThreshold
    maxTrailingLogs = UInt64(clamping: settings.maxTrailingLogs)
    minQuorum = UInt64(clamping: settings.minQuorum)
    serverStabilizationTime = settings.serverStabilizationTime
    enableRedundancyZones = settings.enableRedundancyZones
    disableUpgradeMigration = settings.disableUpgradeMigration
    enableCustomUpgrades = settings.enableCustomUpgrades
  }
}
