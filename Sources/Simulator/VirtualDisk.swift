import Base
import Client
import Raft
import Server
import State
import Wire

/// The data directory of one agent. Keeps what was completed; in a crash it loses what was not, or keeps a part of it.
final class VirtualDisk: LogReader {
  private(set) var hardState = HardState()
  private(set) var entries: [LogEntry] = []
  private(set) var snapshot: (metadata: SnapshotMetadata, state: [UInt8])?
  /// Raft directives that the disk has taken and not completed.
  private(set) var raftInFlight: [StorageDirective] = []
  /// What a machine must never ask of a disk.
  private(set) var misuse: String?

  /// Encoded, as the real file.
  private var bootstrap: [UInt8]?
  /// Records not written yet, the first of them under way.
  private(set) var bootstrapInFlight: [[UInt8]] = []

  /// Appended without waiting for the disk: the last ones may be lost with the power.
  private var gossipLines: [String] = []
  private var gossipBytes = 0
  private var gossipLinesSafe = 0
  /// As the agent has it.
  static let gossipCompactionBytes = 128 << 10
  static let gossipLinesAtRisk = 4

  var client: ClientPersistedState?

  /// Another disk, empty; what a client keeps is on a third.
  func wipe() {
    hardState = HardState()
    entries = []
    snapshot = nil
    raftInFlight = []
    bootstrap = nil
    bootstrapInFlight = []
    gossipLines = []
    gossipBytes = 0
    gossipLinesSafe = 0
  }

  // MARK: Raft

  func start(_ directives: [StorageDirective]) {
    precondition(raftInFlight.isEmpty)
    raftInFlight = directives
  }

  /// Makes everything in flight durable and returns it.
  func completeRaft() -> [StorageDirective] {
    let done = raftInFlight
    raftInFlight = []
    for directive in done { carryOut(directive) }
    return done
  }

  private func carryOut(_ directive: StorageDirective) {
    switch directive {
    case .write(_, let change):
      if let state = change.hardState {
        if state.term < hardState.term { misuse = "goes back from term \(hardState.term) to \(state.term)" }
        if state.term == hardState.term, let vote = hardState.vote, state.vote != vote {
          misuse = "takes back its vote for \(vote) in term \(state.term)"
        }
        hardState = state
      }
      if let cut = change.truncateFrom { entries.removeAll { $0.index >= cut } }
      for entry in change.append {
        if let last = entries.last, entry.index != last.index.next {
          misuse = "writes entry \(entry.index) after \(last.index)"
        }
        entries.append(entry)
      }
    case .saveSnapshot(_, let metadata, let state): snapshot = (metadata, state)
    case .compact(_, let index): entries.removeAll { $0.index <= index }
    }
  }

  /// What an observer can know of the entry: durable, or on its way to the disk.
  func observedEntry(at index: LogIndex) -> LogEntry? {
    for directive in raftInFlight.reversed() {
      guard case .write(_, let change) = directive else { continue }
      if let entry = change.append.last(where: { $0.index == index }) { return entry }
      if let cut = change.truncateFrom, cut <= index { return nil }
    }
    return position(of: index).map { entries[$0] }
  }

  private func position(of index: LogIndex) -> Int? {
    guard let first = entries.first, index >= first.index else { return nil }
    let position = index - first.index
    return position < entries.count ? position : nil
  }

  // MARK: Other files

  func write(_ record: BootstrapRecord) {
    var bytes: [UInt8] = []
    record.encode(into: &bytes)
    bootstrapInFlight.append(bytes)
  }

  func completeBootstrap() {
    guard !bootstrapInFlight.isEmpty else { return }
    bootstrap = bootstrapInFlight.removeFirst()
  }

  /// True when the file has grown enough to be rewritten.
  func appendGossip(_ line: String) -> Bool {
    gossipLinesSafe = max(gossipLinesSafe, gossipLines.count - Self.gossipLinesAtRisk)
    gossipLines.append(line)
    gossipBytes += line.utf8.count + 1
    return gossipBytes > Self.gossipCompactionBytes
  }

  func compactGossip(_ lines: [String]) {
    gossipLines = lines
    gossipLinesSafe = lines.count
    gossipBytes = lines.reduce(0) { $0 + $1.utf8.count + 1 }
  }

  // MARK: Crash and restart

  /// The process ends, and with it the power if `power`. A write that was under way may have become durable without
  /// anybody having been told. Returns how many writes were lost.
  func crash(power: Bool, random: inout RandomSource) -> Int {
    let kept = random.below(raftInFlight.count + 1)
    var lost = raftInFlight.count - kept + bootstrapInFlight.count
    for directive in raftInFlight.prefix(kept) { carryOut(directive) }
    raftInFlight = []
    if let first = bootstrapInFlight.first, random.chance(0.5) {
      bootstrap = first
      lost -= 1
    }
    bootstrapInFlight = []
    if power, gossipLinesSafe < gossipLines.count {
      gossipLines.removeLast(random.below(gossipLines.count - gossipLinesSafe + 1))
    }
    return lost
  }

  enum Damage: Error {
    case snapshot(SnapshotError)
    case bootstrap(WireError)
  }

  /// What a server finds at its start.
  func restored() throws(Damage) -> ServerRestoredState {
    var result = ServerRestoredState()
    var bounds: ClosedRange<LogIndex>?
    if let first = entries.first, let last = entries.last { bounds = first.index...last.index }
    result.raft = RaftRestoredState(hardState: hardState, bounds: bounds, snapshot: snapshot?.metadata)
    if let snapshot {
      do throws(SnapshotError) {
        result.state = try StateStore(snapshot: snapshot.state.bytes, index: snapshot.metadata.index.value)
      } catch { throw .snapshot(error) }
    }
    if let bootstrap {
      do throws(WireError) {
        var reader = MessagePackReader(bootstrap.bytes)
        result.bootstrap = try BootstrapRecord(&reader)
      } catch { throw .bootstrap(error) }
    }
    result.gossipSnapshot = gossipLines
    return result
  }

  // MARK: LogReader

  func entries(in range: ClosedRange<LogIndex>, maximumBytes: Int) -> [LogEntry] {
    guard let first = position(of: range.lowerBound) else { return [] }
    var result: [LogEntry] = []
    var bytes = 0
    for entry in entries[first...] {
      guard entry.index <= range.upperBound, result.isEmpty || bytes + entry.wireBytes <= maximumBytes else { break }
      bytes += entry.wireBytes
      result.append(entry)
    }
    return result
  }

  func term(at index: LogIndex) -> Term? { position(of: index).map { entries[$0].term } }
}
