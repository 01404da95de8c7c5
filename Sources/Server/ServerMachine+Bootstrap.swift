import Base
import RPC
import Raft
import Wire

/// Glue between the bootstrap machine and gossip, RPC, disk and Raft.
extension ServerMachine {
  var bootstrapView: BootstrapView {
    let others = directory.local.filter { $0.status != .left && $0.gossipName != configuration.gossipName }
    let peers = others.map { entry in
      BootstrapView.Peer(
        server: BootstrapServer(id: entry.raftID, address: "\(entry.address)"), name: entry.gossipName,
        expect: entry.expect, isAlive: entry.status == .alive, isVoter: entry.isVoter,
        bootstrapsAlone: entry.bootstrapsAlone, speaksBootstrap: entry.nomaddVersion >= 1)
    }
    let known = Set(directory.all.map(\.gossipAddress))
    return BootstrapView(
      peers: peers.sorted { $0.server < $1.server }, unreachedJoinAddresses: joining.unreached(known: known).count,
      isPristine: raft.isPristine)
  }

  mutating func updateBootstrapView(_ effects: inout Effects) {
    guard !bootstrap.isFinished else { return }
    bootstrap.update(view: bootstrapView, at: now.instant, random: &effects.random)
    let standing = bootstrap.standing
    guard standing != lastStanding else { return }
    lastStanding = standing
    isStatusStale = true
    switch standing {
    case .conflicting(let names):
      effects.log.log(
        .error, "nomad", "peer has a conflicting expect value. All nodes should expect the same number",
        ["own": "\(configuration.bootstrapExpect)", "members": names.joined(separator: ",")])
    case .ready, .waitsForLeader, .tooFew, .tooManyOutside, .leftToPeer, .finished:
      effects.log.log(.info, "nomad", "bootstrap: \(Self.text(of: standing, expect: configuration.bootstrapExpect))")
    }
  }

  mutating func drainBootstrap(_ effects: inout Effects) -> Bool {
    guard !bootstrap.directives.isEmpty else { return false }
    let directives = bootstrap.directives
    bootstrap.directives.removeAll(keepingCapacity: true)
    for directive in directives {
      switch directive {
      case .persist(let record): events.append(.persistBootstrap(record))
      case .call(let id, let server, let request): ask(id, server, request, &effects)
      case .reply(let token, let reply):
        guard let caller = bootstrapCallers.removeValue(forKey: token) else { continue }
        respond(caller, &effects) { reply.encode(into: &$0) }
      case .bootstrap(let servers, _): writeFirstConfiguration(servers, &effects)
      }
    }
    return true
  }

  private mutating func ask(
    _ id: BootstrapCallID, _ server: BootstrapServer, _ request: BootstrapRequest, _ effects: inout Effects
  ) {
    guard let address = SocketAddress(server.address) else {
      return bootstrap.handleNoReply(to: id, reason: "bad address", at: now.instant, random: &effects.random)
    }
    let call = rpc.call(
      .nomaddBootstrap, to: address, deadline: now.instant + bootstrap.callTimeout, at: now.instant,
      effects: &effects
    ) { request.encode(into: &$0) }
    bootstrapCalls[call] = id
  }

  private mutating func writeFirstConfiguration(_ servers: [BootstrapServer], _ effects: inout Effects) {
    let addresses = servers.map(\.address).joined(separator: ",")
    effects.log.log(
      .info, "nomad", "found expected number of peers, attempting to bootstrap cluster...", ["peers": addresses])
    do throws(RaftError) {
      try raft.bootstrap(
        servers.map { RaftServer(id: $0.id, address: $0.address) }, at: now.instant, effects: &effects)
      // Every member may stand: they take turns by id, and only one that has the configuration can win.
      raft.campaign(at: now.instant, effects: &effects)
    } catch {
      effects.log.log(.error, "nomad", "failed to bootstrap cluster", ["error": error.text])
    }
  }

  /// True when the call was one of ours.
  mutating func handleBootstrapResponse(
    _ call: CallID, _ outcome: RPCOutcome, in batch: borrowing RPCEventBatch, _ effects: inout Effects
  ) -> Bool {
    guard let id = bootstrapCalls.removeValue(forKey: call) else { return false }
    let reason: String
    switch outcome {
    case .reply(let range):
      do throws(WireError) {
        var reader = MessagePackReader(batch.bytes(range))
        let reply = try BootstrapReply(&reader)
        bootstrap.handle(reply: reply, to: id, at: now.instant, random: &effects.random)
        return true
      } catch {
        reason = "unreadable answer"
      }
    case .remoteError(let range): reason = batch.bytes(range).text()
    case .failure(let failure): reason = failure.text(address: nil)
    }
    bootstrap.handleNoReply(to: id, reason: reason, at: now.instant, random: &effects.random)
    return true
  }

  mutating func serveBootstrap(_ caller: Caller, _ body: RawSpan, _ effects: inout Effects) {
    do throws(WireError) {
      var reader = MessagePackReader(body)
      let request = try BootstrapRequest(&reader)
      let token = BootstrapRequestToken(number: nextBootstrapToken)
      nextBootstrapToken += 1
      bootstrapCallers[token] = caller
      bootstrap.handle(request: request, token: token, at: now.instant)
    } catch {
      fail(caller, "msgpack decode error: \(error)", &effects)
    }
  }

  /// `Status.Peers`: the Raft peers; before there are any, what this server has promised, so that a server of the
  /// original stands down.
  var statusPeers: [String] {
    let servers = raft.configuration.servers
    return servers.isEmpty ? bootstrap.promisedServers.map(\.address) : servers.map(\.address)
  }

  /// How long a server that stands one against one waits for others that would tell who is the odd one.
  static let expectationGrace = Interval.seconds(1)

  /// A server that joined others and differs from them in `bootstrap_expect` ends with one sentence: at once when most
  /// of them disagree with it, after a moment when it is one against one. Servers that were joined only report the
  /// conflict: a newcomer must not stop them. Nothing ends once Raft has begun.
  mutating func checkExpectation() {
    expectationDue = nil
    guard configuration.bootstrapExpect != 0, hasJoinedOnce, raft.isPristine else { return }
    let others = directory.localAlive.filter { $0.gossipName != configuration.gossipName && $0.expect != 0 }
    let conflicting = others.filter { $0.expect != configuration.bootstrapExpect }
    let agreeing = others.count - conflicting.count + 1
    guard let first = conflicting.first, conflicting.count >= agreeing else { return expectationSince = nil }
    let since = expectationSince ?? now.instant
    expectationSince = since
    guard conflicting.count > agreeing || now.instant >= since + Self.expectationGrace else {
      return expectationDue = since + Self.expectationGrace
    }
    events.append(
      .fatal(
        "\(configuration.bootstrapExpectPlace): bootstrap_expect is \(configuration.bootstrapExpect) here but "
          + "\(first.expect) on server \(first.gossipName) (\(first.gossipAddress)); give all servers of region "
          + "\"\(configuration.region)\" the same number and start again"))
  }

  static func text(of standing: BootstrapMachine.Standing, expect: Int) -> String {
    switch standing {
    case .ready: return "all expected servers are present, agreeing on the first configuration"
    case .waitsForLeader: return "bootstrap_expect is not set; waiting to be added by a leader"
    case .tooFew(let have, let need): return "waiting for servers: \(have) of \(need) present"
    case .conflicting(let names):
      return "bootstrap_expect is \(expect) here but not on \(names.joined(separator: ", ")); give all the same number"
    case .tooManyOutside(let names, let addresses):
      var parts: [String] = []
      if !names.isEmpty { parts.append("out of reach: \(names.joined(separator: ", "))") }
      if addresses > 0 { parts.append("\(addresses) join addresses never answered") }
      return "not bootstrapping, because another quorum could form elsewhere (\(parts.joined(separator: "; "))); "
        + "start those servers, or take them out of retry_join or force-leave them"
    case .leftToPeer(let name): return "waiting for Nomad server \(name) to write the first configuration"
    case .finished: return "the first configuration is written"
    }
  }
}
