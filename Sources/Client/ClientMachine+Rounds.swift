import Base
import RPC
import Wire

/// One try to register or to send a heartbeat, over all servers.
struct Round: Sendable {
  enum Kind: Hashable, Sendable {
    case registration
    case heartbeat
  }

  struct Attempt: Hashable, Sendable {
    let call: CallID
    let address: SocketAddress
  }

  let kind: Kind
  let startedAt: Instant
  /// Servers still to be asked, in order.
  var queue: [SocketAddress]
  /// Servers asked in this round, for the fallback.
  var asked: [SocketAddress] = []
  /// Requests in flight, at most `ClientTiming.maximumParallel`.
  var attempts: [Attempt] = []
  /// When the next server is asked in parallel.
  var hedgeAt: Instant?
  /// True once the configured and resolved servers were added.
  var hasFallenBack = false
  var lastError = ""
}

extension ClientMachine {
  // MARK: Start

  mutating func startRound(at now: Instant, effects: inout Effects) {
    precondition(round == nil)
    nextRound = nil
    let kind: Round.Kind = status.isRegistered ? .heartbeat : .registration
    round = Round(kind: kind, startedAt: now, queue: servers.addresses)
    askNext(at: now, effects: &effects)
  }

  /// Asks the next server; ends the round when none is left and nobody may still answer.
  private mutating func askNext(at now: Instant, effects: inout Effects) {
    guard let kind = round?.kind, round?.attempts.count ?? 0 < ClientTiming.maximumParallel else { return }
    if round?.queue.isEmpty == true { fallBack() }
    guard var current = round, let address = current.queue.first else {
      if round?.attempts.isEmpty == true { failRound(at: now, effects: &effects) }
      return
    }
    current.queue.removeFirst()
    current.asked.append(address)
    let deadline = now + ClientTiming.callTimeout
    let write = writeRequest
    let node = node(status: Self.statusReady)
    let call: CallID
    switch kind {
    case .registration:
      call = rpc.call(.nodeRegister, to: address, deadline: deadline, at: now, effects: &effects) { bytes in
        node.encodeRegister(write, into: &bytes)
      }
    case .heartbeat:
      call = rpc.call(.nodeUpdateStatus, to: address, deadline: deadline, at: now, effects: &effects) { bytes in
        ClientRequest.encodeUpdateStatus(nodeID: node.id, status: Self.statusReady, write, into: &bytes)
      }
    }
    current.attempts.append(Round.Attempt(call: call, address: address))
    current.hedgeAt = now + ClientTiming.hedgeDelay
    round = current
  }

  static let statusReady = "ready"

  var writeRequest: WriteRequest {
    var write = WriteRequest(region: configuration.region)
    write.authToken = configuration.authToken
    return write
  }

  private func node(status: String) -> NodeDescription {
    var node = configuration.node
    node.id = persisted.nodeID
    node.secretID = persisted.secretID
    node.status = status
    if !node.attributes.contains(where: { $0.name == ServersChanged.attribute.name }) {
      node.attributes.append(ServersChanged.attribute)
    }
    return node
  }

  /// Adds the servers of the configuration, of the disk and of the names, unless this round has asked them.
  private mutating func fallBack() {
    guard var current = round, !current.hasFallenBack else { return }
    current.hasFallenBack = true
    let all = configuration.servers + resolved.flatMap(\.addresses) + persisted.servers
    current.queue = ServerList(all).addresses.filter { !current.asked.contains($0) }
    round = current
  }

  mutating func hedge(at now: Instant, effects: inout Effects) {
    round?.hedgeAt = nil
    // With nobody left in the list a silent server is waited for: the fallback is for when all have failed.
    guard let current = round, !current.queue.isEmpty else { return }
    askNext(at: now, effects: &effects)
  }

  // MARK: End

  mutating func finish(_ attempt: Round.Attempt, _ answer: Answer, at now: Instant, effects: inout Effects) {
    round?.attempts.removeAll { $0 == attempt }
    guard let kind = round?.kind else { return }
    if case .reply(let bytes) = answer {
      var reader = MessagePackReader(bytes.bytes)
      do throws(WireError) {
        let response = try NodeUpdateResponse(&reader)
        return succeed(kind, attempt.address, response, at: now, effects: &effects)
      } catch {
        round?.lastError = "undecodable answer: \(error)"
      }
    } else {
      round?.lastError = answer.errorText
    }
    effects.log.log(
      .debug, "client.rpc", "error performing RPC to server",
      ["error": round?.lastError ?? "", "rpc": kind.method.name, "server": "\(attempt.address)"])
    if case .remoteError(let text) = answer, kind.isFinal(text) {
      endRound(at: now, effects: &effects)
      return refused(kind, text, at: now, effects: &effects)
    }
    servers.moveToEnd(attempt.address)
    askNext(at: now, effects: &effects)
  }

  private mutating func succeed(
    _ kind: Round.Kind, _ address: SocketAddress, _ response: NodeUpdateResponse, at now: Instant,
    effects: inout Effects
  ) {
    let latency = round.map { now - $0.startedAt } ?? .zero
    endRound(at: now, effects: &effects)
    // A registration proves nothing while the region keeps forgetting it.
    if kind == .heartbeat || losses == 0 { backoff.reset() }
    // A configured server that is in no list yet serves until the answer's list replaces it.
    if servers.append([address]) { status.servers = servers.addresses }
    servers.moveToFront(address)
    status.nodeCount = max(0, Int(response.numNodes))
    // An answer may have been made before a push that overtook it; the push is newer.
    if lastPushAt.map({ $0 < now - latency }) ?? true {
      adopt(response.servers, leader: response.leaderRPCAddress, at: now, effects: &effects)
    }
    // A region that names no leader may be a fragment: know the other servers before it is needed.
    if response.leaderRPCAddress.isEmpty { requestResolution(at: now) }
    let period = Self.period(response.heartbeatTTL)
    switch kind {
    case .registration:
      effects.log.log(.info, Self.logModule, "node registration complete")
      hasToldOfRival = false
      status.isRegistered = true
      emit(.registered)
      // The first heartbeat makes sure of the status on servers that do not take it from a registration.
      nextRound = now
    case .heartbeat:
      if response.index != 0, let last = status.lastHeartbeat {
        effects.log.log(
          .warn, Self.logModule, "missed heartbeat",
          [
            "req_latency": "\(latency.milliseconds)ms", "heartbeat_ttl": "\(status.heartbeatPeriod.seconds)s",
            "since_last_heartbeat": "\((now - last).seconds)s",
          ])
      }
      losses = 0
      status.lastHeartbeat = now
      nextRound = now + period
      effects.log.log(.trace, Self.logModule, "next heartbeat", ["period": "\(period.seconds)s"])
    }
    status.heartbeatPeriod = period
    followPoll(to: address, at: now, effects: &effects)
  }

  /// Within bounds, so that neither a missing nor a hostile value makes the client spin or sleep.
  private static func period(_ ttl: Interval) -> Interval {
    guard ttl > .zero else { return ClientTiming.heartbeatDefault }
    return min(max(ttl, ClientTiming.heartbeatMin), ClientTiming.heartbeatMax)
  }

  /// The region itself has said no: another server would not say otherwise.
  private mutating func refused(
    _ kind: Round.Kind, _ text: String, at now: Instant, effects: inout Effects
  ) {
    switch kind {
    case .heartbeat where text.contains(Self.nodeNotFound):
      registerAgain(at: now, effects: &effects)
    case .registration, .heartbeat:
      if text.contains(NodeIDTaken.prefix), isCopy { emit(.identityWanted) }
      let wait = backoff.next(using: &effects.random)
      nextRound = now + wait
      logFailure(kind, text, wait, &effects)
    }
  }

  /// The identity was made on another machine. Disks do move, so that alone means nothing.
  private var isCopy: Bool { !configuration.machineID.isEmpty && persisted.machineID != configuration.machineID }

  static let nodeNotFound = "node not found"
  static let secretMismatch = "node secret ID does not match"

  /// The servers do not know the node, or not with this secret. At once the first time; a node that is forgotten again
  /// and again registers at the pace of the back-off.
  mutating func registerAgain(at now: Instant, effects: inout Effects) {
    effects.log.log(.info, Self.logModule, "re-registering node")
    status.isRegistered = false
    endRound(at: now, effects: &effects)
    nextRound = losses == 0 ? now : now + backoff.next(using: &effects.random)
    losses += 1
  }

  private mutating func failRound(at now: Instant, effects: inout Effects) {
    guard let failed = round else { return }
    endRound(at: now, effects: &effects)
    let wait = backoff.next(using: &effects.random)
    nextRound = now + wait
    if failed.asked.isEmpty {
      effects.log.log(.warn, Self.serverLogModule, "no servers available")
      effects.log.log(.debug, Self.logModule, "registration waiting on servers")
    } else {
      logFailure(failed.kind, failed.lastError, wait, &effects)
    }
    requestResolution(at: now)
  }

  private mutating func logFailure(
    _ kind: Round.Kind, _ error: String, _ wait: Interval, _ effects: inout Effects
  ) {
    // Nothing but the operator will change that, and it has been said.
    if error.contains(NodeIDTaken.prefix) {
      guard !hasToldOfRival else { return }
      hasToldOfRival = true
    }
    switch kind {
    case .registration: effects.log.log(.error, Self.logModule, "error registering", ["error": error])
    case .heartbeat:
      effects.log.log(
        .error, Self.logModule, "error heartbeating. retrying", ["error": error, "period": "\(wait.milliseconds)ms"])
    }
  }

  /// Forgets the round; requests in flight are given up.
  mutating func endRound(at now: Instant, effects: inout Effects) {
    guard let ended = round else { return }
    round = nil
    for attempt in ended.attempts { rpc.cancel(attempt.call, at: now, effects: &effects) }
  }
}

extension Round.Kind {
  var method: RPCMethod {
    switch self {
    case .registration: .nodeRegister
    case .heartbeat: .nodeUpdateStatus
    }
  }

  /// Errors that every server of the region would give.
  func isFinal(_ text: String) -> Bool {
    switch self {
    case .registration:
      text.contains(ClientMachine.secretMismatch) || text.contains(NodeIDTaken.prefix)
        || text.contains("Permission denied")
    case .heartbeat: text.contains(ClientMachine.nodeNotFound) || text.contains("Permission denied")
    }
  }
}
