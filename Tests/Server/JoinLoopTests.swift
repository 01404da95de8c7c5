import Base
import Testing

@testable import Server

@Suite struct JoinLoopTests {
  static let own = SocketAddress(.v4(0x7F00_0001), port: 4648)
  static let other = SocketAddress(.v4(0x7F00_0002), port: 4648)

  private func loop(_ change: (inout JoinLoop.Configuration) -> Void = { _ in }) -> JoinLoop {
    var configuration = JoinLoop.Configuration()
    configuration.hasEntries = true
    change(&configuration)
    return JoinLoop(configuration: configuration, own: [Self.own], at: .start)
  }

  /// One round with the given result; returns what follows and when the next one is due.
  private func round(
    _ loop: inout JoinLoop, at now: Instant, failure: String? = "refused", isWhole: Bool = false,
    _ random: inout RandomSource
  ) -> JoinLoop.Directive? {
    let first = loop.poll(isWhole: isWhole, present: [], missing: [], at: now, random: &random)
    if first == .resolve {
      _ = loop.resolved([Self.own, Self.other], isWhole: isWhole, present: [], missing: [], at: now, random: &random)
    }
    loop.joined(Self.other, failure: failure)
    return loop.roundFinished(isWhole: isWhole, at: now, random: &random)
  }

  @Test func triesAgainWithinHalfASecondForAMinuteThenBacksOff() {
    var random = RandomSource(seed: 1)
    var loop = loop()
    var now = Instant.start
    var pauses: [Interval] = []
    while now < .start + .minutes(5) {
      #expect(round(&loop, at: now, &random) == nil)
      guard let next = loop.deadline else { return #expect(Bool(false), "the loop must go on") }
      pauses.append(next - now)
      if now < .start + .seconds(59) { #expect(next - now <= .milliseconds(500)) }
      now = next
    }
    #expect(pauses[0] <= .milliseconds(125))
    #expect(pauses.last.map { $0 > .seconds(20) } == true)
  }

  @Test func theOwnAddressIsNeitherDialledNorASuccess() {
    var random = RandomSource(seed: 1)
    var loop = loop()
    #expect(loop.poll(isWhole: false, present: [], missing: [], at: .start, random: &random) == .resolve)
    let next = loop.resolved([Self.own], isWhole: false, present: [], missing: [], at: .start, random: &random)
    #expect(next == nil && !loop.hasSucceeded && loop.deadline != nil)
    loop.joined(Self.own, failure: nil)
    #expect(!loop.hasSucceeded)
  }

  @Test func goesOnInTheBackgroundAfterASuccess() {
    var random = RandomSource(seed: 1)
    var loop = loop()
    #expect(round(&loop, at: .start, failure: nil, isWhole: true, &random) == nil)
    #expect(loop.hasSucceeded)
    #expect(loop.deadline.map { $0 > .start + .seconds(20) } == true)
    loop.hurry(at: .start + .seconds(1))
    #expect(loop.deadline.map { $0 <= .start + .milliseconds(1100) } == true)
  }

  @Test func givesUpAfterTheConfiguredIntervalsWithoutAnySuccess() {
    var random = RandomSource(seed: 1)
    var loop = loop {
      $0.retryMax = 2
      $0.retryInterval = .seconds(2)
    }
    var now = Instant.start
    while now < .start + .seconds(10) {
      if case .giveUp(let sentence)? = round(&loop, at: now, &random) {
        #expect(now >= .start + .seconds(4))
        #expect(sentence.contains("retry_max"))
        return
      }
      guard let next = loop.deadline else { break }
      now = next
    }
    #expect(Bool(false), "it must give up")
  }

  @Test func aFailedStartJoinEndsTheAgentAtOnce() {
    var random = RandomSource(seed: 1)
    var loop = loop { $0.firstRoundIsFatal = true }
    guard case .giveUp(let sentence)? = round(&loop, at: .start, &random) else {
      return #expect(Bool(false), "it must give up")
    }
    #expect(sentence.contains("start_join"))
  }

  @Test func addressesThatNeverAnsweredAreServersThatMayExist() {
    var random = RandomSource(seed: 1)
    var loop = loop()
    _ = round(&loop, at: .start, &random)
    #expect(loop.unreached(known: []) == [Self.other])
    #expect(loop.unreached(known: [Self.other]) == [])
  }
}
