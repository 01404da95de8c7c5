import Base
import Testing

@testable import Telemetry

@Suite struct MetricsTests {
  @Test func aNameIsRegisteredOnce() {
    var metrics = Metrics()
    let first = metrics.counter("nomad.raft.apply")
    let again = metrics.counter("nomad.raft.apply")
    let other = metrics.counter("nomad.raft.apply", [Metrics.Label("type", "x")])
    #expect(first == again && first != other)
    metrics.add(to: first)
    metrics.add(2, to: again)
    metrics.add(-5, to: again)
    #expect(metrics.entries.map(\.value) == [.counter(3), .counter(0)])
  }

  @Test func aSampleKnowsItsMeanAndDeviation() {
    var summary = Summary()
    for value in [2.0, 4, 4, 4, 5, 5, 7, 9, .nan, .infinity] { summary.add(value) }
    #expect(summary.count == 8 && summary.sum == 40 && summary.mean == 5)
    #expect(summary.minimum == 2 && summary.maximum == 9)
    #expect((summary.standardDeviation - (32.0 / 7).squareRoot()).magnitude < 1e-12)
    #expect(Summary().standardDeviation == 0)
  }

  @Test func thePrometheusTextIsSortedAndEscaped() {
    var metrics = Metrics()
    let gauge = metrics.gauge("nomad.serf.members", [Metrics.Label("status", "al\"ive\n")])
    let timer = metrics.sample("nomad.raft.commit-time")
    let counter = metrics.counter("nomad.gossip.sent")
    metrics.set(gauge, to: 2.5)
    metrics.record(.milliseconds(3), in: timer)
    metrics.record(.microseconds(500), in: timer)
    metrics.add(1000, to: counter)
    #expect(
      metrics.prometheusText() == """
        # TYPE nomad_gossip_sent counter
        nomad_gossip_sent 1000
        # TYPE nomad_raft_commit_time summary
        nomad_raft_commit_time_sum 3.5
        nomad_raft_commit_time_count 2
        # TYPE nomad_serf_members gauge
        nomad_serf_members{status="al\\"ive\\n"} 2.5

        """)
  }

  @Test func theNumberOfMetricsIsBounded() {
    var metrics = Metrics()
    for number in 0..<Metrics.maximumEntries + 10 { _ = metrics.gauge("m\(number)") }
    #expect(metrics.entries.count == Metrics.maximumEntries)
  }
}
