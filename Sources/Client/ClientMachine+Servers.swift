import Base
import RPC
import Wire

/// The server list: where it comes from and how it changes.
extension ClientMachine {
  /// Takes over the list of an answer or a push.
  mutating func adopt(
    _ list: [ServerInfo]?, leader: String, at now: Instant, effects: inout Effects
  ) {
    status.leaderAddress = leader
    let fresh = (list ?? []).compactMap(\.socketAddress)
    guard !fresh.isEmpty else {
      // Nothing better is known than the servers that answer.
      effects.log.log(.warn, Self.serverLogModule, "heartbeat response returned no valid servers")
      return
    }
    let old = servers.addresses
    guard servers.replace(with: fresh, using: &effects.random) else {
      if persisted.servers.isEmpty { remember(servers: servers.addresses) }
      return
    }
    effects.log.log(
      .debug, Self.serverLogModule, "new server list", ["new": Self.text(servers.addresses), "old": Self.text(old)])
    remember(servers: servers.addresses)
  }

  private static func text(_ list: [SocketAddress]) -> String { list.map(\.description).joined(separator: ",") }

  /// A server tells of a new list over a session that we have dialed to it.
  mutating func takePush(
    _ request: RequestID, _ session: SessionID, _ body: RawSpan, at now: Instant, effects: inout Effects
  ) {
    let push: ServersChanged
    do throws(WireError) {
      var reader = MessagePackReader(body)
      push = try ServersChanged(&reader)
    } catch {
      return rpc.fail(request, error: "msgpack decode error: \(error)", at: now, effects: &effects)
    }
    rpc.respond(to: request, at: now, effects: &effects) { $0.packMapHeader(0) }
    guard !isStopped else { return }
    if let last = lastPush, last.session == session, push.index < last.index { return }
    lastPush = (session, push.index)
    lastPushAt = now
    adopt(push.servers, leader: push.leaderRPCAddress, at: now, effects: &effects)
    followHead(at: now, effects: &effects)
  }

  /// The connection that carried heartbeats is gone: say so to another server soon.
  mutating func sessionEnded(_ session: SessionID, at now: Instant, effects: inout Effects) {
    guard let position = sessions.firstIndex(where: { $0.id == session }) else { return }
    let peer = sessions[position].peer
    sessions.remove(at: position)
    if lastPush?.session == session { lastPush = nil }
    guard !isStopped else { return }
    if peer == servers.first, status.isRegistered, nextRound != nil { servers.moveToEnd(peer) }
    followHead(at: now, effects: &effects)
  }

  /// Without a session with the first server nobody pushes: has the next heartbeat make one. Spread over a time that
  /// grows with the region, because all clients of a server move at once.
  private mutating func followHead(at now: Instant, effects: inout Effects) {
    guard status.isRegistered, let due = nextRound, let head = servers.first,
      !sessions.contains(where: { $0.peer == head })
    else { return }
    let spread = max(Interval.milliseconds(500), Interval.milliseconds(Int64(min(status.nodeCount, 1_000_000))))
    nextRound = min(due, now + effects.random.interval(ClientTiming.retryMin, spread))
  }

  /// Moves some clients to other servers now and then, so that a restarted server gets its share again.
  mutating func rebalance(at now: Instant, effects: inout Effects) {
    if status.isRegistered {
      servers.shuffle(using: &effects.random)
      followHead(at: now, effects: &effects)
    }
    let seconds = status.nodeCount / (64 * max(1, servers.count))
    let pause = max(ClientTiming.rebalanceMin, .seconds(Int64(seconds)))
    nextRebalance = now + pause + effects.random.interval(.zero, pause)
  }

  // MARK: Names

  /// Asks the shell for the names' addresses, at most once a second.
  mutating func requestResolution(at now: Instant) {
    guard !configuration.serverNames.isEmpty, now >= nextResolve else { return }
    nextResolve = now + ClientTiming.resolveMin
    emit(.resolve(configuration.serverNames))
  }

  mutating func noteResolved(
    _ name: String, _ addresses: [SocketAddress], at now: Instant, effects: inout Effects
  ) {
    guard !isStopped, !addresses.isEmpty, configuration.serverNames.contains(name) else { return }
    let known = servers.addresses + resolved.flatMap(\.addresses)
    let fresh = addresses.filter { !known.contains($0) }
    if let position = resolved.firstIndex(where: { $0.name == name }) {
      resolved[position].addresses = addresses
    } else {
      resolved.append((name, addresses))
    }
    // Only what is new shortens a wait; otherwise a name that leads nowhere would make the client spin.
    guard !fresh.isEmpty else { return }
    if !status.isRegistered, status.lastHeartbeat == nil {
      _ = servers.append(fresh)
      status.servers = servers.addresses
      round?.queue.append(contentsOf: fresh)
    }
    if status.isRegistered, backoff.isFresh { return }
    if nextRound != nil { nextRound = now }
  }

  /// Replaces the list by an operator's, until a server gives its own; the next round starts at once.
  public mutating func setServers(_ list: [SocketAddress], at now: Instant, effects: inout Effects) {
    guard !list.isEmpty, !isStopped else { return }
    servers = ServerList(list)
    remember(servers: servers.addresses)
    backoff.reset()
    if round == nil { nextRound = now }
  }
}
