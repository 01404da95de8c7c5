import Base
import Gossip
import Membership
import Testing
import Wire

/// Tables that strangers can fill, filled.
@Suite struct LimitTests {
  @Test func aFullTableForgetsTheNewestFailureNotTheOldest() {
    var single = Single {
      $0.admission = .anybody
      $0.maximumMembers = 4
    }
    single.alive("old", 1)
    single.dead("old", from: "x")
    single.alive("alive", 2)
    for number in 0..<10 {
      single.pass(.milliseconds(10))
      single.alive("flood\(number)", 10 + number)
      single.dead("flood\(number)", from: "x")
    }
    #expect(single.machine.memberCount == 4)
    #expect(single.machine.member(named: "old")?.status == .failed)
    #expect(single.machine.member(named: "alive")?.status == .alive)
    #expect(single.machine.member(named: "flood9") != nil)
    #expect(single.machine.member(named: "flood8") == nil)
  }

  @Test func rememberedEventsAreBoundedInBytes() {
    var single = Single {
      $0.admission = .anybody
      $0.maximumRememberedEventBytes = 3000
    }
    for time in 1..<10 {
      var out: [UInt8] = [GossipMessageKind.user.rawValue]
      SerfUserEvent.encode(
        lamportTime: UInt64(time), name: Array("e".utf8), payload: [UInt8](repeating: 0, count: 999),
        mayCoalesce: false, into: &out)
      single.receive(out)
    }
    let events = single.machine.takeEvents().filter { if case .userEvent = $0 { true } else { false } }
    #expect(events.count == 3)
  }

  @Test func whatNoPacketCanHoldIsNotPassedOn() {
    var single = Single { $0.admission = .anybody }
    single.alive("b", 1)
    single.pass(.seconds(5))
    single.effects.outbox.removeAll()
    var out: [UInt8] = [GossipMessageKind.user.rawValue]
    SerfUserEvent.encode(
      lamportTime: 3, name: Array("big".utf8), payload: [UInt8](repeating: 0, count: 5000), mayCoalesce: false,
      into: &out)
    single.receive(out)
    for _ in 0..<10 {
      single.now += .milliseconds(500)
      single.machine.handleTimeout(at: single.now, effects: &single.effects)
    }
    #expect(single.effects.outbox.directives.allSatisfy { directive in
      if case .datagram(_, let range) = directive { return range.count <= 1500 }
      return true
    })
    // It was delivered here all the same.
    #expect(single.machine.takeEvents().contains { if case .userEvent = $0 { true } else { false } })
  }

  /// Others may hold a later "left" about us than the peer we come back through.
  @Test func comesBackWithATimeAboveAllThatOthersMayHold() {
    var single = Single { $0.admission = .anybody }
    single.alive("b", 1)
    var state = SerfPushPull.Content()
    state.lamportTime = 11
    state.statusTimes = [(Array("us".utf8), 10)]
    state.leftMembers = [Array("us".utf8)]
    single.exchange(state)
    #expect(single.machine.local.status == .alive)
    #expect(single.machine.local.statusTime > 10 + 63)
  }

  @Test func outbidsAnIntentOfAnEarlierLife() {
    var single = Single { $0.admission = .anybody }
    single.alive("b", 1)
    single.intent(leave: false, "us", at: 500)
    #expect(single.machine.local.statusTime == 501)
    // In a state exchange, too; and what we say ourselves, heard again, is no reason for more.
    var state = SerfPushPull.Content()
    state.statusTimes = [(Array("us".utf8), 900)]
    single.exchange(state)
    #expect(single.machine.local.statusTime == 901)
    single.intent(leave: false, "us", at: 901)
    #expect(single.machine.local.statusTime == 901)
  }
}

extension Single {
  /// A peer pushes its state.
  mutating func exchange(_ content: SerfPushPull.Content) {
    var state: [UInt8] = []
    SerfPushPull.encode(content, into: &state)
    var bytes: [UInt8] = []
    PushPullHeader(nodes: 0, userStateBytes: state.count, isJoin: false).encode(into: &bytes)
    bytes += state
    let id = effects.outbox.makeConnectionID()
    machine.handleAccepted(id, from: TestNetwork.address(1), at: now, effects: &effects)
    machine.handleReceived(id, bytes.bytes, at: now, effects: &effects)
  }
}
