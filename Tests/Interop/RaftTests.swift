import Base
import Harness
import Raft
import Testing
import Wire

/// Quorums of HashiCorp's Raft library (Debian's package) and our nodes, on real sockets, with Nomad's timing.
@Suite(
  .serialized,
  .enabled(if: GoPeer.isInstalled, "needs Debian's packages golang-go and golang-github-hashicorp-raft-dev"),
  .timeLimit(.minutes(3)))
struct RaftTests {
  struct Mixture: CustomTestStringConvertible {
    var go: Int
    var ours: Int
    var protocolVersion: Int64
    var testDescription: String { "\(go) Go and \(ours) nomadd, protocol \(protocolVersion)" }
  }

  static let mixtures = [
    Mixture(go: 2, ours: 1, protocolVersion: 3), Mixture(go: 1, ours: 2, protocolVersion: 3),
    Mixture(go: 3, ours: 2, protocolVersion: 3), Mixture(go: 2, ours: 3, protocolVersion: 3),
  ]

  @Test(arguments: mixtures) func aMixedQuorumSurvivesItsLeaders(mixture: Mixture) throws {
    let quorum = try MixedQuorum(
      go: mixture.go, ours: mixture.ours, protocolVersion: mixture.protocolVersion)
    try quorum.bootstrap()
    let (go, machine) = (quorum.go[0], quorum.machines[0])

    // Both ways: each kind leads, replicates, and hands over.
    try quorum.lead(go)
    try quorum.apply("under-go", count: 40)
    try quorum.lead(machine)
    try quorum.apply("under-nomadd", count: 40)

    // Our leader dies, and comes back with its log.
    machine.crash()
    try quorum.awaitLeader()
    try quorum.apply("without-nomadd", count: 20)
    try machine.start(bootstrapping: [])
    try quorum.awaitAgreement()

    // Go's leader dies, and comes back with nothing.
    try quorum.lead(go)
    try quorum.apply("under-go-again", count: 20)
    go.crash()
    try quorum.awaitLeader()
    try quorum.apply("without-go", count: 20)
    try go.start(bootstrapping: [])
    try quorum.awaitAgreement()

    try quorum.lead(machine)
    try quorum.lead(go)
    try quorum.apply("last", count: 20)
    #expect(machine.problems.isEmpty)
  }

  /// Under protocol 2 the Go library cannot hand leadership over, though it takes it. So leaders die until each kind
  /// has led; we hand over, because with two of ours one of them would win every election.
  @Test(arguments: [
    Mixture(go: 2, ours: 1, protocolVersion: 2), Mixture(go: 1, ours: 2, protocolVersion: 2),
  ]) func protocolTwoWorksToo(mixture: Mixture) throws {
    let quorum = try MixedQuorum(
      go: mixture.go, ours: mixture.ours, protocolVersion: mixture.protocolVersion)
    try quorum.bootstrap()
    var hasGoLed = false
    var haveWeLed = false
    for round in 0..<40 where !hasGoLed || !haveWeLed {
      if haveWeLed, quorum.machines.contains(where: \.isLeader) { try quorum.lead(quorum.go[0]) }
      let leader = try quorum.awaitLeader()
      if leader is GoPeer { hasGoLed = true } else { haveWeLed = true }
      try quorum.apply("with-\(round)", count: 20)
      leader.crash()
      try quorum.awaitLeader()
      try quorum.apply("without-\(round)", count: 20)
      try leader.start(bootstrapping: [])
      try quorum.awaitAgreement()
    }
    #expect(hasGoLed && haveWeLed)
  }

  /// Those that have the whole log are the majority; one comes back empty and behind the start of the log.
  @Test(arguments: [
    Mixture(go: 1, ours: 2, protocolVersion: 3), Mixture(go: 3, ours: 2, protocolVersion: 3),
    Mixture(go: 2, ours: 3, protocolVersion: 3),
  ]) func snapshotsTravelBothWays(mixture: Mixture) throws {
    var limits = RaftLimits()
    limits.trailingEntries = 4
    limits.snapshotThreshold = 32
    let quorum = try MixedQuorum(
      go: mixture.go, ours: mixture.ours, protocolVersion: mixture.protocolVersion, limits: limits, trailing: 1)
    try quorum.bootstrap()
    let (go, machine) = (quorum.go[0], quorum.machines[1])

    try quorum.lead(go)
    try quorum.apply("first", count: 100)
    try go.takeSnapshot(on: quorum.stage)
    machine.crash()
    machine.loseDisk()
    try quorum.apply("second", count: 10)
    try machine.start(bootstrapping: [])
    try quorum.awaitAgreement()
    #expect(machine.disk.installed == 1)

    try quorum.lead(quorum.machines[0])
    try quorum.apply("third", count: 100)
    go.crash()
    try quorum.apply("fourth", count: 100)
    #expect(quorum.machines[0].disk.entries.first?.index ?? 0 > 100)
    try go.start(bootstrapping: [])
    try quorum.awaitAgreement()

    // Entries follow the snapshot, and the newcomer is fit to lead.
    try quorum.apply("fifth", count: 10)
    try quorum.lead(go)
    try quorum.apply("sixth", count: 10)
  }
}

/// A cluster, and what must be true of it.
final class MixedQuorum {
  let stage = Stage()
  let go: [GoPeer]
  let machines: [MachinePeer]
  private let directory: TemporaryDirectory
  private let peers: [any RaftPeer]
  /// Commands that were applied everywhere that ran.
  private var expected: [String] = []

  init(
    go goCount: Int, ours: Int, protocolVersion: Int64, limits: RaftLimits = RaftLimits(), trailing: Int = 10_240
  ) throws {
    directory = try TemporaryDirectory(prefix: "interop-raft")
    let program = try GoPeer.build(in: directory, on: stage)
    var random = RandomSource(seed: UInt64(goCount))
    var go: [GoPeer] = []
    var machines: [MachinePeer] = []
    for _ in 0..<goCount {
      let id = protocolVersion < 3 ? nil : random.uuid()
      go.append(
        try GoPeer(id, program: program, protocolVersion: protocolVersion, trailing: trailing, in: directory))
    }
    for _ in 0..<ours {
      let id = protocolVersion < 3 ? nil : random.uuid()
      machines.append(try MachinePeer(id, protocolVersion: protocolVersion, limits: limits))
    }
    self.go = go
    self.machines = machines
    peers = go + machines
    for peer in go { stage.enter(peer) }
    for peer in machines { stage.enter(peer) }
  }

  private var running: [any RaftPeer] { peers.filter(\.isRunning) }
  private var account: String { peers.map(\.account).joined(separator: "\n") }

  /// Everybody writes the same first configuration.
  func bootstrap() throws {
    let servers = peers.map { RaftServer(id: $0.id, address: "\($0.address)") }
    for peer in peers { try peer.start(bootstrapping: servers) }
    try awaitLeader()
  }

  /// One leads, and all that run follow it.
  @discardableResult func awaitLeader() throws -> any RaftPeer {
    var found: (any RaftPeer)?
    try stage.wait("one leader", state: { account }) {
      let leaders = running.filter(\.isLeader)
      guard leaders.count == 1, let leader = leaders.first,
        running.allSatisfy({ $0.leader == "\(leader.address)" })
      else { return false }
      found = leader
      return true
    }
    guard let found else { throw HarnessError.timedOut("one leader") }
    return found
  }

  /// Transfers leadership to `peer`, unless it leads.
  func lead(_ peer: any RaftPeer) throws {
    let leader = try awaitLeader()
    guard leader !== peer else { return }
    try leader.transfer(to: peer, on: stage)
    try stage.wait("\(peer.id) leads by transfer", within: .seconds(10), state: { account }) {
      running.allSatisfy { $0.leader == "\(peer.address)" } && peer.isLeader
    }
  }

  /// Proposes at the leader, and waits until all that run have applied.
  func apply(_ prefix: String, count: Int) throws {
    try awaitLeader().apply(prefix, count: count, on: stage)
    expected += (0..<count).map { "\(prefix)-\($0)" }
    try awaitAgreement()
  }

  func awaitAgreement() throws {
    try stage.wait("\(expected.count) commands everywhere", state: { account }) {
      running.allSatisfy { $0.appliedCount == expected.count }
    }
    for peer in running { #expect(try peer.applied(on: stage) == expected, "\(peer.account)") }
  }
}
