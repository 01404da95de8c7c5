import Base

/// What happened in one or several runs.
public struct SimulationStatistics: Sendable {
  public var runs = 0
  public var events = 0
  public var virtualTime = Interval.zero
  public var datagrams = 0
  public var datagramsLost = 0
  public var datagramsDuplicated = 0
  public var streams = 0
  public var segmentsDelayed = 0
  public var streamsReset = 0
  public var partitions = 0
  public var kills = 0
  public var powerCuts = 0
  public var writesLost = 0
  /// From the last start to a leader that all servers know.
  public var slowestFormation = Interval.zero

  public init() {}

  /// Everything that was done on purpose to make life hard.
  public var faults: Int {
    datagramsLost + datagramsDuplicated + segmentsDelayed + streamsReset + partitions + kills + powerCuts
  }

  public static func += (a: inout SimulationStatistics, b: SimulationStatistics) {
    a.runs += b.runs
    a.events += b.events
    a.virtualTime = a.virtualTime + b.virtualTime
    a.datagrams += b.datagrams
    a.datagramsLost += b.datagramsLost
    a.datagramsDuplicated += b.datagramsDuplicated
    a.streams += b.streams
    a.segmentsDelayed += b.segmentsDelayed
    a.streamsReset += b.streamsReset
    a.partitions += b.partitions
    a.kills += b.kills
    a.powerCuts += b.powerCuts
    a.writesLost += b.writesLost
    a.slowestFormation = max(a.slowestFormation, b.slowestFormation)
  }
}

extension SimulationStatistics: CustomStringConvertible {
  public var description: String {
    "\(runs) runs, \(faults) faults (\(partitions) partitions, \(kills) kills, \(powerCuts) power cuts, "
      + "\(writesLost) writes lost, \(datagramsLost) datagrams lost, \(datagramsDuplicated) doubled, "
      + "\(segmentsDelayed) segments delayed, \(streamsReset) streams reset), "
      + "\(Int(virtualTime.seconds)) s of virtual time, \(events) events"
      + (slowestFormation > .zero ? ", slowest formation \(slowestFormation.milliseconds) ms" : "")
  }
}
