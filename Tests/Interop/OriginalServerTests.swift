import Base
import Harness
import Testing

/// Regions of whole nomadd servers and of a stand-in for Nomad's own, which is made of HashiCorp's libraries as Debian
/// ships them and follows the original's published rules (`go/originalserver`).
@Suite(
  .serialized,
  .enabled(
    if: MixedRegion.isInstalled,
    "needs Debian's golang-go and golang-github-hashicorp-{raft,raft-boltdb,serf,yamux,net-rpc-msgpackrpc}-dev"),
  .timeLimit(.minutes(10)))
struct OriginalServerTests {
  struct Mixture: CustomTestStringConvertible {
    var kinds: [RegionServer.Kind]
    var protocolVersion = 3
    var testDescription: String { "\(kinds), protocol \(protocolVersion)" }
  }

  static let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]

  @Test(
    arguments: [
      Mixture(kinds: [.original, .nomadd, .nomadd]), Mixture(kinds: [.original, .original, .nomadd]),
    ], orders)
  func aMixedRegionFormsInEveryOrder(mixture: Mixture, order: [Int]) throws {
    let region = try MixedRegion()
    for kind in mixture.kinds { try region.add(kind, expect: 3) }
    for number in order {
      try region.start(region.servers[number])
      try region.stage.run(for: .milliseconds(400))
    }
    try region.awaitLeader()
    try region.awaitOneConfiguration()
    try region.awaitOnePool()
    // The first configuration is left to the original, wherever one expects it.
    let authors = try region.originals.filter {
      try $0.ask("/state", on: region.stage)?["HasWrittenFirst"].flag == true
    }
    #expect(!authors.isEmpty)
  }

  @Test func moreServersThanExpectedFormOneRegion() throws {
    let region = try MixedRegion()
    for kind in [RegionServer.Kind.nomadd, .original, .nomadd, .original, .nomadd] { try region.add(kind, expect: 3) }
    for server in region.servers { try region.start(server) }
    try region.awaitLeader()
    try region.awaitOneConfiguration(within: .seconds(60))
    try region.awaitOnePool()
  }

  /// Leaders die under load until each kind has; nothing confirmed is lost, and all apply the same bytes.
  @Test(arguments: [
    Mixture(kinds: [.original, .nomadd, .nomadd]), Mixture(kinds: [.original, .original, .nomadd]),
    Mixture(kinds: [.original, .nomadd, .nomadd], protocolVersion: 2),
  ])
  func leadersOfEitherKindDieUnderLoad(mixture: Mixture) throws {
    let region = try MixedRegion()
    for kind in mixture.kinds { try region.add(kind, expect: 3, protocolVersion: mixture.protocolVersion) }
    for server in region.servers { try region.start(server) }
    var died: Set<RegionServer.Kind> = []
    for round in 0..<12 where died.count < 2 {
      if round > 0 { try region.handOver(from: region.awaitLeader(), toOneBeside: died) }
      let leader = try region.awaitLeader()
      try region.register(1000)
      try region.stage.run(for: .milliseconds(400))
      leader.crash()
      died.insert(leader.kind)
      try region.awaitLeader(other: leader)
      try region.awaitAgreement()
      try region.start(leader)
      try region.awaitLeader()
      try region.awaitAgreement()
    }
    #expect(died.count == 2)
    try region.awaitOneConfiguration()

    // What ours have stored is what the original had applied: it loses its log and is given all of it again.
    let original = region.originals[0]
    if try region.awaitLeader() === original {
      original.crash()
      try region.awaitLeader(other: original)
      try region.start(original)
      try region.awaitLeader()
    }
    try region.register(200)
    try region.awaitAgreement()
    let before = try original.applied(on: region.stage)
    #expect(before.count > 1000)
    original.crash()
    try original.forgetLog()
    try region.start(original)
    try region.awaitAgreement()
    let after = try original.applied(on: region.stage)
    #expect(Array(after.prefix(before.count)) == before)
    for other in region.originals.dropFirst() {
      let theirs = try other.applied(on: region.stage)
      #expect(Array(theirs.suffix(200)) == Array(after.suffix(200)))
    }
  }

  @Test(arguments: [
    Mixture(kinds: [.original, .nomadd, .nomadd]), Mixture(kinds: [.original, .original, .nomadd]),
  ])
  func aMixedRegionComesBackWhenAllAreStartedAgain(mixture: Mixture) throws {
    let region = try MixedRegion()
    for kind in mixture.kinds { try region.add(kind, expect: 3) }
    for server in region.servers { try region.start(server) }
    try region.awaitLeader()
    try region.register(100)
    try region.awaitAgreement()
    for _ in 0..<3 {
      for server in region.servers { server.crash() }
      for server in region.servers { try region.start(server) }
      try region.awaitLeader()
      try region.awaitAgreement()
      try region.awaitOneConfiguration()
      try region.awaitOnePool()
    }
  }

  /// The original alone, with a log that begins behind a snapshot, then a server of ours that expects nothing.
  @Test func theOriginalAdmitsPromotesAndCallsUsHealthy() throws {
    let region = try MixedRegion()
    let original = try region.add(.original, expect: 1, options: ["-trailing", "1"])
    try region.start(original)
    try region.awaitLeader()
    try region.register(100)
    try region.awaitAgreement()
    _ = try original.ask("/snapshot", "POST", on: region.stage)

    let ours = try region.add(.nomadd, expect: 0)
    try region.start(ours)
    try region.awaitAgreement()
    try region.wait("a non-voter") {
      try ours.configuration(on: region.stage).contains { $0.hasSuffix("\(ours.rpcAddress) Nonvoter") }
    }
    try region.awaitOneConfiguration(within: .seconds(40))
    try region.awaitOnePool()
    try expectHealth(region, original)
    // What ours is asked by the operator, the original answers.
    let health = try ours.ask("/v1/operator/autopilot/health", on: region.stage)
    #expect(health?["Healthy"].flag != nil && health?["Servers"].elements.count == 2)

    ours.crash()
    try region.wait("without a majority nobody leads") { try original.leader(on: region.stage) == nil }
    try region.start(ours)
    let leader = try region.awaitLeader()
    try region.awaitAgreement()
    if leader === original { try expectHealth(region, original) }
  }

  /// All are healthy at once. Who was promoted has been so for ten seconds on end before.
  private func expectHealth(_ region: MixedRegion, _ leader: RegionServer) throws {
    try region.wait("healthy answers of all") {
      let servers = try leader.ask("/health", on: region.stage)?.elements ?? []
      return servers.count == region.servers.count
        && servers.allSatisfy { $0["IsHealthy"].flag == true && $0["Answers"].number ?? 0 >= 3 }
    }
  }

  /// Ours alone, with a log that begins behind a snapshot, then a server of the original.
  @Test func weAdmitAndPromoteTheOriginal() throws {
    let region = try MixedRegion()
    let ours = try region.add(
      .nomadd, expect: 1, extra: "raft_snapshot_threshold = 50\n  raft_trailing_logs = 10")
    try region.start(ours)
    try region.awaitLeader()
    try region.register(400)
    try region.awaitAgreement()

    let original = try region.add(.original, expect: 0)
    try region.start(original)
    try region.awaitAgreement()
    #expect(try original.ask("/state", on: region.stage)?["Restores"].number == 1)
    try region.awaitOneConfiguration(within: .seconds(40))
    try region.awaitOnePool()
    // Its scheduler's workers are kept waiting, as a leader of the original would, and are never refused.
    let before = try original.ask("/state", on: region.stage)?["Dequeues"]
    try region.wait("four questions for work") {
      let now = try original.ask("/state", on: region.stage)?["Dequeues"]
      return now?["Held"].number ?? 0 >= (before?["Held"].number ?? 0) + 4
    }
    let after = try original.ask("/state", on: region.stage)?["Dequeues"]
    #expect(after?["Hasty"].number == 0 && after?["Failed"].number == before?["Failed"].number)
  }

  /// Drains and eligibility through ours, while the original leads.
  @Test func ordersAreForwardedToTheOriginal() throws {
    let region = try MixedRegion()
    let original = try region.add(.original, expect: 1)
    try region.start(original)
    try region.awaitLeader()
    let ours = try region.add(.nomadd, expect: 0)
    try region.start(ours)
    try region.awaitLeader()
    try region.register(3)
    try region.awaitAgreement()
    let ids = try ours.nodes(on: region.stage).map { $0.prefix { $0 != " " } }
    func order(_ path: String, _ body: String) throws {
      #expect(try ours.ask(path, "PUT", body: body, on: region.stage) != nil, "\(path)\n\(region.account)")
    }
    try order("/v1/node/\(ids[0])/eligibility", #"{"Eligibility": "ineligible"}"#)
    try order("/v1/node/\(ids[1])/drain", #"{"DrainSpec": {"Deadline": 60000000000}}"#)
    try order("/v1/node/\(ids[2])/drain", #"{"DrainSpec": {"Deadline": 60000000000}}"#)
    try order("/v1/node/\(ids[2])/drain", #"{"DrainSpec": null, "MarkEligible": true}"#)
    try region.awaitAgreement()
    let eligibility = try ours.nodes(on: region.stage).map { $0.split(separator: " ")[3] }
    #expect(eligibility == ["ineligible", "ineligible", "eligible"])
    let events = try ours.ask("/v1/node/\(ids[1])?stale", on: region.stage)?["Events"].elements
    #expect(events?.compactMap { $0["Message"].text }.suffix(2) == ["Node drain strategy set", "Node drain complete"])
  }

  /// Registrations of each region arrive at a server of the other.
  @Test func twoRegionsForwardToEachOther() throws {
    let region = try MixedRegion()
    let west = try region.add(.original, expect: 1, options: ["-region", "west"])
    let ours = try region.add(.nomadd, expect: 1)
    for server in region.servers { try region.start(server) }
    try region.wait("both lead their own and know both") {
      let theirs = try west.ask("/state", on: region.stage)
      let known = [theirs?["Regions"], try ours.ask("/v1/regions", on: region.stage)]
      guard known.allSatisfy({ $0?.elements.compactMap(\.text) == ["global", "west"] }) else { return false }
      return try theirs?["IsReady"].flag == true && ours.leader(on: region.stage) == ours.rpcAddress
    }
    try region.register(20, at: [west])
    _ = try west.ask("/register?at=\(ours.rpcAddress)&prefix=west&count=30", "POST", on: region.stage)
    try region.wait("each has the clients of its region") {
      try ours.nodes(on: region.stage).count == 20 && west.nodes(on: region.stage).count == 30
    }
    // The original's own answer, asked for through ours.
    #expect(try ours.ask("/v1/status/leader?region=west", on: region.stage)?.text == west.rpcAddress)
    #expect(try ours.ask("/v1/nodes?region=west", on: region.stage)?.elements.count == 30)
  }
}
