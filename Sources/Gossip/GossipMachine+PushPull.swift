import Base
import Wire

// Full state exchanges (gossip.md 3.4, 4.2, 5.6, 5.14).
extension GossipMachine {
  /// Dials `address` and exchanges state. The outcome comes through `GossipLayer.handleExchangeFinished` when a token
  /// is given. `isJoin` makes both sides consult their merge rules.
  public mutating func exchange(
    with address: SocketAddress, isJoin: Bool, token: ExchangeToken?, at now: Instant, effects: inout Effects
  ) {
    openStream(
      to: address, role: .exchange(isJoin: isJoin, token: token), deadline: now + configuration.streamTimeout, at: now,
      effects: &effects)
  }

  mutating func exchangeWithRandomNode(at now: Instant, effects: inout Effects) {
    guard !hasLeft, streams.count < configuration.maximumStreams else { return }
    let chosen = randomNodes(1, effects: &effects) { _, node in node.state == .alive }
    for id in chosen { exchange(with: nodes[id].address, isJoin: false, token: nil, at: now, effects: &effects) }
  }

  /// Many nodes at once came to be known: gossip carries a dozen in a packet and repeats each many times, so a large
  /// pool that forms takes minutes by gossip alone. One exchange carries everybody.
  mutating func noteStranger(at now: Instant, effects: inout Effects) {
    strangers += 1
    guard let interval = configuration.catchUpInterval, strangers >= configuration.catchUpStrangers, nextCatchUp == nil
    else { return }
    nextCatchUp = now + interval / 2 + effects.random.interval(.zero, interval)
  }

  mutating func catchUp(at now: Instant, effects: inout Effects) {
    nextCatchUp = nil
    strangers = 0
    exchangeWithRandomNode(at: now, effects: &effects)
  }

  mutating func sendState(
    on id: ConnectionID, isJoin: Bool, isDialer: Bool, above: inout some GossipLayer, effects: inout Effects
  ) {
    var state: [UInt8] = []
    above.appendLocalState(isJoin: isJoin, to: &state)
    var message: [UInt8] = []
    PushPullHeader(nodes: nodes.count, userStateBytes: state.count, isJoin: isJoin).encode(into: &message)
    for position in 0..<nodes.count {
      let node = nodes[nodes.id(at: position)]
      PushPullNode.encode(
        name: node.name, address: node.address, metadata: node.metadata, incarnation: node.incarnation,
        state: node.state, versions: node.versions, into: &message)
    }
    message.append(contentsOf: state)
    sendMessage(message, on: id, isDialer: isDialer, effects: &effects)
  }

  /// Why a peer that asks for an exchange is not even given our state: it would take us for a member of its pool.
  func refusal(
    of header: PushPullHeader, nodes list: RawSpan, from peer: SocketAddress, above: some GossipLayer
  ) -> String? {
    if isShunned(peer.host) { return "this server does not share a pool with the one at \(peer.host)" }
    guard header.isJoin else { return nil }
    var offset = 0
    for _ in 0..<header.nodes {
      var length = 0
      // What cannot be read is complained of by whoever merges it.
      guard let entry = try? PushPullNode(list.extracting(offset..<list.byteCount), length: &length) else { return nil }
      offset += length
      if above.shuns(AliveMessage(entry)), let reason = above.refusal(of: entry) { return reason }
    }
    return nil
  }

  /// Verifies a peer's state as a whole, then merges it. Nothing changes when the verification fails.
  mutating func merge(
    _ header: PushPullHeader, nodes list: RawSpan, state: RawSpan, isOurs: Bool, from peer: SocketAddress,
    at now: Instant, above: inout some GossipLayer, effects: inout Effects
  ) -> ExchangeOutcome {
    var isOnlyUs = header.nodes > 0
    do throws(WireError) {
      if let refusal = try verify(header, list, above: above, isOnlyUs: &isOnlyUs) {
        count(\.exchangesRefused)
        effects.log.log(
          .warn, Self.logModule, "memberlist: Failed push/pull merge: \(refusal)", ["from": peer.description])
        return .refused(refusal)
      }
      var offset = 0
      var position = 0
      for _ in 0..<header.nodes {
        var length = 0
        let entry = try PushPullNode(list.extracting(offset..<list.byteCount), length: &length)
        offset += length
        if isRepetition(entry, next: &position) { continue }
        mergeNode(entry, from: peer, at: now, above: &above, effects: &effects)
      }
    } catch {
      complain(.malformed, from: peer, at: now, effects: &effects)
      return .refused("malformed node list")
    }
    if state.byteCount > 0 {
      above.mergeRemoteState(state, isOurJoin: isOurs && header.isJoin, at: now, effects: &effects)
    }
    count(\.exchangesMerged)
    noteFreshBroadcasts(at: now, above: above)
    return isOnlyUs ? .reachedOurselves : .merged(nodes: header.nodes)
  }

  /// Most entries of most exchanges are: an alive node as we know it.
  private func isRepetition(_ entry: PushPullNode, next position: inout Int) -> Bool {
    guard entry.state == .alive, let id = nodes.find(entry.name, next: &position), id != localID,
      nodes[id].state == .alive, entry.incarnation <= nodes[id].incarnation, entry.port == nodes[id].address.port
    else { return false }
    return IPAddress(network: entry.address) == nodes[id].address.host
  }

  private mutating func mergeNode(
    _ entry: PushPullNode, from peer: SocketAddress, at now: Instant, above: inout some GossipLayer,
    effects: inout Effects
  ) {
    let own = configuration.name
    switch entry.state {
    case .alive: handleAlive(AliveMessage(entry), from: peer, at: now, above: &above, effects: &effects)
    case .left:
      handleDead(
        AccusationMessage(incarnation: entry.incarnation, node: entry.name, from: entry.name), at: now,
        above: &above, effects: &effects)
    case .dead, .suspect:
      // Somebody else's "dead" is only a suspicion to us; our own timer must confirm it.
      if !configuration.hearsayConfirms, nodes.find(entry.name).map({ nodes.records[$0].suspicion != nil }) ?? false {
        return
      }
      handleSuspect(
        AccusationMessage(incarnation: entry.incarnation, node: entry.name, from: own.bytes), at: now,
        above: &above, effects: &effects)
    case nil: count(.unusable)
    }
  }

  /// `nil` when all versions overlap and, for a join, the layer above admits every entry (gossip.md 4.2, 7.4).
  private func verify(
    _ header: PushPullHeader, _ list: RawSpan, above: some GossipLayer, isOnlyUs: inout Bool
  ) throws(WireError) -> String? {
    var range = VersionRange()
    for id in ring where nodes[id].state == .alive { range.narrow(nodes[id].versions) }
    // Nearly always everybody speaks the same.
    var common: ProtocolVersions?
    var isUniform = !header.isJoin
    var offset = 0
    for _ in 0..<header.nodes {
      var length = 0
      let entry = try PushPullNode(list.extracting(offset..<list.byteCount), length: &length)
      offset += length
      guard entry.name.byteCount > 0 else { throw .malformed }
      if let versions = entry.versions, common == nil || common == versions {
        common = versions
      } else {
        isUniform = false
      }
      if entry.state == .alive, let versions = entry.versions { range.narrow(versions) }
      if !entry.name.equals(configuration.name) { isOnlyUs = false }
    }
    for id in ring where !range.allows(nodes[id].versions) {
      return "protocol version of node '\(nodes[id].displayName)' is incompatible"
    }
    if isUniform, range.allows(common) { return nil }
    offset = 0
    for _ in 0..<header.nodes {
      var length = 0
      let entry = try PushPullNode(list.extracting(offset..<list.byteCount), length: &length)
      offset += length
      if !range.allows(entry.versions) {
        return "protocol version of node '\(entry.name.text())' is incompatible"
      }
      if header.isJoin, let reason = above.refusal(of: entry) { return reason }
    }
    return nil
  }

  /// The protocol versions that everybody alive understands.
  private struct VersionRange {
    private var protocols: (low: UInt8, high: UInt8) = (0, .max)
    private var delegates: (low: UInt8, high: UInt8) = (0, .max)

    mutating func narrow(_ versions: ProtocolVersions) {
      protocols = (max(protocols.low, versions.protocolMin), min(protocols.high, versions.protocolMax))
      delegates = (max(delegates.low, versions.delegateMin), min(delegates.high, versions.delegateMax))
    }

    /// A node that announced no versions counts as speaking 0.
    func allows(_ versions: ProtocolVersions?) -> Bool {
      let spoken = versions?.protocolCurrent ?? 0
      let delegate = versions?.delegateCurrent ?? 0
      return protocols.low <= spoken && spoken <= protocols.high && delegates.low <= delegate
        && delegate <= delegates.high
    }
  }
}
