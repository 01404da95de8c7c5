import Base
import Testing

@testable import nomad_bench

@Suite struct LatencyHistogramTests {
  @Test func quantilesOfNothingAreZero() {
    #expect(LatencyHistogram().quantile(0.99) == .zero)
    #expect(LatencyHistogram().maximum == .zero)
  }

  @Test func smallValuesAreExact() {
    var histogram = LatencyHistogram()
    for value in 0..<100 { histogram.add(Interval(nanoseconds: Int64(value))) }
    #expect(histogram.quantile(0.5) == Interval(nanoseconds: 49))
    #expect(histogram.quantile(1) == Interval(nanoseconds: 99))
    #expect(histogram.count == 100)
  }

  @Test func quantilesAreAtMostTwoPercentTooLarge() {
    var histogram = LatencyHistogram()
    for value in 1...100_000 { histogram.add(.microseconds(Int64(value))) }
    for share in [0.001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999] {
      let exact = share * 100_000
      let reported = histogram.quantile(share).milliseconds * 1000
      #expect(reported >= exact && reported <= exact * 1.02, "\(share): \(reported)")
    }
    #expect(histogram.quantile(1) == .milliseconds(100))
  }

  @Test func takesTheLargestAndNegativeValues() {
    var histogram = LatencyHistogram()
    histogram.add(Interval(nanoseconds: .max))
    histogram.add(Interval(nanoseconds: -5))
    #expect(histogram.quantile(0.5) == .zero)
    #expect(histogram.quantile(1) == Interval(nanoseconds: .max))
  }
}
