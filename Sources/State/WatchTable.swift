/// Names a blocking query for its owner, who chooses the number and never uses it twice.
public struct WaiterID: Hashable, Comparable, Sendable {
  public let number: UInt64
  public init(number: UInt64) { self.number = number }
  public static func < (a: WaiterID, b: WaiterID) -> Bool { a.number < b.number }
}

/// What a blocking query depends on.
public enum WatchTopic: Hashable, Sendable {
  /// Any change of the table of nodes.
  case nodes
  /// The record of one node, its appearance and removal included.
  case node(NodeID)
  /// Work assigned to one node; nothing in this store changes it, so only a restore wakes it.
  case allocations(NodeID)
  case namespaces
  case scheduler
  case autopilot
}

/// Blocking queries that wait for a change (rpc.md 4.1). Beside the state, not in it: waiters are local to a server.
///
/// Calling order: `watch` after a query whose index was not above the caller's; after each `apply` or restore take the
/// woken, run their queries again, and watch again where the index is still too low. A waiter is woken once.
public struct WatchTable: Sendable {
  /// Waiters accepted; beyond it `watch` answers false and the query is answered at once.
  public static let maximumWaiters = 1 << 20

  private var waiters: [WatchTopic: [WaiterID]] = [:]
  private var topics: [WaiterID: WatchTopic] = [:]
  private var woken: [WaiterID] = []

  public init() {}

  public var count: Int { topics.count }

  /// False when the table is full. Precondition: the waiter is not in the table.
  public mutating func watch(_ topic: WatchTopic, _ waiter: WaiterID) -> Bool {
    precondition(topics[waiter] == nil)
    guard topics.count < Self.maximumWaiters else { return false }
    topics[waiter] = topic
    waiters[topic, default: []].append(waiter)
    return true
  }

  /// Forgets a waiter whose time is up or whose caller is gone; a waiter that is unknown or already woken is ignored.
  public mutating func unwatch(_ waiter: WaiterID) {
    guard let topic = topics.removeValue(forKey: waiter) else { return woken.removeAll { $0 == waiter } }
    waiters[topic]?.removeAll { $0 == waiter }
    if waiters[topic]?.isEmpty == true { waiters[topic] = nil }
  }

  /// The waiters woken since the last call, in the order in which they began to wait per topic.
  public mutating func takeWoken() -> [WaiterID] {
    defer { woken.removeAll() }
    return woken
  }

  public var hasWoken: Bool { !woken.isEmpty }

  mutating func wake(_ topic: WatchTopic) {
    guard let list = waiters.removeValue(forKey: topic) else { return }
    for waiter in list { topics[waiter] = nil }
    woken.append(contentsOf: list)
  }

  /// For a restore: every query is run against the new state.
  public mutating func wakeAll() {
    // The hash order of topics must not show.
    woken.append(contentsOf: topics.keys.sorted())
    topics.removeAll()
    waiters.removeAll()
  }
}
