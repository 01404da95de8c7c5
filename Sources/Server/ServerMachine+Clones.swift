import Base
import RPC
import State
import Wire

/// Registrations that wait for an answer to the question whether the agent that has their node id lives.
struct CloneChecks: Sendable {
  struct Check: Sendable {
    /// The registration, and those of the same agent that came over other servers meanwhile.
    var waiting: [RequestTable.Kept]
    var registrant: Registrant
    var rival: Registrant
    /// Questions without an answer.
    var open: Int
  }

  private enum Question: Sendable {
    case ours(NodeID, peer: String)
    /// Another server asks, about a session of this age.
    case other(Caller, since: WallTime, peer: String)
  }

  /// More at once are not looked at: then it is rather a site that starts again.
  static let maximum = 256
  /// Clones that are told in the log and in the events of the node, in the life of a process.
  static let maximumReported = 1024
  /// Fields that servers of our own add to `Status.HasNodeConn` and to its answer.
  static let lifeField: StaticString = "NomaddAlive"
  static let peerField: StaticString = "NomaddPeer"

  private var checks: [NodeID: Check] = [:]
  private var questions: [CallID: Question] = [:]
  private var reported: Set<String> = []

  var isFull: Bool { checks.count >= Self.maximum }

  subscript(node: NodeID) -> Check? {
    get { checks[node] }
    set { checks[node] = newValue }
  }

  func awaits(_ call: CallID) -> Bool { questions[call] != nil }

  mutating func ask(_ call: CallID, about node: NodeID, peer: String = "") {
    questions[call] = .ours(node, peer: peer)
  }

  mutating func ask(_ call: CallID, for caller: Caller, since: WallTime, peer: String) {
    questions[call] = .other(caller, since: since, peer: peer)
  }

  /// Whom the answer is for, and the peer of the session that was tried.
  mutating func answered(_ call: CallID) -> (node: NodeID?, caller: Caller?, since: WallTime?, peer: String)? {
    switch questions.removeValue(forKey: call) {
    case .ours(let node, let peer): (node, nil, nil, peer)
    case .other(let caller, let since, let peer): (nil, caller, since, peer)
    case nil: nil
    }
  }

  /// True the first time.
  mutating func report(_ text: String) -> Bool {
    reported.count < Self.maximumReported && reported.insert(text).inserted
  }
}

/// One node id, two agents: a cloned machine, or a copied data directory. An agent that registers with the id of
/// another one (other name, HTTP address or boot) is accepted when the other is gone, and refused while it lives.
extension ServerMachine {
  /// How long a client may take to answer over its own connection.
  static let cloneProbeTimeout = Interval.seconds(1)
  static let cloneQuestionTimeout = Interval.seconds(2)

  /// Precondition: this server leads.
  mutating func register(_ caller: Caller, _ change: PreparedChange, _ body: RawSpan, _ effects: inout Effects) {
    guard let id = change.nodeID, let registrant = change.registrant else { return }
    if let other = leadership.registering[id], other != registrant {
      return refuse(caller, id, other, registrant, connectedFrom: "", &effects)
    }
    guard let rival = change.rival else {
      return accept(caller, change, &effects)
    }
    let kept = RequestTable.Kept(
      caller: caller, method: .nodeRegister, name: "", body: body.copy(), until: now.instant + Self.leaderHold)
    if let check = cloneChecks[id] {
      guard check.registrant == registrant else {
        return refuse(caller, id, check.registrant, registrant, connectedFrom: "", &effects)
      }
      cloneChecks[id]?.waiting.append(kept)
      return
    }
    guard !cloneChecks.isFull else { return accept(caller, change, &effects) }
    let calls = askForLife(of: id, except: caller, &effects)
    guard calls > 0 else { return accept(caller, change, &effects) }
    cloneChecks[id] = CloneChecks.Check(waiting: [kept], registrant: registrant, rival: rival, open: calls)
  }

  private mutating func accept(_ caller: Caller, _ change: PreparedChange, _ effects: inout Effects) {
    if let id = change.nodeID { leadership.registering[id] = change.registrant }
    propose(change, .nodeUpdate(change.nodeID, status: change.status), caller, &effects)
  }

  /// Asks the agent itself over its connection, here and through the other servers. Returns how many were asked.
  private mutating func askForLife(of id: NodeID, except caller: Caller, _ effects: inout Effects) -> Int {
    var calls = 0
    var own: SessionID?
    if case .remote(_, let session) = caller { own = session }
    if let session = pushes.acceptedSession(of: id, except: own) {
      cloneChecks.ask(probe(session.id, &effects), about: id, peer: peerText(session.id))
      calls += 1
    }
    let options = QueryOptions(region: configuration.region, allowStale: true)
    for server in directory.localAlive where server.gossipName != configuration.gossipName {
      let call = rpc.call(
        .statusHasNodeConnection, to: server.address, deadline: now.instant + Self.cloneQuestionTimeout,
        at: now.instant, effects: &effects
      ) { out in
        out.packMapHeader(2 + options.fieldCount)
        out.pack("NodeID" as StaticString)
        out.pack("\(id)")
        out.pack(CloneChecks.lifeField)
        out.pack(true)
        options.encodeFields(into: &out)
      }
      cloneChecks.ask(call, about: id)
      calls += 1
    }
    return calls
  }

  /// Any answer will do, also that the client knows no such method.
  private mutating func probe(_ session: SessionID, _ effects: inout Effects) -> CallID {
    rpc.call(
      .statusPing, overSession: session, deadline: now.instant + Self.cloneProbeTimeout, at: now.instant,
      effects: &effects
    ) { $0.packMapHeader(0) }
  }

  private func peerText(_ session: SessionID) -> String { rpc.peer(of: session).map { "\($0)" } ?? "(unknown)" }

  static func asksForLife(_ body: RawSpan) -> Bool {
    var reader = MessagePackReader(body)
    do throws(WireError) {
      for _ in 0..<(try reader.readMapHeader()) {
        if try reader.readRaw().equals(CloneChecks.lifeField) { return try reader.readBool() }
        try reader.skip()
      }
    } catch {
      return false
    }
    return false
  }

  /// The leader asks this server.
  mutating func answerLife(_ caller: Caller, _ id: NodeID, _ effects: inout Effects) {
    guard let session = pushes.acceptedSession(of: id, except: nil) else {
      return respondConnection(caller, since: nil, peer: "", &effects)
    }
    cloneChecks.ask(probe(session.id, &effects), for: caller, since: session.since, peer: peerText(session.id))
  }

  mutating func handleCloneAnswer(
    _ call: CallID, _ outcome: RPCOutcome, in batch: borrowing RPCEventBatch, _ effects: inout Effects
  ) {
    guard let (node, caller, since, peer) = cloneChecks.answered(call) else { return }
    if let caller {
      return respondConnection(caller, since: outcome.isAnswer ? since : nil, peer: peer, &effects)
    }
    guard let node, var check = cloneChecks[node] else { return }
    check.open -= 1
    cloneChecks[node] = check
    var living: String?
    if !peer.isEmpty {
      living = outcome.isAnswer ? peer : nil
    } else if case .reply(let range) = outcome, Self.connectedSince(batch.bytes(range)) != nil {
      let told = Self.text("\(CloneChecks.peerField)", of: batch.bytes(range))
      living = told.isEmpty ? nil : told
    }
    guard living != nil || check.open == 0 else { return }
    cloneChecks[node] = nil
    for kept in check.waiting {
      if let living {
        refuse(kept.caller, node, check.rival, check.registrant, connectedFrom: living, &effects)
      } else {
        registerUnchecked(kept, &effects)
      }
    }
  }

  /// The other one is gone.
  private mutating func registerUnchecked(_ kept: RequestTable.Kept, _ effects: inout Effects) {
    guard raft.role == .leader, leadership.isReady else {
      return serve(kept.caller, kept.method, kept.name, kept.body.bytes, until: kept.until, &effects)
    }
    do throws(RequestError) {
      accept(kept.caller, try state.prepareRegister(kept.body.bytes, at: now.wall), &effects)
    } catch {
      fail(kept.caller, error.text, &effects)
    }
  }

  private mutating func refuse(
    _ caller: Caller, _ id: NodeID, _ rival: Registrant, _ registrant: Registrant, connectedFrom peer: String,
    _ effects: inout Effects
  ) {
    let place = peer.isEmpty ? "" : ", connected from \(peer)"
    let parties = "\(rival.name) (\(rival.httpAddress)\(place)) has it and lives, \(registrant.name) "
      + "(\(registrant.httpAddress)) asks for it"
    let text = "\(NodeIDTaken.prefix) \(id): \(parties); was a machine or a data directory cloned? Stop the clone, "
      + "remove client/client-state from its data directory and start it again"
    fail(caller, text, &effects)
    if case .remote(_, let session) = caller { pushes.noted(session, .refused) }
    let pair = "\(id) \(rival.httpAddress) \(registrant.httpAddress) \(registrant.name)"
    guard cloneChecks.report(pair) else { return }
    effects.log.log(.error, "nomad.client", text)
    proposeOwn(
      StateMessage.upsertNodeEvents(
        [id: [NodeEvent("Registration of a clone refused: \(parties)", at: now.wall)]],
        write: WriteRequest(region: configuration.region)), &effects)
  }

  /// Notes on the session of a client what the leader said to its registration or heartbeat.
  mutating func noteAnswer(to relay: RequestTable.Relay, _ error: String?) {
    guard relay.method == .nodeRegister || relay.method == .nodeUpdateStatus,
      case .remote(_, let session) = relay.caller
    else { return }
    guard let error else { return pushes.noted(session, .accepted) }
    if error.contains(NodeIDTaken.prefix) { pushes.noted(session, .refused) }
  }
}

extension RPCOutcome {
  /// The peer lives: it said something.
  fileprivate var isAnswer: Bool {
    if case .failure = self { false } else { true }
  }
}
