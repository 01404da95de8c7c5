import Base
import Raft
import Wire

/// A TCP connection. Bytes of one direction never overtake each other; connections overtake one another freely.
struct Connection {
  var dialer: Int
  var dialerLife: Int
  var dialerID: ConnectionID
  var acceptor: Int
  var acceptorLife = 0
  var acceptorID: ConnectionID?
  var acceptorSawFirstByte = false
  var isOpen = false
  var isOver = false
  var lastToDialer = Instant.start
  var lastToAcceptor = Instant.start
  /// What was lost comes again at this time; nothing of its direction is read before it.
  var retryToDialer = Instant.start
  var retryToAcceptor = Instant.start
}

extension VirtualCluster {
  // MARK: Paths

  /// Both directions. What is on the way is held back, as by a TCP that retransmits.
  package func setCut(_ a: Int, _ b: Int, _ isCut: Bool) {
    setPath(a, b, !isCut)
    setPath(b, a, !isCut)
  }

  func setPath(_ a: Int, _ b: Int, _ isOpen: Bool) {
    if a != b { paths[a][b] = isOpen }
  }

  package func healAll() {
    for a in paths.indices {
      for b in paths.indices { paths[a][b] = true }
    }
  }

  // MARK: Directives

  func carryOutNetwork(_ number: Int) {
    let outbox = servers[number].effects.outbox
    guard !outbox.isEmpty else { return }
    servers[number].effects.outbox.removeAll()
    for directive in outbox.directives {
      switch directive {
      case .connect(let id, let address, let within): dial(number, id, address, within)
      case .send(let id, let payload):
        guard let index = byID[number][id] else { continue }
        let byDialer = connections[index].dialer == number && connections[index].dialerID == id
        send(index, toDialer: !byDialer, Array(outbox.arena[payload]))
      case .close(let id), .abort(let id):
        guard let index = byID[number].removeValue(forKey: id), !connections[index].isOver else { continue }
        let byDialer = connections[index].dialer == number && connections[index].dialerID == id
        end(index, toDialer: !byDialer, .finished)
      case .datagram, .pauseReading, .resumeReading: break
      }
    }
  }

  private func dial(_ number: Int, _ id: ConnectionID, _ address: SocketAddress, _ within: Interval) {
    let target = servers.firstIndex { $0.address == address }
    connections.append(
      Connection(dialer: number, dialerLife: servers[number].life, dialerID: id, acceptor: target ?? number))
    let index = connections.count - 1
    byID[number][id] = index
    // A handshake needs both directions.
    let reachable = target.map { paths[number][$0] && paths[$0][number] } ?? false
    let delay = reachable ? random.interval(latency.0, latency.1) : within
    queue.push(.connectResult(connection: index, ok: reachable), at: now + delay)
  }

  func connected(_ index: Int, _ ok: Bool) {
    let connection = connections[index]
    guard servers[connection.dialer].life == connection.dialerLife,
      byID[connection.dialer][connection.dialerID] == index
    else { return }
    guard ok, servers[connection.acceptor].node != nil else {
      connections[index].isOver = true
      byID[connection.dialer][connection.dialerID] = nil
      return call(connection.dialer) {
        $0.handleDisconnected(connection.dialerID, ok ? .refused : .timedOut, at: $2, effects: &$1)
      }
    }
    let id = servers[connection.acceptor].effects.outbox.makeConnectionID()
    connections[index].acceptorID = id
    connections[index].acceptorLife = servers[connection.acceptor].life
    connections[index].isOpen = true
    byID[connection.acceptor][id] = index
    call(connection.dialer) { $0.handleConnected(connection.dialerID, at: $2, effects: &$1) }
  }

  private func send(_ index: Int, toDialer: Bool, _ bytes: [UInt8]) {
    let connection = connections[index]
    guard connection.isOpen, !connection.isOver else { return }
    if resetChance > 0, random.chance(resetChance) {
      report.count(.connectionReset)
      end(index, toDialer: true, .reset)
      end(index, toDialer: false, .reset)
      return
    }
    var time = now + random.interval(latency.0, latency.1)
    if lateChance > 0, random.chance(lateChance) {
      report.count(.lateSegment)
      time += random.interval(.milliseconds(10), .seconds(1))
    }
    time = max(time, toDialer ? connection.lastToDialer : connection.lastToAcceptor)
    if !toDialer, connection.acceptorSawFirstByte, duplicateChance > 0, random.chance(duplicateChance) {
      duplicate(bytes, connection, at: time)
    }
    // Chunks have no meaning: cut some.
    if bytes.count > 1, random.chance(0.1) {
      let middle = 1 + random.below(bytes.count - 1)
      queue.push(.segment(connection: index, toDialer: toDialer, bytes: Array(bytes[..<middle])), at: time)
      queue.push(.segment(connection: index, toDialer: toDialer, bytes: Array(bytes[middle...])), at: time)
    } else {
      queue.push(.segment(connection: index, toDialer: toDialer, bytes: bytes), at: time)
    }
    if toDialer { connections[index].lastToDialer = time } else { connections[index].lastToAcceptor = time }
  }

  func end(_ index: Int, toDialer: Bool, _ end: StreamEnd) {
    let connection = connections[index]
    let last = toDialer ? connection.lastToDialer : connection.lastToAcceptor
    let time = max(now + random.interval(latency.0, latency.1), last)
    queue.push(.ended(connection: index, toDialer: toDialer, end), at: time)
    if toDialer { connections[index].lastToDialer = time } else { connections[index].lastToAcceptor = time }
  }

  // MARK: Arrivals

  func arrive(_ index: Int, toDialer: Bool, _ bytes: [UInt8]) {
    let connection = connections[index]
    guard !connection.isOver else { return }
    let sender = toDialer ? connection.acceptor : connection.dialer
    let receiver = toDialer ? connection.dialer : connection.acceptor
    if let retry = retransmission(index, toDialer: toDialer, isOpen: paths[sender][receiver]) {
      return queue.push(.segment(connection: index, toDialer: toDialer, bytes: bytes), at: retry)
    }
    let resumed = servers[receiver].pausedUntil
    guard resumed <= now else {
      return queue.push(.arrived(connection: index, toDialer: toDialer, bytes: bytes), at: resumed)
    }
    deliver(index, toDialer: toDialer, bytes)
  }

  func deliver(_ index: Int, toDialer: Bool, _ bytes: [UInt8]) {
    let connection = connections[index]
    guard !connection.isOver else { return }
    let sender = toDialer ? connection.acceptor : connection.dialer
    let receiver = toDialer ? connection.dialer : connection.acceptor
    guard let id = toDialer ? connection.dialerID : connection.acceptorID, byID[receiver][id] == index,
      servers[receiver].life == (toDialer ? connection.dialerLife : connection.acceptorLife)
    else { return }
    var bytes = bytes
    note("\(sender) to \(receiver) on \(index): \(bytes.summary)")
    if !toDialer, !connection.acceptorSawFirstByte {
      precondition(bytes.removeFirst() == RaftWire.streamByte)
      connections[index].acceptorSawFirstByte = true
      let peer = servers[connection.dialer].address
      call(receiver) { $0.handleAccepted(id, from: peer, at: $2, effects: &$1) }
    }
    if !bytes.isEmpty { call(receiver) { $0.handleReceived(id, bytes.bytes, at: $2, effects: &$1) } }
  }

  /// When to try again what cannot be read now: the path is cut, or something before it is still to come again.
  private func retransmission(_ index: Int, toDialer: Bool, isOpen: Bool) -> Instant? {
    var retry = toDialer ? connections[index].retryToDialer : connections[index].retryToAcceptor
    if now < retry { return retry }
    if isOpen { return nil }
    retry = Instant(nanoseconds: (now.nanoseconds / 200_000_000 + 1) * 200_000_000)
    // What is sent from now on comes after all that is already under way.
    let next = retry + .nanoseconds(1)
    if toDialer {
      connections[index].retryToDialer = retry
      connections[index].lastToDialer = max(connections[index].lastToDialer, next)
    } else {
      connections[index].retryToAcceptor = retry
      connections[index].lastToAcceptor = max(connections[index].lastToAcceptor, next)
    }
    return retry
  }

  func deliverEnd(_ index: Int, toDialer: Bool, _ end: StreamEnd) {
    let connection = connections[index]
    let sender = toDialer ? connection.acceptor : connection.dialer
    let receiver = toDialer ? connection.dialer : connection.acceptor
    if let retry = retransmission(index, toDialer: toDialer, isOpen: paths[sender][receiver] || !connection.isOpen) {
      return queue.push(.ended(connection: index, toDialer: toDialer, end), at: retry)
    }
    connections[index].isOver = true
    guard let id = toDialer ? connection.dialerID : connection.acceptorID,
      byID[receiver].removeValue(forKey: id) != nil,
      servers[receiver].life == (toDialer ? connection.dialerLife : connection.acceptorLife)
    else { return }
    call(receiver) { $0.handleDisconnected(id, end, at: $2, effects: &$1) }
  }

  // MARK: Duplicates

  /// TimeoutNow excepted: it carries no term, so its effect cannot be told from that of a second transfer, and no
  /// transport repeats it.
  private func duplicate(_ bytes: [UInt8], _ connection: Connection, at time: Instant) {
    var decoder = RaftRequestDecoder()
    decoder.append(bytes.bytes)
    do throws(WireError) {
      while let request = try decoder.next() {
        if case .timeoutNow = request { return }
      }
    } catch {
      return checker.violation("server \(connection.dialer) sends what nobody can read")
    }
    queue.push(
      .duplicate(
        from: connection.dialer, to: connection.acceptor, life: servers[connection.acceptor].life, bytes: bytes),
      at: time + random.interval(.zero, .seconds(3)))
  }

  /// The request comes again, on a connection that takes no answers.
  func deliverDuplicate(from sender: Int, to receiver: Int, life: Int, _ bytes: [UInt8]) {
    guard servers[receiver].life == life, servers[receiver].node != nil, paths[sender][receiver] else { return }
    report.count(.duplicatedRequest)
    let id = servers[receiver].effects.outbox.makeConnectionID()
    let peer = servers[sender].address
    call(receiver) { $0.handleAccepted(id, from: peer, at: $2, effects: &$1) }
    call(receiver) { $0.handleReceived(id, bytes.bytes, at: $2, effects: &$1) }
    call(receiver) { $0.handleDisconnected(id, .finished, at: $2, effects: &$1) }
  }
}

extension [UInt8] {
  /// For the trace: requests, and whatever else as its length.
  var summary: String {
    var decoder = RaftRequestDecoder()
    decoder.append((first == RaftWire.streamByte && count > 1 ? Array(dropFirst()) : self).bytes)
    do throws(WireError) {
      var texts: [String] = []
      while let request = try decoder.next() {
        if case .appendEntries(let append) = request {
          texts.append(
            "append term \(append.term) after \(append.previousIndex)/\(append.previousTerm) "
              + "\(append.entries.count) entries commit \(append.commitIndex)")
        } else {
          texts.append("\(request.kind)")
        }
      }
      return texts.isEmpty ? "\(count) bytes" : texts.joined(separator: ", ")
    } catch {
      var replies = RaftReplyDecoder()
      replies.append(bytes)
      guard let reply = try? replies.next(to: .appendEntries), case .appendEntries(let answer)? = reply.response else {
        return "\(count) bytes"
      }
      return "answer term \(answer.term) last \(answer.lastIndex) \(answer.success)"
    }
  }
}
