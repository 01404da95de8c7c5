/// Everything a simulation does to the servers. The order is that of the report.
package enum Fault: Int, CaseIterable, Sendable {
  case crash, crashDuringWrite, pause, suspendedLeader
  case writeLost, writeTorn, writeKept
  case diskError, syncFailure, diskFull, slowWrite
  case isolatedServer, isolatedLeader, split, bridge, oneWay, brokenPath
  case lateSegment, duplicatedRequest, connectionReset
  case clockSkew, oldServer, protocol2
  /// Of an operator's snapshot that the others went on without.
  case loneRestore

  var text: String {
    switch self {
    case .crash: "crashes"
    case .crashDuringWrite: "crashes during a write"
    case .pause: "pauses"
    case .suspendedLeader: "leaders that stood still without network"
    case .writeLost: "unsynced writes lost"
    case .writeTorn: "unsynced writes torn"
    case .writeKept: "unsynced writes kept"
    case .diskError: "disk errors"
    case .syncFailure: "failed syncs"
    case .diskFull: "full disks"
    case .slowWrite: "slow writes"
    case .isolatedServer: "servers cut off"
    case .isolatedLeader: "leaders cut off"
    case .split: "splits"
    case .bridge: "bridges"
    case .oneWay: "one-way cuts"
    case .brokenPath: "broken paths"
    case .lateSegment: "late segments"
    case .duplicatedRequest: "duplicated requests"
    case .connectionReset: "resets"
    case .clockSkew: "skewed clocks"
    case .oldServer: "servers without pre-vote"
    case .protocol2: "servers of protocol 2"
    case .loneRestore: "servers alone with a restored state"
    }
  }
}

/// What a number of runs went through.
package struct SimulationReport: Sendable, CustomStringConvertible {
  package var seeds = 0
  package var events = 0
  package var elections = 0
  package var committed = 0
  package var configurations = 0
  package var snapshots = 0
  package var restores = 0
  package var transfers = 0
  /// Restores of an operator's snapshot that leaders began, and that a majority took over.
  package var restorations = 0
  package var settledRestorations = 0
  package var operations = 0
  package var unknownOutcomes = 0
  package var reads = 0
  /// Histories whose search was given up.
  package var undecided = 0
  package var faults = [Int](repeating: 0, count: Fault.allCases.count)

  package init() {}

  mutating func count(_ fault: Fault, _ number: Int = 1) { faults[fault.rawValue] += number }

  package static func += (a: inout SimulationReport, b: SimulationReport) {
    a.seeds += b.seeds
    a.events += b.events
    a.elections += b.elections
    a.committed += b.committed
    a.configurations += b.configurations
    a.snapshots += b.snapshots
    a.restores += b.restores
    a.transfers += b.transfers
    a.restorations += b.restorations
    a.settledRestorations += b.settledRestorations
    a.operations += b.operations
    a.unknownOutcomes += b.unknownOutcomes
    a.reads += b.reads
    a.undecided += b.undecided
    for fault in Fault.allCases { a.count(fault, b.faults[fault.rawValue]) }
  }

  package var description: String {
    let injected = Fault.allCases.map { "  \(faults[$0.rawValue]) \($0.text)" }
    return """
      \(seeds) seeds, \(events) events, \(elections) leaders elected, \(committed) entries committed, \
      \(configurations) configurations, \(transfers) transfers asked for, \(snapshots) snapshots taken, \
      \(restores) installed, \(restorations) restores by operators, \(settledRestorations) of them took effect
      \(operations) client operations, \(reads) of them reads answered from a lease or a round, \
      \(unknownOutcomes) with unknown outcome, \(undecided) histories undecided
      faults:
      \(injected.joined(separator: "\n"))
      """
  }
}
