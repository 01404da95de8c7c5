import API
import Base
import Client
import Configuration
import HTTP
import Membership
import Server
import Wire

/// The HTTP API: requests come from the HTTP machine, are answered here or by an RPC, and leave as JSON.
extension AgentShell {
  /// How long a request of the HTTP API may be under way to another server: the longest blocking query and its jitter.
  static let apiCallTimeout = Interval.seconds(335)

  func drainHTTP() {
    for event in http.takeEvents() {
      switch event {
      case .request(let id, let request): serve(id, request)
      case .abandoned(let id):
        waiting = waiting.filter { $0.value.request != id }
        abandonStreams(of: id)
      }
    }
  }

  private func serve(_ id: HTTPRequestID, _ request: HTTPRequest) {
    switch api.handle(request) {
    case .respond(let response): http.respond(id, response, at: loop.now, effects: &effects)
    case .call(let call, let context): carryOut(call, id, context)
    }
  }

  private func carryOut(_ call: APICall, _ id: HTTPRequestID, _ context: APIContext) {
    switch call {
    case .rpc(let rpc): start(rpc.method, rpc.body, expect(id, context))
    case .agentSelf: respond(id, context, .agentSelf(agentSelf))
    case .members: members(id, context)
    case .join(let texts): join(texts, id, context)
    case .forceLeave(let node, let prune): forceLeave(node, prune: prune, id, context)
    case .detach(let region, let undo):
      let isSent = server?.detach(region, undo: undo, at: loop.moment, effects: &effects) ?? false
      let failure = APIFailure("region \(region) is this server's own, or its name is too long", status: 400)
      respond(id, context, isSent ? .done : .failure(failure))
    case .leave(let isForced):
      if !isForced, let obstacle = server?.leaveObstacle {
        return respond(id, context, .failure(APIFailure("this server does not leave: \(obstacle)", status: 409)))
      }
      respond(id, context, .done)
      leave()
    case .reload:
      respond(id, context, reload().map { .failure($0) } ?? .done)
    case .servers:
      respond(id, context, .servers((client?.status.servers ?? []).map(\.description).sorted()))
    case .setServers(let texts): setServers(texts, id, context)
    case .health(let question): health(question, id, context)
    case .quorumReport: respond(id, context, quorumReport)
    case .metrics(let isPrometheus):
      let text = APIAnswer.text(
        Array(prometheusMetrics.utf8), contentType: "text/plain; version=0.0.4; charset=utf-8")
      respond(id, context, isPrometheus ? text : .json(metrics))
    case .host: respond(id, context, .json(["Hostname": .string(configuration.name)]))
    case .keyring(let operation): changeKeyring(operation, id, context)
    case .clientStats(let node, let rpc): clientStatistics(of: node, rpc, id, context)
    case .monitor(let request): monitor(request, id, context)
    case .eventStream:
      respond(id, context, .failure(APIFailure("events are not supported by this version of nomadd", status: 501)))
    case .snapshotSave(let region, let allowStale, let token):
      saveSnapshot(region: region, allowStale: allowStale, token: token, id, context)
    case .snapshotRestore(let archive, let region, let token):
      restoreSnapshot(archive, region: region, token: token, id, context)
    }
  }

  func respond(_ id: HTTPRequestID, _ context: APIContext, _ answer: APIAnswer) {
    http.respond(id, api.response(to: answer, for: context), at: loop.now, effects: &effects)
  }

  // MARK: Waiting

  private func expect(
    _ id: HTTPRequestID, _ context: APIContext, _ kind: WaitingRequest.Kind = .reply
  ) -> LocalCallID {
    let call = LocalCallID(number: nextCall)
    nextCall += 1
    waiting[call] = WaitingRequest(request: id, context: context, kind: kind)
    return call
  }

  /// An RPC of this agent: to the own server, or through the client to one it knows.
  private func start(_ method: String, _ body: [UInt8], _ call: LocalCallID) {
    if server != nil {
      server?.call(call, method, body, at: loop.moment, effects: &effects)
    } else if let id = client?.forward(
      method, body: body, deadline: loop.now + Self.apiCallTimeout, at: loop.now, effects: &effects)
    {
      forwards[id] = call
    }
  }

  func finish(_ call: LocalCallID, _ result: Result<[UInt8], RPCErrorMessage>) {
    guard let request = waiting.removeValue(forKey: call) else { return }
    switch request.kind {
    case .reply:
      switch result {
      case .success(let bytes): respond(request.request, request.context, .reply(bytes))
      case .failure(let error): respond(request.request, request.context, .failure(Self.failure(error.text)))
      }
    case .health(var answer, _):
      switch result {
      case .success(let bytes):
        // An empty string is one byte: no leader is known.
        answer.server = bytes.count > 1
          ? HealthAnswer.Check(isHealthy: true, message: "ok")
          : HealthAnswer.Check(isHealthy: false, message: "no leader")
      case .failure(let error): answer.server = HealthAnswer.Check(isHealthy: false, message: error.text)
      }
      respond(request.request, request.context, .health(answer))
    }
  }

  func answer(_ call: LocalCallID, _ answer: APIAnswer) {
    guard let request = waiting.removeValue(forKey: call) else { return }
    respond(request.request, request.context, answer)
  }

  /// Coded errors carry their HTTP status: `RPC Error:: 404,job not found` (rpc.md 7.1). A client that nobody can reach
  /// is told by its words.
  private static func failure(_ text: String) -> APIFailure {
    if text.contains("Unknown node") || text.contains("No path to node") { return APIFailure(text, status: 404) }
    guard text.hasPrefix("RPC Error:: ") else { return APIFailure(text) }
    let rest = text.dropFirst("RPC Error:: ".count)
    guard let comma = rest.firstIndex(of: ","), let status = Int(rest[..<comma]) else { return APIFailure(text) }
    return APIFailure(String(rest[rest.index(after: comma)...]), status: status)
  }

  // MARK: Endpoints of the agent

  private func join(_ texts: [String], _ id: HTTPRequestID, _ context: APIContext) {
    let call = expect(id, context)
    var entries: [JoinEntry] = []
    var errors: [String] = []
    for text in texts {
      do throws(EndpointError) {
        entries.append(try JoinEntry(text, defaultPort: configuration.bind.serf.port))
      } catch {
        errors.append("\(error)")
      }
    }
    JoinResolution(loop: loop, entries: entries).run { [unowned self] addresses, failures in
      errors += failures
      if addresses.isEmpty { return answer(call, .join(JoinAnswer(joined: 0, errors: errors))) }
      server?.join(call, addresses, at: loop.moment, effects: &effects)
    }
  }

  private func forceLeave(_ node: String, prune: Bool, _ id: HTTPRequestID, _ context: APIContext) {
    let outcome = server?.forceLeave(node, prune: prune, at: loop.moment, effects: &effects)
    if outcome == .unknown {
      effects.log.log(.warn, "nomad", "force-leave did nothing: no member has this name, id or address", ["node": node])
    }
    respond(id, context, .done)
  }

  /// Of this agent's own client at once, of every other through the servers.
  private func clientStatistics(of node: String, _ rpc: APIRPC, _ id: HTTPRequestID, _ context: APIContext) {
    guard let client, node.isEmpty || node == client.persisted.nodeID else {
      return start(rpc.method, rpc.body, expect(id, context))
    }
    respond(id, context, .reply(hostStatistics))
  }

  private func changeKeyring(_ operation: APIKeyring, _ id: HTTPRequestID, _ context: APIContext) {
    let change: KeyringOperation
    switch operation {
    case .list: change = .list
    case .install(let key): change = .install(key)
    case .use(let key): change = .use(key)
    case .remove(let key): change = .remove(key)
    }
    server?.changeKeyring(expect(id, context), change, at: loop.moment, effects: &effects)
  }

  private func setServers(_ texts: [String], _ id: HTTPRequestID, _ context: APIContext) {
    var addresses: [SocketAddress] = []
    for text in texts {
      do throws(EndpointError) {
        let endpoint = try Endpoint(text, defaultPort: AgentConfiguration.defaultRPCPort)
        guard case .address(let address) = endpoint else {
          return respond(id, context, .failure(APIFailure("\(text): give addresses, not names", status: 400)))
        }
        addresses.append(address)
      } catch {
        return respond(id, context, .failure(APIFailure("\(error)", status: 400)))
      }
    }
    client?.setServers(addresses, at: loop.now, effects: &effects)
    respond(id, context, .done)
  }

  private func health(_ question: APIHealthQuestion, _ id: HTTPRequestID, _ context: APIContext) {
    var answer = HealthAnswer()
    if question.client {
      if client == nil {
        answer.client = .init(isHealthy: false, message: "client not enabled")
      } else {
        let knows = !(client?.status.servers.isEmpty ?? true)
        answer.client = .init(isHealthy: knows, message: knows ? "ok" : "no known servers")
      }
    }
    guard question.server else { return respond(id, context, .health(answer)) }
    guard server != nil else {
      answer.server = .init(isHealthy: false, message: "server not enabled")
      return respond(id, context, .health(answer))
    }
    let call = expect(id, context, .health(answer, wantsServer: true))
    var body: [UInt8] = []
    QueryOptions(region: question.region, allowStale: question.allowStale).encode(into: &body)
    start("Status.Leader", body, call)
  }

  /// On a client the answer is that of the server it uses.
  private func members(_ id: HTTPRequestID, _ context: APIContext) {
    if server != nil { return respond(id, context, members) }
    var body: [UInt8] = []
    QueryOptions(region: configuration.region, allowStale: true).encode(into: &body)
    start("Status.Members", body, expect(id, context))
  }
}
