import Base

/// The autopilot's rule for redundancy zones: of the servers of one zone one votes, the others stand by; when the voter
/// of a zone is lost, one that stands by takes its place. Servers without a zone all vote.
struct RedundancyZones: Hashable, Sendable {
  struct Server: Hashable, Sendable {
    var id: String
    /// Empty: in no zone.
    var zone: String
    var isVoter: Bool
    var isLeader = false
    /// Gossip says that it is gone, or Raft has not heard of it for long.
    var isLost = false
    var isHealthy = true
    /// A non-voter that may vote and has been healthy for long enough.
    var isReady = false
    var stableSince: Instant?
  }

  enum Step: Hashable, Sendable {
    case promote(id: String)
    case demote(id: String)
  }

  /// Voters there are in the end: one for each zone, and all without one.
  var size: Int { zones.count + servers.filter { $0.zone.isEmpty && $0.isVoter }.count }

  /// In the order of the configuration.
  var servers: [Server]

  private var zones: [String] { Set(servers.map(\.zone)).subtracting([""]).sorted() }

  /// What to change next, if anything. A lost voter is replaced before it is removed; nobody loses a vote while any
  /// voter is unwell.
  var step: Step? {
    for zone in zones {
      let members = servers.filter { $0.zone == zone }
      guard !members.contains(where: { $0.isVoter && !$0.isLost }) else { continue }
      if let ready = members.first(where: \.isReady) { return .promote(id: ready.id) }
    }
    guard servers.allSatisfy({ !$0.isVoter || $0.isHealthy }) else { return nil }
    for zone in zones {
      let voters = servers.filter { $0.zone == zone && $0.isVoter }
      guard voters.count > 1, let keeper = voters.min(by: Self.staysBefore),
        let extra = voters.first(where: { $0.id != keeper.id })
      else { continue }
      return .demote(id: extra.id)
    }
    return nil
  }

  /// The leader stays, then who has been well for longest.
  private static func staysBefore(_ a: Server, _ b: Server) -> Bool {
    if a.isLeader != b.isLeader { return a.isLeader }
    switch (a.stableSince, b.stableSince) {
    case (let first?, let second?) where first != second: return first < second
    case (_?, nil): return true
    case (nil, _?): return false
    default: return a.id < b.id
    }
  }
}
