import Base
import RPC
import Raft
import State
import Wire

/// What client agents write: registration, heartbeats, drains, events (rpc.md section 5).
extension ServerMachine {
  mutating func answerNodeWrite(
    _ caller: Caller, _ method: RPCMethod, _ body: RawSpan, _ effects: inout Effects
  ) {
    rememberSession(of: caller, method, body)
    do throws(RequestError) {
      switch method {
      case .nodeRegister:
        register(caller, try state.prepareRegister(body, at: now.wall), body, &effects)
      case .nodeUpdateStatus:
        let change = try state.prepareUpdateStatus(body, at: now.wall)
        propose(change, .nodeUpdate(change.nodeID, status: change.status), caller, &effects)
      case .nodeUpdateDrain:
        propose(try state.prepareDrain(body, at: now.wall), .nodeChange(fillsModifyIndex: true), caller, &effects)
      case .nodeUpdateEligibility:
        propose(
          try state.prepareEligibility(body, at: now.wall), .nodeChange(fillsModifyIndex: false), caller, &effects)
      case .nodeDeregister:
        let change = try state.prepareDeregister(body)
        if let id = change.nodeID { forgetHeartbeat(of: id) }
        propose(change, .nodeUpdate(nil, status: ""), caller, &effects)
      case .nodeBatchDeregister:
        let (change, ids) = try state.prepareBatchDeregister(body)
        for id in ids { forgetHeartbeat(of: id) }
        propose(change, .nodeUpdate(nil, status: ""), caller, &effects)
      case .nodeEvaluate:
        _ = try state.prepareEvaluate(body)
        respondNodeUpdate(caller, nodeID: nil, status: "", index: 0, &effects)
      case .nodeEmitEvents: propose(try state.prepareEvents(body), .writeMeta, caller, &effects)
      case .nodeUpdateAllocation: fail(caller, "must update at least one allocation", &effects)
      default: fail(caller, "rpc: can't find method \(method.name)", &effects)
      }
    } catch {
      fail(caller, error.text, &effects)
    }
  }

  /// Proposes a checked change, or answers at once when nothing has to be written.
  mutating func propose(
    _ change: PreparedChange, _ answer: ProposalAnswer, _ caller: Caller, _ effects: inout Effects
  ) {
    guard let data = change.data else {
      return respond(caller, answer, result: .done, index: 0, &effects)
    }
    propose(data, answer, caller, &effects)
  }

  mutating func propose(
    _ data: [UInt8], _ answer: ProposalAnswer, _ caller: Caller, _ effects: inout Effects
  ) {
    do throws(RaftError) {
      let index = try raft.proposeLater(data, at: now.instant, effects: &effects)
      requests.proposals[index] = RequestTable.Proposal(caller: caller, answer: answer)
    } catch {
      fail(caller, error.text, &effects)
    }
  }

  /// A write of the leader itself; nobody waits for it.
  mutating func proposeOwn(_ data: [UInt8], _ effects: inout Effects) {
    do throws(RaftError) {
      _ = try raft.proposeLater(data, at: now.instant, effects: &effects)
    } catch {
      effects.log.log(.error, "nomad", "failed to write the leader's own entry", ["error": error.text])
    }
  }

  /// `index` is 0 when nothing was written.
  mutating func respond(
    _ caller: Caller, _ answer: ProposalAnswer, result: ApplyResult, index: UInt64, _ effects: inout Effects
  ) {
    if case .failed(let error) = result { return fail(caller, error.text, &effects) }
    var isChecked = true
    if case .checked(let value) = result { isChecked = value }
    switch answer {
    case .nodeUpdate(let id, let status): respondNodeUpdate(caller, nodeID: id, status: status, index: index, &effects)
    case .nodeChange(let fills):
      respond(caller, &effects) {
        NodeChangeResponse(index: index, nodeModifyIndex: fills ? index : 0).encode(into: &$0)
      }
    case .writeMeta: respond(caller, &effects) { WriteMeta(index: index).encode(into: &$0) }
    case .bool: respond(caller, &effects) { $0.pack(isChecked) }
    case .updated:
      respond(caller, &effects) {
        $0.packMapHeader(2)
        $0.pack("Index" as StaticString)
        $0.pack(unsigned: index)
        $0.pack("Updated" as StaticString)
        $0.pack(isChecked)
      }
    case .empty: respond(caller, &effects) { $0.packMapHeader(0) }
    case .none: break
    }
  }

  /// The answer to registration and heartbeats: the time to the next one, and every server of the region.
  private mutating func respondNodeUpdate(
    _ caller: Caller, nodeID: NodeID?, status: String, index: UInt64, _ effects: inout Effects
  ) {
    var response = NodeUpdateResponse()
    response.index = index
    response.nodeModifyIndex = index
    response.leaderRPCAddress = raft.leader?.address ?? ""
    response.numNodes = Int32(clamping: state.nodeCount)
    response.servers = clientServers
    if let nodeID, status != Node.down {
      guard raft.role == .leader else {
        return fail(caller, "failed to reset heartbeat since server is not leader", &effects)
      }
      response.heartbeatTTL = armHeartbeat(nodeID, &effects)
      if !leadership.registering.isEmpty { leadership.registering[nodeID] = nil }
      if case .remote(_, let session) = caller { pushes.noted(session, .accepted) }
    }
    respond(caller, &effects) { response.encode(into: &$0) }
  }

  private mutating func forgetHeartbeat(of id: NodeID) {
    leadership.timers.disarm(id)
    leadership.doubts.end(id)
  }

  // MARK: Sessions of clients

  /// Remembers over which connection a client can be called. Called for requests that came from the client itself.
  mutating func rememberSession(of caller: Caller, _ method: RPCMethod, _ body: RawSpan) {
    guard case .remote(_, let session) = caller else { return }
    switch method {
    case .nodeRegister, .nodeUpdateStatus, .nodeGetClientAllocations: break
    default: return
    }
    guard !pushes.knows(session), let text = Self.clientID(of: body, isRegistration: method == .nodeRegister) else {
      return
    }
    do throws(NodeIDError) { pushes.sessionOpened(session, by: try NodeID(text), at: now.wall) } catch { return }
  }

  /// Nil when the request was forwarded by a server: then the session is not the client's.
  private static func clientID(of body: RawSpan, isRegistration: Bool) -> String? {
    var reader = MessagePackReader(body)
    var id: String?
    do throws(WireError) {
      for _ in 0..<(try reader.readMapHeader()) {
        switch try reader.readRaw() {
        case "Forwarded": if try reader.readBool() { return nil }
        case "NodeID" where !isRegistration: id = try reader.readString()
        case "Node" where isRegistration: id = text("ID", of: try reader.skip())
        default: try reader.skip()
        }
      }
    } catch {
      return nil
    }
    return id
  }

  /// `Status.HasNodeConn`: whether this server can call a client over its own connection (rpc.md section 6). Servers of
  /// our own may ask for a living connection of an accepted client, which is then tried.
  mutating func answerHasNodeConnection(_ caller: Caller, _ body: RawSpan, _ effects: inout Effects) {
    let text = Self.text("NodeID", of: body)
    do throws(NodeIDError) {
      let id = try NodeID(text)
      if Self.asksForLife(body) { return answerLife(caller, id, &effects) }
      respondConnection(caller, since: pushes.session(of: id)?.since, peer: "", &effects)
    } catch {
      fail(caller, "Must provide the NodeID", &effects)
    }
  }

  /// `peer` is told to servers of our own only: not empty.
  mutating func respondConnection(_ caller: Caller, since: WallTime?, peer: String, _ effects: inout Effects) {
    let meta = queryMeta
    respond(caller, &effects) {
      $0.packMapHeader((peer.isEmpty ? 2 : 3) + meta.fieldCount)
      $0.pack("Connected" as StaticString)
      $0.pack(since != nil)
      $0.pack("Established" as StaticString)
      $0.pack(since.map { GoTime($0) } ?? .zero)
      if !peer.isEmpty {
        $0.pack(CloneChecks.peerField)
        $0.pack(peer)
      }
      meta.encodeFields(into: &$0)
    }
  }

  // MARK: The list of servers

  /// Tells connected nomadd clients at once; all others learn it with their next heartbeat.
  mutating func pushServerList(_ effects: inout Effects) {
    guard let list = pushes.changed(clientServers) else { return }
    let change = ServersChanged(servers: list, leaderRPCAddress: raft.leader?.address ?? "", index: pushes.index)
    var body: [UInt8] = []
    change.encode(into: &body)
    for (session, id) in pushes.sessions {
      guard state.node(id)?.attribute(ServersChanged.attribute.name) == ServersChanged.attribute.value else { continue }
      let call = rpc.call(
        .clientServersChanged, overSession: session, deadline: now.instant + ServerListPush.timeout, at: now.instant,
        effects: &effects
      ) { $0.append(contentsOf: body) }
      pushes.started(call)
    }
  }
}
