import Base
import State
import Testing

@testable import Server

@Suite struct HeartbeatTimersTests {
  private func node(_ number: UInt64) -> NodeID { NodeID(high: 0, low: number) }

  @Test func expiresInOrderAndOnlyOnce() {
    var timers = HeartbeatTimers()
    timers.arm(node(1), at: .start + .seconds(3))
    timers.arm(node(2), at: .start + .seconds(1))
    timers.arm(node(3), at: .start + .seconds(2))
    #expect(timers.popExpired(at: .start + .milliseconds(999)) == nil)
    #expect(timers.popExpired(at: .start + .seconds(2)) == node(2))
    #expect(timers.popExpired(at: .start + .seconds(2)) == node(3))
    #expect(timers.popExpired(at: .start + .seconds(2)) == nil)
    #expect(timers.count == 1)
  }

  @Test func aHeartbeatMovesTheDeadline() {
    var timers = HeartbeatTimers()
    timers.arm(node(1), at: .start + .seconds(1))
    timers.arm(node(1), at: .start + .seconds(5))
    #expect(timers.popExpired(at: .start + .seconds(4)) == nil)
    timers.arm(node(1), at: .start + .seconds(4))
    #expect(timers.popExpired(at: .start + .seconds(4)) == node(1))
    #expect(timers.popExpired(at: .start + .seconds(9)) == nil)
  }

  @Test func aDisarmedTimerStaysSilent() {
    var timers = HeartbeatTimers()
    timers.arm(node(1), at: .start + .seconds(1))
    timers.disarm(node(1))
    #expect(timers.popExpired(at: .start + .seconds(2)) == nil)
  }

  /// Any sequence of arming, heartbeats and expiries gives the same as a plain list of deadlines.
  @Test func agreesWithAPlainList() {
    var random = RandomSource(seed: 7)
    var timers = HeartbeatTimers()
    var plain: [NodeID: Instant] = [:]
    var now = Instant.start
    for _ in 0..<20_000 {
      let id = node(UInt64(random.below(200)))
      switch random.below(10) {
      case 0:
        timers.disarm(id)
        plain[id] = nil
      case 1:
        now += .milliseconds(Int64(random.below(300)))
        var expired: Set<NodeID> = []
        while let one = timers.popExpired(at: now) { expired.insert(one) }
        let expected = Set(plain.filter { $0.value <= now }.keys)
        #expect(expired == expected)
        for one in expected { plain[one] = nil }
      default:
        let due = now + .milliseconds(Int64(random.below(5000)))
        timers.arm(id, at: due)
        plain[id] = due
      }
    }
    #expect(timers.count == plain.count)
  }
}
