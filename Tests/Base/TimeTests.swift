import Base
import Testing

@Suite struct TimeTests {
  @Test func `instants and intervals saturate instead of trapping`() {
    let far = Instant.distantFuture
    #expect(far + .seconds(1) == far)
    #expect(Instant(nanoseconds: .min) - .seconds(1) == Instant(nanoseconds: .min))
    #expect(Instant(nanoseconds: .min) + Interval(nanoseconds: .min) == Instant(nanoseconds: .min))
    #expect(Instant.start - Interval(nanoseconds: .min) == far)
    #expect(far - Instant(nanoseconds: .min) == Interval(nanoseconds: .max))
    #expect(Instant(nanoseconds: .min) - far == Interval(nanoseconds: .min))
    #expect(Interval.hours(.max) == Interval(nanoseconds: .max))
    #expect(Interval.seconds(.min) == Interval(nanoseconds: .min))
    #expect(Interval(nanoseconds: .max) + .seconds(1) == Interval(nanoseconds: .max))
    #expect(Interval(nanoseconds: .min) - .seconds(1) == Interval(nanoseconds: .min))
    #expect(Interval(nanoseconds: .min) * -1 == Interval(nanoseconds: .max))
    #expect(Interval(nanoseconds: .min) / -1 == Interval(nanoseconds: .max))
  }

  @Test func `arithmetic within the range is exact`() {
    #expect(Instant.start + .milliseconds(1500) - .seconds(1) == Instant(nanoseconds: 500_000_000))
    #expect(Interval.minutes(2) == .seconds(120))
    #expect(Interval.seconds(10) / 4 == .milliseconds(2500))
    #expect(Interval.seconds(10) * 3 == .seconds(30))
    #expect(Interval.seconds(10) * 0.25 == .milliseconds(2500))
    #expect(Interval.microseconds(5).nanoseconds == 5000)
    #expect(Interval.milliseconds(1500).seconds == 1.5)
    #expect(Interval.microseconds(1500).milliseconds == 1.5)
  }

  @Test func `fractions that are no time are harmless`() {
    #expect(Interval.seconds(fraction: .nan) == .zero)
    #expect(Interval.seconds(fraction: .infinity) == Interval(nanoseconds: .max))
    #expect(Interval.seconds(fraction: -.infinity) == Interval(nanoseconds: .min))
    #expect(Interval.seconds(fraction: 1e300) == Interval(nanoseconds: .max))
    #expect(Interval.seconds(fraction: 0.5) == .milliseconds(500))
  }

  @Test func `the earlier deadline wins and none counts last`() {
    #expect(earliest(nil, nil) == nil)
    #expect(earliest(nil, .start) == .start)
    #expect(earliest(.start, nil) == .start)
    #expect(earliest(.start, .start + .seconds(1)) == .start)
    #expect(earliest(.start + .seconds(1), .start) == .start)
  }

  @Test func `civil seconds round down, before 1970 too`() {
    #expect(WallTime(unixNanoseconds: 1_500_000_000).unixSeconds == 1)
    #expect(WallTime(unixNanoseconds: -1).unixSeconds == -1)
    #expect(WallTime(unixNanoseconds: -1).nanosecondOfSecond == 999_999_999)
    #expect(WallTime(unixNanoseconds: -1_000_000_000).unixSeconds == -1)
    #expect(WallTime(unixNanoseconds: .min).unixSeconds == -9_223_372_037)
  }
}
