import Base
import Wire

/// What a leader knows about its peers and owes them. Empty while another server leads.
struct Leadership {
  var peers: [PeerProgress] = []
  /// The no-op of this term: once it is committed, configuration changes are allowed.
  var firstIndex: LogIndex = 0
  var transfer: Transfer?
  /// TimeoutNow was sent in this term. Whoever obeys it, however late, overrides the promises of our followers, so the
  /// lease counts no more: reads need a round of their own.
  var hasHandedOver = false

  struct Transfer: Hashable {
    var target: String
    var deadline: Instant
    /// TimeoutNow is on its way; nothing is left but to wait.
    var isSent = false
  }

  func position(of id: String) -> Int? { peers.firstIndex { $0.server.id == id } }
}

/// Replication to one peer.
struct PeerProgress {
  enum State: Hashable {
    /// One request at a time, until one succeeds.
    case probe
    /// Several requests on the way; `nextIndex` runs ahead.
    case pipeline
    /// The owner has been asked for a snapshot.
    case awaitingSnapshot
    case sendingSnapshot
  }

  var server: RaftServer
  var state = State.probe
  var nextIndex: LogIndex
  /// Known to be stored durably by the peer.
  var matchIndex: LogIndex = 0
  /// Requests on the way in this epoch. Replies of earlier epochs do not count.
  var inFlight = 0
  var epoch = 0
  /// Commit index that the newest request carried, respectively the peer confirmed.
  var sentCommit: LogIndex = 0
  var confirmedCommit: LogIndex = 0
  var lastContact: Instant
  var failures = 0
  /// No replication before this.
  var retryAt: Instant
  /// An empty request goes out at this time if nothing else did.
  var refreshAt: Instant
  /// So does one that tells a new commit index.
  var noticeAt: Instant?
  var heartbeatAt: Instant
  var isHeartbeatOpen = false
  var heartbeatSentAt = Instant.start
  var heartbeatFailures = 0
  /// When the newest heartbeat was sent that the peer answered: it followed us at that time or later.
  var followedAt: Instant?
  /// While a snapshot is on its way, and until the peer has what follows it: the log keeps everything after this.
  var heldAfter: LogIndex?
  /// The server was removed; it is told until then, so that it learns of its removal.
  var departsAt: Instant?

  init(_ server: RaftServer, nextIndex: LogIndex, at now: Instant) {
    self.server = server
    self.nextIndex = nextIndex
    lastContact = now
    retryAt = now
    refreshAt = now
    heartbeatAt = now
  }

  /// When an empty request goes out to a peer that answered everything.
  var nextRequestAt: Instant { min(refreshAt, noticeAt ?? .distantFuture) }

  /// What was on the way is lost or void.
  mutating func restart() {
    epoch += 1
    inFlight = 0
    if state == .pipeline { nextIndex = matchIndex.next }
    if state != .awaitingSnapshot { state = .probe }
    sentCommit = confirmedCommit
  }
}
