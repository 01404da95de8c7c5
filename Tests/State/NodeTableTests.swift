import Base
import Testing
import Wire

@testable import State

/// Many nodes in any order: the table is what a sorted dictionary would be.
@Suite struct NodeTableTests {
  private static func node(_ number: UInt64, status: String) throws -> Node {
    var bytes: [UInt8] = []
    bytes.packMapHeader(2)
    bytes.pack("ID")
    bytes.pack(id(number).description)
    bytes.pack("Status")
    bytes.pack(status)
    return try Node(decoding: bytes.bytes)
  }

  /// Scattered over all ids.
  private static func id(_ number: UInt64) -> NodeID {
    NodeID(high: number &* 0x9E37_79B9_7F4A_7C15, low: number)
  }

  @Test func isSortedWhateverTheOrderOfChanges() throws {
    var random = RandomSource(seed: 11)
    var table = NodeTable()
    var model: [NodeID: String] = [:]
    for step in 0..<12_000 {
      let number = UInt64(random.below(5_000))
      if step > 6_000, random.chance(0.4) {
        table.remove(Self.id(number))
        model[Self.id(number)] = nil
      } else {
        table.store(try Self.node(number, status: "s\(step)"))
        model[Self.id(number)] = "s\(step)"
      }
    }
    let sorted = model.keys.sorted()
    var found: [NodeID] = []
    table.forEach { found.append($0.id) }
    #expect(found == sorted)
    #expect(table.count == sorted.count && sorted.count > 2 * NodeTable.maximumChunk)
    for (position, id) in sorted.enumerated() {
      #expect(table[id]?.status == model[id])
      #expect(table[at: position].id == id && table.lowerBound(id) == position)
    }
    #expect(table[NodeID(high: 1, low: 1)] == nil)
    #expect(table.lowerBound(NodeID(high: .max, low: .max)) == sorted.count)
    #expect(table.positions(.all) == 0..<sorted.count)
    for prefix in ["0", "7f", "f", "a1b"] {
      let range = try NodeIDPrefix(prefix)
      let expected = sorted.filter { $0 >= range.first && $0 <= range.last }
      #expect(table.positions(range).map { table[at: $0].id } == expected)
    }
    for id in sorted { table.remove(id) }
    #expect(table.isEmpty && table.lowerBound(sorted[0]) == 0 && table == NodeTable())
  }
}
