import Base
import Gossip

/// One TCP connection between two members. Bytes arrive whole and in order; loss makes them late.
struct VirtualStream {
  var dialer: Int
  var acceptor: Int
  var dialerID: ConnectionID
  var acceptorID: ConnectionID?
  /// Sent and not arrived, with the side that gets it.
  var pending: [(bytes: [UInt8], toDialer: Bool)] = []
  var lastToDialer = Instant.start
  var lastToAcceptor = Instant.start
}

extension GossipNetwork {
  /// First pause of TCP before a segment, and before the first packet of a dial, is sent again; doubles.
  static let segmentPause = Interval.milliseconds(200)
  static let dialPause = Interval.seconds(1)
  static let patience = 8

  func dial(_ number: Int, _ id: ConnectionID, _ target: Int?, _ within: Interval) {
    streams.append(VirtualStream(dialer: number, acceptor: target ?? number, dialerID: id))
    let index = streams.count - 1
    members[number].streams.append((id, index))
    guard let target, let arrival = arrival(from: number, to: target, pause: Self.dialPause), arrival <= now + within
    else { return events.push(.refused, subject: index, at: now + within) }
    events.push(.accepted, subject: index, at: arrival)
  }

  func send(_ number: Int, _ id: ConnectionID, _ bytes: [UInt8]) {
    guard let index = index(number, id) else { return }
    members[number].bytesSent += UInt64(bytes.count)
    let toDialer = !isDialer(number, id, index)
    let target = toDialer ? streams[index].dialer : streams[index].acceptor
    guard let arrival = arrival(from: number, to: target, pause: Self.segmentPause) else { return }
    let transfer = Interval(nanoseconds: Int64(bytes.count) * 1_000_000_000 / rules.streamRate)
    let time = inOrder(arrival + transfer, index, toDialer: toDialer)
    streams[index].pending.append((bytes, toDialer))
    events.push(.received, subject: index, detail: toDialer ? 1 : 0, at: time)
  }

  func close(_ number: Int, _ id: ConnectionID) {
    guard let index = index(number, id) else { return }
    members[number].streams.removeAll { $0.id == id }
    let toDialer = !isDialer(number, id, index)
    guard let arrival = arrival(from: number, to: toDialer ? streams[index].dialer : streams[index].acceptor,
      pause: Self.segmentPause)
    else { return }
    events.push(.ended, subject: index, detail: toDialer ? 1 : 0, at: inOrder(arrival, index, toDialer: toDialer))
  }

  func handleStream(_ kind: EventHeap.Kind, _ index: Int, toDialer: Bool) {
    let stream = streams[index]
    switch kind {
    case .accepted:
      guard members[stream.acceptor].isRunning else {
        return events.push(.refused, subject: index, at: now + latency)
      }
      let id = members[stream.acceptor].effects.outbox.makeConnectionID()
      streams[index].acceptorID = id
      members[stream.acceptor].streams.append((id, index))
      events.push(.connected, subject: index, at: release(of: stream.dialer, at: now + latency))
      let peer = Self.address(stream.dialer)
      with(stream.acceptor) { member, now in
        member.machine.handleAccepted(id, from: peer, at: now, effects: &member.effects)
      }
    case .connected:
      guard members[stream.dialer].isRunning, self.index(stream.dialer, stream.dialerID) == index else { return }
      with(stream.dialer) { member, now in
        member.machine.handleConnected(stream.dialerID, at: now, above: &member.layer, effects: &member.effects)
      }
    case .refused: end(index, toDialer: true, .refused)
    case .received:
      guard let position = streams[index].pending.firstIndex(where: { $0.toDialer == toDialer }) else { return }
      let item = streams[index].pending.remove(at: position)
      guard let (receiver, id) = receiver(index, toDialer: toDialer) else { return }
      with(receiver) { member, now in
        member.machine.handleReceived(
          id, item.bytes.bytes, at: now, above: &member.layer, effects: &member.effects)
      }
    case .ended: end(index, toDialer: toDialer, .finished)
    case .wake, .unblocked, .datagram, .action: break
    }
  }

  private func end(_ index: Int, toDialer: Bool, _ end: StreamEnd) {
    guard let (receiver, id) = receiver(index, toDialer: toDialer) else { return }
    members[receiver].streams.removeAll { $0.id == id }
    with(receiver) { member, now in
      member.machine.handleDisconnected(id, end, at: now, above: &member.layer, effects: &member.effects)
    }
  }

  // MARK: Helpers

  private func receiver(_ index: Int, toDialer: Bool) -> (Int, ConnectionID)? {
    let stream = streams[index]
    let number = toDialer ? stream.dialer : stream.acceptor
    guard let id = toDialer ? stream.dialerID : stream.acceptorID, members[number].isRunning,
      self.index(number, id) == index
    else { return nil }
    return (number, id)
  }

  private func index(_ number: Int, _ id: ConnectionID) -> Int? {
    members[number].streams.first { $0.id == id }?.index
  }

  private func isDialer(_ number: Int, _ id: ConnectionID, _ index: Int) -> Bool {
    streams[index].dialer == number && streams[index].dialerID == id
  }

  private func inOrder(_ time: Instant, _ index: Int, toDialer: Bool) -> Instant {
    let last = toDialer ? streams[index].lastToDialer : streams[index].lastToAcceptor
    let result = max(time, last)
    if toDialer { streams[index].lastToDialer = result } else { streams[index].lastToAcceptor = result }
    return result
  }

  /// A segment gets through when it and its acknowledgement do; each try that fails doubles the pause.
  private func arrival(from sender: Int, to target: Int, pause: Interval) -> Instant? {
    var time = release(of: sender, at: now)
    var pause = pause
    for _ in 0..<Self.patience {
      if !random.chance(lossRate(from: sender, to: target)) {
        if !random.chance(lossRate(from: target, to: sender)) || pause < .seconds(1) {
          return release(of: target, at: time + latency)
        }
      }
      time += pause
      pause = pause * 2
    }
    return nil
  }
}
