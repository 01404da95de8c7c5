import Base
import Glibc
import Synchronization
import Testing

@testable import Reactor

@Suite struct LoopTests {
  @Test func aDeadlineFiresOnceAndNeverEarly() throws {
    try Station.with { station in
      let deadline = station.loop.now + .microseconds(12_345)
      station.loop.setDeadline(deadline)
      station.wait("deadline") { !station.deadlines.isEmpty }
      let fired = try #require(station.deadlines.first)
      #expect(fired >= deadline)
      station.settle()
      #expect(station.deadlines.count == 1)
    }
  }

  @Test func theLastDeadlineCounts() throws {
    try Station.with { station in
      let now = station.loop.now
      station.loop.setDeadline(now + .milliseconds(5))
      station.loop.setDeadline(nil)
      station.settle(.milliseconds(20))
      #expect(station.deadlines.isEmpty)
      station.loop.setDeadline(now + .hours(1))
      station.loop.setDeadline(station.loop.now + .milliseconds(5))
      station.wait("deadline") { station.deadlines.count == 1 }
      station.loop.setDeadline(.distantFuture)
      station.loop.setDeadline(.start)
      station.wait("a deadline in the past") { station.deadlines.count == 2 }
    }
  }

  @Test func theClockStandsStillWithinATurn() throws {
    try Station.with { station in
      var readings: [Instant] = []
      station.onDatagram = { readings.append(station.loop.now) }
      let address = try station.listen(.gossip)
      for _ in 0..<8 { station.outbox.datagram(to: address) { $0.append(1) } }
      station.perform()
      station.wait("datagrams") { readings.count == 8 }
      #expect(Set(readings).count == 1)
      station.outbox.datagram(to: address) { $0.append(1) }
      station.wait("one more") { readings.count == 9 }
      #expect(readings[8] > readings[7])
    }
  }

  @Test func theWallClockIsTheSystems() throws {
    try Station.with { station in
      let seconds = station.loop.moment.wall.unixSeconds
      #expect(abs(seconds - Int64(time(nil))) <= 1)
    }
  }

  @Test func theSeedIsNotConstant() throws {
    let seeds = [try Loop.randomSeed(), try Loop.randomSeed()]
    #expect(seeds[0] != seeds[1])
  }

  @Test func stopEndsTheRun() throws {
    try Station.with { station in
      station.loop.mailbox.post { }
      station.onDatagram = { station.loop.stop() }
      let address = try station.listen(.gossip)
      station.outbox.datagram(to: address) { $0.append(1) }
      station.loop.run(station)
      #expect(station.datagrams.count == 1)
    }
  }

  @Test func lettersFromOtherThreadsRunOnTheLoopInOrder() throws {
    try Station.with { station in
      let mailbox = station.loop.mailbox
      let results = Mutex<[Int]>([])
      let loopThread = UInt(pthread_self())
      station.loop.submitWork({
        for number in 0..<100 {
          mailbox.post { results.withLock { $0.append(UInt(pthread_self()) == loopThread ? number : -1) } }
        }
      }) {}
      station.wait("letters") { results.withLock { $0.count } == 100 }
      #expect(results.withLock { $0 } == Array(0..<100))
    }
  }

  @Test func aMailboxRefusesLettersAfterTheEnd() throws {
    let station = try Station()
    let mailbox = station.loop.mailbox
    #expect(station.loop.shutDown())
    #expect(!mailbox.post { Issue.record("ran after the end") })
  }

  @Test func signalsAreEvents() throws {
    try Station.with { station in
      try station.loop.watchSignals([.hangUp, .userOne])
      kill(getpid(), SIGHUP)
      kill(getpid(), SIGUSR1)
      station.wait("signals") { Set(station.signals) == [.hangUp, .userOne] }
    }
  }

  @Test func workRunsElsewhereAndCompletesHere() throws {
    try Station.with { station in
      var result: UInt?
      var completedOn: UInt?
      station.loop.submitWork({ UInt(pthread_self()) }) {
        result = $0
        completedOn = UInt(pthread_self())
      }
      #expect(station.loop.pendingWork == 1)
      station.wait("work") { result != nil }
      #expect(result != UInt(pthread_self()))
      #expect(completedOn == UInt(pthread_self()))
      #expect(station.loop.pendingWork == 0)
    }
  }

  /// The pool has four threads; what has not begun is withdrawn, what runs is waited for.
  @Test func theEndWithdrawsWaitingWork() throws {
    let station = try Station()
    let begun = Mutex(0)
    let gate = Mutex(false)
    for _ in 0..<64 {
      station.loop.submitWork({
        begun.withLock { $0 += 1 }
        while !gate.withLock({ $0 }) { sched_yield() }
      }) {}
    }
    station.wait("first work") { begun.withLock { $0 } > 0 }
    // Lets the running work finish when the loop has begun to end, which it shows by refusing letters.
    let mailbox = station.loop.mailbox
    let opener = Thread {
      while mailbox.post({}) { sched_yield() }
      gate.withLock { $0 = true }
    }
    #expect(station.loop.shutDown(within: .seconds(20)))
    opener.join()
    #expect(begun.withLock { $0 } < 64)
  }

  @Test func namesResolveToAllTheirAddresses() throws {
    try Station.with { station in
      var answers: [String: Result<[IPAddress], ResolveError>] = [:]
      for name in ["localhost", "127.0.0.1", "::1", "no-such-host.invalid"] {
        station.loop.resolve(name) { answers[name] = $0 }
      }
      #expect(answers.isEmpty)
      station.wait("answers") { answers.count == 4 }
      let local = try answers["localhost"]?.get()
      #expect(local?.contains(.loopback) == true)
      #expect(answers["127.0.0.1"] == .success([.loopback]))
      #expect(answers["::1"] == .success([.v6(high: 0, low: 1, zone: 0)]))
      #expect(throws: ResolveError.self) { try answers["no-such-host.invalid"]?.get() }
    }
  }

  @Test func aNameThatIsTooLongIsRefusedLater() throws {
    try Station.with { station in
      var answer: Result<[IPAddress], ResolveError>?
      station.loop.resolve(String(repeating: "a", count: 4000)) { answer = $0 }
      #expect(answer == nil)
      station.wait("answer") { answer != nil }
      #expect(answer == .failure(.invalidName))
    }
  }
}

/// A thread that does not belong to the loop or its pool.
@safe private final class Thread {
  private var id = pthread_t()

  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  init(_ body: @escaping @Sendable () -> Void) {
    unsafe pthread_create(
      &id, nil,
      { argument in
        unsafe Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(Body(body)).toOpaque())
  }

  func join() { pthread_join(id, nil) }
}
