import Base
import RPC
import Raft
import State
import Wire

/// Who waits for an answer.
enum Caller: Hashable, Sendable {
  case remote(RequestID, SessionID)
  case local(LocalCallID)
}

/// Requests that cannot be answered at once, by what they wait for. The RPC machine's own limits on requests
/// bound it.
struct RequestTable: Sendable {
  /// A request kept whole, to be served again.
  struct Kept: Sendable {
    var caller: Caller
    var method: RPCMethod
    /// The method's text when it is not one we know.
    var name: String
    var body: [UInt8]
    var until: Instant
  }

  /// A request that another server is asked to answer.
  struct Relay: Sendable {
    var caller: Caller
    var method = RPCMethod.unrecognized
    var name = ""
    /// As it was sent; empty when it is not to be sent a second time.
    var body: [UInt8] = []
    /// Empty: it went to the leader of the own region.
    var region = ""
    var tried: [SocketAddress] = []
    var deadline = Instant.start
    /// Until when it may wait for another leader.
    var holdUntil = Instant.start

    init(to caller: Caller) { self.caller = caller }
  }

  struct Proposal: Sendable {
    var caller: Caller
    var answer: ProposalAnswer
  }

  /// Waiting for a leader, or for the own leadership to be established.
  var held: [Kept] = []
  /// Waiting for an index to pass: blocking queries.
  var blocked: [WaiterID: Kept] = [:]
  /// Waiting for a log entry to be applied.
  var proposals: [LogIndex: Proposal] = [:]
  /// Waiting for the answer of another server, by our call.
  var forwarded: [CallID: Relay] = [:]
  /// Waiting for nothing but time: `Eval.Dequeue` (there is no work, and peers spin when told so at once).
  var idle: [(caller: Caller, until: Instant)] = []
  /// Which of `blocked` a peer's request is, so that many clients that go away at once are found at once.
  private var waiters: [RequestID: WaiterID] = [:]
  private var nextWaiter: UInt64 = 1
  private var blockedDeadline: Instant?

  mutating func makeWaiter() -> WaiterID {
    defer { nextWaiter += 1 }
    return WaiterID(number: nextWaiter)
  }

  mutating func block(_ waiter: WaiterID, _ kept: Kept) {
    blocked[waiter] = kept
    if case .remote(let request, _) = kept.caller { waiters[request] = waiter }
    blockedDeadline = earliest(blockedDeadline, kept.until)
  }

  mutating func unblock(_ waiter: WaiterID) -> Kept? {
    guard let kept = blocked.removeValue(forKey: waiter) else { return nil }
    if case .remote(let request, _) = kept.caller { waiters[request] = nil }
    return kept
  }

  /// May be earlier than anything is due, never later.
  var deadline: Instant? {
    let held = self.held.map(\.until).min()
    let idle = self.idle.map(\.until).min()
    return earliest(earliest(held, idle), blockedDeadline)
  }

  /// Removes and returns the blocked requests whose time is up, in the order in which they came.
  mutating func takeExpiredBlocked(at now: Instant) -> [(WaiterID, Kept)] {
    guard let due = blockedDeadline, due <= now else { return [] }
    let expired = blocked.filter { $0.value.until <= now }.sorted { $0.key < $1.key }
    for (waiter, _) in expired { _ = unblock(waiter) }
    blockedDeadline = blocked.values.map(\.until).min()
    return expired.map { ($0.key, $0.value) }
  }

  /// The peer that sent this request is gone. Returns the waiter to take out of the watches. Proposals and forwarded
  /// requests run their course, and the answer then finds nobody.
  mutating func forget(_ id: RequestID) -> WaiterID? {
    func isGone(_ caller: Caller) -> Bool {
      switch caller {
      case .remote(let request, _): request == id
      case .local: false
      }
    }
    if !held.isEmpty { held.removeAll { isGone($0.caller) } }
    if !idle.isEmpty { idle.removeAll { isGone($0.caller) } }
    guard let waiter = waiters[id] else { return nil }
    _ = unblock(waiter)
    return waiter
  }
}

/// What a proposer's caller is told when its entry is applied.
enum ProposalAnswer: Hashable, Sendable {
  /// `NodeUpdateResponse`; the status decides whether the heartbeat timer starts.
  case nodeUpdate(NodeID?, status: String)
  /// The reply of drain and eligibility changes; only drains fill `NodeModifyIndex`.
  case nodeChange(fillsModifyIndex: Bool)
  /// `{Index}`
  case writeMeta
  /// A bare bool: check-and-set of the autopilot configuration.
  case bool
  /// `{Updated, Index}`: check-and-set of the scheduler configuration.
  case updated
  /// `{}`
  case empty
  /// Nobody waits: the leader's own writes.
  case none
}
