import Base
import Gossip
import Membership
import Testing
import Wire

/// One machine alone, fed with hand-made packets.
struct Single {
  var machine: MembershipMachine
  var effects = Effects(seed: 3)
  var now = Instant.start

  init(snapshot: [String] = [], _ change: (inout MembershipConfiguration) -> Void = { _ in }) {
    var configuration = MembershipConfiguration(
      gossip: .wan(name: "us", address: TestNetwork.address(0)), tags: TestNetwork.tags("us"))
    change(&configuration)
    machine = MembershipMachine(configuration: configuration, restoring: snapshot, at: now, effects: &effects)
  }

  mutating func receive(_ bytes: [UInt8]) {
    machine.handleDatagram(bytes.bytes, from: TestNetwork.address(1), at: now, effects: &effects)
  }

  mutating func alive(_ name: String, _ node: Int, incarnation: UInt32 = 1) {
    var out: [UInt8] = []
    AliveMessage.encode(
      incarnation: incarnation, node: Array(name.utf8), address: TestNetwork.address(node),
      metadata: SerfTags(TestNetwork.tags(name)).metadata, versions: .nomad, into: &out)
    receive(out)
  }

  mutating func dead(_ name: String, from: String, incarnation: UInt32 = 1) {
    var out: [UInt8] = []
    AccusationMessage.encode(
      .dead, incarnation: incarnation, node: Array(name.utf8), from: Array(from.utf8), into: &out)
    receive(out)
  }

  mutating func intent(leave: Bool, _ name: String, at time: UInt64, prune: Bool = false) {
    var out: [UInt8] = [GossipMessageKind.user.rawValue]
    if leave {
      SerfIntent.encodeLeave(lamportTime: time, node: Array(name.utf8), prune: prune, into: &out)
    } else {
      SerfIntent.encodeJoin(lamportTime: time, node: Array(name.utf8), into: &out)
    }
    receive(out)
  }

  mutating func query(
    _ name: String, payload: [UInt8]? = nil, filters: [[UInt8]] = [], flags: UInt32 = 1,
    timeout: Interval = .seconds(8), id: UInt32 = 7
  ) {
    var out: [UInt8] = [GossipMessageKind.user.rawValue]
    SerfQuery.encode(
      lamportTime: 5, id: id, source: TestNetwork.address(1), sourceNode: Array("b".utf8), filters: filters,
      flags: flags, relayFactor: 0, timeout: timeout, name: Array(name.utf8), payload: payload, into: &out)
    receive(out)
  }

  mutating func pass(_ interval: Interval) {
    now += interval
    machine.handleTimeout(at: now, effects: &effects)
    effects.outbox.removeAll()
  }

  func status(_ name: String) -> MemberStatus? { machine.member(named: name)?.status }

  /// Query responses sent since the last call: flags and payload.
  mutating func takeResponses() -> [(flags: UInt32, payload: [UInt8])] {
    var result: [(flags: UInt32, payload: [UInt8])] = []
    for case .datagram(_, let range) in effects.outbox.directives {
      let bytes = Array(effects.outbox.arena[range])
      guard bytes.count > 2, bytes[0] == 8, bytes[1] == SerfMessageKind.queryResponse.rawValue,
        let response = try? SerfQueryResponse(bytes.bytes.extracting(2..<bytes.count))
      else { continue }
      result.append((response.flags, response.payload.copy()))
    }
    effects.outbox.removeAll()
    return result
  }
}

@Suite struct SerfTransitionTests {
  @Test func leavingNeedsTheIntentFirst() {
    var single = Single()
    single.alive("b", 1)
    single.intent(leave: true, "b", at: 5)
    #expect(single.status("b") == .leaving)
    single.dead("b", from: "b")
    #expect(single.status("b") == .left)
    // Without the intent even a voluntary goodbye counts as a failure.
    single.alive("c", 2)
    single.dead("c", from: "c")
    #expect(single.status("c") == .failed)
    // And the intent may come late.
    single.intent(leave: true, "c", at: 6)
    #expect(single.status("c") == .left)
  }

  @Test func newerIntentsWin() {
    var single = Single()
    single.alive("b", 1)
    single.intent(leave: true, "b", at: 5)
    single.intent(leave: false, "b", at: 5)
    #expect(single.status("b") == .leaving)
    single.intent(leave: false, "b", at: 6)
    #expect(single.status("b") == .alive)
    single.intent(leave: true, "b", at: 6)
    #expect(single.status("b") == .alive)
    #expect(single.machine.member(named: "b")?.statusTime == 6)
  }

  @Test func intentsAboutTheUnknownAreKept() {
    var single = Single()
    single.intent(leave: true, "b", at: 5)
    single.intent(leave: false, "c", at: 9)
    single.alive("b", 1)
    single.alive("c", 2)
    #expect(single.status("b") == .leaving)
    #expect(single.machine.member(named: "c")?.statusTime == 9)
  }

  @Test func refutesLeaveIntentsAboutUs() {
    var single = Single()
    single.alive("b", 1)
    single.intent(leave: true, "us", at: 900)
    #expect(single.status("us") == .alive)
    #expect(single.machine.local.statusTime == 901)
  }

  @Test func impossibleLamportTimesAreIgnored() {
    var single = Single()
    single.alive("b", 1)
    single.intent(leave: true, "b", at: .max)
    single.intent(leave: false, "b", at: 1 << 63)
    #expect(single.status("b") == .alive)
    single.intent(leave: true, "b", at: 1 << 62)
    #expect(single.status("b") == .leaving)
  }

  @Test func pruningWaitsForALeavingMember() {
    var single = Single()
    single.alive("b", 1)
    single.intent(leave: true, "b", at: 5, prune: true)
    #expect(single.status("b") == .leaving)
    single.pass(.seconds(6))
    #expect(single.status("b") == nil)
  }

  @Test func answersInternalQueries() {
    var single = Single()
    single.alive("b", 1)
    _ = single.takeResponses()
    single.query("_serf_ping")
    let acks = single.takeResponses()
    #expect(acks.map(\.flags) == [1])
    single.query("_serf_ping")
    let none1 = single.takeResponses()
    #expect(none1.isEmpty)
    single.query("_serf_conflict", payload: Array("b".utf8), flags: 0, id: 8)
    let conflict = single.takeResponses()
    #expect(conflict.count == 1 && conflict[0].payload.first == 6)
    single.query("_serf_list-keys", payload: [7, 0x80], flags: 0, id: 9)
    let keys = single.takeResponses()
    let response = keys.first.flatMap { try? SerfKeyResponse($0.payload.bytes) }
    #expect(response?.result == false)
    // Payloads that crash peers.
    single.query("_serf_install-key", payload: nil, flags: 0, id: 10)
    let some2 = single.takeResponses()
    #expect(some2.count == 1)
    single.query("_serf_ping", filters: [[]], id: 11)
    let none3 = single.takeResponses()
    #expect(none3.isEmpty)
    single.query("_serf_ping", filters: [[0, 0x91, 0xA1, 0x78]], id: 12)
    let none4 = single.takeResponses()
    #expect(none4.isEmpty)
  }

  @Test func restoresFromASnapshot() {
    let lines = [
      "alive: b 127.0.0.2:4648", "alive: c d 127.0.0.3:4648", "not-alive: b", "clock: 41", "event-clock: 5",
      "query-clock: 6", "# comment", "nonsense", "alive: e", "coordinate: {}",
    ]
    let single = Single(snapshot: lines)
    let dials = single.effects.outbox.directives.compactMap { directive -> SocketAddress? in
      if case .connect(_, let to, _) = directive { return to }
      return nil
    }
    #expect(dials == [TestNetwork.address(2)])
    #expect(single.machine.snapshotContent.contains("clock: 41"))
    let left = Single(snapshot: lines + ["leave"])
    #expect(left.effects.outbox.directives.isEmpty)
    #expect(left.machine.snapshotContent.contains("clock: 0"))
    let rejoining = Single(snapshot: lines + ["leave"]) { $0.rejoinAfterLeave = true }
    #expect(!rejoining.effects.outbox.directives.isEmpty)
  }

  @Test func forgetsTheGoneAfterTheirTime() {
    var single = Single()
    single.alive("b", 1)
    single.alive("c", 2)
    single.dead("b", from: "x")
    single.intent(leave: true, "c", at: 5)
    single.dead("c", from: "c")
    single.pass(.hours(23))
    #expect(single.status("c") == .left)
    single.pass(.hours(2))
    #expect(single.status("c") == nil)
    #expect(single.status("b") == .failed)
    single.pass(.hours(48))
    #expect(single.status("b") == nil)
  }
}
