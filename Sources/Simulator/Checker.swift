import Base
import Raft
import Server
import State
import Wire

/// Watches all agents from outside for what must never happen. It reads what an operator could read: terms, commit
/// indexes, and the logs on the disks.
public struct Checker {
  public private(set) var violations: [String] = []
  private var regions: [String: Region] = [:]
  /// By agent: how far its committed entries were compared.
  private var compared: [Int: LogIndex] = [:]
  /// Agents whose end with a sentence is part of the scenario.
  public var mayEnd: Set<Int> = []

  struct Region {
    /// What was seen committed by anybody; position 0 is index 1.
    var committed: [LogEntry] = []
    var committedBy: [Int] = []
    var leaders: [Term: Int] = [:]
    /// The sets of servers in configurations at index 1 that any disk holds.
    var firstSets: [[String]] = []
    var clusterID: String?
  }

  public init() {}

  /// Nothing counts as a violation: for stories about what must not be, such as two clusters of one region.
  public var isBlind = false

  public mutating func violation(_ text: String) {
    if !isBlind { violations.append(text) }
  }

  /// Distinct first configurations that were committed or stand on a disk, by region.
  public func firstSets(ofRegion name: String) -> [[String]] { regions[name]?.firstSets ?? [] }

  public func committedCount(ofRegion name: String) -> Int { regions[name]?.committed.count ?? 0 }

  mutating func started(_ agent: VirtualAgent) { compared[agent.number] = LogIndex.none }

  mutating func observe(_ agent: VirtualAgent, at now: Instant) {
    if let fatal = agent.fatal, !mayEnd.contains(agent.number) {
      violation("\(agent.plan.name) ended by itself: \(fatal)")
    }
    guard let commit = agent.server?.raft.commitIndex else { return }
    if agent.server?.raft.role == .leader { observeLeader(agent) }
    if commit > compared[agent.number] ?? .none { compareLog(agent, through: commit) }
  }

  /// Election safety: at most one leader in a term.
  private mutating func observeLeader(_ agent: VirtualAgent) {
    guard let term = agent.server?.raft.term else { return }
    let name = agent.plan.region
    if let other = regions[name]?.leaders[term] {
      if other != agent.number { violation("agents \(other) and \(agent.number) both lead term \(term) of \(name)") }
    } else {
      regions[name, default: Region()].leaders[term] = agent.number
    }
  }

  /// State machine safety: all servers commit the same entry at an index.
  private mutating func compareLog(_ agent: VirtualAgent, through commit: LogIndex) {
    let name = agent.plan.region
    var index = max(compared[agent.number] ?? .none, agent.server?.raft.snapshotIndex ?? .none)
    while index < commit, let entry = agent.disk.observedEntry(at: index.next) {
      index = index.next
      let position = Int(index.value) - 1
      let known = regions[name]?.committed.count ?? 0
      if position < known {
        guard let other = regions[name]?.committed[position], other != entry else { continue }
        let by = regions[name]?.committedBy[position] ?? -1
        violation(
          "agents \(by) and \(agent.number) of \(name) committed different entries at \(index): "
            + "\(Self.text(other)) and \(Self.text(entry))")
      } else if position == known {
        regions[name, default: Region()].committed.append(entry)
        regions[name]?.committedBy.append(agent.number)
        if index == 1 { noteFirst(entry, of: name) }
      }
    }
    compared[agent.number] = index
    if let cluster = agent.server?.state.cluster?.clusterID {
      let known = regions[name]?.clusterID
      if known == nil { regions[name]?.clusterID = cluster }
      if let known, known != cluster {
        violation("\(agent.plan.name) belongs to cluster \(cluster), others of \(name) to \(known)")
      }
    }
  }

  private mutating func noteFirst(_ entry: LogEntry, of region: String) {
    let set = Self.servers(of: entry)
    if regions[region]?.firstSets.contains(set) == false { regions[region]?.firstSets.append(set) }
  }

  /// To be called at the end: no disk holds another first configuration, and equal logs have made equal states.
  mutating func finish(_ agents: [VirtualAgent]) {
    for agent in agents {
      if let first = agent.disk.observedEntry(at: 1), first.kind.isConfiguration {
        noteFirst(first, of: agent.plan.region)
      }
    }
    for (name, region) in regions.sorted(by: { $0.key < $1.key }) where region.firstSets.count > 1 {
      violation("region \(name) has \(region.firstSets.count) first configurations: \(region.firstSets)")
    }
    var states: [String: (agent: VirtualAgent, state: StateStore)] = [:]
    for agent in agents {
      guard let state = agent.server?.state else { continue }
      let key = "\(agent.plan.region) \(state.lastIndex)"
      guard let other = states[key] else {
        states[key] = (agent, state)
        continue
      }
      if other.state != state {
        violation("\(agent.plan.name) and \(other.agent.plan.name) have different states at \(state.lastIndex)")
      }
    }
  }

  private static func text(_ entry: LogEntry) -> String {
    entry.kind.isConfiguration
      ? "configuration \(servers(of: entry)) of term \(entry.term)"
      : "kind \(entry.kind.value) of term \(entry.term) with \(entry.data.count) bytes"
  }

  private static func servers(of entry: LogEntry) -> [String] {
    do throws(WireError) {
      return try RaftConfiguration(decoding: entry.data.bytes).servers.map(\.address).sorted()
    } catch {
      return ["unreadable"]
    }
  }
}
