import Base
import Wire

// What the owner asks for.

extension RaftMachine {
  /// Writes the first configuration of a new cluster. Every server of it may do so; only index and term must agree.
  mutating func bootstrap(_ servers: [RaftServer]) throws(RaftError) {
    guard !isHalted else { throw .storageFailed }
    guard isPristine, operations.isEmpty else { throw .notPristine }
    let first = RaftConfiguration(servers)
    if let defect = first.defect { throw .invalidConfiguration(defect) }
    // Protocol 2 knows only a list of voters, in the deprecated entry kind (raft.md 4.2).
    let isLegacy = configuration.protocolVersion < 3 && servers.allSatisfy { $0.isVoter && $0.id == $0.address }
    let entry =
      isLegacy
      ? LogEntry(index: 1, term: 1, kind: .removePeer, data: first.encodedPeers)
      : LogEntry(index: 1, term: 1, kind: .configuration, data: first.encoded)
    hardState = HardState(term: 1)
    log.append([entry])
    write(LogWrite(hardState: hardState, append: [entry]), through: 1)
    history.append(first, at: 1)
    events.append(.configurationChanged)
  }

  func checkLeading() throws(RaftError) {
    guard !isHalted else { throw .storageFailed }
    guard role == .leader else { throw .notLeader }
    guard leadership.transfer == nil else { throw .leadershipTransferInProgress }
    guard log.lastIndex - commitIndex < configuration.limits.uncommittedEntries else { throw .busy }
  }

  mutating func propose(
    _ kind: LogEntry.Kind, _ data: [UInt8], sendsLater: Bool = false, at now: Instant, effects: inout Effects
  ) throws(RaftError) -> LogIndex {
    try checkLeading()
    guard data.count <= configuration.limits.commandBytes else { throw .tooLarge }
    let index = log.lastIndex.next
    appendAsLeader([(kind, data)], sendsLater: sendsLater, at: now, effects: &effects)
    return index
  }

  // MARK: Membership

  /// One change at a time, and only after an entry of the own term is committed (raft.md 5.5).
  mutating func changeConfiguration(
    _ change: RaftConfigurationChange, at now: Instant, effects: inout Effects
  ) throws(RaftError) -> LogIndex {
    try checkLeading()
    guard history.latestIndex <= commitIndex || flaw == .twoConfigurationChanges,
      commitIndex >= leadership.firstIndex
    else { throw .configurationChangeInProgress }
    let next = try history.latest.applying(change)
    if let defect = next.defect { throw .invalidConfiguration(defect) }
    let index = log.lastIndex.next
    effects.log.log(
      .info, "nomad.raft", "updating configuration",
      ["servers": next.servers.map { "\($0.suffrage):\($0.id):\($0.address)" }.joined(separator: ",")])
    history.append(next, at: index)
    events.append(.configurationChanged)
    synchronizePeers(at: now)
    appendAsLeader([(.configuration, next.encoded)], at: now, effects: &effects)
    return index
  }

  /// Makes the peers those of the latest configuration; a removed one stays a while, to be told.
  private mutating func synchronizePeers(at now: Instant) {
    for position in leadership.peers.indices {
      let id = leadership.peers[position].server.id
      if let server = history.latest.server(id: id) {
        leadership.peers[position].server = server
        leadership.peers[position].departsAt = nil
      } else if leadership.peers[position].departsAt == nil {
        leadership.peers[position].departsAt = now + timings.heartbeatTimeout * 2
      }
    }
    for server in history.latest.servers where !configuration.isSelf(server) {
      guard leadership.position(of: server.id) == nil else { continue }
      leadership.peers.append(PeerProgress(server, nextIndex: log.lastIndex.next, at: now))
    }
  }

  /// Lets go of removed peers that know, or that had their time.
  mutating func releaseDeparted(at now: Instant) {
    guard leadership.peers.contains(where: { $0.departsAt != nil }) else { return }
    var kept: [PeerProgress] = []
    for peer in leadership.peers {
      if isReleased(peer, at: now) { outputs.append(.forget(id: peer.server.id)) } else { kept.append(peer) }
    }
    leadership.peers = kept
  }

  private func isReleased(_ peer: PeerProgress, at now: Instant) -> Bool {
    guard let end = peer.departsAt else { return false }
    return now >= end || (history.latestIndex <= commitIndex && peer.confirmedCommit >= history.latestIndex)
  }

  // MARK: Transfer

  /// Hands leadership to `id`, or to the voter that knows most.
  mutating func transferLeadership(to id: String?, at now: Instant, effects: inout Effects) throws(RaftError) {
    try checkLeading()
    var best: PeerProgress?
    for peer in leadership.peers where peer.server.isVoter && peer.departsAt == nil {
      if let id {
        if peer.server.id == id { best = peer }
      } else if now - peer.lastContact < pace.quorumTimeout,
        peer.matchIndex > best?.matchIndex ?? 0
      {
        best = peer
      }
    }
    guard let best else { throw .noTransferTarget }
    leadership.transfer = Leadership.Transfer(target: best.server.id, deadline: now + pace.electionTimeout)
    effects.log.log(.info, "nomad.raft", "starting leadership transfer", ["id": best.server.id])
    continueTransfer(at: now)
  }

  /// Sends TimeoutNow when the target has everything.
  mutating func continueTransfer(at now: Instant) {
    guard let transfer = leadership.transfer, !transfer.isSent, let position = leadership.position(of: transfer.target),
      leadership.peers[position].matchIndex == log.lastIndex
    else { return }
    leadership.transfer?.isSent = true
    leadership.hasHandedOver = true
    let request = RaftRequest.timeoutNow(TimeoutNowRequest(header: header))
    outputs.append(.request(request, to: leadership.peers[position].server, .replication, .timeoutNow(term)))
  }

  mutating func handleTimeoutNowEnd(_ reply: RaftReply?, term asked: Term) {
    guard role == .leader, asked == term, leadership.transfer?.isSent == true else { return }
    if let reply, reply.error.isEmpty { return }
    leadership.transfer = nil
    events.append(.transferFailed)
  }
}

extension RaftConfiguration {
  /// The configuration after `change`, which may be the same.
  func applying(_ change: RaftConfigurationChange) throws(RaftError) -> RaftConfiguration {
    var next = self
    switch change {
    case .addVoter(let server), .addNonvoter(let server):
      var server = server
      if case .addVoter = change { server.suffrage = .voter } else { server.suffrage = .nonvoter }
      if let position = servers.firstIndex(where: { $0.id == server.id }) {
        // Adding a voter as non-voter only changes its address.
        if servers[position].isVoter { server.suffrage = .voter }
        next.servers[position] = server
      } else {
        next.servers.append(server)
      }
    case .demote(let id):
      guard let position = servers.firstIndex(where: { $0.id == id }) else { throw .unknownServer }
      next.servers[position].suffrage = .nonvoter
    case .remove(let id):
      guard servers.contains(where: { $0.id == id }) else { throw .unknownServer }
      next.servers.removeAll { $0.id == id }
    }
    return next
  }
}
