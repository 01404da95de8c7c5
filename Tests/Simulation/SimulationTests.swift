import Simulator
import Testing

/// Whole agents on a virtual network with virtual disks; each seed draws a configuration, the faults and the schedule.
@Suite(.serialized, SummaryTrait()) struct SimulationTests {
  @Test func bootstrapAgreesOnOneFirstConfiguration() {
    Seeds.play(BootstrapScenario.self, runs: 12, test: "bootstrapAgreesOnOneFirstConfiguration")
  }

  @Test func aLeaderIsKnownWithinASecondOfTheLastStart() {
    Seeds.play(FormationScenario.self, runs: 10, test: "aLeaderIsKnownWithinASecondOfTheLastStart")
  }

  @Test func clientsFollowTheServers() {
    Seeds.play(ClientScenario.self, runs: 3, test: "clientsFollowTheServers")
  }

  @Test func regionsJoinedByOneCommandAnswerForEachOther() {
    Seeds.play(RegionScenario.self, runs: 5, test: "regionsJoinedByOneCommandAnswerForEachOther")
  }

  @Test func aClusterWithClientsOutlivesChaos() {
    Seeds.play(ChaosScenario.self, runs: 6, test: "aClusterWithClientsOutlivesChaos")
  }

  @Test func oneSeedGivesTheSameRunAgain() {
    let runs = (0..<2).map { _ in ScenarioResult.run(ChaosScenario.self, seed: 4711) }
    #expect(runs[0].statistics.events == runs[1].statistics.events)
    #expect(runs[0].statistics.faults == runs[1].statistics.faults)
    #expect(runs[0].standing == runs[1].standing)
  }
}
