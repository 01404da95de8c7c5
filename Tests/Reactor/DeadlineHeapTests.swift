import Base
import Testing

@testable import Reactor

@Suite struct DeadlineHeapTests {
  @Test func entriesLeaveInTheOrderOfTheirDeadlines() {
    var random = RandomSource(seed: 3)
    var heap = DeadlineHeap()
    var expected: [(Int64, UInt64)] = []
    for number in 1...500 {
      let at = Int64(random.below(100))
      heap.insert(ConnectionID(number: UInt64(number)), at: Instant(nanoseconds: at))
      expected.append((at, UInt64(number)))
    }
    expected.sort { $0 < $1 }
    #expect(heap.earliest == Instant(nanoseconds: expected[0].0))
    #expect(heap.popExpired(at: Instant(nanoseconds: -1)) == nil)
    var order: [UInt64] = []
    while let id = heap.popExpired(at: .distantFuture) { order.append(id.number) }
    #expect(order == expected.map(\.1))
    #expect(heap.earliest == nil)
  }
}
