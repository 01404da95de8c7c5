import Base
import Gossip
import Testing

@Suite struct BroadcastQueueTests {
  func message(_ size: Int, _ mark: UInt8) -> [UInt8] { [UInt8](repeating: mark, count: size) }

  func take(_ queue: inout BroadcastQueue, budget: Int, limit: Int = 4, maximumParts: Int = 127) -> [UInt8] {
    var parts: [[UInt8]] = []
    _ = queue.take(budget: budget, overhead: 2, limit: limit, maximumParts: maximumParts, into: &parts)
    return parts.map { $0[0] }
  }

  @Test func leastSentFirstThenLargestThenNewest() {
    var queue = BroadcastQueue(maximumEntries: 100)
    queue.add(message(20, 1))
    queue.add(message(30, 2))
    queue.add(message(30, 3))
    let result1 = take(&queue, budget: 66)
    #expect(result1 == [3, 2])
    let result2 = take(&queue, budget: 66)
    #expect(result2 == [1, 3])
    #expect(queue.count == 3)
  }

  @Test func eachMessageGoesIntoAsManyPacketsAsAllowed() {
    var queue = BroadcastQueue(maximumEntries: 100)
    let token = BroadcastQueue.Token(number: 9)
    queue.add(message(20, 1), token: token)
    #expect(queue.hasFresh)
    for _ in 0..<4 {
      #expect(!queue.finished.contains(token))
      let result3 = take(&queue, budget: 1000)
      #expect(result3 == [1])
      #expect(!queue.hasFresh)
    }
    #expect(queue.isEmpty)
    #expect(queue.finished == [token])
  }

  @Test func newsAboutTheSameSubjectDisplaceOldOnes() {
    var queue = BroadcastQueue(maximumEntries: 100)
    queue.add(message(20, 1), subject: 5, token: BroadcastQueue.Token(number: 1))
    queue.add(message(20, 2), subject: 5)
    queue.add(message(20, 3))
    #expect(queue.count == 2)
    #expect(queue.finished == [BroadcastQueue.Token(number: 1)])
    let result7 = take(&queue, budget: 1000)
    #expect(result7 == [3, 2])
  }

  @Test func staysWithinItsLimits() {
    var queue = BroadcastQueue(maximumEntries: 3)
    for mark in 0..<10 { queue.add(message(10, UInt8(mark))) }
    #expect(queue.count == 3)
    for _ in 0..<200 { queue.add(message(8, 1)) }
    var wide = BroadcastQueue(maximumEntries: 1000)
    for _ in 0..<200 { wide.add(message(8, 1)) }
    let result8 = take(&wide, budget: 100_000, maximumParts: 127)
    #expect(result8.count == 127)
    let result9 = take(&wide, budget: 5)
    #expect(result9.isEmpty)
  }
}
