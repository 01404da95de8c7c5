import Base
import Raft
import State
import Wire

/// Snapshots for operators: the shell makes and reads the archive on another thread; when and where is decided here.
extension ServerMachine {
  // MARK: Saving

  /// Gives the state as it is now to the shell.
  mutating func saveSnapshot(_ id: StreamTaskID, _ effects: inout Effects) {
    guard state.canSnapshot else {
      return failStream(
        id, 500, "the state holds work that this server does not model; ask a server of the original", &effects)
    }
    guard let metadata = raft.deliveredMetadata else {
      return failStream(id, 500, "Raft error when taking snapshot: nothing new to snapshot", &effects)
    }
    let job = SnapshotJob(number: streams.makeNumber())
    streams.jobs[job] = id
    streams.tasks[id]?.stage = .working
    events.append(.packSnapshot(job, metadata, state))
  }

  /// The archive of a `.packSnapshot` with its digest (`sha-256=...`), or why there is none.
  public mutating func snapshotPacked(
    _ job: SnapshotJob, _ result: Result<PackedSnapshot, RPCErrorMessage>, at now: Moment, effects: inout Effects
  ) {
    self.now = now
    defer { settle(&effects) }
    guard let id = streams.jobs.removeValue(forKey: job) else { return }
    switch result {
    case .failure(let error): failStream(id, 500, error.text, &effects)
    case .success(let packed):
      var reply = SnapshotReply()
      reply.checksum = packed.digest
      reply.meta = queryMeta
      var answer: [UInt8] = []
      reply.encode(into: &answer)
      streams.tasks[id]?.toCaller.append(answer)
      streams.tasks[id]?.toCaller.append(packed.archive)
      finishStream(id, &effects)
    }
  }

  // MARK: Restoring

  /// Takes pieces of the archive out of what has arrived.
  mutating func collect(_ id: StreamTaskID, _ effects: inout Effects) {
    guard var task = streams.tasks[id], task.stage == .collecting else { return }
    var input: [UInt8] = []
    swap(&input, &task.input)
    var offset = 0
    var isComplete = false
    var failure: String?
    while !isComplete, failure == nil, offset < input.count {
      var reader = MessagePackReader(input.bytes, at: offset)
      do throws(WireError) {
        let piece = try StreamPiece(&reader)
        offset = reader.offset
        if let error = piece.error {
          if error.text == StreamPiece.endText { isComplete = true } else { failure = error.text }
        } else if task.archive.count + piece.payload.count > StreamTable.maximumArchiveBytes {
          failure = "the archive is larger than \(StreamTable.maximumArchiveBytes) bytes"
        } else {
          task.archive.append(contentsOf: piece.payload)
        }
      } catch {
        guard error == .truncated, input.count - offset <= StreamPiece.maximumBytes else {
          failure = "msgpack decode error: \(error)"
          break
        }
        break
      }
    }
    if offset < input.count { task.input = Array(input[offset...]) }
    if !isComplete, failure == nil, task.hasCallerEnded { failure = "unexpected EOF" }
    streams.tasks[id] = task
    if let failure { return failRestore(id, failure, &effects) }
    guard isComplete else { return }
    let job = SnapshotJob(number: streams.makeNumber())
    streams.jobs[job] = id
    streams.tasks[id]?.stage = .working
    streams.tasks[id]?.archive = []
    events.append(.unpackSnapshot(job, task.archive))
  }

  private mutating func failRestore(_ id: StreamTaskID, _ text: String, _ effects: inout Effects) {
    effects.log.log(.error, "nomad", "failed to restore from snapshot", ["error": text])
    failStream(id, 500, "failed to restore from snapshot: \(text)", &effects)
  }

  /// The state of an `.unpackSnapshot`, wholly checked, or why it cannot be used. A barrier comes first: when it is
  /// applied, a majority follows this leader.
  public mutating func snapshotUnpacked(
    _ job: SnapshotJob, _ result: Result<UnpackedSnapshot, RPCErrorMessage>, at now: Moment, effects: inout Effects
  ) {
    self.now = now
    defer { settle(&effects) }
    guard let id = streams.jobs.removeValue(forKey: job) else { return }
    switch result {
    case .failure(let error): failRestore(id, error.text, &effects)
    case .success(let snapshot):
      do throws(RaftError) {
        let index = try raft.barrier(at: now.instant, effects: &effects)
        streams.restores[index] = StreamTable.PendingRestore(
          task: id, state: snapshot.state, floor: snapshot.index, isAdopted: false)
      } catch {
        failRestore(id, error.text, &effects)
      }
    }
  }

  /// Entries up to `index` are applied: goes on with the restores that waited for them.
  mutating func continueRestores(through index: LogIndex, _ effects: inout Effects) {
    guard !streams.restores.isEmpty else { return }
    for waited in streams.restores.keys.filter({ $0 <= index }).sorted() {
      guard let restore = streams.restores.removeValue(forKey: waited) else { continue }
      guard !restore.isAdopted else {
        answerRestore(restore.task, &effects)
        continue
      }
      // The caller may have gone; nothing is changed for nobody.
      guard streams.tasks[restore.task] != nil else { continue }
      do throws(RaftError) {
        let confirmed = try raft.restore(restore.state, above: restore.floor, at: now.instant, effects: &effects)
        streams.restores[confirmed] = StreamTable.PendingRestore(
          task: restore.task, state: [], floor: restore.floor, isAdopted: true)
      } catch {
        failRestore(restore.task, error.text, &effects)
      }
    }
  }

  private mutating func answerRestore(_ id: StreamTaskID, _ effects: inout Effects) {
    effects.log.log(.info, "nomad", "restored the state from a snapshot; a majority has it")
    var reply = SnapshotReply()
    reply.meta = queryMeta
    var answer: [UInt8] = []
    reply.encode(into: &answer)
    streams.tasks[id]?.toCaller.append(answer)
    finishStream(id, &effects)
  }

  /// Leadership is lost: what was under way is uncertain.
  mutating func failRestores(_ effects: inout Effects) {
    for (_, restore) in streams.restores.sorted(by: { $0.key < $1.key }) {
      failRestore(
        restore.task,
        restore.isAdopted
          ? "leadership lost before a majority had the new state; look which state is in force and repeat"
          : "leadership lost; nothing was changed", &effects)
    }
    streams.restores.removeAll()
  }
}

/// An archive with its digest as HTTP and RPC carry it.
public struct PackedSnapshot: Sendable {
  public var archive: [UInt8]
  /// `sha-256=` and base64.
  public var digest: String

  public init(archive: [UInt8], digest: String) {
    self.archive = archive
    self.digest = digest
  }
}

/// The content of an archive that passed every check.
public struct UnpackedSnapshot: Sendable {
  /// Records as a follower would be sent them.
  public var state: [UInt8]
  public var index: LogIndex

  public init(state: [UInt8], index: LogIndex) {
    self.state = state
    self.index = index
  }
}
