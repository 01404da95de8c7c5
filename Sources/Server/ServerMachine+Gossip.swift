import Base
import Membership
import Raft
import Wire

/// What gossip tells: servers come, change, fail and leave.
extension ServerMachine {
  mutating func drainMembership(_ effects: inout Effects) -> Bool {
    let events = membership.takeEvents()
    guard !events.isEmpty else { return false }
    var changed = false
    for event in events {
      switch event {
      case .joined(let member), .updated(let member), .failed(let member), .left(let member):
        changed = note(member, &effects) || changed
      case .reaped(let member):
        if let entry = directory[member.name] { leadership.gone(entry) }
        changed = directory.remove(member.name) || changed
      case .joinFinished(let id, let outcomes): handleJoinFinished(id, outcomes, &effects)
      case .leaveFinished: leaving.gossipFinished(at: now.instant)
      case .snapshotLine(let line): self.events.append(.gossipSnapshotLine(line))
      case .nameConflict(let member, let claimant):
        let sentence = "Name conflict for '\(member.name)' both \(member.address) and \(claimant) are claiming"
        guard conflictComplaint.count(sentence, at: now.instant) != nil else { continue }
        effects.log.log(.error, "nomad.serf", sentence)
      case .nameJudged(let verdict): note(verdict, &effects)
      case .keyringChanged:
        self.events.append(.keyringChanged(membership.gossip.cipher?.keys ?? []))
      case .keyringOperationFinished(let id, let result):
        guard let command = keyringCommands.removeValue(forKey: id) else { continue }
        self.events.append(.keyringCommandFinished(command, result))
      case .userEvent(let name, let payload, let time):
        membership.applyDetachment(name, payload, at: time, now: now.instant, effects: &effects)
      case .queryReceived, .queryAcknowledged, .queryAnswered, .queryFinished: break
      }
    }
    if changed { directoryChanged(&effects) }
    continueLeaving(&effects)
    return true
  }

  /// True when the directory changed.
  private mutating func note(_ member: Member, _ effects: inout Effects) -> Bool {
    let status: ServerEntry.Status
    switch member.status {
    case .alive, .none: status = .alive
    case .leaving: status = .leaving
    case .left: status = .left
    case .failed: status = .failed
    }
    let entry: ServerEntry
    do throws(ServerEntry.Refusal) {
      entry = try ServerEntry(
        name: member.name, gossipAddress: member.address, tags: member.tags, status: status)
    } catch {
      if refusedMembers.insert(member.name).inserted {
        effects.log.log(.warn, "nomad", "non-server in gossip pool", ["member": member.name, "reason": "\(error)"])
      }
      return directory.remove(member.name)
    }
    let previous = directory[entry.gossipName]
    guard directory.update(entry) else { return false }
    if previous?.status != entry.status {
      let verb = entry.status == .alive ? "adding server" : "removing server"
      effects.log.log(
        .info, "nomad", verb,
        [
          "server": "\(entry.gossipName) (Addr: \(entry.address)) (DC: \(entry.datacenter))",
          "status": entry.status.rawValue,
        ])
    }
    switch entry.status {
    case .left: leadership.gone(entry)
    case .failed: joining.hurry(at: now.instant)
    case .alive, .leaving: break
    }
    return true
  }

  /// Servers came or went: bootstrap, clients and the leader's duties look again.
  mutating func directoryChanged(_ effects: inout Effects) {
    isStatusStale = true
    clientServers = directory.forClients.map {
      ServerInfo(rpcAdvertiseAddress: "\($0.clientAddress)", datacenter: $0.datacenter)
    }
    checkIdentities(&effects)
    updateBootstrapView(&effects)
    checkExpectation()
    pushServerList(&effects)
    leadership.reconcileSoon(at: now.instant)
    runLeaderDuties(&effects)
  }

  // MARK: Joining

  /// A leader is known and as many servers as expected are alive.
  var isWhole: Bool {
    guard raft.leader != nil || raft.role == .leader else { return false }
    return directory.localAlive.count >= max(1, configuration.bootstrapExpect) && missingPeers.isEmpty
  }

  /// Raft peers that gossip does not show alive: they are looked for at their own address with our gossip port.
  private var missingPeers: [SocketAddress] {
    let alive = Set(directory.localAlive.map(\.address))
    return raft.configuration.servers.compactMap { server in
      guard let address = SocketAddress(server.address), !alive.contains(address), server.id != configuration.raftID
      else { return nil }
      if let known = directory.server(address: address) { return known.gossipAddress }
      return SocketAddress(address.host, port: configuration.gossipAdvertise.port)
    }
  }

  private var presentAddresses: Set<SocketAddress> {
    Set(directory.all.filter { $0.status == .alive }.map(\.gossipAddress))
  }

  mutating func pollJoining(_ effects: inout Effects) {
    let directive = joining.poll(
      isWhole: isWhole, present: presentAddresses, missing: missingPeers, at: now.instant, random: &effects.random)
    carryOut(directive, &effects)
  }

  /// The answer to `.resolveJoinEntries`; names that did not resolve are left out.
  public mutating func joinAddressesResolved(_ addresses: [SocketAddress], at now: Moment, effects: inout Effects) {
    self.now = now
    let directive = joining.resolved(
      addresses, isWhole: isWhole, present: presentAddresses, missing: missingPeers, at: now.instant,
      random: &effects.random)
    updateBootstrapView(&effects)
    carryOut(directive, &effects)
    settle(&effects)
  }

  private mutating func carryOut(_ directive: JoinLoop.Directive?, _ effects: inout Effects) {
    switch directive {
    case nil: break
    case .resolve: events.append(.resolveJoinEntries)
    case .join(let addresses):
      if joining.attempts == 0 { effects.log.log(.info, "agent.joiner", "starting retry join") }
      ownJoin = membership.join(addresses, at: now.instant, effects: &effects)
    case .giveUp(let sentence): events.append(.fatal(sentence))
    }
  }

  /// `nomad server join` and `PUT /v1/agent/join`: answered by `.joinCommandFinished`.
  public mutating func join(
    _ id: LocalCallID, _ addresses: [SocketAddress], at now: Moment, effects: inout Effects
  ) {
    self.now = now
    let join = membership.join(addresses, at: now.instant, effects: &effects)
    joinCommands[join] = id
    settle(&effects)
  }

  /// `nomad operator keyring`: changes the gossip keys of all members; answered by `.keyringCommandFinished`.
  public mutating func changeKeyring(
    _ id: LocalCallID, _ operation: KeyringOperation, at now: Moment, effects: inout Effects
  ) {
    self.now = now
    keyringCommands[membership.changeKeyring(operation, at: now.instant, effects: &effects)] = id
    settle(&effects)
  }

  /// The keys of the last `.keyringChanged` are stored, or cannot be; `failure` then says why.
  public mutating func keyringStored(failure: String?, at now: Moment, effects: inout Effects) {
    self.now = now
    membership.keyringStored(failure: failure, at: now.instant, effects: &effects)
    settle(&effects)
  }

  private mutating func handleJoinFinished(_ id: JoinID, _ outcomes: [JoinOutcome], _ effects: inout Effects) {
    let joined = outcomes.filter(\.isSuccess)
    if let command = joinCommands.removeValue(forKey: id) {
      let failures = outcomes.filter { !$0.isSuccess }.map {
        "Failed to join \($0.address.host): \(Self.failureText($0.result, of: $0.address))"
      }
      events.append(.joinCommandFinished(command, joined: joined.count, failures: failures))
      for outcome in joined { joining.joined(outcome.address, failure: nil) }
    } else if ownJoin == id {
      ownJoin = nil
      for outcome in outcomes {
        let failure = outcome.isSuccess ? nil : Self.failureText(outcome.result, of: outcome.address)
        joining.joined(outcome.address, failure: failure)
      }
      if !joined.isEmpty, !hasJoinedOnce {
        hasJoinedOnce = true
        effects.log.log(
          .info, "agent.joiner", "retry join completed",
          ["initial_servers": "\(joined.count)", "agent_mode": "server"])
        checkExpectation()
      } else if joined.isEmpty {
        complainAboutJoin(&effects)
      }
      carryOut(joining.roundFinished(isWhole: isWhole, at: now.instant, random: &effects.random), &effects)
    }
    updateBootstrapView(&effects)
  }

  /// A server that looks for the others three times a second says so once, and then sums up.
  private mutating func complainAboutJoin(_ effects: inout Effects) {
    guard let count = joinComplaint.count(joining.lastFailure, at: now.instant) else { return }
    effects.log.log(
      .warn, "agent.joiner", "join failed", ["error": joining.lastFailure, "attempts": "\(count)"])
  }

  /// As Go words it, which runbooks search for.
  private static func failureText(_ result: JoinOutcome.Result, of address: SocketAddress) -> String {
    switch result {
    case .joined: "joined"
    case .ownAddress: "\(address) is the address of this server"
    case .refused(let text): text
    case .failed(.refused): "dial tcp \(address): connect: connection refused"
    case .failed(.timedOut): "dial tcp \(address): i/o timeout"
    case .failed(.unreachable): "dial tcp \(address): connect: no route to host"
    case .failed(.reset), .failed(.finished): "read tcp \(address): connection closed by the peer"
    case .failed(.local): "dial tcp \(address): connect: resource temporarily unavailable"
    }
  }
}
