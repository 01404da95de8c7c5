import Base
import Wire

public enum RaftRole: String, Hashable, Sendable {
  case follower, preCandidate, candidate, leader
}

public struct RaftLeader: Hashable, Sendable {
  /// Empty when the leader is of the old generation and not in our configuration.
  public var id: String
  public var address: String

  public init(id: String, address: String) {
    self.id = id
    self.address = address
  }
}

/// When a peer last answered, and when it last failed to.
public struct RaftContact: Hashable, Sendable {
  public var answeredAt: Instant?
  public var failedAt: Instant?

  public init() {}
}

/// Term and vote: what must survive a restart before anything that depends on it is said.
public struct HardState: Hashable, Sendable {
  public var term: Term
  /// Address bytes of the candidate voted for in `term`; a node that changed its address is another candidate.
  public var vote: String?

  public init(term: Term = 0, vote: String? = nil) {
    self.term = term
    self.vote = vote
  }
}

/// What a snapshot stands for. The state itself is opaque here.
public struct SnapshotMetadata: Hashable, Sendable {
  public var index: LogIndex
  public var term: Term
  public var configuration: RaftConfiguration
  public var configurationIndex: LogIndex

  public init(index: LogIndex, term: Term, configuration: RaftConfiguration, configurationIndex: LogIndex) {
    self.index = index
    self.term = term
    self.configuration = configuration
    self.configurationIndex = configurationIndex
  }
}

/// What the owner found on disk. Start of an empty node: `RaftRestoredState()`.
public struct RaftRestoredState: Hashable, Sendable {
  public var hardState: HardState
  /// First and last stored index; `nil` when no entry is stored.
  public var bounds: ClosedRange<LogIndex>?
  /// Newest readable snapshot. The owner restores the replicated state from it *before* it makes the node.
  public var snapshot: SnapshotMetadata?

  public init(
    hardState: HardState = HardState(), bounds: ClosedRange<LogIndex>? = nil, snapshot: SnapshotMetadata? = nil
  ) {
    self.hardState = hardState
    self.bounds = bounds
    self.snapshot = snapshot
  }
}

public enum RaftError: Error, Hashable, Sendable {
  case notLeader
  case leadershipTransferInProgress
  case notPristine
  case invalidConfiguration(RaftConfiguration.Defect)
  /// A change is not committed yet, or no entry of the own term is: try again soon.
  case configurationChangeInProgress
  case unknownServer
  case tooLarge
  /// Too many uncommitted entries.
  case busy
  case noTransferTarget
  /// A write failed earlier; the node takes no part any more.
  case storageFailed
  /// What is on disk contradicts itself.
  case damaged(RaftDamage)

  /// Nomad's text where it has one.
  public var text: String {
    switch self {
    case .notLeader: "node is not the leader"
    case .leadershipTransferInProgress: "leadership transfer in progress"
    case .notPristine: "bootstrap only works on new clusters"
    case .invalidConfiguration(.noVoter): "need at least one voter in configuration"
    case .invalidConfiguration(let defect): "invalid configuration: \(defect)"
    case .configurationChangeInProgress: "configuration change in progress"
    case .unknownServer: "server is not in the configuration"
    case .tooLarge: "command is too large"
    case .busy: "timed out enqueuing operation"
    case .noTransferTarget: "cannot find peer"
    case .storageFailed: "raft storage failed"
    case .damaged(let damage): "raft state is damaged: \(damage)"
    }
  }
}

public enum RaftDamage: Hashable, Sendable {
  /// Entries between the snapshot and the log are missing.
  case gapAfterSnapshot
  case unreadableEntry(LogIndex)
  case unreadableConfiguration(LogIndex)
}

/// Names one disk directive; completions come in the order of the tickets.
public struct StorageTicket: Hashable, Comparable, Sendable {
  public let number: UInt64
  @inlinable public init(number: UInt64) { self.number = number }
  @inlinable public static func < (a: StorageTicket, b: StorageTicket) -> Bool { a.number < b.number }
}

/// What must become durable. Executed strictly in order; answered through `storageCompleted` in the same order. The
/// owner may carry out several at once as one transaction, and then complete each ticket.
public enum StorageDirective: Hashable, Sendable {
  case write(StorageTicket, LogWrite)
  case saveSnapshot(StorageTicket, SnapshotMetadata, [UInt8])
  /// Delete all entries up to and including the index.
  case compact(StorageTicket, through: LogIndex)

  public var ticket: StorageTicket {
    switch self {
    case .write(let ticket, _): ticket
    case .saveSnapshot(let ticket, _, _): ticket
    case .compact(let ticket, _): ticket
    }
  }
}

/// One atomic change: first the hard state, then the truncation, then the entries.
public struct LogWrite: Hashable, Sendable {
  public var hardState: HardState?
  /// Delete this entry and all after it.
  public var truncateFrom: LogIndex?
  /// Consecutive indexes. They follow the last stored entry, or start anywhere when the log is empty.
  public var append: [LogEntry]

  public init(hardState: HardState? = nil, truncateFrom: LogIndex? = nil, append: [LogEntry] = []) {
    self.hardState = hardState
    self.truncateFrom = truncateFrom
    self.append = append
  }

  /// Adds what happens after: the result has the same effect as both in turn.
  mutating func merge(_ later: LogWrite) {
    if let state = later.hardState { hardState = state }
    if let cut = later.truncateFrom {
      while let last = append.last, last.index >= cut { append.removeLast() }
      truncateFrom = min(truncateFrom ?? cut, cut)
    }
    append.append(contentsOf: later.append)
  }
}

public enum StorageResult: Hashable, Sendable {
  case done
  /// With the text for the operator. A failed write ends the node's participation.
  case failed(String)
}

/// What the owner must know, in order.
public enum RaftEvent: Hashable, Sendable {
  /// Entries of every kind, in order without gaps (except across `restoreSnapshot`): apply the commands, resolve
  /// waiters by index.
  case committed(entries: [LogEntry])
  case leadershipGained(term: Term)
  /// Emitted before `proposalsFailed`.
  case leadershipLost(term: Term)
  case leaderChanged(RaftLeader?)
  /// The latest configuration changed, or became committed.
  case configurationChanged
  /// Entries that this node proposed and that it can no longer answer for; they may still commit elsewhere.
  case proposalsFailed(ClosedRange<LogIndex>)
  /// Please answer with `provideSnapshot`: a peer lags behind the log, or the log has grown.
  case snapshotWanted
  /// Replace the whole state by this one; entries follow from `metadata.index + 1`.
  case restoreSnapshot(SnapshotMetadata, [UInt8])
  /// A transfer of leadership did not come about in time; proposals are accepted again.
  case transferFailed
  /// A disk write failed; the node has stopped taking part.
  case storageFailed(String)
}

/// Replication state of one peer, for operators.
public struct RaftPeerProgress: Hashable, Sendable {
  public var id: String
  public var address: String
  public var isVoter: Bool
  public var matchIndex: LogIndex
  public var nextIndex: LogIndex
  /// Time since the peer answered anything.
  public var lastContact: Interval
}

public enum RaftConfigurationChange: Hashable, Sendable {
  /// New voter, promoted non-voter, or new address of a voter.
  case addVoter(RaftServer)
  /// New non-voter; of a voter only the address is changed.
  case addNonvoter(RaftServer)
  case demote(id: String)
  case remove(id: String)
}

/// Reads entries that are durable. Implemented over the log store, and over the simulator's disk.
public protocol LogReader: AnyObject {
  /// Entries from `range.lowerBound` on, in order, at least one, at most those of `range` and about `maximumBytes`.
  /// Empty when the first one is missing or unreadable.
  func entries(in range: ClosedRange<LogIndex>, maximumBytes: Int) -> [LogEntry]
  /// `nil` when the entry is missing or unreadable.
  func term(at index: LogIndex) -> Term?
}
