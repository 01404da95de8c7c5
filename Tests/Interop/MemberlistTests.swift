import Base
import Harness
import Membership
import Testing
import Wire

/// Pools of HashiCorp's memberlist library (Debian's package) and our machines, on real sockets.
@Suite(
  .serialized,
  .enabled(if: MemberPool.isInstalled, "needs Debian's packages golang-go and golang-github-hashicorp-memberlist-dev"),
  .timeLimit(.minutes(4)))
struct MemberlistTests {
  let stage = Stage()
  let directory: TemporaryDirectory
  let program: String

  init() throws {
    directory = try TemporaryDirectory(prefix: "interop-memberlist")
    program = try MemberPool.build(in: directory, on: stage)
  }

  private func machine(_ name: String) throws -> MachineMember {
    let machine = try MachineMember(name, tags: ["kind": "machine"])
    stage.enter(machine)
    try machine.start()
    return machine
  }

  /// Every running member, ours and Go's, believes the same: `names`, each at its address.
  private func agree(
    _ pool: MemberPool, _ machines: [MachineMember], goRunning: Int, on names: Set<String>, _ what: String
  ) throws {
    var report = ""
    try stage.wait(what, within: .seconds(90), state: { report }) {
      let views = try pool.views(on: stage)
      let ours = machines.map(\.living)
      report = "Go: \(views.map { "\($0.holders) see \($0.lines.count)" }), ours: \(ours.map(\.count))"
      guard views.count == 1, let view = views.first, view.holders == goRunning else { return false }
      return Set(view.lines.compactMap { $0.split(separator: " ").first.map(String.init) }) == names
        && ours.allSatisfy { $0 == view.lines }
    }
  }

  /// Packets that are no messages. Left out is what this version of the library does not survive: compounds, checksums
  /// and compression around nothing, which end it, and containers of 16 and 32 bit length, at which its decoder can
  /// spin for ever on a processor.
  private func noise(_ seed: UInt64) -> [[UInt8]] {
    var random = RandomSource(seed: seed)
    let kinds: [UInt8] = [0, 1, 2, 3, 5, 6, 8, 10, 11, 13, 99, 244, 255]
    return (0..<300).map { _ in
      [kinds[random.below(kinds.count)]] + (0..<random.below(200)).map { _ in UInt8(random.below(0xDC)) }
    }
  }

  @Test func fiftyMembersAgreeAfterChurnAndNoise() throws {
    let pool = try MemberPool(47, program: program, in: directory, on: stage)
    let machines = [try machine("machine1"), try machine("machine2"), try machine("machine3")]
    for (number, machine) in machines.enumerated() {
      #expect(try machine.join(pool.address(number * 9), on: stage).allSatisfy(\.isSuccess))
    }
    var names = Set((0..<47).map { "go\($0)" } + machines.map(\.name))
    try agree(pool, machines, goRunning: 47, on: names, "fifty members have met")

    // A tenth goes, in order and not; both kinds hear rubbish meanwhile.
    try pool.kill(40..<43, on: stage)
    try pool.leave(43..<46, on: stage)
    machines[2].crash()
    for seed in 0..<4 {
      try pool.makeNoise(at: machines[seed % 2].address, seed: seed, count: 2000, on: stage)
      machines[seed % 2].send(noise(UInt64(seed)), to: pool.address(seed))
      try stage.run(for: .milliseconds(200))
    }
    names.subtract((40..<46).map { "go\($0)" } + ["machine3"])
    try agree(pool, Array(machines.prefix(2)), goRunning: 41, on: names, "seven are gone")

    // New ones come through us, and old ones come back: a killed Go member, and ours.
    try pool.start(47..<50, joining: machines[0].address, on: stage)
    try pool.start(40..<41, joining: machines[1].address, on: stage)
    try machines[2].start()
    _ = try machines[2].join(pool.address(5), on: stage)
    try machines[0].setTags(["kind": "machine", "round": "2"])
    names.formUnion(["go47", "go48", "go49", "go40", "machine3"])
    try agree(pool, machines, goRunning: 45, on: names, "five have come")

    try machines[1].leave(on: stage)
    names.remove("machine2")
    try agree(pool, [machines[0], machines[2]], goRunning: 45, on: names, "ours has left")
  }

  @Test func statesOfThousandsOfMembersPassBothWays() throws {
    let count = 5000
    let pool = try MemberPool(1, program: program, in: directory, on: stage)
    let first = try machine("machine1")
    let second = try machine("machine2")
    first.learn(count)
    #expect(try pool.join(0, first.address, on: stage) == count + 2)
    #expect(try second.join(pool.address(0), on: stage).allSatisfy(\.isSuccess))
    #expect(second.living.count == count + 3)
    // And from ours to ours.
    #expect(try second.join(first.address, on: stage).allSatisfy(\.isSuccess))
    try stage.wait("ours agree") { first.living.count == count + 3 && first.living == second.living }
  }
}
