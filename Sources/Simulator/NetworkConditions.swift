import Base

/// How the virtual network behaves while nothing is cut.
public struct NetworkConditions: Hashable, Sendable {
  /// One way.
  public var latencyMin = Interval.microseconds(50)
  public var latencyMax = Interval.milliseconds(1)
  /// Chance that a datagram is lost. A lost part of a stream arrives later, and everything behind it with it.
  public var loss = 0.0
  /// A firewall lets nothing but streams through.
  public var dropsDatagrams = false
  /// Chance that a datagram arrives twice.
  public var duplication = 0.0
  /// Chance per send that something between the peers resets the stream.
  public var resets = 0.0
  /// Chance that bytes of a stream arrive in other pieces than they were sent in.
  public var splitting = 0.15

  public init() {}

  /// No loss, no resets; latency as in one data centre.
  public static let calm = NetworkConditions()

  /// Everything drawn: from a quiet data centre to a lossy connection between continents.
  public static func drawn(from random: inout RandomSource) -> NetworkConditions {
    var result = NetworkConditions()
    switch random.below(4) {
    case 0: break
    case 1: (result.latencyMin, result.latencyMax) = (.milliseconds(1), .milliseconds(10))
    case 2: (result.latencyMin, result.latencyMax) = (.milliseconds(20), .milliseconds(80))
    default: (result.latencyMin, result.latencyMax) = (.microseconds(100), .milliseconds(60))
    }
    if random.chance(0.6) { result.loss = random.fraction() * 0.3 }
    if random.chance(0.3) { result.duplication = random.fraction() * 0.2 }
    if random.chance(0.3) { result.resets = random.fraction() * 0.02 }
    return result
  }

  /// The same latency, and nothing lost any more.
  public var calmed: NetworkConditions {
    var result = self
    (result.loss, result.duplication, result.resets) = (0, 0, 0)
    return result
  }
}

extension NetworkConditions: CustomStringConvertible {
  public var description: String {
    "latency \(latencyMin.milliseconds)-\(latencyMax.milliseconds) ms, loss \(Self.percent(loss)), duplicates "
      + "\(Self.percent(duplication)), resets \(Self.percent(resets))"
  }

  private static func percent(_ value: Double) -> String { "\(Double(Int(value * 1000)) / 10)%" }
}
