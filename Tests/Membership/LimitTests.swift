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

  /// One Lamport time holds 64 queries, and a flood at one time is not passed on beyond them.
  @Test func queriesOfOneLamportTimeAreBounded() {
    var single = Single { $0.admission = .anybody }
    single.alive("b", 1)
    _ = single.takeResponses()
    for id in 0..<200 { single.query("_serf_ping", id: UInt32(id)) }
    let acknowledgements = single.takeResponses()
    #expect(acknowledgements.count == 64)
  }

  @Test func queriesWithTooManyFiltersAreDropped() {
    var single = Single { $0.admission = .anybody }
    single.alive("b", 1)
    _ = single.takeResponses()
    let names = [SerfFilter.nodeKind, 0x91, 0xA2] + Array("us".utf8)
    single.query("_serf_ping", filters: Array(repeating: names, count: 16), id: 1)
    let sixteen = single.takeResponses()
    #expect(sixteen.count == 1)
    single.query("_serf_ping", filters: Array(repeating: names, count: 17), id: 2)
    let seventeen = single.takeResponses()
    #expect(seventeen.isEmpty)
  }

  /// The time of a query is anybody's claim.
  @Test func aQuerysTimeIsClampedAndNoneIsNoQuery() throws {
    var single = Single { $0.admission = .anybody }
    single.alive("b", 1)
    _ = single.machine.takeEvents()
    for (id, timeout) in [(UInt32(1), Interval.zero), (2, .seconds(-1)), (3, .hours(1000))] {
      single.query("load", timeout: timeout, id: id)
    }
    var deadlines: [Instant] = []
    for case .queryReceived(let query) in single.machine.takeEvents() { deadlines.append(query.deadline) }
    #expect(deadlines == [single.now + .minutes(5)])
  }

  /// We are no tool against third parties: only answers are passed on, and only to members (gossip.md 9.4).
  @Test func onlyAnswersAreRelayedAndOnlyToMembers() {
    var single = Single { $0.admission = .anybody }
    single.alive("b", 1)
    single.pass(.seconds(5))
    func relay(_ message: [UInt8], to node: Int) -> [UInt8] {
      var out: [UInt8] = [GossipMessageKind.user.rawValue]
      SerfRelay.encodeHeader(destination: TestNetwork.address(node), name: Array("b".utf8), into: &out)
      return out + message
    }
    let answer = [SerfMessageKind.queryResponse.rawValue, 0x80]
    let cases: [([UInt8], Int, Int)] = [
      (answer, 1, 1), (answer, 77, 0), ([SerfMessageKind.leave.rawValue, 0x80], 1, 0), ([], 1, 0),
      (answer + [UInt8](repeating: 0, count: 1100), 1, 0),
    ]
    for (message, node, wanted) in cases {
      single.effects.outbox.removeAll()
      single.receive(relay(message, to: node))
      let sent = single.effects.outbox.directives.count { directive in
        if case .datagram(let to, _) = directive { to == TestNetwork.address(node) } else { false }
      }
      #expect(sent == wanted)
    }
  }

  @Test func strangersQueriesAreNotAnswered() {
    var single = Single { $0.admission = .anybody }
    single.query("_serf_ping", id: 1)
    let none = single.takeResponses()
    #expect(none.isEmpty)
  }

  /// Payloads of key queries are keys.
  @Test func payloadsOfKeyQueriesAreNeverLogged() {
    var single = Single { $0.admission = .anybody }
    single.effects = Effects(seed: 3, minimumLogLevel: .trace)
    single.alive("b", 1)
    var key: [UInt8] = []
    SerfKeyRequest.encode(key: Array("0123456789abcdef".utf8), into: &key)
    for name in ["_serf_install-key", "_serf_use-key", "_serf_remove-key"] {
      for payload in [key, Array(key.dropLast(3))] { single.query(name, payload: payload, id: UInt32(key.count)) }
    }
    single.pass(.seconds(1))
    #expect(single.effects.log.lines.allSatisfy { !"\($0)".contains("0123456789abc") })
  }

  @Test func anImpossibleRoundTripMovesNobody() {
    var network = TestNetwork(seed: 6)
    // Beyond ten seconds; the probe itself succeeds over the long timeout.
    network.latency = .milliseconds(5200)
    for name in ["a", "b"] {
      network.start(name) {
        $0.gossip.probeTimeout = .seconds(30)
        $0.gossip.probeInterval = .seconds(40)
      }
    }
    network.join(1, [0])
    network.run(.minutes(5))
    #expect(network.nodes[1].machine.gossip.statistics.roundTrips > 0)
    #expect(network.nodes[1].machine.coordinate.error == NetworkCoordinate.initialError)
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
