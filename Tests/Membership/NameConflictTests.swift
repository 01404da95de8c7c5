import Base
import Gossip
import Membership
import Testing
import Wire

/// Two nodes of one name: both ask the pool whose it is, and nobody ends.
@Suite struct NameConflictTests {
  /// A pool of three, and a fourth that calls itself like the second.
  private func pool(admitting rule: AdmissionRule = .nomadServers) -> TestNetwork {
    var network = TestNetwork(seed: 12)
    for name in ["a", "b", "c"] { network.start(name, lan: true) { $0.admission = rule } }
    network.join(1, [0])
    network.join(2, [0])
    network.run(.seconds(3))
    network.start("b", lan: true) { $0.tags["id"] = "another" }
    return network
  }

  private func verdict(_ network: TestNetwork, _ node: Int) -> NameVerdict? {
    for case .nameJudged(let verdict) in network.nodes[node].events { return verdict }
    return nil
  }

  @Test func thePoolDecidesForTheFirst() throws {
    var network = pool()
    network.join(3, [0, 1])
    let isJudged = network.run(within: .seconds(30)) { verdict($0, 1) != nil && verdict($0, 3) != nil }
    #expect(isJudged)
    let verdicts = [1, 3].map { verdict(network, $0) }
    let first = try #require(verdicts[0])
    #expect(first == NameVerdict(claimant: TestNetwork.address(3), answers: 2, agreeing: 2))
    #expect(first.isOurs)
    let second = try #require(verdicts[1])
    #expect(second == NameVerdict(claimant: TestNetwork.address(1), answers: 2, agreeing: 0))
    #expect(second.isDecided && !second.isOurs)
    // The name stays with the first for everybody else.
    for node in [0, 2] {
      #expect(network.nodes[node].machine.member(named: "b")?.address == TestNetwork.address(1))
    }
    let others = [0, 2].compactMap { verdict(network, $0) }
    #expect(others.isEmpty)
  }

  @Test func withNobodyToAskNothingIsDecided() throws {
    var network = TestNetwork(seed: 13)
    network.start("b", lan: true)
    network.start("b", lan: true) { $0.tags["id"] = "another" }
    network.join(1, [0])
    network.run(.seconds(15))
    for node in [0, 1] {
      let found = verdict(network, node)
      let judged = try #require(found)
      #expect(!judged.isDecided && !judged.isOurs)
    }
  }

  /// The one that goes on claiming is not asked about with every packet.
  @Test func theQuestionIsAskedOnceAMinute() {
    var network = pool()
    for _ in 0..<20 {
      network.join(3, [0, 1, 2])
      network.run(.seconds(1))
    }
    let asked = network.nodes[1].events.count { if case .nameJudged = $0 { true } else { false } }
    #expect(asked == 1)
  }

  @Test(arguments: [
    ("06c0", nil),
    (
      "068ba441646472a47f000001ab44656c656761746543757204ab44656c65676174654d617805ab44656c65676174654d696e02a44e616d65"
        + "a8612e676c6f62616ca4506f7274cd1228ab50726f746f636f6c43757202ab50726f746f636f6c4d617805ab50726f746f636f6c4d69"
        + "6e01a653746174757301a45461677381a4726f6c65a56e6f6d6164", "127.0.0.1:4648"
    ),
  ]) func answersOfSerfAreUnderstood(hex: String, address: String?) throws {
    let bytes = stride(from: 0, to: hex.count, by: 2).map { offset -> UInt8 in
      let start = hex.index(hex.startIndex, offsetBy: offset)
      return UInt8(hex[start..<hex.index(start, offsetBy: 2)], radix: 16) ?? 0
    }
    let answer = try SerfConflictResponse(bytes.bytes)
    #expect(answer.address.map { "\($0)" } == address)
  }

  @Test(arguments: [[], [6], [5, 0xC0], [6, 0xDF, 0xFF, 0xFF, 0xFF, 0xFF]] as [[UInt8]])
  func anAnswerThatIsNoneIsRefused(payload: [UInt8]) {
    #expect(throws: WireError.self) { try SerfConflictResponse(payload.bytes) }
  }
}
