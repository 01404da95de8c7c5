import Base
import RPC
import State
import Wire

/// Following the log of an agent: this server's, another server's, or that of a client (rpc.md section 9).
extension ServerMachine {
  static let monitorQuestionTimeout = Interval.seconds(3)

  mutating func routeMonitor(
    _ id: StreamTaskID, _ request: MonitorRequest, until: Instant?, _ effects: inout Effects
  ) {
    if !request.nodeID.isEmpty { return monitorNode(id, request, &effects) }
    if request.serverID == "leader" {
      switch raft.role == .leader ? .here : route {
      case .here: return monitorHere(id, request, &effects)
      case .leader(let address): return relayMonitor(id, to: address, &effects)
      case .nobody, .notReady: return hold(id, until, &effects)
      }
    }
    guard !request.serverID.isEmpty else { return monitorHere(id, request, &effects) }
    let name = request.serverID
    guard let entry = directory.local.first(where: { entry in
      entry.gossipName == name || entry.id == name || entry.gossipName == "\(name).\(entry.region)"
    }) else { return failStream(id, 400, "unknown Nomad server \(name)", &effects) }
    if entry.gossipName == configuration.gossipName { return monitorHere(id, request, &effects) }
    relayMonitor(id, to: entry.address, &effects)
  }

  /// The next hop is the target, so that it need not look for it.
  private mutating func relayMonitor(_ id: StreamTaskID, to address: SocketAddress, _ effects: inout Effects) {
    guard let request = streams.tasks[id]?.request else { return }
    var patch = MessagePackPatch()
    patch.set("ServerID") { $0.pack("") }
    var patched: [UInt8] = []
    do throws(WireError) { try patch.apply(to: request.bytes, into: &patched) } catch {
      return failStream(id, 500, "msgpack decode error: \(error)", &effects)
    }
    streams.tasks[id]?.request = patched
    relay(id, to: address, &effects)
  }

  private mutating func monitorHere(_ id: StreamTaskID, _ request: MonitorRequest, _ effects: inout Effects) {
    guard let level = request.level else { return failStream(id, 400, "Unknown log level", &effects) }
    let monitor = MonitorID(number: streams.makeNumber())
    streams.monitors[monitor] = id
    streams.tasks[id]?.stage = .monitoring
    events.append(.monitorStarted(monitor, level: level, json: request.isJSON, plain: request.isPlain))
  }

  /// A piece of the log for a monitor: whole lines, already in the form that was asked for; empty as a sign of life.
  /// Lines that a slow reader leaves no room for are lost, and the shell is told with false.
  public mutating func monitored(
    _ monitor: MonitorID, _ payload: [UInt8], at now: Moment, effects: inout Effects
  ) -> Bool {
    self.now = now
    guard let id = streams.monitors[monitor], let task = streams.tasks[id] else { return true }
    guard task.toCaller.count < StreamPipe.maximumBacklog else { return false }
    var piece: [UInt8] = []
    StreamPiece(payload: payload).encode(into: &piece)
    streams.tasks[id]?.toCaller.append(piece)
    pump(id, &effects)
    return true
  }

  // MARK: Clients

  private mutating func monitorNode(_ id: StreamTaskID, _ request: MonitorRequest, _ effects: inout Effects) {
    let node: NodeID
    do throws(NodeIDError) { node = try NodeID(request.nodeID) } catch {
      return failStream(
        id, 500, RPCErrorText.coded(500, "node lookup failed: index error: UUID must be 36 characters"), &effects)
    }
    if let session = pushes.session(of: node)?.id {
      return relay(
        id,
        rpc.openStream(
          named: RPCMethod.agentMonitor.name, overSession: session, at: now.instant, effects: &effects), &effects)
    }
    guard state.node(node) != nil else {
      return failStream(id, 404, RPCErrorText.coded(404, "Unknown node \"\(request.nodeID)\""), &effects)
    }
    let others = directory.localAlive.filter { $0.gossipName != configuration.gossipName }
    guard !request.options.forwarded, !others.isEmpty else {
      return failStream(id, 404, RPCErrorText.coded(404, "No path to node"), &effects)
    }
    streams.tasks[id]?.stage = .asking
    let options = QueryOptions(region: configuration.region)
    for other in others {
      let call = rpc.call(
        .statusHasNodeConnection, to: other.address, deadline: now.instant + Self.monitorQuestionTimeout,
        at: now.instant, effects: &effects
      ) { out in
        out.packMapHeader(1 + options.fieldCount)
        out.pack("NodeID" as StaticString)
        out.pack(request.nodeID)
        options.encodeFields(into: &out)
      }
      streams.questions[call] = (id, other.address)
    }
  }

  /// True when the call was a question for a client's connection. The first server that has one is used.
  mutating func handleMonitorAnswer(
    _ call: CallID, _ outcome: RPCOutcome, in batch: borrowing RPCEventBatch, _ effects: inout Effects
  ) -> Bool {
    guard let (id, server) = streams.questions.removeValue(forKey: call) else { return false }
    guard streams.tasks[id]?.stage == .asking else { return true }
    if case .reply(let range) = outcome, Self.isConnected(batch.bytes(range)) {
      streams.questions = streams.questions.filter { $0.value.task != id }
      relay(id, to: server, &effects)
    } else if !streams.questions.values.contains(where: { $0.task == id }) {
      failStream(id, 404, RPCErrorText.coded(404, "No path to node"), &effects)
    }
    return true
  }

  private static func isConnected(_ body: RawSpan) -> Bool {
    var reader = MessagePackReader(body)
    do throws(WireError) {
      for _ in 0..<(try reader.readMapHeader()) {
        if try reader.readRaw().equals("Connected") { return try reader.readBool() }
        try reader.skip()
      }
    } catch {
      return false
    }
    return false
  }
}
