import Base
import Raft
import State
import Wire

/// What only a leader keeps; emptied when leadership is lost.
struct Leadership: Sendable {
  /// Safety net beside the events that ask for it (cluster.md 6.2).
  static let reconcileInterval = Interval.seconds(60)
  /// A configuration change is under way; try again.
  static let retryInterval = Interval.milliseconds(50)
  static let healthInterval = Interval.seconds(2)
  static let stepAsideInterval = Interval.milliseconds(500)
  static let collectInterval = Interval.minutes(5)
  /// Heartbeats declared missed in one turn. Many clients may fall silent at once (a switch, a change of leaders), and
  /// gossip and consensus must go on meanwhile.
  static let expiriesPerTurn = 256
  /// No further expiries while this much of the log is not committed.
  static let uncommittedExpiries = 2048
  static let expiryPause = Interval.milliseconds(2)

  /// Timers that a new leader sets in one turn.
  static let armedPerTurn = 4096

  /// The timers that a new leader has still to set.
  struct Arming: Hashable, Sendable {
    var next: NodeID
    /// What they are set to.
    var until: Instant
    /// When it goes on.
    var at: Instant
  }

  /// Committed entry that shows that everything before it is applied.
  var barrier: LogIndex?
  /// Established: consistent requests are served.
  var isReady = false
  var timers = HeartbeatTimers()
  var arming: Arming?
  var doubts = HeartbeatDoubts()
  /// Registrations that are proposed and not yet applied.
  var registering: [NodeID: Registrant] = [:]
  /// Nodes that the last collection found old enough.
  var collectable: Set<NodeID> = []
  var collectAt: Instant?
  /// Further expiries wait until then.
  var expiresAgainAt: Instant?
  var reconcileAt: Instant?
  var healthAt: Instant?
  /// When a witness tries to hand over next.
  var stepAsideAt: Instant?
  /// A witness that nobody can take leadership from.
  var isStopgap = false
  /// When each server, by Raft id, began to be healthy.
  var healthySince: [String: Instant] = [:]
  /// Servers that left or were forgotten, to be removed from the configuration.
  private(set) var departed: [String: ServerEntry] = [:]

  var deadline: Instant? {
    guard isReady else { return nil }
    let expiry = timers.deadline.map { max($0, expiresAgainAt ?? $0) }
    let duties = earliest(earliest(healthAt, collectAt), stepAsideAt)
    return earliest(earliest(earliest(expiry, arming?.at), reconcileAt), duties)
  }

  mutating func gone(_ entry: ServerEntry) { departed[entry.gossipName] = entry }
  mutating func back(_ entry: ServerEntry) { departed[entry.gossipName] = nil }

  mutating func reconcileSoon(at now: Instant) {
    if isReady { reconcileAt = now }
  }

  mutating func lost() { self = Leadership() }
}
