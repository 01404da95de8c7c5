/// Nodes in the order of their ids, so that lists, prefixes and snapshots need no sorting and no hash order can leak.
///
/// A list of short sorted lists: look-up is O(log n), and an insertion moves at most one short list, so that very many
/// nodes that register in any order cost no more each than a few. Records are boxed and immutable: a copy of the table
/// (a snapshot in progress) shares them, and a change after the copy costs one retain per record of its short list.
struct NodeTable: Sendable {
  private struct Entry: Sendable {
    let id: NodeID
    let box: Box
  }

  private final class Box: Sendable {
    let node: Node
    init(_ node: Node) { self.node = node }
  }

  /// Longest list; a longer one is cut in half.
  static let maximumChunk = 1024

  /// None is empty.
  private var chunks: [[Entry]] = []
  private(set) var count = 0

  var isEmpty: Bool { count == 0 }

  subscript(id: NodeID) -> Node? {
    guard let place = find(id) else { return nil }
    return chunks[place.chunk][place.offset].box.node
  }

  /// O(n / `maximumChunk`). Precondition: `position` is inside `0 ..< count`.
  subscript(at position: Int) -> Node {
    var offset = position
    var chunk = 0
    while offset >= chunks[chunk].count {
      offset -= chunks[chunk].count
      chunk += 1
    }
    return chunks[chunk][offset].box.node
  }

  func forEach(_ body: (Node) -> Void) {
    for chunk in chunks {
      for entry in chunk { body(entry.box.node) }
    }
  }

  /// At most `limit` nodes from the first whose id is not below `start`. Returns the id to go on with, nil at the end.
  func forEach(from start: NodeID, limit: Int, _ body: (Node) -> Void) -> NodeID? {
    var place = lowerPlace(start)
    var left = limit
    while place.chunk < chunks.count {
      for entry in chunks[place.chunk][place.offset...] {
        guard left > 0 else { return entry.id }
        left -= 1
        body(entry.box.node)
      }
      place = (place.chunk + 1, 0)
    }
    return nil
  }

  /// Inserts or replaces.
  mutating func store(_ node: Node) {
    let entry = Entry(id: node.id, box: Box(node))
    let place = lowerPlace(node.id)
    if chunks.isEmpty { chunks.append([]) }
    if place.offset < chunks[place.chunk].count, chunks[place.chunk][place.offset].id == node.id {
      chunks[place.chunk][place.offset] = entry
      return
    }
    chunks[place.chunk].insert(entry, at: place.offset)
    count += 1
    guard chunks[place.chunk].count > Self.maximumChunk else { return }
    let half = Self.maximumChunk / 2
    chunks.insert(Array(chunks[place.chunk][half...]), at: place.chunk + 1)
    chunks[place.chunk].removeSubrange(half...)
  }

  mutating func remove(_ id: NodeID) {
    guard let place = find(id) else { return }
    chunks[place.chunk].remove(at: place.offset)
    if chunks[place.chunk].isEmpty { chunks.remove(at: place.chunk) }
    count -= 1
  }

  private func find(_ id: NodeID) -> (chunk: Int, offset: Int)? {
    let place = lowerPlace(id)
    guard place.chunk < chunks.count, place.offset < chunks[place.chunk].count,
      chunks[place.chunk][place.offset].id == id
    else { return nil }
    return place
  }

  /// In the only list that may hold the id: the place of the first entry that is not below it, or the list's end.
  private func lowerPlace(_ id: NodeID) -> (chunk: Int, offset: Int) {
    var low = 0
    var high = chunks.count
    while low < high {
      let middle = (low + high) / 2
      if chunks[middle][0].id <= id { low = middle + 1 } else { high = middle }
    }
    let chunk = max(0, low - 1)
    guard chunk < chunks.count else { return (0, 0) }
    return (chunk, Self.lowerBound(id, in: chunks[chunk]))
  }

  private static func lowerBound(_ id: NodeID, in chunk: [Entry]) -> Int {
    var low = 0
    var high = chunk.count
    while low < high {
      let middle = (low + high) / 2
      if chunk[middle].id < id { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Position of the first node whose id is not below `id`. O(n / `maximumChunk`).
  func lowerBound(_ id: NodeID) -> Int {
    let place = lowerPlace(id)
    return chunks[..<min(place.chunk, chunks.count)].reduce(place.offset) { $0 + $1.count }
  }

  /// Positions of the nodes of a prefix.
  func positions(_ prefix: NodeIDPrefix) -> Range<Int> {
    let start = lowerBound(prefix.first)
    var end = lowerBound(prefix.last)
    if end < count, self[at: end].id == prefix.last { end += 1 }
    return start..<end
  }
}

extension NodeTable: Hashable {
  static func == (a: NodeTable, b: NodeTable) -> Bool {
    a.count == b.count
      && zip(a.chunks.joined(), b.chunks.joined()).allSatisfy { $0.box === $1.box || $0.box.node == $1.box.node }
  }

  func hash(into hasher: inout Hasher) {
    forEach { hasher.combine($0) }
  }
}
