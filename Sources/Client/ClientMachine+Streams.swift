import Base
import RPC
import Wire

/// A streaming RPC that the client makes for its HTTP interface.
struct ClientStream: Sendable {
  let id: ForwardID
  let method: RPCMethod
  let request: [UInt8]
  /// What is sent behind the request, from `inputOffset` on.
  let input: [UInt8]
  var inputOffset = 0
  /// Servers still to be asked.
  var queue: [SocketAddress]
  var handle: StreamHandle?
  var isOpen = false
}

/// Somebody who follows this agent's log through a server.
struct ClientFollower: Sendable {
  let handle: StreamHandle
  /// The request as far as it has come; empty once it was told.
  var request: [UInt8] = []
  var isTold = false
}

/// Streaming RPCs of a client agent (rpc.md section 9): asked of servers, and its own log given to them.
extension ClientMachine {
  public static let maximumStreams = 64
  private static let maximumRequestBytes = 64 << 10
  private static let maximumBacklog = 256 << 10
  private static let pieceBytes = 64 << 10

  /// Opens a streaming RPC at a server that can be reached; answered by `.streamBytes` and one `.streamEnded`.
  public mutating func openStream(
    _ method: RPCMethod, request: [UInt8], input: [UInt8] = [], at now: Instant, effects: inout Effects
  ) -> ForwardID {
    let id = ForwardID(number: nextForward)
    nextForward += 1
    guard !isStopped, streams.count < Self.maximumStreams, !servers.isEmpty else {
      emit(.streamEnded(id, "no servers"))
      return id
    }
    streams.append(ClientStream(id: id, method: method, request: request, input: input, queue: servers.addresses))
    openNext(streams.count - 1, at: now, effects: &effects)
    return id
  }

  /// The caller has gone; no event follows.
  public mutating func closeStream(_ id: ForwardID, at now: Instant, effects: inout Effects) {
    guard let position = streams.firstIndex(where: { $0.id == id }) else { return }
    let stream = streams.remove(at: position)
    if let handle = stream.handle { rpc.resetStream(handle, at: now, effects: &effects) }
  }

  private mutating func openNext(_ position: Int, at now: Instant, effects: inout Effects) {
    streams[position].handle = nil
    while !streams[position].queue.isEmpty {
      let address = streams[position].queue.removeFirst()
      let name = streams[position].method.name
      if let handle = rpc.openStream(named: name, to: address, at: now, effects: &effects) {
        streams[position].handle = handle
        return
      }
    }
    end(position, "rpc error: failed to get conn: no server can be reached", at: now, effects: &effects)
  }

  private mutating func end(_ position: Int, _ text: String?, at now: Instant, effects: inout Effects) {
    let stream = streams.remove(at: position)
    if let handle = stream.handle { rpc.resetStream(handle, at: now, effects: &effects) }
    emit(.streamEnded(stream.id, text))
  }

  // MARK: Events of the RPC machine

  mutating func handleStream(
    _ event: RPCEvent, _ batch: borrowing RPCEventBatch, at now: Instant, effects: inout Effects
  ) {
    switch event {
    case .streamingRequest(let handle, _, let method, let name):
      accept(handle, method, batch.bytes(name).text(), at: now, effects: &effects)
    case .streamingAnswer(let handle, let error):
      guard let position = position(of: handle) else { return }
      let text = batch.bytes(error).text()
      guard text.isEmpty else { return end(position, "rpc error: " + text, at: now, effects: &effects) }
      streams[position].isOpen = true
      let request = streams[position].request
      rpc.sendStream(handle, at: now, effects: &effects) { $0.append(contentsOf: request) }
      pump(position, at: now, effects: &effects)
    case .streamBytes(let handle, let range):
      rpc.creditStream(handle, range.count, at: now, effects: &effects)
      if let position = position(of: handle) {
        emit(.streamBytes(streams[position].id, batch.bytes(range).copy()))
      } else {
        takeRequest(of: handle, batch.bytes(range), at: now, effects: &effects)
      }
    case .streamFinished(let handle):
      if let position = position(of: handle) {
        end(position, nil, at: now, effects: &effects)
      } else {
        rpc.finishStream(handle, at: now, effects: &effects)
      }
    case .streamDrained(let handle):
      if let position = position(of: handle) { pump(position, at: now, effects: &effects) }
    case .streamEnded(let handle): streamEnded(handle, at: now, effects: &effects)
    case .request, .requestAbandoned, .response, .sessionStarted, .sessionEnded, .raftConnection: break
    }
  }

  private func position(of handle: StreamHandle) -> Int? { streams.firstIndex { $0.handle == handle } }

  private mutating func pump(_ position: Int, at now: Instant, effects: inout Effects) {
    guard let handle = streams[position].handle else { return }
    while streams[position].inputOffset < streams[position].input.count,
      rpc.streamBacklog(handle) < Self.maximumBacklog
    {
      let start = streams[position].inputOffset
      let end = min(start + Self.pieceBytes, streams[position].input.count)
      let piece = Array(streams[position].input[start..<end])
      streams[position].inputOffset = end
      rpc.sendStream(handle, at: now, effects: &effects) { $0.append(contentsOf: piece) }
    }
  }

  private mutating func streamEnded(_ handle: StreamHandle, at now: Instant, effects: inout Effects) {
    if let position = position(of: handle) {
      streams[position].handle = nil
      // Nothing was sent yet: the next server may do better.
      guard streams[position].isOpen else { return openNext(position, at: now, effects: &effects) }
      return end(position, nil, at: now, effects: &effects)
    }
    guard let position = followers.firstIndex(where: { $0.handle == handle }) else { return }
    if followers.remove(at: position).isTold { emit(.monitorEnded(handle)) }
  }

  // MARK: The own log

  private mutating func accept(
    _ handle: StreamHandle, _ method: RPCMethod, _ name: String, at now: Instant, effects: inout Effects
  ) {
    guard method == .agentMonitor, !isStopped, followers.count < Self.maximumStreams else {
      return rpc.rejectStream(handle, error: "Unknown rpc method: \"\(name)\"", at: now, effects: &effects)
    }
    followers.append(ClientFollower(handle: handle))
    rpc.acceptStream(handle, at: now, effects: &effects)
  }

  private mutating func takeRequest(
    of handle: StreamHandle, _ bytes: RawSpan, at now: Instant, effects: inout Effects
  ) {
    guard let position = followers.firstIndex(where: { $0.handle == handle }), !followers[position].isTold else {
      return
    }
    followers[position].request.append(contentsOf: bytes)
    let received = followers[position].request
    var reader = MessagePackReader(received.bytes)
    do throws(WireError) {
      let request = try MonitorRequest(&reader)
      guard let level = request.level else { return refuse(handle, "Unknown log level", at: now, effects: &effects) }
      followers[position].isTold = true
      followers[position].request = []
      emit(.monitorStarted(handle, level: level, json: request.isJSON, plain: request.isPlain))
    } catch {
      guard error == .truncated, received.count <= Self.maximumRequestBytes else {
        return refuse(handle, "msgpack decode error: \(error)", at: now, effects: &effects)
      }
    }
  }

  private mutating func refuse(_ handle: StreamHandle, _ text: String, at now: Instant, effects: inout Effects) {
    rpc.sendStream(handle, at: now, effects: &effects) {
      StreamPiece(error: .init(text: text, code: 400)).encode(into: &$0)
    }
    rpc.finishStream(handle, at: now, effects: &effects)
  }

  /// A piece of the log for a follower, as by `ServerMachine.monitored`: false when its reader is too slow.
  public mutating func monitored(
    _ handle: StreamHandle, _ payload: [UInt8], at now: Instant, effects: inout Effects
  ) -> Bool {
    guard rpc.streamBacklog(handle) < Self.maximumBacklog else { return false }
    rpc.sendStream(handle, at: now, effects: &effects) { StreamPiece(payload: payload).encode(into: &$0) }
    takeRPCEvents(at: now, effects: &effects)
    return true
  }
}
