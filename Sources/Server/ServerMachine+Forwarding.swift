import Base
import RPC
import Wire

/// Relaying a request to the leader or to another region, unchanged but for `Forwarded` (rpc.md 7.1). What was sent is
/// never sent twice: its failure is reported. Only when the dial failed, so that nothing was sent, another server is
/// asked, or the next leader.
extension ServerMachine {
  /// Servers of one region asked at most.
  static let regionTriesMax = 3

  mutating func forward(
    _ caller: Caller, _ method: RPCMethod, _ name: String, _ body: RawSpan, toRegion region: String,
    _ options: QueryOptions, _ effects: inout Effects
  ) {
    let servers = directory.alive(inRegion: region)
    guard !servers.isEmpty else {
      effects.log.log(
        .warn, "nomad.rpc", "no path found to region",
        ["region": region, "known": directory.regions.joined(separator: ",")])
      return fail(caller, noPathText(to: region), &effects)
    }
    let server = servers[effects.random.below(servers.count)]
    forward(caller, method, name, body, to: server.address, region: region, options, &effects)
  }

  /// Regions that an error names at most.
  static let namedRegionsMax = 32

  /// Begins with Nomad's text, which peers look for; then what helps: a typing error, or a region that is gone.
  func noPathText(to region: String) -> String {
    let known = directory.regions
    let more = known.count > Self.namedRegionsMax ? " and \(known.count - Self.namedRegionsMax) more" : ""
    let names = known.prefix(Self.namedRegionsMax).joined(separator: ", ")
    let seen = directory.hasServer(ofRegion: region) ? "none of its servers is alive" : "no server of it was ever seen"
    return "No path to region \"\(region.prefix(128))\": \(seen); known regions: \(names)\(more)"
  }

  /// `region` is empty for the own one.
  mutating func forward(
    _ caller: Caller, _ method: RPCMethod, _ name: String, _ body: RawSpan, to address: SocketAddress,
    region: String = "", _ options: QueryOptions, _ effects: inout Effects
  ) {
    var relay = RequestTable.Relay(to: caller)
    do throws(WireError) {
      try MessagePackPatch.forwarded.apply(to: body, into: &relay.body)
    } catch {
      return fail(caller, "msgpack decode error: \(error)", &effects)
    }
    var wait = Self.forwardTimeout
    if options.minimumQueryIndex > 0 {
      let longest = Self.blockingDefault
      let asked = options.maximumQueryTime > .zero ? min(options.maximumQueryTime, longest) : longest
      wait = wait + asked + asked / 16
    }
    (relay.method, relay.name, relay.region) = (method, name, region)
    relay.deadline = now.instant + wait
    relay.holdUntil = now.instant + Self.leaderHold
    send(relay, to: address, &effects)
    rememberSession(of: caller, method, body)
  }

  private mutating func send(_ relay: RequestTable.Relay, to address: SocketAddress, _ effects: inout Effects) {
    var relay = relay
    relay.tried.append(address)
    let call = rpc.call(
      named: relay.method == .unrecognized ? relay.name : relay.method.name, to: address, deadline: relay.deadline,
      at: now.instant, effects: &effects
    ) { $0.append(contentsOf: relay.body) }
    requests.forwarded[call] = relay
  }

  mutating func handleResponse(
    _ call: CallID, _ outcome: RPCOutcome, in batch: borrowing RPCEventBatch, _ effects: inout Effects
  ) {
    if let relay = requests.forwarded.removeValue(forKey: call) {
      switch outcome {
      case .reply(let range):
        noteAnswer(to: relay, nil)
        respond(relay.caller, &effects) { $0.append(contentsOf: batch.bytes(range)) }
      case .remoteError(let range):
        let text = batch.bytes(range).text()
        noteAnswer(to: relay, text)
        fail(relay.caller, RPCErrorText.relayed(text), &effects)
      case .failure(let failure): relayFailed(relay, failure, &effects)
      }
    } else if leadership.doubts.awaits(call) {
      handleDoubtAnswer(call, outcome, in: batch, &effects)
    } else if cloneChecks.awaits(call) {
      handleCloneAnswer(call, outcome, in: batch, &effects)
    } else if clientSearches.awaits(call) {
      handleClientSearchAnswer(call, outcome, in: batch, &effects)
    } else if handleBootstrapResponse(call, outcome, in: batch, &effects) {
    } else if handleMonitorAnswer(call, outcome, in: batch, &effects) {
    } else if leaving.awaits(call) {
      handleLeavingResponse(outcome, in: batch, &effects)
    } else {
      pushes.finished(call)
    }
  }

  private mutating func relayFailed(
    _ relay: RequestTable.Relay, _ failure: RPCFailure, _ effects: inout Effects
  ) {
    if case .dial = failure, !relay.body.isEmpty {
      if relay.region.isEmpty {
        // The leader is gone and nobody knows it yet. The next one answers, or the time for that is over.
        let isNews = route != relay.tried.last.map { Route.leader($0) }
        guard now.instant < relay.holdUntil, requests.held.count < Self.maximumHeld else {
          return fail(relay.caller, failure.text(address: relay.tried.last), &effects)
        }
        if isNews, route != .nobody, route != .notReady {
          return serve(
            relay.caller, relay.method, relay.name, relay.body.bytes, until: relay.holdUntil, &effects)
        }
        requests.held.append(
          RequestTable.Kept(
            caller: relay.caller, method: relay.method, name: relay.name, body: relay.body, until: relay.holdUntil))
        return
      }
      let others = directory.alive(inRegion: relay.region).filter { !relay.tried.contains($0.address) }
      if !others.isEmpty, relay.tried.count < Self.regionTriesMax {
        return send(relay, to: others[effects.random.below(others.count)].address, &effects)
      }
    }
    fail(relay.caller, failure.text(address: relay.tried.last), &effects)
  }
}
