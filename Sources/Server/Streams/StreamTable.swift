import Base
import RPC
import State
import Wire

/// Names a streaming RPC that the shell opened for HTTP.
public struct LocalStreamID: Hashable, Sendable {
  public var number: UInt64
  public init(number: UInt64) { self.number = number }
}

/// Names work on a snapshot that the shell does on another thread.
public struct SnapshotJob: Hashable, Comparable, Sendable {
  let number: UInt64
  public static func < (a: SnapshotJob, b: SnapshotJob) -> Bool { a.number < b.number }
}

/// Names somebody who follows this server's log.
public struct MonitorID: Hashable, Sendable {
  let number: UInt64
}

struct StreamTaskID: Hashable, Comparable, Sendable {
  let number: UInt64
  static func < (a: StreamTaskID, b: StreamTaskID) -> Bool { a.number < b.number }
}

/// Bytes on their way through this server in one direction. Their source may send more only when they have left.
struct StreamPipe: Sendable {
  private var bytes: [UInt8] = []
  private var offset = 0
  /// Taken from the source and not given back to it as window.
  var owed = 0
  /// The source has ended.
  var isEnded = false
  /// The end was passed on.
  var isDone = false

  /// Given to the connection in one piece.
  static let pieceBytes = 64 << 10
  /// Waiting for the peer's window, at most.
  static let maximumBacklog = 256 << 10

  var isEmpty: Bool { offset == bytes.count }
  var count: Int { bytes.count - offset }

  mutating func append(_ more: RawSpan) { bytes.append(contentsOf: more) }
  mutating func append(_ more: [UInt8]) { bytes.append(contentsOf: more) }

  /// The next piece; empty when there is none.
  mutating func next(_ most: Int = pieceBytes) -> [UInt8] {
    let end = min(offset + most, bytes.count)
    let piece = Array(bytes[offset..<end])
    offset = end
    if offset == bytes.count {
      bytes = []
      offset = 0
    }
    return piece
  }
}

/// One streaming RPC that this server answers or passes on.
struct StreamTask: Sendable {
  enum Caller: Hashable, Sendable {
    case remote(StreamHandle)
    case local(LocalStreamID)
  }

  enum Stage: Hashable, Sendable {
    /// The request is not complete. Next: held, asking, opening, collecting, working, monitoring, ending.
    case request
    /// Waits for a leader. Next: as `request`.
    case held(until: Instant)
    /// Asks the other servers who is connected to a client. Next: opening, ending.
    case asking
    /// The next hop has not answered. Next: relaying, ending.
    case opening
    /// Bytes pass both ways. Next: ending.
    case relaying
    /// An archive comes in. Next: working, ending.
    case collecting
    /// The shell or Raft works for it. Next: ending.
    case working
    /// The log goes out. Next: ending.
    case monitoring
    /// Our last bytes leave.
    case ending
  }

  let caller: Caller
  let method: RPCMethod
  var stage = Stage.request
  /// Received and not used.
  var input: [UInt8] = []
  var hasCallerEnded = false
  var request: [UInt8] = []
  /// The archive of a restore, as far as it has come.
  var archive: [UInt8] = []
  var next: StreamHandle?
  var toNext = StreamPipe()
  var toCaller = StreamPipe()
  /// When a peer that does not end its side is cut off.
  var closeBy: Instant?

  init(_ caller: Caller, _ method: RPCMethod) {
    self.caller = caller
    self.method = method
  }
}

/// All streaming RPCs, and who they wait for.
struct StreamTable: Sendable {
  /// At once; more are refused.
  static let maximumTasks = 256
  /// A request object is small.
  static let maximumRequestBytes = 64 << 10
  /// As large as the HTTP body that brings it.
  static let maximumArchiveBytes = 256 << 20
  /// How long a peer may leave its side of a finished stream open.
  static let closeTimeout = Interval.seconds(30)

  var tasks: [StreamTaskID: StreamTask] = [:]
  private var callers: [StreamTask.Caller: StreamTaskID] = [:]
  private var nexts: [StreamHandle: StreamTaskID] = [:]
  var jobs: [SnapshotJob: StreamTaskID] = [:]
  var monitors: [MonitorID: StreamTaskID] = [:]
  /// Questions to other servers whether they are connected to a client: the task and the server asked.
  var questions: [CallID: (task: StreamTaskID, server: SocketAddress)] = [:]
  /// Restores that wait for a log entry to be applied.
  var restores: [LogIndex: PendingRestore] = [:]
  private var nextNumber: UInt64 = 1

  /// A restore on its way through Raft.
  struct PendingRestore: Sendable {
    var task: StreamTaskID
    var state: [UInt8]
    var floor: LogIndex
    /// The new state is in force here; what is awaited is that a majority has it.
    var isAdopted: Bool
  }

  mutating func makeNumber() -> UInt64 {
    defer { nextNumber += 1 }
    return nextNumber
  }

  /// Nil when there are too many.
  mutating func insert(_ task: StreamTask) -> StreamTaskID? {
    guard tasks.count < Self.maximumTasks else { return nil }
    let id = StreamTaskID(number: makeNumber())
    tasks[id] = task
    callers[task.caller] = id
    return id
  }

  mutating func setNext(_ handle: StreamHandle, of id: StreamTaskID) {
    tasks[id]?.next = handle
    nexts[handle] = id
  }

  mutating func forgetNext(of id: StreamTaskID) {
    guard let handle = tasks[id]?.next else { return }
    nexts[handle] = nil
    tasks[id]?.next = nil
  }

  func task(ofCaller handle: StreamHandle) -> StreamTaskID? { callers[.remote(handle)] }
  func task(ofCaller id: LocalStreamID) -> StreamTaskID? { callers[.local(id)] }
  func task(ofNext handle: StreamHandle) -> StreamTaskID? { nexts[handle] }

  /// Forgets a task; returns the monitors that were its own.
  mutating func remove(_ id: StreamTaskID) -> [MonitorID] {
    guard let task = tasks.removeValue(forKey: id) else { return [] }
    callers[task.caller] = nil
    if let next = task.next { nexts[next] = nil }
    jobs = jobs.filter { $0.value != id }
    questions = questions.filter { $0.value.task != id }
    let ended = monitors.filter { $0.value == id }.keys
    for monitor in ended { monitors[monitor] = nil }
    return Array(ended)
  }

  var deadline: Instant? {
    var first: Instant?
    for task in tasks.values {
      if case .held(let until) = task.stage { first = earliest(first, until) }
      first = earliest(first, task.closeBy)
    }
    return first
  }
}
