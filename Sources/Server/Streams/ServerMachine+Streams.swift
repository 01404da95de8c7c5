import Base
import RPC
import Wire

/// Streaming RPCs (rpc.md section 9): accepted, answered or passed on, with the receiver's pace as the sender's.
extension ServerMachine {
  // MARK: For the shell

  /// Opens a streaming RPC for the shell. `request` is one encoded value and `input` everything that the caller sends
  /// behind it. Answered by `.streamBytes` and one `.streamEnded`.
  public mutating func openStream(
    _ id: LocalStreamID, _ method: RPCMethod, request: [UInt8], input: [UInt8] = [], at now: Moment,
    effects: inout Effects
  ) {
    self.now = now
    guard let task = streams.insert(StreamTask(.local(id), method)) else {
      events.append(.streamEnded(id, "rpc error: too many streams"))
      return settle(&effects)
    }
    streams.tasks[task]?.request = request
    streams.tasks[task]?.input = input
    streams.tasks[task]?.hasCallerEnded = true
    route(task, until: nil, &effects)
    settle(&effects)
  }

  /// The shell wants no more of a stream; no event follows.
  public mutating func closeStream(_ id: LocalStreamID, at now: Moment, effects: inout Effects) {
    self.now = now
    if let task = streams.task(ofCaller: id) { drop(task, &effects) }
    settle(&effects)
  }

  // MARK: What happened

  mutating func handleStream(_ event: RPCEvent, in batch: borrowing RPCEventBatch, _ effects: inout Effects) {
    switch event {
    case .streamingRequest(let handle, _, let method, let name):
      acceptStream(handle, method, batch.bytes(name).text(), &effects)
    case .streamingAnswer(let handle, let error):
      guard let task = streams.task(ofNext: handle) else { return }
      let text = batch.bytes(error).text()
      if text.isEmpty { beginRelay(task, &effects) } else { failStream(task, 500, "rpc error: " + text, &effects) }
    case .streamBytes(let handle, let range):
      let bytes = batch.bytes(range)
      if let task = streams.task(ofCaller: handle) {
        receiveFromCaller(task, bytes, &effects)
      } else if let task = streams.task(ofNext: handle) {
        streams.tasks[task]?.toCaller.append(bytes)
        streams.tasks[task]?.toCaller.owed += bytes.byteCount
        pump(task, &effects)
      }
    case .streamFinished(let handle):
      if let task = streams.task(ofCaller: handle) {
        callerFinished(task, &effects)
      } else if let task = streams.task(ofNext: handle) {
        streams.tasks[task]?.toCaller.isEnded = true
        pump(task, &effects)
      }
    case .streamDrained(let handle):
      if let task = streams.task(ofCaller: handle) ?? streams.task(ofNext: handle) { pump(task, &effects) }
    case .streamEnded(let handle):
      if let task = streams.task(ofCaller: handle) {
        drop(task, &effects)
      } else if let task = streams.task(ofNext: handle) {
        nextEnded(task, &effects)
      }
    case .request, .requestAbandoned, .response, .sessionStarted, .sessionEnded, .raftConnection: break
    }
  }

  private mutating func acceptStream(
    _ handle: StreamHandle, _ method: RPCMethod, _ name: String, _ effects: inout Effects
  ) {
    switch method {
    case .agentMonitor, .operatorSnapshotSave, .operatorSnapshotRestore:
      guard streams.insert(StreamTask(.remote(handle), method)) != nil else {
        return rpc.rejectStream(handle, error: "too many streams", at: now.instant, effects: &effects)
      }
      rpc.acceptStream(handle, at: now.instant, effects: &effects)
    default:
      rpc.rejectStream(handle, error: "Unknown rpc method: \"\(name)\"", at: now.instant, effects: &effects)
    }
  }

  private mutating func receiveFromCaller(_ id: StreamTaskID, _ bytes: RawSpan, _ effects: inout Effects) {
    guard let stage = streams.tasks[id]?.stage else { return }
    switch stage {
    case .request:
      streams.tasks[id]?.input.append(contentsOf: bytes)
      credit(id, bytes.byteCount, &effects)
      takeRequest(id, &effects)
    case .held, .asking, .opening:
      // No window is given back, so this is bounded by the window.
      streams.tasks[id]?.input.append(contentsOf: bytes)
      streams.tasks[id]?.toNext.owed += bytes.byteCount
    case .relaying:
      streams.tasks[id]?.toNext.append(bytes)
      streams.tasks[id]?.toNext.owed += bytes.byteCount
      pump(id, &effects)
    case .collecting:
      streams.tasks[id]?.input.append(contentsOf: bytes)
      credit(id, bytes.byteCount, &effects)
      collect(id, &effects)
    case .working, .monitoring, .ending: credit(id, bytes.byteCount, &effects)
    }
  }

  private mutating func takeRequest(_ id: StreamTaskID, _ effects: inout Effects) {
    guard let input = streams.tasks[id]?.input else { return }
    var scanner = MessagePackScanner(values: 1)
    do throws(WireError) {
      guard try scanner.advance(over: input.bytes, limit: StreamTable.maximumRequestBytes) else { return }
    } catch {
      return drop(id, &effects)
    }
    streams.tasks[id]?.request = Array(input[..<scanner.offset])
    streams.tasks[id]?.input = Array(input[scanner.offset...])
    route(id, until: nil, &effects)
  }

  private mutating func callerFinished(_ id: StreamTaskID, _ effects: inout Effects) {
    guard let task = streams.tasks[id] else { return }
    streams.tasks[id]?.hasCallerEnded = true
    switch task.stage {
    case .request: drop(id, &effects)
    case .relaying:
      streams.tasks[id]?.toNext.isEnded = true
      pump(id, &effects)
    case .collecting: collect(id, &effects)
    case .monitoring: finishStream(id, &effects)
    case .held, .asking, .opening, .working, .ending: break
    }
  }

  private mutating func nextEnded(_ id: StreamTaskID, _ effects: inout Effects) {
    let wasOpening = streams.tasks[id]?.stage == .opening
    streams.forgetNext(of: id)
    if wasOpening { return failStream(id, 500, "rpc error: failed to get conn: EOF", &effects) }
    finishStream(id, &effects)
  }

  // MARK: Where to

  /// Serves a stream whose request is known, passes it on, or keeps it until a leader is known.
  mutating func route(_ id: StreamTaskID, until: Instant?, _ effects: inout Effects) {
    guard let task = streams.tasks[id] else { return }
    let request: MonitorRequest
    do throws(WireError) {
      var reader = MessagePackReader(task.request.bytes)
      request = try MonitorRequest(&reader)
    } catch {
      return failStream(id, 500, "msgpack decode error: \(error)", &effects)
    }
    let region = request.options.region
    if region.isEmpty {
      return failStream(id, task.method == .agentMonitor ? 400 : 500, "missing target RPC", &effects)
    }
    guard region == configuration.region else {
      let servers = directory.alive(inRegion: region)
      guard !servers.isEmpty else {
        return failStream(id, task.method == .agentMonitor ? 400 : 500, noPathText(to: region), &effects)
      }
      return relay(id, to: servers[effects.random.below(servers.count)].address, &effects)
    }
    if task.method == .agentMonitor { return routeMonitor(id, request, until: until, &effects) }
    if task.method == .operatorSnapshotSave, request.options.allowStale { return saveSnapshot(id, &effects) }
    switch route {
    case .here:
      if task.method == .operatorSnapshotSave { return saveSnapshot(id, &effects) }
      streams.tasks[id]?.stage = .collecting
      collect(id, &effects)
    case .leader(let address): relay(id, to: address, &effects)
    case .nobody, .notReady: hold(id, until, &effects)
    }
  }

  mutating func hold(_ id: StreamTaskID, _ until: Instant?, _ effects: inout Effects) {
    let until = until ?? now.instant + Self.leaderHold
    guard until > now.instant else { return failStream(id, 500, noLeaderText, &effects) }
    streams.tasks[id]?.stage = .held(until: until)
  }

  /// Tries again what waited for a leader.
  mutating func retryHeldStreams(_ effects: inout Effects) {
    guard route != .nobody, route != .notReady else { return }
    for id in streams.tasks.keys.sorted() {
      guard case .held(let until)? = streams.tasks[id]?.stage else { continue }
      route(id, until: until, &effects)
    }
  }

  mutating func expireStreams(_ effects: inout Effects) {
    guard let due = streams.deadline, due <= now.instant else { return }
    for id in streams.tasks.keys.sorted() {
      guard let task = streams.tasks[id] else { continue }
      if case .held(let until) = task.stage, until <= now.instant { failStream(id, 500, noLeaderText, &effects) }
      if let end = task.closeBy, end <= now.instant { drop(id, &effects) }
    }
  }

  // MARK: Passing on

  mutating func relay(_ id: StreamTaskID, to address: SocketAddress, _ effects: inout Effects) {
    guard let method = streams.tasks[id]?.method else { return }
    relay(id, rpc.openStream(named: method.name, to: address, at: now.instant, effects: &effects), &effects)
  }

  mutating func relay(_ id: StreamTaskID, _ handle: StreamHandle?, _ effects: inout Effects) {
    guard let handle else {
      return failStream(id, 500, RPCFailure.noStream.text(address: nil), &effects)
    }
    streams.tasks[id]?.stage = .opening
    streams.setNext(handle, of: id)
  }

  /// The next hop has accepted: the request goes out anew, and then bytes pass both ways.
  private mutating func beginRelay(_ id: StreamTaskID, _ effects: inout Effects) {
    guard let task = streams.tasks[id] else { return }
    var request: [UInt8] = []
    do throws(WireError) { try MessagePackPatch.forwarded.apply(to: task.request.bytes, into: &request) } catch {
      return failStream(id, 500, "msgpack decode error: \(error)", &effects)
    }
    streams.tasks[id]?.stage = .relaying
    streams.tasks[id]?.input = []
    streams.tasks[id]?.toNext.append(request)
    streams.tasks[id]?.toNext.append(task.input)
    // A local caller hears our own end; only remote ones have a side of their own to close.
    if task.hasCallerEnded, case .remote = task.caller { streams.tasks[id]?.toNext.isEnded = true }
    pump(id, &effects)
  }

  /// Moves bytes on as far as the receivers take them, and gives the senders window for what has left.
  mutating func pump(_ id: StreamTaskID, _ effects: inout Effects) {
    guard var task = streams.tasks[id] else { return }
    if let next = task.next, task.stage == .relaying {
      while !task.toNext.isEmpty, rpc.streamBacklog(next) < StreamPipe.maximumBacklog {
        let piece = task.toNext.next()
        rpc.sendStream(next, at: now.instant, effects: &effects) { $0.append(contentsOf: piece) }
      }
      if task.toNext.isEmpty {
        if case .remote(let caller) = task.caller, task.toNext.owed > 0 {
          rpc.creditStream(caller, task.toNext.owed, at: now.instant, effects: &effects)
        }
        task.toNext.owed = 0
        if task.toNext.isEnded, !task.toNext.isDone {
          task.toNext.isDone = true
          rpc.finishStream(next, at: now.instant, effects: &effects)
        }
      }
    }
    pumpToCaller(&task, &effects)
    streams.tasks[id] = task
    guard task.toCaller.isEmpty, task.toCaller.isEnded, !task.toCaller.isDone else { return }
    streams.tasks[id]?.toCaller.isDone = true
    endTowardsCaller(id, &effects)
  }

  private mutating func pumpToCaller(_ task: inout StreamTask, _ effects: inout Effects) {
    switch task.caller {
    case .remote(let handle):
      while !task.toCaller.isEmpty, rpc.streamBacklog(handle) < StreamPipe.maximumBacklog {
        let piece = task.toCaller.next()
        rpc.sendStream(handle, at: now.instant, effects: &effects) { $0.append(contentsOf: piece) }
      }
    case .local(let local):
      if !task.toCaller.isEmpty { events.append(.streamBytes(local, task.toCaller.next(.max))) }
    }
    guard task.toCaller.isEmpty else { return }
    if let next = task.next, task.toCaller.owed > 0 {
      rpc.creditStream(next, task.toCaller.owed, at: now.instant, effects: &effects)
    }
    task.toCaller.owed = 0
  }

  // MARK: Ending

  /// Says no more to the caller, and lets go of the next hop.
  mutating func finishStream(_ id: StreamTaskID, _ effects: inout Effects) {
    guard streams.tasks[id] != nil else { return }
    streams.tasks[id]?.toCaller.isEnded = true
    if streams.tasks[id]?.stage != .relaying { streams.tasks[id]?.stage = .ending }
    pump(id, &effects)
  }

  private mutating func endTowardsCaller(_ id: StreamTaskID, _ effects: inout Effects) {
    guard let task = streams.tasks[id] else { return }
    switch task.caller {
    case .local(let local):
      events.append(.streamEnded(local, nil))
      drop(id, &effects)
    case .remote(let handle):
      if let next = task.next {
        streams.forgetNext(of: id)
        rpc.resetStream(next, at: now.instant, effects: &effects)
      }
      streams.tasks[id]?.stage = .ending
      streams.tasks[id]?.closeBy = now.instant + StreamTable.closeTimeout
      rpc.finishStream(handle, at: now.instant, effects: &effects)
    }
  }

  /// Forgets a stream and everything that works for it.
  mutating func drop(_ id: StreamTaskID, _ effects: inout Effects) {
    guard let task = streams.tasks[id] else { return }
    if let next = task.next { rpc.resetStream(next, at: now.instant, effects: &effects) }
    if case .remote(let handle) = task.caller { rpc.resetStream(handle, at: now.instant, effects: &effects) }
    for monitor in streams.remove(id) { events.append(.monitorEnded(monitor)) }
  }

  /// Tells the caller in the form of the method what went wrong, and ends.
  mutating func failStream(_ id: StreamTaskID, _ code: Int64, _ text: String, _ effects: inout Effects) {
    guard let method = streams.tasks[id]?.method else { return }
    if let next = streams.tasks[id]?.next {
      streams.forgetNext(of: id)
      rpc.resetStream(next, at: now.instant, effects: &effects)
    }
    var answer: [UInt8] = []
    if method == .agentMonitor {
      StreamPiece(error: .init(text: text, code: code)).encode(into: &answer)
    } else {
      SnapshotReply(errorCode: code, errorText: text).encode(into: &answer)
    }
    streams.tasks[id]?.stage = .ending
    streams.tasks[id]?.toCaller.append(answer)
    finishStream(id, &effects)
  }

  private mutating func credit(_ id: StreamTaskID, _ count: Int, _ effects: inout Effects) {
    guard case .remote(let handle)? = streams.tasks[id]?.caller else { return }
    rpc.creditStream(handle, count, at: now.instant, effects: &effects)
  }
}
