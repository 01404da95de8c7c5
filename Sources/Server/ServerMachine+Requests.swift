import Base
import RPC
import State
import Wire

/// Serving RPCs: who may answer (the leader, any server, another region), and handing a request to its endpoint.
extension ServerMachine {
  /// How long a request waits for a leader before "No cluster leader" (rpc.md 7.1).
  static let leaderHold = Interval.seconds(5)
  /// Longest wait of a forwarded request that names none itself.
  static let forwardTimeout = Interval.seconds(30)
  static let blockingDefault = Interval.seconds(300)

  /// Requests held for a leader, and blocking queries, at most; more are answered at once.
  static let maximumHeld = 65_536

  mutating func drainRPC(_ effects: inout Effects) -> Bool {
    guard rpc.hasEvents else { return false }
    var batch = RPCEventBatch()
    swap(&batch, &self.batch)
    rpc.takeEvents(into: &batch)
    for event in batch.events { handle(event, in: batch, &effects) }
    batch.removeAll()
    swap(&batch, &self.batch)
    return true
  }

  private mutating func handle(_ event: RPCEvent, in batch: borrowing RPCEventBatch, _ effects: inout Effects) {
    switch event {
    case .request(let id, let session, let method, let body):
      let caller = Caller.remote(id, session)
      let name = method == .unrecognized ? rpc.methodName(of: id) ?? "" : ""
      serve(caller, method, name, batch.bytes(body), &effects)
    case .requestAbandoned(let id):
      if let waiter = requests.forget(id) { watches.unwatch(waiter) }
    case .response(let call, let outcome):
      handleResponse(call, outcome, in: batch, &effects)
    case .sessionStarted: break
    case .sessionEnded(let session):
      pushes.sessionEnded(session)
    case .raftConnection(let id, let from, let leftover):
      raft.handleAccepted(id, from: from, at: now.instant, effects: &effects)
      if !leftover.isEmpty { raft.handleReceived(id, batch.bytes(leftover), at: now.instant, effects: &effects) }
    case .streamingRequest(let handle, _, _, let name):
      let text = "Unknown rpc method: \"\(batch.bytes(name).text())\""
      rpc.rejectStream(handle, error: text, at: now.instant, effects: &effects)
    case .streamingAnswer, .streamBytes, .streamFinished, .streamDrained, .streamEnded: break
    }
  }

  // MARK: Local calls

  /// A call of the shell to its own server, as if it had come over RPC: the HTTP API uses it. Answered by `.answered`.
  public mutating func call(
    _ id: LocalCallID, _ method: String, _ body: [UInt8], at now: Moment, effects: inout Effects
  ) {
    self.now = now
    let known = RPCMethod(rawValue: method) ?? .unrecognized
    serve(.local(id), known, method, body.bytes, &effects)
    settle(&effects)
  }

  // MARK: Dispatch

  /// Serves a request, or keeps it until it can be served.
  mutating func serve(
    _ caller: Caller, _ method: RPCMethod, _ name: String, _ body: RawSpan, until: Instant? = nil,
    _ effects: inout Effects
  ) {
    if serveUnforwarded(caller, method, body, &effects) { return }
    var options: QueryOptions
    do throws(WireError) {
      var reader = MessagePackReader(body)
      options = try QueryOptions(&reader)
    } catch {
      return fail(caller, "msgpack decode error: \(error)", &effects)
    }
    if options.region.isEmpty {
      // Go's dispatcher knows the name before anybody asks for a region.
      if method == .unrecognized { return reject(caller, name, &effects) }
      guard method == .statusLeader || method == .statusPeers else {
        return fail(caller, "missing region for target RPC", &effects)
      }
      options.region = configuration.region
    }
    if options.region != configuration.region {
      return forward(caller, method, name, body, toRegion: options.region, options, &effects)
    }
    if method == .clientStatsStats { return callClient(caller, method, body, &effects) }
    guard let endpoint = Self.endpoint(method) else { return reject(caller, name, &effects) }
    if endpoint == .read, options.allowStale, mayAnswerStale(method) {
      return answer(caller, method, name, body, options, &effects)
    }
    switch route {
    case .here: answer(caller, method, name, body, options, &effects)
    case .leader(let address): forward(caller, method, name, body, to: address, options, &effects)
    case .nobody, .notReady:
      let kept = RequestTable.Kept(
        caller: caller, method: method, name: name, body: body.copy(), until: until ?? (now.instant + Self.leaderHold))
      guard requests.held.count < Self.maximumHeld else { return fail(caller, noLeaderText, &effects) }
      requests.held.append(kept)
    }
  }

  /// An empty answer about allocations makes clients stop their work: when the region has work that this server does
  /// not model, only the leader may answer.
  private func mayAnswerStale(_ method: RPCMethod) -> Bool {
    switch method {
    case .nodeGetClientAllocations, .nodeGetAllocations, .allocationGetAllocations: !state.hasForeignData
    default: true
    }
  }

  enum Route: Hashable {
    case here
    case leader(SocketAddress)
    case notReady
    case nobody
  }

  /// Who answers consistent requests now.
  var route: Route {
    if raft.role == .leader { return leadership.isReady ? .here : .notReady }
    guard let leader = raft.leader, let address = SocketAddress(leader.address) else { return .nobody }
    return .leader(address)
  }

  var noLeaderText: String { raft.role == .leader ? "Not ready to serve consistent reads" : "No cluster leader" }

  enum Endpoint: Hashable {
    case read, write
  }

  /// nil: not served here.
  static func endpoint(_ method: RPCMethod) -> Endpoint? {
    switch method {
    case .statusLeader, .statusPeers, .nodeGetClientAllocations, .nodeGetNode, .nodeGetAllocations, .nodeList,
      .evalList, .operatorRaftGetConfiguration, .operatorAutopilotGetConfiguration,
      .operatorSchedulerGetConfiguration, .namespaceListNamespaces, .namespaceGetNamespace, .searchPrefixSearch,
      .jobList, .allocationList, .deploymentList, .scalingListPolicies, .csiVolumeList, .csiPluginList,
      .allocationGetAllocations:
      .read
    case .nodeRegister, .nodeUpdateStatus, .nodeUpdateDrain, .nodeUpdateEligibility, .nodeEvaluate, .nodeDeregister,
      .nodeBatchDeregister, .nodeEmitEvents, .evalDequeue, .operatorRaftRemovePeerByAddress,
      .operatorRaftRemovePeerByID, .operatorAutopilotSetConfiguration, .operatorServerHealth,
      .operatorSchedulerSetConfiguration, .operatorTransferLeadershipToPeer, .systemGarbageCollect,
      .systemReconcileJobSummaries, .nodeUpdateAllocation:
      .write
    default: nil
    }
  }

  /// Everybody answers these himself, whatever the region says.
  private mutating func serveUnforwarded(
    _ caller: Caller, _ method: RPCMethod, _ body: RawSpan, _ effects: inout Effects
  ) -> Bool {
    switch method {
    case .statusPing: respond(caller, &effects) { $0.packMapHeader(0) }
    case .statusRaftStats: respond(caller, encoded(packRaftStatistics), &effects)
    case .statusMembers: respond(caller, encoded(packMembers), &effects)
    case .statusVersion: respond(caller, encoded(packVersion), &effects)
    case .statusHasNodeConnection: answerHasNodeConnection(caller, body, &effects)
    case .regionList:
      let regions = directory.regions
      respond(caller, &effects) { $0.pack(regions) }
    case .nomaddBootstrap: serveBootstrap(caller, body, &effects)
    case .aclListPolicies, .aclListTokens, .aclGetPolicies, .aclResolveToken:
      fail(caller, RPCErrorText.coded(400, "ACL support disabled"), &effects)
    default: return false
    }
    return true
  }

  /// This server answers, from its own state or as the leader.
  mutating func answer(
    _ caller: Caller, _ method: RPCMethod, _ name: String, _ body: RawSpan, _ options: QueryOptions,
    _ effects: inout Effects
  ) {
    switch method {
    case .statusLeader:
      let leader = raft.leader?.address ?? ""
      respond(caller, &effects) { $0.pack(leader) }
    case .statusPeers:
      let peers = statusPeers
      respond(caller, &effects) { $0.pack(peers) }
    case .nodeRegister, .nodeUpdateStatus, .nodeUpdateDrain, .nodeUpdateEligibility, .nodeEvaluate, .nodeDeregister,
      .nodeBatchDeregister, .nodeEmitEvents, .nodeUpdateAllocation:
      answerNodeWrite(caller, method, body, &effects)
    case .nodeGetClientAllocations, .nodeGetNode, .nodeGetAllocations, .nodeList, .namespaceListNamespaces,
      .namespaceGetNamespace, .searchPrefixSearch, .jobList, .allocationList, .deploymentList, .scalingListPolicies,
      .csiVolumeList, .csiPluginList, .evalList, .operatorSchedulerGetConfiguration, .allocationGetAllocations:
      answerQuery(caller, method, name, body, options, &effects)
    default: answerOperator(caller, method, body, &effects)
    }
  }

  // MARK: Answers

  mutating func respond(_ caller: Caller, _ effects: inout Effects, _ body: (inout [UInt8]) -> Void) {
    switch caller {
    case .remote(let id, _): rpc.respond(to: id, at: now.instant, effects: &effects, body: body)
    case .local(let id):
      var bytes: [UInt8] = []
      body(&bytes)
      events.append(.answered(id, .success(bytes)))
    }
  }

  mutating func respond(_ caller: Caller, _ body: [UInt8], _ effects: inout Effects) {
    respond(caller, &effects) { $0.append(contentsOf: body) }
  }

  func encoded(_ body: (inout [UInt8]) -> Void) -> [UInt8] {
    var bytes: [UInt8] = []
    body(&bytes)
    return bytes
  }

  mutating func fail(_ caller: Caller, _ text: String, _ effects: inout Effects) {
    switch caller {
    case .remote(let id, _): rpc.fail(id, error: text, at: now.instant, effects: &effects)
    case .local(let id): events.append(.answered(id, .failure(RPCErrorMessage(text))))
    }
  }

  /// A method that nobody here implements.
  private mutating func reject(_ caller: Caller, _ name: String, _ effects: inout Effects) {
    switch caller {
    case .remote(let id, _): rpc.reject(id, at: now.instant, effects: &effects)
    case .local: fail(caller, "rpc: can't find method \(name)", &effects)
    }
  }

  // MARK: Waiting

  /// Serves what waited for a leader again; called when the leader or the own readiness changed.
  mutating func retryHeld(_ effects: inout Effects) {
    guard !requests.held.isEmpty, route != .nobody, route != .notReady else { return }
    let held = requests.held
    requests.held.removeAll()
    for request in held {
      serve(request.caller, request.method, request.name, request.body.bytes, until: request.until, &effects)
    }
  }

  mutating func expireRequests(_ effects: inout Effects) {
    let instant = now.instant
    if requests.held.contains(where: { $0.until <= instant }) {
      let expired = requests.held.filter { $0.until <= instant }
      requests.held.removeAll { $0.until <= instant }
      logNoLeader(expired.count, &effects)
      for request in expired { fail(request.caller, noLeaderText, &effects) }
    }
    for (waiter, request) in requests.takeExpiredBlocked(at: instant) {
      watches.unwatch(waiter)
      answerNow(request, &effects)
    }
    if requests.idle.contains(where: { $0.until <= instant }) {
      let due = requests.idle.filter { $0.until <= instant }
      requests.idle.removeAll { $0.until <= instant }
      for one in due { respond(one.caller, &effects) { Self.packNoEvaluation(into: &$0) } }
    }
  }

  mutating func drainWatches(_ effects: inout Effects) -> Bool {
    guard watches.hasWoken else { return false }
    for waiter in watches.takeWoken() {
      guard let request = requests.blocked.removeValue(forKey: waiter) else { continue }
      serve(request.caller, request.method, request.name, request.body.bytes, until: request.until, &effects)
    }
    return true
  }
}
