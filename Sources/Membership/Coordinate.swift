import Base
import Wire

// The geometry of the coordinate space (gossip.md 6.9).
extension NetworkCoordinate {
  /// Estimated round trip time in seconds.
  public func distance(to other: NetworkCoordinate) -> Double {
    let raw = rawDistance(to: other)
    let adjusted = raw + adjustment + other.adjustment
    // Whole nanoseconds: what peers calculate with.
    return ((adjusted > 0 ? adjusted : raw) * 1e9).rounded(.towardZero) / 1e9
  }

  func rawDistance(to other: NetworkCoordinate) -> Double {
    Self.magnitude(Self.difference(vector, other.vector)) + height + other.height
  }

  /// Moves away from `other` by `force`, or towards it when negative.
  mutating func apply(_ force: Double, from other: NetworkCoordinate, random: inout RandomSource) {
    var direction = Self.difference(vector, other.vector)
    let magnitude = Self.magnitude(direction)
    if magnitude > Self.zero {
      for index in direction.indices { direction[index] /= magnitude }
    } else {
      // Two at one place must get apart; any direction will do.
      for index in direction.indices { direction[index] = random.fraction() - 0.5 }
      let length = Self.magnitude(direction)
      for index in direction.indices { direction[index] = length > Self.zero ? direction[index] / length : 0 }
      if length <= Self.zero { direction[0] = 1 }
    }
    for index in vector.indices { vector[index] += force * direction[index] }
    if magnitude > Self.zero {
      height = max(Self.minimumHeight, height + (height + other.height) * force / magnitude)
    }
  }

  static let zero = 1e-6

  private static func difference(_ a: [Double], _ b: [Double]) -> [Double] { zip(a, b).map { $0 - $1 } }
  private static func magnitude(_ vector: [Double]) -> Double {
    vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
  }
}

/// Learns our own coordinate from round trips: Vivaldi with Serf's additions (gossip.md 6.9).
struct CoordinateTracker: Sendable {
  private(set) var own = NetworkCoordinate()
  /// The last errors of the estimate; a ring.
  private var errors = [Double](repeating: 0, count: errorWindow)
  private var errorPosition = 0

  static let errorWindow = 20
  static let errorShare = 0.25
  static let forceShare = 0.25
  static let gravityRadius = 150.0
  static let longestRoundTrip = Interval.seconds(10)
  static let latencySamples = 3

  /// The median of the last samples of one peer, so that one slow ack does not move us.
  static func filtered(_ samples: [Double]) -> Double {
    let sorted = samples.sorted()
    return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
  }

  /// `roundTrip` in seconds, filtered.
  mutating func observe(_ other: NetworkCoordinate, roundTrip: Double, random: inout RandomSource) {
    let rtt = max(roundTrip, NetworkCoordinate.zero)
    let wrongness = abs(own.distance(to: other) - rtt) / rtt
    let total = max(own.error + other.error, NetworkCoordinate.zero)
    let weight = own.error / total
    let force = Self.forceShare * weight * (rtt - own.distance(to: other))
    own.error = min(
      NetworkCoordinate.initialError,
      Self.errorShare * weight * wrongness + own.error * (1 - Self.errorShare * weight))
    own.apply(force, from: other, random: &random)

    errors[errorPosition] = roundTrip - own.rawDistance(to: other)
    errorPosition = (errorPosition + 1) % Self.errorWindow
    own.adjustment = errors.reduce(0, +) / Double(2 * Self.errorWindow)

    // A weak pull to the origin keeps the pool from drifting as a whole.
    let origin = NetworkCoordinate()
    let ratio = origin.distance(to: own) / Self.gravityRadius
    own.apply(-ratio * ratio, from: origin, random: &random)
    if !own.isFinite { self = CoordinateTracker() }
  }
}
