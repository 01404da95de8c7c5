import Base
import RPC
import Wire

/// Relaying a request to the leader or to another region, unchanged but for `Forwarded` (rpc.md 7.1). Never sent twice:
/// a forward that fails after it was sent is reported, not repeated.
extension ServerMachine {
  mutating func forward(
    _ caller: Caller, _ method: RPCMethod, _ name: String, _ body: RawSpan, toRegion region: String,
    _ options: QueryOptions, _ effects: inout Effects
  ) {
    let servers = directory.alive(inRegion: region)
    guard !servers.isEmpty else {
      effects.log.log(.warn, "nomad.rpc", "no path found to region", ["region": region])
      return fail(caller, "No path to region", &effects)
    }
    let server = servers[effects.random.below(servers.count)]
    forward(caller, method, name, body, to: server.address, options, &effects)
  }

  mutating func forward(
    _ caller: Caller, _ method: RPCMethod, _ name: String, _ body: RawSpan, to address: SocketAddress,
    _ options: QueryOptions, _ effects: inout Effects
  ) {
    var patched: [UInt8] = []
    do throws(WireError) {
      try MessagePackPatch.forwarded.apply(to: body, into: &patched)
    } catch {
      return fail(caller, "msgpack decode error: \(error)", &effects)
    }
    var wait = Self.forwardTimeout
    if options.minimumQueryIndex > 0 {
      let longest = Self.blockingDefault
      let asked = options.maximumQueryTime > .zero ? min(options.maximumQueryTime, longest) : longest
      wait = wait + asked + asked / 16
    }
    let text = method == .unrecognized ? name : method.name
    let call = rpc.call(named: text, to: address, deadline: now.instant + wait, at: now.instant, effects: &effects) {
      $0.append(contentsOf: patched)
    }
    requests.forwarded[call] = caller
    rememberSession(of: caller, method, body)
  }

  mutating func handleResponse(
    _ call: CallID, _ outcome: RPCOutcome, in batch: borrowing RPCEventBatch, _ effects: inout Effects
  ) {
    if let caller = requests.forwarded.removeValue(forKey: call) {
      switch outcome {
      case .reply(let range): respond(caller, &effects) { $0.append(contentsOf: batch.bytes(range)) }
      case .remoteError(let range):
        fail(caller, RPCErrorText.relayed(batch.bytes(range).text()), &effects)
      case .failure(let failure): fail(caller, failure.text(address: nil), &effects)
      }
    } else if clientSearches.awaits(call) {
      handleConnectionAnswer(call, outcome, in: batch, &effects)
    } else if handleBootstrapResponse(call, outcome, in: batch, &effects) {
    } else if leaving.awaits(call) {
      handleLeavingResponse(outcome, in: batch, &effects)
    } else {
      pushes.finished(call)
    }
  }
}
