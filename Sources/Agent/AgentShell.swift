import API
import Base
import Client
import Configuration
import HTTP
import Reactor
import Server
import Telemetry
import Wire

/// The shell of one agent: carries what the loop reports to the machines, and what the machines want to the network,
/// the disk and the log. Everything runs on the loop's thread; only blocking work leaves it.
final class AgentShell: LoopDelegate {
  var configuration: AgentConfiguration
  /// The same command line again, with what its files say now.
  let reread: () -> CommandLineOutcome
  let loop: Loop
  let network: NetworkShell
  let api: APIMachine
  var effects: Effects
  var http: HTTPMachine
  var server: ServerMachine?
  var client: ClientMachine?
  let serverStorage: ServerStorage?
  /// Where `serverStorage` is written.
  let disk: WorkThread?
  let clientStorage: ClientStorage?
  var printer: LogPrinter
  var notifier: ServiceNotifier?

  var httpStreams: Set<ConnectionID> = []
  /// Requests of the HTTP API that wait for the server or a peer.
  var waiting: [LocalCallID: WaitingRequest] = [:]
  var forwards: [ForwardID: LocalCallID] = [:]
  /// Requests of the HTTP API that are answered out of streaming RPCs.
  var httpAnswers: [HTTPStream.Source: HTTPStream] = [:]
  var followers: [LogFollower] = []
  var nextCall: UInt64 = 1
  var isDiskBusy = false
  var bootstrapWrites: [[UInt8]] = []
  var gossipLines: [String] = []
  /// Waits to be written as the recovery file.
  var committedConfiguration: RaftConfiguration?
  var isWritingPeers = false
  var host = HostStatistics()
  var isReady = false
  var isLeaving = false
  var exitStatus: Int32?
  /// Printed to standard error when the loop has ended.
  var lastWords: String?
  let startedAt: Instant
  /// When the code that was not used of late is unmapped next.
  var codeReleasedNext: Instant
  /// When the data directories are looked for again; nil while that is being done.
  var directoriesCheckedNext: Instant?
  /// A signal asked for a reload that waits for its time.
  var reloadDue: Instant?
  var reloadAllowedNext: Instant
  /// The client's directory is gone, and the log says so.
  var isClientDirectoryGone = false

  struct WaitingRequest {
    var request: HTTPRequestID
    var context: APIContext
    var kind: Kind

    enum Kind {
      case reply
      case health(HealthAnswer, wantsServer: Bool)
    }
  }

  init(
    configuration: AgentConfiguration, loop: Loop, network: NetworkShell, effects: Effects,
    serverStorage: ServerStorage?, disk: WorkThread?, clientStorage: ClientStorage?, printer: consuming LogPrinter,
    rereading reread: @escaping () -> CommandLineOutcome
  ) {
    self.configuration = configuration
    self.reread = reread
    self.loop = loop
    self.network = network
    self.effects = effects
    self.serverStorage = serverStorage
    self.disk = disk
    self.clientStorage = clientStorage
    self.printer = printer
    startedAt = loop.now
    codeReleasedNext = loop.now + .milliseconds(500)
    directoriesCheckedNext = loop.now + Self.directoryCheckInterval
    reloadAllowedNext = loop.now
    var limits = HTTPLimits()
    limits.connectionsPerAddress = configuration.limits.httpConnectionsPerClientMax
    http = HTTPMachine(limits: limits)
    api = APIMachine(
      settings: APISettings(
        region: configuration.region, isServer: configuration.server != nil, isClient: configuration.client != nil,
        enableDebug: configuration.enableDebug, prometheus: configuration.telemetry.prometheusMetrics,
        responseHeaders: configuration.httpResponseHeaders.map { HTTPHeader($0.key, $0.value) }))
    notifier = ServiceNotifier(environment: ProcessEnvironment.current, at: loop.now)
  }

  // MARK: Events of the loop

  func received(datagram: RawSpan, from: SocketAddress, on: ListenerTag) {
    server?.handleDatagram(datagram, from: from, at: loop.moment, effects: &effects)
  }

  func makeConnectionID() -> ConnectionID { effects.outbox.makeConnectionID() }

  func accepted(_ id: ConnectionID, from: SocketAddress, on tag: ListenerTag) {
    switch tag {
    case .gossip: server?.handleAccepted(id, from: from, on: .gossip, at: loop.moment, effects: &effects)
    case .rpc: server?.handleAccepted(id, from: from, on: .rpc, at: loop.moment, effects: &effects)
    case .http:
      httpStreams.insert(id)
      http.handleAccepted(id, from: from, at: loop.now, effects: &effects)
    }
  }

  func connected(_ id: ConnectionID) {
    if client?.owns(id) ?? false {
      client?.handleConnected(id, at: loop.now, effects: &effects)
    } else {
      server?.handleConnected(id, at: loop.moment, effects: &effects)
    }
  }

  func received(_ id: ConnectionID, _ bytes: RawSpan) {
    if httpStreams.contains(id) {
      http.handleReceived(id, bytes, at: loop.now, effects: &effects)
    } else if client?.owns(id) ?? false {
      client?.handleReceived(id, bytes, at: loop.now, effects: &effects)
    } else {
      server?.handleReceived(id, bytes, at: loop.moment, effects: &effects)
    }
  }

  func disconnected(_ id: ConnectionID, _ end: StreamEnd) {
    if httpStreams.remove(id) != nil {
      http.handleDisconnected(id, end, at: loop.now, effects: &effects)
    } else if client?.owns(id) ?? false {
      client?.handleDisconnected(id, end, at: loop.now, effects: &effects)
    } else {
      server?.handleDisconnected(id, end, at: loop.moment, effects: &effects)
    }
  }

  func deadlineReached() {
    let now = loop.moment
    if server?.deadline.map({ $0 <= now.instant }) ?? false { server?.handleTimeout(at: now, effects: &effects) }
    if client?.deadline.map({ $0 <= now.instant }) ?? false {
      client?.handleTimeout(at: now.instant, effects: &effects)
    }
    if http.deadline.map({ $0 <= now.instant }) ?? false { http.handleTimeout(at: now.instant, effects: &effects) }
    notify { notifier throws(ServiceNotifier.Failure) in try notifier.handleTimeout(at: now.instant) }
    if directoriesCheckedNext.map({ $0 <= now.instant }) ?? false { checkDirectories() }
    if reloadDue.map({ $0 <= now.instant }) ?? false { _ = reload() }
    if codeReleasedNext <= now.instant {
      HostSystem.releaseCode()
      codeReleasedNext = now.instant + .seconds(60)
    }
  }

  func signal(_ signal: LoopSignal) {
    switch signal {
    case .interrupt: stop(named: "interrupt", leaves: configuration.leaveOnInterrupt)
    case .terminate: stop(named: "terminated", leaves: configuration.leaveOnTerminate)
    case .hangUp:
      effects.log.log(.info, "agent", "caught signal", ["signal": "hangup"])
      reopenLog()
      reloadDue = max(loop.now, reloadAllowedNext)
    case .userOne: logQuorum()
    }
  }

  func turnEnded() {
    repeat {
      drainServer()
      drainClient()
      drainHTTP()
    } while hasWork
    writeGossipLines()
    // First the network: peers have further to go to their disks than we have to ours.
    network.perform(&effects.outbox)
    startDiskWork()
    if feedFollowers() { network.perform(&effects.outbox) }
    var deadline = earliest(Self.deadline(of: &server), earliest(client?.deadline, http.deadline))
    deadline = earliest(deadline, followersDeadline)
    deadline = earliest(earliest(deadline, notifier?.deadline), earliest(codeReleasedNext, directoriesCheckedNext))
    deadline = earliest(deadline, reloadDue)
    loop.setDeadline(deadline)
    printer.print(&effects.log, at: loop.wall, from: configuration.log.level ?? .error)
    // What must be sent before the end (answers, the farewell) was handed to the network above.
    if exitStatus != nil, !isDiskBusy { loop.stop() }
  }

  /// Reading through the optional of a class would copy the whole machine.
  private static func deadline(of server: inout ServerMachine?) -> Instant? { server?.deadline }

  private var hasWork: Bool { !(server?.events.isEmpty ?? true) || client?.hasEvents ?? false }

  /// Something given to the network has not left yet.
  var hasUnsentBytes: Bool { httpStreams.contains { network.queuedBytes(of: $0) > 0 } }

  // MARK: Ending

  /// A signal asks the agent to end. A second one ends it at once.
  private func stop(named name: String, leaves: Bool) {
    effects.log.log(.info, "agent", "caught signal", ["signal": name])
    if isLeaving || !leaves || server == nil {
      notify { notifier throws(ServiceNotifier.Failure) in try notifier.stopping(status: "stopping without leaving") }
      client?.stop(at: loop.now, effects: &effects)
      // To a service manager a stop that it asked for must not look like a failure.
      return end(status: !isLeaving && (leaves || notifier != nil) ? 0 : 1)
    }
    if let obstacle = server?.leaveObstacle {
      // Whoever stops the process wants it stopped. Leaving as well would be for good, a mere stop is not.
      effects.log.log(.error, "agent", "stopping without leaving", ["reason": obstacle])
      notify { notifier throws(ServiceNotifier.Failure) in try notifier.stopping(status: "stopping without leaving") }
      client?.stop(at: loop.now, effects: &effects)
      lastWords = "stopped without leaving: \(obstacle)"
      return end(status: 1)
    }
    leave()
  }

  /// Leaves the cluster, then ends with status 0, or 1 when the farewell did not come to an orderly end.
  func leave() {
    guard !isLeaving else { return }
    isLeaving = true
    effects.log.log(.info, "agent", "requesting shutdown")
    notify { notifier throws(ServiceNotifier.Failure) in try notifier.stopping(status: "leaving the cluster") }
    client?.stop(at: loop.now, effects: &effects)
    if server == nil { return end(status: 0) }
    server?.leave(at: loop.moment, effects: &effects)
  }

  func end(status: Int32) {
    guard exitStatus == nil else { return }
    exitStatus = status
    effects.log.log(.info, "agent", "shutdown complete")
  }

  /// The agent cannot go on: one sentence, status 1.
  func fail(_ sentence: String) {
    effects.log.log(.error, "agent", sentence)
    if lastWords == nil { lastWords = sentence }
    end(status: 1)
  }

  // MARK: The service manager

  func notify(_ body: (inout ServiceNotifier) throws(ServiceNotifier.Failure) -> Void) {
    guard var current = notifier else { return }
    do throws(ServiceNotifier.Failure) { try body(&current) } catch {
      effects.log.log(.warn, "agent", "\(error)")
    }
    notifier = current
  }

  func becomeReady(_ status: String) {
    guard !isReady else { return }
    isReady = true
    notify { notifier throws(ServiceNotifier.Failure) in try notifier.ready(status: status) }
  }

  private func logQuorum() {
    guard let report = server?.quorumReport else { return }
    effects.log.log(.info, "agent", "quorum report", ["summary": report.summary, "remedy": report.remedy])
  }
}
