import Base
import Testing

@testable import Server

/// One voter a zone.
@Suite struct RedundancyZoneTests {
  private typealias Server = RedundancyZones.Server

  private func standby(_ id: String, _ zone: String) -> Server {
    Server(id: id, zone: zone, isVoter: false, isReady: true)
  }

  @Test func whoStandsByIsNotPromotedWhileItsZoneHasAVoter() {
    let zones = RedundancyZones(servers: [
      Server(id: "a", zone: "1", isVoter: true, isLeader: true), standby("b", "1"),
      Server(id: "c", zone: "2", isVoter: true),
    ])
    #expect(zones.step == nil)
    #expect(zones.size == 2)
  }

  @Test func aLostVoterIsReplacedFromItsOwnZoneOnly() {
    let lost = Server(id: "a", zone: "1", isVoter: true, isLost: true, isHealthy: false)
    let others = [Server(id: "c", zone: "2", isVoter: true, isLeader: true), standby("d", "2")]
    #expect(RedundancyZones(servers: [lost] + others).step == nil)
    #expect(RedundancyZones(servers: [lost, standby("b", "1")] + others).step == .promote(id: "b"))
  }

  @Test func aZoneWithoutAnyVoterGetsOneWhenItIsReady() {
    let leader = Server(id: "a", zone: "1", isVoter: true, isLeader: true)
    #expect(RedundancyZones(servers: [leader, Server(id: "b", zone: "2", isVoter: false)]).step == nil)
    #expect(RedundancyZones(servers: [leader, standby("b", "2")]).step == .promote(id: "b"))
  }

  @Test func ofTwoVotersTheLeaderStaysAndThenTheOneThatIsWellForLonger() {
    let leader = Server(id: "z", zone: "1", isVoter: true, isLeader: true)
    let second = Server(id: "a", zone: "1", isVoter: true)
    #expect(RedundancyZones(servers: [second, leader]).step == .demote(id: "a"))
    let old = Server(id: "y", zone: "2", isVoter: true, stableSince: .start + .seconds(1))
    let new = Server(id: "b", zone: "2", isVoter: true, stableSince: .start + .seconds(9))
    #expect(RedundancyZones(servers: [leader, new, old]).step == .demote(id: "b"))
  }

  @Test func nobodyLosesAVoteWhileAnyVoterIsUnwell() {
    let leader = Server(id: "z", zone: "1", isVoter: true, isLeader: true)
    let second = Server(id: "a", zone: "1", isVoter: true)
    let unwell = Server(id: "c", zone: "2", isVoter: true, isHealthy: false)
    #expect(RedundancyZones(servers: [leader, second, unwell]).step == nil)
  }

  @Test func serversWithoutAZoneAreLeftAlone() {
    let servers = [
      Server(id: "a", zone: "", isVoter: true, isLeader: true), Server(id: "b", zone: "", isVoter: true),
      standby("c", ""),
    ]
    #expect(RedundancyZones(servers: servers).step == nil)
    #expect(RedundancyZones(servers: servers).size == 2)
  }
}
