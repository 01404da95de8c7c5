import Base
import Wire

/// Deadlines: handshakes, calls, streams, keepalive and idle connections.
extension RPCMachine {
  /// Does what is due at `now`.
  public mutating func handleTimeout(at now: Instant, effects: inout Effects) {
    while let due = timers.popDue(at: now) {
      switch due.subject {
      case .connection(let slot): connectionTimer(Int(slot), armedAt: due.at, at: now, effects: &effects)
      case .call(let call): callTimer(Int(call), armedAt: due.at, at: now, effects: &effects)
      }
    }
    flush(&effects)
  }

  /// Makes sure the heap looks at a connection no later than its earliest deadline.
  mutating func arm(_ slot: Int) {
    guard let due = due(slot) else { return }
    if let armed = connections[slot].armedAt, armed <= due { return }
    connections[slot].armedAt = due
    timers.arm(.connection(Int32(slot)), at: due)
  }

  /// The same for a call. A slot keeps its entry when its call ends: the next call in the slot mostly has a later
  /// deadline and uses the same entry, so the heap stays as small as the number of simultaneous calls.
  mutating func armCall(_ call: Int) {
    let due = calls[call].deadline
    while callTimers.count <= call { callTimers.append(.distantFuture) }
    guard due < callTimers[call] else { return }
    callTimers[call] = due
    timers.arm(.call(Int32(call)), at: due)
  }

  private func due(_ slot: Int) -> Instant? {
    var due = earliest(connections[slot].handshakeDeadline, connections[slot].streamDeadline)
    guard connections[slot].stage == .multiplexed else { return due }
    due = earliest(due, connections[slot].session.deadline)
    if connections[slot].isDialer { due = earliest(due, connections[slot].lastUsed + configuration.idleTimeout) }
    return due
  }

  private mutating func connectionTimer(
    _ slot: Int, armedAt: Instant, at now: Instant, effects: inout Effects
  ) {
    // An entry of an earlier owner of the slot, or one that an earlier entry has replaced.
    guard connections.isUsed(slot), connections[slot].armedAt == armedAt else { return }
    connections[slot].armedAt = nil
    let name = connections.name(slot)
    if let handshake = connections[slot].handshakeDeadline, handshake <= now {
      return close(slot, .ended, effects: &effects)
    }
    if let deadline = connections[slot].streamDeadline, deadline <= now {
      checkStreams(slot, at: now, effects: &effects)
      guard connections.find(name) != nil else { return }
    }
    if connections[slot].stage == .multiplexed {
      guard keepAlive(slot, at: now, effects: &effects) else { return }
      if isIdle(slot, at: now) { return close(slot, .ended, effects: &effects) }
    }
    arm(slot)
  }

  private mutating func keepAlive(_ slot: Int, at now: Instant, effects: inout Effects) -> Bool {
    if controlSlot != slot { flush(&effects) }
    controlSlot = slot
    do throws(YamuxFailure) {
      try connections[slot].session.handleTimeout(at: now, output: &control)
      return true
    } catch {
      let peer = connections[slot].peer
      effects.log.log(.warn, Self.logModule, "keepalive failed", ["peer": "\(peer)", "error": "\(error)"])
      close(slot, .timedOut, effects: &effects)
      return false
    }
  }

  /// True when a connection of ours carries nothing and has not for the idle time. Pushes it out otherwise.
  private mutating func isIdle(_ slot: Int, at now: Instant) -> Bool {
    guard connections[slot].isDialer else { return false }
    guard connections[slot].session.streamCount <= connections[slot].idle.count else {
      connections[slot].lastUsed = now
      return false
    }
    return connections[slot].lastUsed + configuration.idleTimeout <= now
  }

  /// Ends the streams whose begun message did not become complete, or whose end the peer did not answer, in time.
  private mutating func checkStreams(_ slot: Int, at now: Instant, effects: inout Effects) {
    let name = connections.name(slot)
    connections[slot].streamDeadline = nil
    if connections[slot].plainStream >= 0 {
      let stream = Int(connections[slot].plainStream)
      guard let due = streams[stream].deadline else { return }
      if due <= now { return close(slot, .timedOut, effects: &effects) }
      connections[slot].streamDeadline = due
      return
    }
    let tags = (0..<connections[slot].session.streamCount).map { connections[slot].session.tag(at: $0) }
    for stream in tags where stream >= 0 && connections.find(name) != nil {
      guard let due = streams[stream].deadline else { continue }
      if due <= now {
        resetStream(stream, failure: .timedOut, effects: &effects)
      } else {
        connections[slot].streamDeadline = min(connections[slot].streamDeadline ?? due, due)
      }
    }
  }

  private mutating func callTimer(_ call: Int, armedAt: Instant, at now: Instant, effects: inout Effects) {
    guard callTimers[call] == armedAt else { return }
    callTimers[call] = .distantFuture
    guard calls.isUsed(call) else { return }
    guard calls[call].deadline <= now else { return armCall(call) }
    pending.events.append(.response(CallID(slot: calls.name(call)), .failure(.timedOut)))
    abandon(call, at: now, effects: &effects)
  }
}
