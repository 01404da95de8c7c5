import Base
import Foundation
import Reactor
import Synchronization
import Testing

@Suite struct WorkThreadTests {
  @Test func workRunsOnOneOtherThreadInOrderAndCompletesHere() throws {
    try Station.with { station in
      let disk = try WorkThread(on: station.loop)
      var threads: Set<UInt> = []
      var order: [Int] = []
      for number in 0..<1000 {
        disk.submit({ UInt(pthread_self()) }) {
          threads.insert($0)
          order.append(UInt(pthread_self()) == $0 ? -1 : number)
        }
      }
      #expect(disk.pendingWork == 1000)
      station.wait("work") { order.count == 1000 }
      #expect(order == Array(0..<1000))
      #expect(threads.count == 1)
      #expect(disk.pendingWork == 0)
    }
  }

  @Test func aCompletionMaySubmitTheNextWork() throws {
    try Station.with { station in
      let disk = try WorkThread(on: station.loop)
      var rounds = 0
      func next() {
        disk.submit({}) {
          rounds += 1
          if rounds < 100 { next() }
        }
      }
      next()
      station.wait("rounds") { rounds == 100 }
    }
  }

  /// Blocking look-ups and other work fill libuv's pool; the thread does not wait for them.
  @Test func aFullPoolDoesNotHoldItUp() throws {
    try Station.with { station in
      let gate = Mutex(false)
      for _ in 0..<16 {
        station.loop.submitWork({ while !gate.withLock({ $0 }) { sched_yield() } }) {}
      }
      defer { gate.withLock { $0 = true } }
      let disk = try WorkThread(on: station.loop)
      var isDone = false
      disk.submit({}) { isDone = true }
      station.wait("work beside a full pool") { isDone }
    }
  }

  @Test func theEndDropsWaitingWorkAndWaitsForWhatHasBegun() throws {
    let station = try Station()
    let disk = try WorkThread(on: station.loop)
    let begun = Mutex(0)
    let mailbox = station.loop.mailbox
    var completed = 0
    for _ in 0..<3 {
      disk.submit({
        begun.withLock { $0 += 1 }
        mailbox.post {}
        // Until the loop has begun to end, which it shows by refusing letters.
        while mailbox.post({}) { sched_yield() }
      }) { completed += 1 }
    }
    station.wait("the first work") { begun.withLock { $0 } == 1 }
    #expect(station.loop.shutDown(within: .seconds(20)))
    #expect(begun.withLock { $0 } == 1)
    #expect(completed == 1)
  }
}
