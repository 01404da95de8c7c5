import Base
import Testing

@testable import Server

/// When a server may propose the first configuration, and what it says otherwise.
@Suite struct BootstrapStandingTests {
  private func peer(
    _ number: Int, expect: Int = 3, isAlive: Bool = true, alone: Bool = false, speaks: Bool = true
  ) -> BootstrapView.Peer {
    BootstrapView.Peer(
      server: BootstrapServer(id: "id\(number)", address: "127.0.0.\(number):4647"), name: "s\(number)", expect: expect,
      isAlive: isAlive, bootstrapsAlone: alone, speaksBootstrap: speaks)
  }

  private func standing(
    _ peers: [BootstrapView.Peer], expect: Int = 3, unreached: Int = 0, isVoter: Bool = true
  ) -> BootstrapMachine.Standing {
    let own = BootstrapServer(id: "id1", address: "127.0.0.1:4647")
    let view = BootstrapView(peers: peers, unreachedJoinAddresses: unreached, isPristine: true)
    return BootstrapMachine(
      configuration: .init(own: own, name: "s1", expect: expect, isVoter: isVoter), restoring: BootstrapRecord(),
      view: view, at: .start
    ).standing
  }

  @Test func waitsUntilAsManyAsExpectedAreAlive() {
    #expect(standing([peer(2)]) == .tooFew(have: 2, need: 3))
    #expect(standing([peer(2), peer(3, isAlive: false)]) == .tooFew(have: 2, need: 3))
    #expect(standing([peer(2), peer(3)]) == .ready)
  }

  @Test func aDeadServerDoesNotCountAndDoesNotHoldUp() {
    #expect(standing([peer(2), peer(3), peer(4, isAlive: false)]) == .ready)
  }

  @Test func anotherExpectationStopsIt() {
    #expect(standing([peer(2), peer(3), peer(4, expect: 5)]) == .conflicting(names: ["s4"]))
    #expect(standing([peer(2), peer(3, alone: true)]) == .conflicting(names: ["s3"]))
  }

  @Test func asManyOutOfReachAsAnotherQuorumNeedsStopIt() {
    let dead = (4...6).map { peer($0, isAlive: false) }
    #expect(
      standing([peer(2), peer(3)] + dead) == .tooManyOutside(names: ["s4", "s5", "s6"], joinAddresses: 0))
    #expect(standing([peer(2), peer(3)], unreached: 3) == .tooManyOutside(names: [], joinAddresses: 3))
    #expect(standing([peer(2), peer(3)], unreached: 2) == .ready)
  }

  /// The original writes the first configuration by itself, under its own rules; a proposal of ours could meet it.
  @Test func leavesItToAServerOfTheOriginal() {
    #expect(standing([peer(2), peer(3, speaks: false)]) == .leftToPeer(name: "s3"))
    #expect(standing([peer(2, speaks: false)]) == .tooFew(have: 2, need: 3))
  }

  @Test func withoutAnExpectationOrAVoteItWaitsForALeader() {
    #expect(standing([peer(2), peer(3)], expect: 0) == .waitsForLeader)
    #expect(standing([peer(2), peer(3)], isVoter: false) == .waitsForLeader)
  }

  @Test func aloneItWritesItsOwnConfigurationAtOnce() {
    let own = BootstrapServer(id: "id1", address: "127.0.0.1:4647")
    let machine = BootstrapMachine(
      configuration: .init(own: own, name: "s1", expect: 1), restoring: BootstrapRecord(),
      view: BootstrapView(peers: [], unreachedJoinAddresses: 0, isPristine: true), at: .start)
    #expect(machine.directives == [.bootstrap([own], campaign: true)])
    #expect(machine.isFinished)
  }
}
