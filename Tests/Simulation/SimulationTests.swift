import Simulator
import Testing

@Suite(.serialized, SummaryTrait()) struct SimulationTests {
  @Test func bootstrapAgreesOnOneFirstConfiguration() {
    Seeds.play(BootstrapScenario.self, runs: 12, test: "bootstrapAgreesOnOneFirstConfiguration")
  }
}
