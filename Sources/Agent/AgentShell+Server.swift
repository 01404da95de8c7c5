import API
import Base
import Configuration
import Durable
import Membership
import Raft
import Reactor
import Server
import Wire

/// What the server machine wants done outside: disk, names, answers.
extension AgentShell {
  func drainServer() {
    while let events = server?.events, !events.isEmpty {
      server?.events.removeAll(keepingCapacity: true)
      for event in events { carryOut(event) }
    }
  }

  private func carryOut(_ event: ServerEvent) {
    switch event {
    case .persistBootstrap(let record): persist(record)
    case .gossipSnapshotLine(let line): gossipLines.append(line)
    case .resolveJoinEntries: resolveJoinEntries()
    case .answered(let id, let result): finish(id, result)
    case .joinCommandFinished(let id, let joined, let failures):
      answer(id, .join(JoinAnswer(joined: joined, errors: failures)))
    case .keyringCommandFinished(let id, let result): answer(id, Self.answer(result))
    case .keyringChanged(let keys): store(keys)
    case .fatal(let sentence): fail(sentence)
    case .status(let text):
      if isReady {
        notify { notifier throws(ServiceNotifier.Failure) in try notifier.status(text) }
      } else {
        becomeReady(text)
      }
    case .left(let clean): end(status: clean ? 0 : 1)
    case .streamBytes(let id, let bytes): received(.server(id), bytes)
    case .streamEnded(let id, let text): ended(.server(id), text)
    case .encodeState(let state, let index): encode(state, at: index)
    case .packSnapshot(let job, let metadata, let state): pack(job, metadata, state)
    case .unpackSnapshot(let job, let archive): unpack(job, archive)
    case .monitorStarted(let id, let level, let json, let plain):
      follow(.server(id), level: level, json: json, plain: plain)
    case .monitorEnded(let id): unfollow(.server(id))
    case .configurationCommitted(let configuration):
      committedConfiguration = configuration
      keepPeersFileCurrent()
    case .leadership, .leaderChanged: break
    }
  }

  // MARK: Disk

  /// Gives everything Raft wants written to the disk's thread at once; what comes meanwhile rides the next time.
  func startDiskWork() {
    guard !isDiskBusy, let disk, let storage = serverStorage, server?.hasStorage ?? false,
      let directives = server?.takeStorage()
    else { return }
    isDiskBusy = true
    let log = storage.log
    let snapshots = storage.snapshots
    disk.submit {
      ServerStorage.perform(directives, log: log, snapshots: snapshots)
    } completion: { [unowned self] error in
      isDiskBusy = false
      let result: StorageResult = error.map { .failed("\($0)") } ?? .done
      for directive in directives {
        server?.storageCompleted(directive.ticket, result, at: loop.moment, effects: &effects)
      }
    }
  }

  private func persist(_ record: BootstrapRecord) {
    guard let file = serverStorage?.bootstrapFile else { return }
    var bytes: [UInt8] = []
    record.encode(into: &bytes)
    // Records must reach the disk in the order in which they were made.
    bootstrapWrites.append(bytes)
    if bootstrapWrites.count == 1 { writeNextBootstrapRecord(file) }
  }

  private func writeNextBootstrapRecord(_ file: SmallFile) {
    guard let disk, let bytes = bootstrapWrites.first else { return }
    disk.submit { () -> DurableError? in
      do throws(DurableError) {
        try file.replaceChecked(bytes)
        return nil
      } catch {
        return error
      }
    } completion: { [unowned self] error in
      if let error { return fail("\(error)") }
      bootstrapWrites.removeFirst()
      server?.bootstrapPersisted(at: loop.moment, effects: &effects)
      writeNextBootstrapRecord(file)
    }
  }

  /// Writes `raft/peers.info`, one at a time; what changes meanwhile follows.
  private func keepPeersFileCurrent() {
    guard !isWritingPeers, let file = serverStorage?.currentPeersFile, let configuration = committedConfiguration,
      let server
    else { return }
    isWritingPeers = true
    committedConfiguration = nil
    let text = configuration.recoveryText(legacy: server.configuration.raftProtocol < 3)
    loop.submitWork { () -> DurableError? in
      do throws(DurableError) {
        try file.replace(text)
        return nil
      } catch {
        return error
      }
    } completion: { [unowned self] error in
      isWritingPeers = false
      if let error {
        effects.log.log(.warn, "nomad.raft", "cannot write the recovery file", ["error": "\(error)"])
      }
      keepPeersFileCurrent()
    }
  }

  /// The gossip snapshot only speeds up a restart, so it is appended without waiting for the disk.
  func writeGossipLines() {
    guard !gossipLines.isEmpty, let storage = serverStorage else { return }
    let lines = gossipLines
    gossipLines.removeAll(keepingCapacity: true)
    do throws(DurableError) {
      if try storage.appendGossip(lines), let content = server?.membership.snapshotContent {
        try storage.compactGossip(content)
      }
    } catch {
      effects.log.log(.warn, "nomad.serf", "cannot write the gossip snapshot", ["error": "\(error)"])
    }
  }

  // MARK: Gossip keys

  private func store(_ keys: [[UInt8]]) {
    var failure: String?
    do throws(DurableError) { try serverStorage?.keyringFile.replace(KeyringFile.encode(keys)) } catch {
      effects.log.log(.error, "nomad.serf", "cannot store the gossip keyring", ["error": "\(error)"])
      failure = "\(error)"
    }
    server?.keyringStored(failure: failure, at: loop.moment, effects: &effects)
  }

  private static func answer(_ result: KeyringResult) -> APIAnswer {
    let failed = result.errors.count + max(0, result.members - result.responses)
    guard failed == 0 else {
      let reasons = result.errors.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
      let silent = max(0, result.members - result.responses)
      return .failure(
        APIFailure(
          "\(failed)/\(result.members) nodes reported failure"
            + (reasons.isEmpty ? "" : " (\(reasons.joined(separator: "; ")))")
            + (silent == 0 ? "" : " (\(silent) did not answer)")))
    }
    var keys: [String: Int] = [:]
    for tally in result.keys { keys[tally.key] = tally.members }
    return .keyring(KeyringAnswer(keys: keys, messages: [:], nodes: result.members))
  }

  // MARK: Names

  /// Looks all join entries up and gives the server the addresses; each round anew, since DNS answers change.
  private func resolveJoinEntries() {
    guard let join = configuration.server?.join else { return }
    JoinResolution(loop: loop, entries: join.start + join.retry).run { [unowned self] addresses, failures in
      for failure in failures {
        effects.log.log(.warn, "agent.joiner", "failed to resolve a join entry", ["error": failure])
      }
      server?.joinAddressesResolved(addresses, at: loop.moment, effects: &effects)
    }
  }
}
