import Base
import Gossip
import Testing

@Suite struct GossipTimingTests {
  @Test(arguments: [
    [1, 4, 30_000, 60], [9, 4, 30_000, 60], [10, 8, 30_000, 60], [11, 8, 31_230, 60], [32, 8, 45_150, 60],
    [99, 8, 59_850, 180], [100, 12, 60_000, 180], [999, 12, 89_970, 360], [1000, 16, 90_000, 360],
  ])
  func followsTheTable(row: [Int]) {
    let n = row[0]
    #expect(GossipTiming.retransmitLimit(multiplier: 4, nodes: n) == row[1])
    #expect(
      GossipTiming.suspicionMinimum(multiplier: 6, nodes: n, probeInterval: .seconds(5))
        == .milliseconds(Int64(row[2])))
    #expect(
      GossipTiming.pushPullInterval(base: .seconds(60), threshold: 32, nodes: n) == .seconds(Int64(row[3])))
  }

  @Test func scalesPushPullAtPowersOfTwo() {
    let expected = [(32, 60), (33, 120), (64, 120), (65, 180), (129, 240)]
    for (n, seconds) in expected {
      #expect(
        GossipTiming.pushPullInterval(base: .seconds(60), threshold: 32, nodes: n) == .seconds(Int64(seconds)))
    }
  }

  @Test func confirmationsShortenSuspicion() {
    let times = (0...4).map {
      GossipTiming.suspicionTimeout(
        minimum: .seconds(30), maximum: .seconds(180), confirmations: $0, wanted: 4
      ).milliseconds
    }
    #expect(times == [180_000, 115_398, 77_609, 50_797, 30_000])
  }
}
