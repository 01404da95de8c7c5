import Base
import Gossip
@testable import Membership
import Testing
import Wire

@Suite struct CoordinateTests {
  static let other: NetworkCoordinate = {
    var other = NetworkCoordinate()
    other.vector = [0.001, -0.002, 0, 0, 0, 0, 0, 0]
    other.error = 0.5
    return other
  }()

  /// Values computed by Serf itself (gossip.md 6.9).
  @Test func followsSerfsOwnNumbers() {
    let expected: [(rtt: Double, first: Double, second: Double, error: Double, adjustment: Double, height: Double)] = [
      (0.010, -6.493484689592e-04, 1.298696937918e-03, 1.363948743750, 1.569739403637e-04, 2.298696772873e-05),
      (0.012, -1.313827190604e-03, 2.627654381209e-03, 1.238248932718, 3.264701423804e-04, 3.627653818063e-05),
      (0.003, -1.668510067857e-03, 3.337020135714e-03, 1.097040556069, 4.259616198778e-04, 4.337019063920e-05),
    ]
    var tracker = CoordinateTracker()
    var random = RandomSource(seed: 1)
    var samples: [Double] = []
    for row in expected {
      samples.append(row.rtt)
      tracker.observe(Self.other, roundTrip: CoordinateTracker.filtered(samples), random: &random)
      func isNear(_ a: Double, _ b: Double) -> Bool { abs(a - b) <= abs(b) * 1e-11 }
      #expect(isNear(tracker.own.vector[0], row.first), "\(tracker.own.vector[0])")
      #expect(isNear(tracker.own.vector[1], row.second), "\(tracker.own.vector[1])")
      #expect(isNear(tracker.own.error, row.error), "\(tracker.own.error)")
      #expect(isNear(tracker.own.adjustment, row.adjustment), "\(tracker.own.adjustment)")
      #expect(isNear(tracker.own.height, row.height), "\(tracker.own.height)")
    }
  }

  @Test func writesWhatItReads() throws {
    #expect(NetworkCoordinate().payload.count == 130)
    #expect(try NetworkCoordinate(payload: Self.other.payload.bytes) == Self.other)
  }

  @Test(arguments: [Double.nan, .infinity, -.infinity]) func refusesWhatIsNotFinite(value: Double) {
    for change in 0..<4 {
      var bad = Self.other
      switch change {
      case 0: bad.vector[3] = value
      case 1: bad.error = value
      case 2: bad.height = value
      default: bad.adjustment = value
      }
      let payload = bad.payload
      #expect(throws: WireError.self) { try NetworkCoordinate(payload: payload.bytes) }
    }
  }

  @Test func refusesAnotherNumberOfDimensions() {
    var short = Self.other
    short.vector.removeLast()
    let payload = short.payload
    #expect(throws: WireError.self) { try NetworkCoordinate(payload: payload.bytes) }
    for bad: [UInt8] in [[2], []] {
      #expect(throws: WireError.self) { try NetworkCoordinate(payload: bad.bytes) }
    }
  }

  @Test func membersLearnHowFarTheyAreApart() throws {
    var network = TestNetwork(seed: 5)
    network.latency = .milliseconds(4)
    for name in ["a", "b", "c"] { network.start(name, lan: true) }
    network.join(1, [0])
    network.join(2, [0])
    network.run(.minutes(3))
    // One way takes 4 to 8 ms.
    for name in ["a", "b"] {
      let estimate = try #require(network.nodes[2].machine.estimatedRoundTrip(to: name))
      #expect(estimate > 0.006 && estimate < 0.020, "\(estimate)")
    }
    #expect(network.nodes[2].machine.coordinate.error < NetworkCoordinate.initialError)
    #expect(network.nodes[2].machine.gossip.statistics.roundTrips > 50)
  }
}
