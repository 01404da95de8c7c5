import Base
import Wire

/// All RPC connections of an agent (rpc.md): accepted and dialed, requests served and calls made. Does no IO.
///
/// Calling order: the shell passes what happened to the `handle...` methods and calls `handleTimeout` when `deadline`
/// has passed. After any of them, and after commands, the owner takes the events with `takeEvents` and reacts with
/// commands (`respond`, `call`, ...), until none are left. Directives for the network are in `effects.outbox`.
///
/// Requests of one stream are handed out one after the other, so answers keep their order as peers demand; requests of
/// different streams are independent.
public struct RPCMachine: Sendable {
  public let configuration: RPCConfiguration

  var connections = SlotMap(vacant: RPCConnection.vacant)
  var streams = SlotMap(vacant: RPCStream.vacant)
  var calls = SlotMap(vacant: RPCCall.vacant)
  var timers = TimerHeap()
  /// When the timer heap will look at each call slot.
  var callTimers: [Instant] = []
  var pending = RPCEventBatch()
  private var slots: [ConnectionID: Int] = [:]
  /// The connection new calls to an address use.
  var pool: [SocketAddress: Int] = [:]
  private var accepted: [IPAddress: AddressCount] = [:]
  var buffered = 0
  var nextSequence: UInt64 = 1
  /// Small frames (ACK, window, FIN, ping) of the connection being worked on; they join its next send.
  var control: [UInt8] = []
  var controlSlot = -1

  private struct AddressCount: Sendable {
    var connections = 0
    var streaming = 0
  }

  static let logModule = "nomad.rpc"

  public init(configuration: RPCConfiguration = RPCConfiguration()) { self.configuration = configuration }

  /// Moves the events out; `batch` is emptied first and its memory is used for the next ones.
  public mutating func takeEvents(into batch: inout RPCEventBatch) {
    batch.removeAll()
    swap(&batch, &pending)
  }

  public var hasEvents: Bool { !pending.isEmpty }

  /// When `handleTimeout` should be called; may be earlier than anything is due.
  public var deadline: Instant? { timers.first }

  public func owns(_ id: ConnectionID) -> Bool { slots[id] != nil }

  public var connectionCount: Int { connections.count }

  /// The peer's address as the connection shows it; nil when the session is over.
  public func peer(of session: SessionID) -> SocketAddress? {
    connections.find(session.slot).map { connections[$0].peer }
  }

  // MARK: What happened

  /// A connection was accepted. Over a limit it is aborted before any byte.
  public mutating func handleAccepted(
    _ id: ConnectionID, from peer: SocketAddress, at now: Instant, effects: inout Effects
  ) {
    let limit = configuration.connectionsPerAddress
    let count = accepted[peer.host, default: AddressCount()].connections
    guard connections.count < configuration.maximumConnections, limit == 0 || count < limit else {
      effects.log.log(.warn, Self.logModule, "rejecting client: too many concurrent connections", ["from": "\(peer)"])
      return effects.outbox.abort(id)
    }
    accepted[peer.host, default: AddressCount()].connections += 1
    var connection = RPCConnection(
      id: id, peer: peer, isDialer: false, stage: .accepted, streams: configuration.streamsPerSession, at: now)
    if configuration.handshakeTimeout > .zero { connection.handshakeDeadline = now + configuration.handshakeTimeout }
    let slot = connections.insert(connection)
    slots[id] = slot
    arm(slot)
  }

  /// A dial of ours succeeded: the mode goes out at once, with the requests that waited for it.
  public mutating func handleConnected(_ id: ConnectionID, at now: Instant, effects: inout Effects) {
    guard let slot = slots[id], connections[slot].stage == .dialing else { return }
    connections[slot].stage = .multiplexed
    connections[slot].session = YamuxSession(
      isDialer: true, maximumStreams: configuration.streamsPerSession, at: now)
    connections[slot].lastUsed = now
    withControl(slot, effects: &effects) { output, _ in output.append(FirstByte.multiplexed2.rawValue) }
    pending.events.append(.sessionStarted(sessionID(slot), peer: connections[slot].peer, isDialer: true))
    startWaiting(slot, at: now, effects: &effects)
    startWaitingStreams(slot, at: now, effects: &effects)
    flush(&effects)
    arm(slot)
  }

  /// Bytes arrived, in any chunking. Ignored for a connection that is not ours.
  public mutating func handleReceived(
    _ id: ConnectionID, _ bytes: RawSpan, at now: Instant, effects: inout Effects
  ) {
    guard let slot = slots[id], bytes.byteCount > 0 else { return }
    let name = connections.name(slot)
    var offset = 0
    if connections[slot].stage == .accepted {
      offset = 1
      guard handleFirstByte(slot, bytes, at: now, effects: &effects) else { return }
    }
    switch connections[slot].stage {
    case .plain:
      let stream = Int(connections[slot].plainStream)
      if offset < bytes.byteCount {
        deliver(stream, bytes.extracting(offset..<bytes.byteCount), at: now, effects: &effects)
      }
    case .multiplexed:
      receiveFrames(slot, bytes, from: offset, at: now, effects: &effects)
    case .accepted, .dialing: break
    }
    if connections.find(name) != nil {
      startWaiting(slot, at: now, effects: &effects)
      closeIfDrained(slot, at: now, effects: &effects)
    }
    flush(&effects)
    if connections.find(name) != nil { arm(slot) }
  }

  /// A dial failed, or the stream ended.
  public mutating func handleDisconnected(
    _ id: ConnectionID, _ end: StreamEnd, at now: Instant, effects: inout Effects
  ) {
    guard let slot = slots[id] else { return }
    let failure: RPCFailure = connections[slot].stage == .dialing ? .dial(end) : .ended
    remove(slot, failure: failure)
  }

  // MARK: Commands for connections

  /// Ends a session and everything on it; the owner gets the events of that.
  public mutating func endSession(_ session: SessionID, at now: Instant, effects: inout Effects) {
    guard let slot = connections.find(session.slot) else { return }
    close(slot, .ended, effects: &effects)
  }

  /// Ends everything: the agent stops.
  public mutating func endAll(at now: Instant, effects: inout Effects) {
    for slot in 0..<connections.capacity where connections.isUsed(slot) {
      if connections[slot].stage == .multiplexed {
        withControl(slot, effects: &effects) { output, connection in connection.session.goAway(code: 0, output: &output)
        }
      }
      close(slot, .ended, effects: &effects)
    }
  }

  // MARK: Connections

  func sessionID(_ slot: Int) -> SessionID { SessionID(slot: connections.name(slot)) }

  /// Dials `address` and puts the connection into the pool.
  mutating func dial(_ address: SocketAddress, at now: Instant, effects: inout Effects) -> Int {
    let id = effects.outbox.connect(to: address, within: configuration.dialTimeout)
    let slot = connections.insert(
      RPCConnection(
        id: id, peer: address, isDialer: true, stage: .dialing, streams: configuration.streamsPerSession, at: now))
    slots[id] = slot
    pool[address] = slot
    return slot
  }

  private mutating func handleFirstByte(
    _ slot: Int, _ bytes: RawSpan, at now: Instant, effects: inout Effects
  ) -> Bool {
    connections[slot].handshakeDeadline = nil
    let peer = connections[slot].peer
    switch FirstByte(rawValue: bytes.byte(at: 0)) {
    case .plain:
      connections[slot].stage = .plain
      connections[slot].plainStream = Int32(streams.insert(RPCStream(.request, connection: slot, id: 0)))
    case .streaming:
      let limit = configuration.streamingConnectionsPerAddress
      guard configuration.servesStreaming,
        configuration.connectionsPerAddress == 0 || accepted[peer.host, default: AddressCount()].streaming < limit
      else {
        close(slot, .ended, effects: &effects)
        return false
      }
      accepted[peer.host, default: AddressCount()].streaming += 1
      connections[slot].isStreaming = true
      connections[slot].stage = .plain
      connections[slot].plainStream = Int32(streams.insert(RPCStream(.streamHeader, connection: slot, id: 0)))
    case .multiplexed, .multiplexed2:
      connections[slot].hasModes = bytes.byte(at: 0) == FirstByte.multiplexed2.rawValue
      connections[slot].stage = .multiplexed
      connections[slot].session = YamuxSession(
        isDialer: false, maximumStreams: configuration.streamsPerSession, at: now)
    case .raft:
      let leftover = pending.append(bytes.extracting(1..<bytes.byteCount))
      pending.events.append(.raftConnection(connections[slot].id, from: peer, leftover: leftover))
      forget(slot)
      return false
    case .tls:
      effects.log.log(
        .error, Self.logModule, "TLS connection attempted, server not configured for TLS", ["from": "\(peer)"])
      close(slot, .ended, effects: &effects)
      return false
    case nil:
      let byte = bytes.byte(at: 0)
      effects.log.log(.error, Self.logModule, "unrecognized RPC byte", ["byte": "\(byte)", "from": "\(peer)"])
      close(slot, .ended, effects: &effects)
      return false
    }
    pending.events.append(.sessionStarted(sessionID(slot), peer: peer, isDialer: false))
    return true
  }

  /// Sends what is queued, closes the connection and reports everything that ends with it.
  mutating func close(_ slot: Int, _ failure: RPCFailure, effects: inout Effects) {
    flush(&effects)
    effects.outbox.close(connections[slot].id)
    remove(slot, failure: failure)
  }

  /// Forgets a connection and tells the owner about its requests, calls and streams.
  mutating func remove(_ slot: Int, failure: RPCFailure) {
    if controlSlot == slot { control.removeAll(keepingCapacity: true) }
    let session = sessionID(slot)
    let wasSession = connections[slot].stage == .multiplexed || connections[slot].stage == .plain
    if connections[slot].plainStream >= 0 { endStream(Int(connections[slot].plainStream), failure: failure) }
    for position in 0..<connections[slot].session.streamCount {
      let tag = connections[slot].session.tag(at: position)
      if tag >= 0 { endStream(tag, failure: failure) }
    }
    for call in connections[slot].waiting { finishCall(Int(call), .failure(failure)) }
    for stream in connections[slot].waitingStreams { endStream(Int(stream), failure: failure) }
    if wasSession { pending.events.append(.sessionEnded(session)) }
    forget(slot)
  }

  private mutating func forget(_ slot: Int) {
    let connection = connections[slot]
    slots[connection.id] = nil
    if connection.isDialer {
      if pool[connection.peer] == slot { pool[connection.peer] = nil }
    } else if var count = accepted[connection.peer.host] {
      count.connections -= 1
      if connection.isStreaming { count.streaming -= 1 }
      accepted[connection.peer.host] = count.connections > 0 ? count : nil
    }
    connections.remove(slot)
  }

  // MARK: Output

  /// Runs a session operation that may write small frames.
  mutating func withControl<Result>(
    _ slot: Int, effects: inout Effects, _ body: (inout [UInt8], inout RPCConnection) -> Result
  ) -> Result {
    if controlSlot != slot { flush(&effects) }
    controlSlot = slot
    return body(&control, &connections[slot])
  }

  /// Writes straight into the outbox, behind the small frames of the same connection.
  mutating func send(
    _ slot: Int, effects: inout Effects, _ body: (inout [UInt8], inout RPCConnection) -> Void
  ) {
    if controlSlot != slot { flush(&effects) }
    effects.outbox.send(connections[slot].id) { output in
      if !control.isEmpty {
        output.append(contentsOf: control)
        control.removeAll(keepingCapacity: true)
      }
      body(&output, &connections[slot])
    }
  }

  /// Every public method that may have written small frames ends with this.
  mutating func flush(_ effects: inout Effects) {
    guard !control.isEmpty else { return }
    effects.outbox.send(connections[controlSlot].id) { $0.append(contentsOf: control) }
    control.removeAll(keepingCapacity: true)
  }
}

/// The first byte of every connection (rpc.md section 1.1); the first of every stream of a version 2 session is `plain`
/// or `streaming`.
enum FirstByte: UInt8 {
  case plain = 1
  case raft = 2
  case multiplexed = 3
  case tls = 4
  case streaming = 5
  case multiplexed2 = 6
}
