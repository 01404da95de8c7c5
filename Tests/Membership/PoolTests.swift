import Base
import Gossip
import Membership
import Testing
import Wire

@Suite struct PoolTests {
  static let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]

  func alive(_ names: some Sequence<String>) -> String { names.map { "\($0)=alive" }.joined(separator: " ") }

  @Test(arguments: [3, 5, 10], 1...4)
  func formsInMilliseconds(size: Int, seed: UInt64) {
    var network = TestNetwork(seed: seed)
    for name in Self.names.prefix(size) { network.start(name) }
    for node in 1..<size { network.join(node, [0]) }
    let everybody = alive(Self.names.prefix(size))
    #expect(network.run(within: .milliseconds(50)) { $0.allSee(everybody) })
  }

  @Test(arguments: 1...6)
  func aLateJoinerIsKnownEverywhereAtOnce(seed: UInt64) {
    var network = TestNetwork(seed: seed)
    for name in Self.names.prefix(9) { network.start(name) }
    for node in 1..<9 { network.join(node, [node - 1]) }
    network.run(.seconds(30))
    let late = network.start("j")
    network.join(late, [4])
    let everybody = alive(Self.names)
    #expect(network.run(within: .milliseconds(50)) { $0.allSee(everybody) })
  }

  @Test(arguments: 1...8)
  func convergesDespiteLoss(seed: UInt64) {
    var network = TestNetwork(seed: seed)
    network.loss = 0.3
    for name in Self.names.prefix(6) { network.start(name, lan: true) }
    for node in 1..<6 { network.join(node, [0]) }
    let everybody = alive(Self.names.prefix(6))
    #expect(network.run(within: .seconds(90)) { $0.allSee(everybody) })
    network.kill(5)
    let oneFailed = alive(Self.names.prefix(5)) + " f=failed"
    #expect(network.run(within: .seconds(180)) { $0.allSee(oneFailed) })
  }

  @Test func staysQuietWhenNothingHappens() {
    var network = TestNetwork(seed: 5)
    for name in Self.names.prefix(3) { network.start(name) }
    network.join(1, [0])
    network.join(2, [0])
    network.run(.seconds(60))
    network.datagrams = 0
    for node in 0..<3 { network.nodes[node].events = [] }
    network.run(.minutes(5))
    // One ping and one ack each 5 s and node.
    #expect(network.datagrams <= 3 * 2 * 61)
    #expect(network.nodes.allSatisfy { $0.events.isEmpty })
    #expect(network.nodes.allSatisfy { $0.machine.gossip.awareness == 0 })
    #expect(network.nodes.allSatisfy { $0.machine.gossip.statistics.probesFailed == 0 })
  }

  @Test(arguments: 1...4)
  func aCrashIsNoticedInThirtyFiveToFortyFiveSeconds(seed: UInt64) {
    var network = TestNetwork(seed: seed)
    for name in Self.names.prefix(3) { network.start(name) }
    network.join(1, [0])
    network.join(2, [0])
    network.run(.seconds(20))
    network.kill(2)
    network.run(.seconds(34))
    #expect(network.allSee("a=alive b=alive c=alive"))
    #expect(network.run(within: .seconds(12)) { $0.allSee("a=alive b=alive c=failed") })
  }

  @Test(arguments: 1...4)
  func aGracefulLeaveIsNeverAFailure(seed: UInt64) {
    var network = TestNetwork(seed: seed)
    for name in Self.names.prefix(5) { network.start(name) }
    for node in 1..<5 { network.join(node, [0]) }
    network.run(.seconds(10))
    network.call(4) { machine, now, effects in machine.leave(at: now, effects: &effects) }
    #expect(network.run(within: .seconds(4)) { $0.nodes[4].events.contains(.leaveFinished) })
    network.kill(4)
    network.run(.seconds(2))
    #expect(network.allSee("a=alive b=alive c=alive d=alive e=left"))
    for node in 0..<4 {
      let failures = network.nodes[node].events.filter { if case .failed = $0 { true } else { false } }
      #expect(failures.isEmpty)
    }
    // A restart under the same name is welcome, with a new address too.
    network.start("e", at: 4)
    network.join(4, [1])
    #expect(network.run(within: .milliseconds(50)) { $0.allSee("a=alive b=alive c=alive d=alive e=alive") })
    network.run(.minutes(3))
    #expect(network.allSee("a=alive b=alive c=alive d=alive e=alive"))
  }

  @Test(arguments: 1...4)
  func aKilledMemberComesBack(seed: UInt64) {
    var network = TestNetwork(seed: seed)
    for name in Self.names.prefix(3) { network.start(name) }
    network.join(1, [0])
    network.join(2, [0])
    network.run(.seconds(10))
    // At once, before anybody noticed.
    network.kill(2)
    network.start("c", at: 2)
    network.join(2, [0])
    #expect(network.run(within: .milliseconds(50)) { $0.allSee("a=alive b=alive c=alive") })
    // And after it was declared dead.
    network.kill(2)
    #expect(network.run(within: .seconds(60)) { $0.allSee("a=alive b=alive c=failed") })
    network.start("c", at: 2)
    network.join(2, [0])
    #expect(network.run(within: .milliseconds(50)) { $0.allSee("a=alive b=alive c=alive") })
    network.run(.minutes(5))
    #expect(network.allSee("a=alive b=alive c=alive"))
  }

  @Test(arguments: 1...4)
  func simultaneousRestartsFindEachOtherThroughSnapshots(seed: UInt64) {
    var network = TestNetwork(seed: seed)
    for name in Self.names.prefix(3) { network.start(name) }
    network.join(1, [0])
    network.join(2, [0])
    network.run(.seconds(10))
    let snapshots = network.nodes.map(\.snapshot)
    for node in 0..<3 { network.kill(node) }
    network.run(.seconds(5))
    for node in 0..<3 {
      network.start(Self.names[node], at: node, restoring: snapshots[node])
      network.run(.milliseconds(100))
    }
    #expect(network.run(within: .seconds(2)) { $0.allSee("a=alive b=alive c=alive") })
  }

  @Test func partitionHealsByReconnecting() {
    var network = TestNetwork(seed: 3)
    for name in Self.names.prefix(4) { network.start(name, lan: true) }
    for node in 1..<4 { network.join(node, [0]) }
    network.run(.seconds(5))
    network.cuts = [[0, 2], [0, 3], [1, 2], [1, 3]]
    #expect(network.run(within: .seconds(120)) { $0.view(0) == "a=alive b=alive c=failed d=failed" })
    network.run(.seconds(60))
    network.cuts = []
    #expect(network.run(within: .minutes(5)) { $0.allSee("a=alive b=alive c=alive d=alive") })
  }

  @Test func forceLeaveWorksOnTheFailedOnly() {
    var network = TestNetwork(seed: 9)
    for name in Self.names.prefix(4) { network.start(name) }
    for node in 1..<4 { network.join(node, [0]) }
    network.run(.seconds(10))
    func force(_ name: String, prune: Bool = false) -> ForceLeaveOutcome {
      network.call(0) { machine, now, effects in
        machine.forceLeave(name, prune: prune, at: now, effects: &effects)
      }
    }
    #expect(force("nobody") == .unknown)
    #expect(force("a") == .ourselves)
    #expect(force("d") == .spread(previous: .alive))
    network.run(.seconds(2))
    #expect(network.allSee("a=alive b=alive c=alive d=alive"))
    network.kill(3)
    #expect(network.run(within: .seconds(60)) { $0.allSee("a=alive b=alive c=alive d=failed") })
    #expect(force("d") == .spread(previous: .failed))
    #expect(network.run(within: .milliseconds(50)) { $0.allSee("a=alive b=alive c=alive d=left") })
    #expect(force("d", prune: true) == .spread(previous: .left))
    #expect(network.run(within: .milliseconds(50)) { $0.allSee("a=alive b=alive c=alive") })
    network.run(.minutes(3))
    #expect(network.allSee("a=alive b=alive c=alive"))
  }

  @Test func tagsSpread() throws {
    var network = TestNetwork(seed: 2)
    for name in Self.names.prefix(3) { network.start(name) }
    network.join(1, [0])
    network.join(2, [0])
    network.run(.seconds(5))
    var tags = TestNetwork.tags("b")
    tags["nonvoter"] = "1"
    try network.call(1) { machine, now, effects in try machine.setTags(tags, at: now, effects: &effects) }
    network.run(.milliseconds(50))
    #expect(network.nodes.allSatisfy { $0.machine.member(named: "b")?.tags["nonvoter"] == "1" })
    tags["big"] = String(repeating: "x", count: 500)
    #expect(throws: TagError.self) {
      try network.call(1) { machine, now, effects in try machine.setTags(tags, at: now, effects: &effects) }
    }
  }

  @Test func onlyNomadServersAreAdmitted() {
    var network = TestNetwork(seed: 4)
    network.start("a")
    network.start("b")
    network.start("x") {
      $0.tags = ["role": "consul"]
      $0.admission = .anybody
    }
    network.join(1, [0])
    network.run(.seconds(1))
    network.join(2, [0])
    network.run(.seconds(60))
    #expect(network.view(0) == "a=alive b=alive")
    #expect(network.view(1) == "a=alive b=alive")
  }

  @Test func joinReportsEachAddress() {
    var network = TestNetwork(seed: 6)
    network.start("a")
    network.start("b")
    let id = network.call(1) { machine, now, effects in
      machine.join(
        [TestNetwork.address(1), TestNetwork.address(0), TestNetwork.address(77)], at: now, effects: &effects)
    }
    network.run(.seconds(4))
    #expect(
      network.nodes[1].events.contains(
        .joinFinished(
          id,
          [
            JoinOutcome(address: TestNetwork.address(1), result: .ownAddress),
            JoinOutcome(address: TestNetwork.address(0), result: .joined(nodes: 1)),
            JoinOutcome(address: TestNetwork.address(77), result: .failed(.refused)),
          ])))
  }

  @Test func userEventsReachEverybodyOnce() {
    var network = TestNetwork(seed: 8)
    for name in Self.names.prefix(5) { network.start(name) }
    for node in 1..<5 { network.join(node, [0]) }
    network.run(.seconds(5))
    let isSent = network.call(2) { machine, now, effects in
      machine.sendUserEvent(name: "deploy", payload: [1, 2], mayCoalesce: false, at: now, effects: &effects)
    }
    #expect(isSent)
    network.run(.minutes(3))
    for node in network.nodes {
      let events = node.events.filter { if case .userEvent = $0 { true } else { false } }
      #expect(events == [.userEvent(name: "deploy", payload: [1, 2], lamportTime: 1)])
    }
  }

  @Test func sameSeedSameHistory() {
    func history() -> [[MembershipEvent]] {
      var network = TestNetwork(seed: 42)
      network.loss = 0.2
      for name in Self.names { network.start(name, lan: true) }
      for node in 1..<10 { network.join(node, [node / 2]) }
      network.run(.seconds(30))
      network.kill(3)
      network.run(.seconds(60))
      return network.nodes.map(\.events)
    }
    #expect(history() == history())
  }
}
