import Base
import State

/// The leader's timers: one per client node, re-armed by every heartbeat (cluster.md 11.1).
///
/// A binary heap with lazy deletion: re-arming writes only the node's own deadline; the heap entry is corrected when it
/// comes up. A heartbeat costs one dictionary access, an expiry O(log n), and the heap never holds more than one
/// entry per node.
public struct HeartbeatTimers: Sendable {
  private struct Entry: Sendable {
    var at: Instant
    var node: NodeID
  }

  private var deadlines: [NodeID: Instant] = [:]
  private var heap: [Entry] = []

  public init() {}

  public var count: Int { deadlines.count }

  /// When the next timer may expire; can be earlier than the truth, never later.
  public var deadline: Instant? { heap.first?.at }

  /// Arms or re-arms the timer of one node. O(1) when it moves into the future, as heartbeats do.
  public mutating func arm(_ node: NodeID, at deadline: Instant) {
    let previous = deadlines.updateValue(deadline, forKey: node)
    guard previous.map({ deadline < $0 }) ?? true else { return }
    push(Entry(at: deadline, node: node))
  }

  public mutating func disarm(_ node: NodeID) { deadlines[node] = nil }

  /// Makes room for so many, so that no later call has to move all of them.
  public mutating func reserve(_ count: Int) {
    deadlines.reserveCapacity(count)
    heap.reserveCapacity(count)
  }

  public func deadline(of node: NodeID) -> Instant? { deadlines[node] }

  public mutating func removeAll() {
    deadlines.removeAll()
    heap.removeAll()
  }

  /// The next node whose time is up at `now`; its timer is gone.
  public mutating func popExpired(at now: Instant) -> NodeID? {
    while let first = heap.first, first.at <= now {
      pop()
      guard let due = deadlines[first.node] else { continue }
      if due <= now {
        deadlines[first.node] = nil
        return first.node
      }
      push(Entry(at: due, node: first.node))
    }
    return nil
  }

  private mutating func push(_ entry: Entry) {
    heap.append(entry)
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].at < heap[parent].at else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func pop() {
    guard let last = heap.popLast(), !heap.isEmpty else { return }
    heap[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].at < heap[least].at {
        least = child
      }
      if least == parent { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
