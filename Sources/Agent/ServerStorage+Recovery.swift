import Base
import Configuration
import Durable
import Raft
import Server
import State
import Wire

/// Recovery of a server that lost its quorum: `raft/peers.json`, in Nomad's form (raft.md section 10).
///
/// Deviations: Nomad honours the file only when `peers.info` exists and deletes it otherwise; here it always counts,
/// and `peers.info` is no help text but a ready `peers.json` of the last committed configuration.
extension ServerStorage {
  /// Read at the start and then removed.
  static func recoveryFile(in directory: String) -> SmallFile { SmallFile(directory + "/raft/peers.json") }
  /// Kept current while the server runs.
  static func currentPeersFile(in directory: String) -> SmallFile { SmallFile(directory + "/raft/peers.info") }

  /// What a recovery did.
  struct Recovery {
    var index: LogIndex
    var term: Term
    var before: RaftConfiguration
    var after: RaftConfiguration
  }

  /// Who is recovered, and under which identity the file must name it.
  struct RecoveryIdentity {
    var id: String
    var raftID: String
    var address: String

    func isSelf(_ server: RaftServer) -> Bool {
      server.id == raftID || (server.address == address && server.id == server.address)
    }
  }

  /// Carries out `raft/peers.json` if there is one. Nothing is changed before everything is checked, and each step may
  /// be interrupted: the file goes last, and with it there the next start does the same again.
  ///
  /// The whole log is applied, also what was never known to be committed: of what a majority had, nothing may be lost
  /// that this server has.
  func recover(
    _ restored: inout ServerRestoredState, as identity: RecoveryIdentity
  ) throws(StartFailure) -> Recovery? {
    let file = Self.recoveryFile(in: directory)
    guard let bytes = try StartFailure.reporting({ () throws(DurableError) in try file.read() }) else { return nil }
    let after = try Self.configuration(bytes, file.path, identity)
    let summary = try RaftSummary(restored.raft, StoredLogReader(log), file.path)
    guard summary.lastIndex > 0 else {
      throw StartFailure(
        sentence: "\(file.path): this server has no log and no snapshot, so there is nothing to recover; remove the "
          + "file and let the server join, or put it on a server that has the data")
    }
    let state = try replay(restored, through: summary.lastIndex)
    let metadata = SnapshotMetadata(
      index: summary.lastIndex, term: summary.lastTerm, configuration: after, configurationIndex: 1)
    let hasLog = restored.raft.bounds != nil
    try StartFailure.reporting { () throws(DurableError) in
      try snapshots.save(
        StoredSnapshot(
          index: metadata.index.value, term: metadata.term.value, metadata: metadata.encoded(), state: state.bytes))
      if hasLog { try log.perform([.compact(through: metadata.index.value)]) }
      try file.remove()
    }
    restored.raft.snapshot = metadata
    restored.raft.bounds = nil
    restored.state = state.store
    return Recovery(index: metadata.index, term: metadata.term, before: summary.configuration, after: after)
  }

  private static func configuration(
    _ bytes: [UInt8], _ path: String, _ identity: RecoveryIdentity
  ) throws(StartFailure) -> RaftConfiguration {
    let peers: [RecoveryPeer]
    do throws(ConfigurationError) { peers = try RecoveryPeers.parse(bytes, path: path) } catch {
      throw StartFailure(sentence: "\(error); nothing was changed, correct the file or remove it")
    }
    let configuration = RaftConfiguration(peers)
    if let defect = configuration.defect {
      throw StartFailure(sentence: "\(path): no possible configuration (\(defect)); correct the file or remove it")
    }
    guard let own = configuration.servers.first(where: identity.isSelf) else {
      throw StartFailure(
        sentence: "\(path): this server is not in the list; it has the id \(identity.raftID) and the address "
          + "\(identity.address). Nothing was changed, correct the file or remove it")
    }
    guard own.address == identity.address else {
      throw StartFailure(
        sentence: "\(path): this server stands in the list with the address \(own.address), but it has "
          + "\(identity.address). Nothing was changed, correct the file or the configured addresses")
    }
    return configuration
  }

  /// The state with the whole log applied, encoded, and as it will be read at the next start.
  private func replay(
    _ restored: ServerRestoredState, through last: LogIndex
  ) throws(StartFailure) -> (bytes: [UInt8], store: StateStore) {
    var state = restored.state
    var watches = WatchTable()
    let reader = StoredLogReader(log)
    var index = (restored.raft.snapshot?.index ?? 0).next
    while index <= last {
      let entries = reader.entries(in: index...last, maximumBytes: 4 << 20)
      guard let final = entries.last, entries.first?.index == index else {
        throw StartFailure(
          sentence: "\(directory)/raft: entry \(index) of the log cannot be read, so that the state cannot be "
            + "recovered completely; put peers.json on another server of the cluster")
      }
      for entry in entries where !entry.kind.isKnown { state.countForeignEntry() }
      for entry in entries where entry.kind == .command {
        _ = state.apply(index: entry.index.value, entry.data.bytes, waking: &watches)
      }
      index = final.index.next
    }
    guard state.canSnapshot else {
      throw StartFailure(
        sentence: "\(directory)/raft: the log holds work that this version does not model, and a recovery would lose "
          + "it; recover on a server of the original, which shares the region")
    }
    let bytes = state.encodedSnapshot()
    do throws(SnapshotError) {
      return (bytes, try StateStore(snapshot: bytes.bytes, index: last.value))
    } catch {
      throw StartFailure(sentence: "\(directory)/raft: the state cannot be written and read again (\(error))")
    }
  }
}

extension StartFailure {
  /// Tells the operator what the disk complains about.
  static func reporting<Value>(_ body: () throws(DurableError) -> Value) throws(StartFailure) -> Value {
    do throws(DurableError) { return try body() } catch { throw StartFailure(sentence: "\(error)") }
  }
}

/// What a stored log amounts to, without a node.
struct RaftSummary {
  var lastIndex: LogIndex
  var lastTerm: Term
  var configuration: RaftConfiguration
  var configurationIndex: LogIndex

  /// `place` is named when the log contradicts itself.
  init(_ state: RaftRestoredState, _ reader: any LogReader, _ place: String) throws(StartFailure) {
    do throws(RaftError) {
      var effects = Effects(seed: 1)
      // Only to be asked: no directive of this node is carried out.
      let node = try RaftNode(
        configuration: RaftNodeConfiguration(id: "", address: ""), restoring: state, reader: reader, at: .start,
        effects: &effects)
      lastIndex = node.lastLogIndex
      lastTerm = node.lastLogTerm
      configuration = node.configuration
      configurationIndex = node.configurationIndex
    } catch {
      throw StartFailure(sentence: "\(place): \(error.text)")
    }
  }
}

extension RaftConfiguration {
  init(_ peers: [RecoveryPeer]) {
    self.init(peers.map { RaftServer(id: $0.id, address: $0.address, suffrage: $0.isVoter ? .voter : .nonvoter) })
  }

  /// As `peers.json` has it; `legacy` for servers of Raft protocol 2.
  func recoveryText(legacy: Bool) -> [UInt8] {
    RecoveryPeers.text(
      servers.map { RecoveryPeer(id: $0.id, address: $0.address, isVoter: $0.isVoter) }, legacy: legacy)
  }

  /// `id (address), id (address, no voter)` for one line of the log.
  var summary: String {
    servers.map { "\($0.id) (\($0.address)\($0.isVoter ? "" : ", no voter"))" }.joined(separator: ", ")
  }
}
