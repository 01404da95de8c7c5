import Base
import Durable
import Raft
import Security
import Server
import State
import Wire

/// Everything a server keeps on disk, in Nomad's layout where Nomad has one:
/// `node-id`, `serf/snapshot`, `raft/` (log and term), `raft/snapshots/`, and `bootstrap` for the first quorum that
/// was promised.
final class ServerStorage {
  let directory: String
  let log: LogStore
  let snapshots: SnapshotStore
  let bootstrapFile: SmallFile
  let gossipFile: SmallFile
  /// Nomad's `serf.keyring`: a JSON list of base64 keys, the first is the primary.
  let keyringFile: SmallFile
  /// A ready `peers.json` of the last committed configuration.
  let currentPeersFile: SmallFile
  /// The gossip snapshot is rewritten when this much has been appended.
  static let gossipCompactionBytes = 128 << 10
  private var gossipBytes = 0
  private let ephemeral: EphemeralDirectory?
  private let lock: DirectoryLock

  /// Creates what is missing. `directory` nil: state that ends with the process.
  init(directory: String?) throws(DurableError) {
    if let directory {
      ephemeral = nil
      self.directory = directory
    } else {
      let temporary = try EphemeralDirectory(name: "nomadd")
      ephemeral = temporary
      self.directory = temporary.path
    }
    lock = try DirectoryLock(self.directory)
    log = try LogStore(directory: self.directory + "/raft")
    snapshots = try SnapshotStore(directory: self.directory + "/raft/snapshots")
    try SmallFile.makeDirectory(self.directory + "/serf")
    bootstrapFile = SmallFile(self.directory + "/bootstrap")
    gossipFile = SmallFile(self.directory + "/serf/snapshot")
    keyringFile = SmallFile(self.directory + "/serf.keyring")
    currentPeersFile = Self.currentPeersFile(in: self.directory)
  }

  /// For the thread pool: a disk that hangs must not stop the loop. Nil: all is where it was.
  func makeCheck() -> @Sendable () -> String? {
    let lock = lock
    let directory = directory
    return {
      guard lock.isInPlace else { return directory }
      return SmallFile.exists(directory + "/raft/data.mdb") ? nil : directory + "/raft"
    }
  }

  /// The server's id: made at the first start, kept for ever. Text that is no UUID stops the start.
  func identity() throws(DurableError) -> String {
    let file = SmallFile(directory + "/node-id")
    if let bytes = try file.read() {
      let text = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }.lowercased()
      do throws(NodeIDError) {
        _ = try NodeID(text)
        return text
      } catch {
        throw .damaged(path: file.path, what: "it holds \"\(text)\", which is no UUID")
      }
    }
    guard let id = SecureRandom.uuid() else {
      throw .failed(operation: "draw an id for", path: file.path, reason: "the system gives no random bytes")
    }
    try file.replace(Array(id.utf8))
    return id
  }

  /// The gossip keys: those of the file, else the configured one, which is stored. A file wins over the configuration;
  /// `warning` says so when they differ.
  func keyring(configured: [UInt8]?) throws(DurableError) -> (keyring: GossipKeyring?, warning: String?) {
    if let bytes = try keyringFile.read() {
      guard let keys = KeyringFile.decode(bytes), let keyring = GossipKeyring(keys: keys) else {
        throw .damaged(path: keyringFile.path, what: "it is no list of gossip keys in base64")
      }
      let differs = configured.map { $0 != keys.first } ?? false
      return (keyring, differs ? "encrypt is ignored: \(keyringFile.path) has another primary key" : nil)
    }
    guard let configured else { return (nil, nil) }
    try keyringFile.replace(KeyringFile.encode([configured]))
    return (GossipKeyring(keys: [configured]), nil)
  }

  /// What the disk holds, and a sentence for each snapshot file that had to be skipped.
  func load() throws(DurableError) -> (state: ServerRestoredState, warnings: [String]) {
    var restored = ServerRestoredState()
    let (raft, newest) = try Self.readRaft(log, snapshots, directory)
    restored.raft = raft
    if let snapshot = newest.snapshot {
      do throws(SnapshotError) {
        restored.state = try StateStore(snapshot: snapshot.state.bytes, index: snapshot.index)
      } catch {
        throw .damaged(path: snapshots.directory, what: "the newest snapshot cannot be decoded (\(error))")
      }
    }
    if let bytes = try bootstrapFile.readChecked() {
      do throws(WireError) {
        var reader = MessagePackReader(bytes.bytes)
        restored.bootstrap = try BootstrapRecord(&reader)
      } catch {
        throw .damaged(path: bootstrapFile.path, what: "it cannot be decoded (\(error))")
      }
    }
    if let bytes = try gossipFile.read() {
      gossipBytes = bytes.count
      restored.gossipSnapshot = bytes.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
    }
    return (restored, newest.skipped.map { "skipping an unreadable snapshot: \($0)" })
  }

  /// Raft's part of the directory, and the newest snapshot with its state.
  static func readRaft(
    _ log: LogStore, _ snapshots: SnapshotStore, _ directory: String
  ) throws(DurableError) -> (RaftRestoredState, (snapshot: StoredSnapshot?, skipped: [DurableError])) {
    var raft = RaftRestoredState()
    let stored = try log.load()
    if let hard = stored.hardState {
      raft.hardState = HardState(
        term: Term(hard.term), vote: hard.vote.map { String(decoding: $0, as: UTF8.self) })
    }
    raft.bounds = stored.bounds.map { LogIndex($0.lowerBound)...LogIndex($0.upperBound) }
    let newest = try snapshots.newest()
    if let snapshot = newest.snapshot {
      do throws(WireError) { raft.snapshot = try SnapshotMetadata(decoding: snapshot.metadata.bytes) } catch {
        throw .damaged(
          path: snapshots.directory, what: "the metadata of the newest snapshot cannot be decoded (\(error))")
      }
    }
    return (raft, newest)
  }

  /// Blocks until everything is durable; for the thread pool. Snapshots and log steps keep their order.
  static func perform(
    _ directives: [StorageDirective], log: LogStore, snapshots: SnapshotStore
  ) -> DurableError? {
    do throws(DurableError) {
      var steps: [StoreOperation] = []
      for directive in directives {
        guard case .saveSnapshot(_, let metadata, let bytes) = directive else {
          steps += directive.operations
          continue
        }
        if !steps.isEmpty { try log.perform(steps) }
        steps.removeAll()
        try snapshots.save(
          StoredSnapshot(
            index: metadata.index.value, term: metadata.term.value, metadata: metadata.encoded(), state: bytes))
      }
      if !steps.isEmpty { try log.perform(steps) }
      return nil
    } catch {
      return error
    }
  }

  /// Appends lines of the gossip snapshot. True when the file has grown enough to be rewritten with `compactGossip`.
  func appendGossip(_ lines: [String]) throws(DurableError) -> Bool {
    let bytes = Array(lines.map { $0 + "\n" }.joined().utf8)
    try gossipFile.append(bytes)
    gossipBytes += bytes.count
    return gossipBytes > Self.gossipCompactionBytes
  }

  func compactGossip(_ lines: [String]) throws(DurableError) {
    let bytes = Array(lines.map { $0 + "\n" }.joined().utf8)
    try gossipFile.replace(bytes)
    gossipBytes = bytes.count
  }
}
