import Base
import Harness
import Raft
import Server
import State
import Wire

/// A server machine alone in its cluster, whose disk is done at once; its time passes when it is told. Counts how long
/// the turns of a loop around it would last.
struct ModelServer {
  /// Requests that one read of a socket may hold.
  private static let requestsPerTurn = 256

  private(set) var machine: ServerMachine
  private(set) var now = Moment(
    instant: .start + .seconds(1), wall: WallTime(unixNanoseconds: 1_700_000_000_000_000_000))
  private(set) var longestTurn = Interval.zero
  private(set) var turns = 0
  private(set) var failures = 0
  /// States to be encoded, and up to which entry they go.
  private var encodings: [(StateStore, LogIndex)] = []
  private var effects = Effects(seed: 1, minimumLogLevel: .error)
  private let disk: ModelDisk

  init(restoring state: ServerRestoredState) throws {
    var configuration = ServerConfiguration(
      name: "model", region: "global", datacenter: "dc1", id: "6e6f6d61-642d-4265-8e63-ffffffffffff", build: "1.6.0",
      gossipAdvertise: SocketAddress(.loopback, port: 4648), rpcAdvertise: SocketAddress(.loopback, port: 4647))
    configuration.bootstrapExpect = 1
    disk = ModelDisk()
    machine = try ServerMachine(
      configuration: configuration, restoring: state, reader: disk, at: now, effects: &effects)
    settle()
  }

  /// What another server would find on its disk: a snapshot of everything.
  var restored: ServerRestoredState {
    var restored = ServerRestoredState()
    restored.state = machine.state
    restored.raft = RaftRestoredState(
      hardState: HardState(term: machine.raft.term),
      snapshot: SnapshotMetadata(
        index: machine.raft.appliedIndex, term: machine.raft.term, configuration: machine.raft.configuration,
        configurationIndex: machine.raft.configurationIndex))
    return restored
  }

  /// Nodes that are down.
  var missed: Int {
    var count = 0
    machine.state.forEachNode { if $0.status == Node.down { count += 1 } }
    return count
  }

  /// Lets time pass until it leads and serves.
  mutating func lead() throws {
    for _ in 0..<1000 where !isReady { wait() }
    if !isReady { throw HarnessError.timedOut("the model server does not lead") }
  }

  private var isReady: Bool {
    machine.raft.role == .leader && machine.raft.appliedIndex == machine.raft.lastLogIndex
  }

  mutating func pass(_ time: Interval) {
    let wall = WallTime(unixNanoseconds: now.wall.unixNanoseconds + time.nanoseconds)
    now = Moment(instant: now.instant + time, wall: wall)
  }

  /// One turn at the next deadline.
  mutating func wait() {
    if let deadline = machine.deadline, deadline > now.instant { pass(deadline - now.instant) }
    turn { machine, now, effects in machine.handleTimeout(at: now, effects: &effects) }
  }

  /// Calls, many in a turn; returns the time for all.
  mutating func call(_ method: String, _ bodies: [[UInt8]]) -> Interval {
    let start = MonotonicClock.now()
    var next = 0
    while next < bodies.count {
      let end = min(bodies.count, next + Self.requestsPerTurn)
      turn { machine, now, effects in
        for number in next..<end {
          machine.call(LocalCallID(number: UInt64(number)), method, bodies[number], at: now, effects: &effects)
        }
      }
      next = end
      pass(.milliseconds(1))
    }
    return MonotonicClock.now() - start
  }

  mutating func forgetTurns() {
    longestTurn = .zero
    turns = 0
  }

  private mutating func turn(_ body: (inout ServerMachine, Moment, inout Effects) -> Void) {
    let start = MonotonicClock.now()
    body(&machine, now, &effects)
    drain()
    longestTurn = max(longestTurn, MonotonicClock.now() - start)
    turns += 1
    settle()
  }

  private mutating func drain() {
    let events = machine.events
    machine.events.removeAll(keepingCapacity: true)
    for event in events {
      if case .answered(_, .failure) = event { failures += 1 }
      if case .persistBootstrap = event { machine.bootstrapPersisted(at: now, effects: &effects) }
      // What the shell's thread pool does.
      if case .encodeState(let state, let index) = event { encodings.append((state, index)) }
    }
    effects.outbox.removeAll()
    effects.log.drain { _ in }
  }

  /// The disk is done: a turn of its own.
  private mutating func settle() {
    while machine.hasStorage {
      let directives = machine.takeStorage()
      for directive in directives { disk.carryOut(directive) }
      let start = MonotonicClock.now()
      for directive in directives {
        machine.storageCompleted(directive.ticket, .done, at: now, effects: &effects)
      }
      drain()
      longestTurn = max(longestTurn, MonotonicClock.now() - start)
      turns += 1
      finishEncodings()
    }
    drain()
  }

  private mutating func finishEncodings() {
    let waiting = encodings
    encodings.removeAll()
    for (state, index) in waiting {
      let bytes = state.encodedSnapshot()
      let start = MonotonicClock.now()
      machine.stateEncoded(bytes, at: index, now: now, effects: &effects)
      drain()
      longestTurn = max(longestTurn, MonotonicClock.now() - start)
      turns += 1
    }
  }
}

/// A log in memory.
final class ModelDisk: LogReader {
  private var entries: [LogEntry] = []

  func carryOut(_ directive: StorageDirective) {
    switch directive {
    case .write(_, let change):
      if let cut = change.truncateFrom { entries.removeAll { $0.index >= cut } }
      entries += change.append
    case .compact(_, let index): entries.removeAll { $0.index <= index }
    case .saveSnapshot: break
    }
  }

  func entries(in range: ClosedRange<LogIndex>, maximumBytes: Int) -> [LogEntry] {
    guard let first = entries.first?.index, range.lowerBound >= first else { return [] }
    let start = range.lowerBound - first
    let end = min(entries.count, range.upperBound - first + 1)
    return start < end ? Array(entries[start..<end]) : []
  }

  func term(at index: LogIndex) -> Term? {
    guard let first = entries.first?.index, index >= first, index - first < entries.count else { return nil }
    return entries[index - first].term
  }
}
