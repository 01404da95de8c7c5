/// Nodes in the order of their ids, so that lists, prefixes and snapshots need no sorting and no hash order can leak.
///
/// Look-up is O(log n), an insertion moves at most 24 bytes per node. Records are boxed and immutable: a copy of the
/// table (a snapshot in progress) shares them, and the first change after the copy costs one retain per node.
struct NodeTable: Sendable {
  private struct Entry: Sendable {
    let id: NodeID
    let box: Box
  }

  private final class Box: Sendable {
    let node: Node
    init(_ node: Node) { self.node = node }
  }

  private var entries: [Entry] = []

  var count: Int { entries.count }
  var isEmpty: Bool { entries.isEmpty }

  subscript(id: NodeID) -> Node? {
    let position = lowerBound(id)
    guard position < entries.count, entries[position].id == id else { return nil }
    return entries[position].box.node
  }

  /// Precondition: `position` is inside `0 ..< count`.
  subscript(at position: Int) -> Node { entries[position].box.node }

  /// Inserts or replaces.
  mutating func store(_ node: Node) {
    let entry = Entry(id: node.id, box: Box(node))
    let position = lowerBound(node.id)
    if position < entries.count, entries[position].id == node.id {
      entries[position] = entry
    } else {
      entries.insert(entry, at: position)
    }
  }

  mutating func remove(_ id: NodeID) {
    let position = lowerBound(id)
    guard position < entries.count, entries[position].id == id else { return }
    entries.remove(at: position)
  }

  /// Position of the first node whose id is not below `id`.
  func lowerBound(_ id: NodeID) -> Int {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].id < id { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Positions of the nodes of a prefix.
  func positions(_ prefix: NodeIDPrefix) -> Range<Int> {
    let start = lowerBound(prefix.first)
    var end = lowerBound(prefix.last)
    if end < entries.count, entries[end].id == prefix.last { end += 1 }
    return start..<end
  }
}

extension NodeTable: Hashable {
  static func == (a: NodeTable, b: NodeTable) -> Bool {
    a.count == b.count && zip(a.entries, b.entries).allSatisfy { $0.box === $1.box || $0.box.node == $1.box.node }
  }

  func hash(into hasher: inout Hasher) {
    for entry in entries { hasher.combine(entry.box.node) }
  }
}
