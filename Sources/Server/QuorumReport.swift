import Base
import Raft
import Wire

/// The answer to "why is there no leader?", and to "is everything well?" when there is one. Made without a quorum.
public struct QuorumReport: Hashable, Sendable {
  public struct Server: Hashable, Sendable {
    public var name: String
    public var id: String
    public var address: String
    /// Gossip status, or `unknown` for a Raft peer that gossip does not show.
    public var status: String
    public var isVoter: Bool
    public var expect: Int
    /// What stands in the way, if anything.
    public var note: String
  }

  /// Raft address, empty when none is known.
  public var leader: String
  public var term: UInt64
  public var expected: Int
  /// Alive servers of the region, the own one included.
  public var present: Int
  public var voters: Int
  public var needed: Int
  public var servers: [Server]
  /// One sentence.
  public var summary: String
  /// What the operator can do; empty when nothing is needed.
  public var remedy: String
}

extension ServerMachine {
  public var quorumReport: QuorumReport {
    let configuration = raft.configuration
    let alive = directory.localAlive
    let reachable = configuration.servers.filter { $0.isVoter && isReachable($0) }
    var report = QuorumReport(
      leader: raft.leader?.address ?? "", term: raft.term.value, expected: self.configuration.bootstrapExpect,
      present: alive.count, voters: configuration.voterCount, needed: configuration.isEmpty ? 0 : configuration.quorum,
      servers: reportedServers, summary: "", remedy: "")
    if let leader = raft.leader {
      report.summary = "The leader is \(leader.address)."
      if leadership.isStopgap {
        report.summary = "The leader is \(leader.address), a witness, because no other voter answers."
        report.remedy = "Start another voter."
      }
    } else if configuration.isEmpty {
      report.summary = "There is no cluster yet: "
        + Self.text(of: bootstrap.standing, expect: self.configuration.bootstrapExpect) + "."
      report.remedy = firstRemedy
    } else if reachable.count < configuration.quorum {
      let missing = configuration.servers.filter { !reachable.contains($0) && $0.isVoter }.map(\.address)
      report.summary = "There is no quorum: \(reachable.count) of \(configuration.voterCount) voters are reachable, "
        + "\(configuration.quorum) are needed; missing: \(missing.joined(separator: ", "))."
      report.remedy = "Start enough of the missing servers that \(configuration.quorum) voters are reachable."
    } else {
      report.summary = "An election is under way (term \(raft.term)); \(reachable.count) of "
        + "\(configuration.voterCount) voters are reachable."
    }
    addObstacles(to: &report)
    return report
  }

  /// An answer over Raft counts for so long.
  static let contactMemory = Interval.seconds(10)

  /// What Raft heard counts before what gossip says: a refused connection is known at once, and gossip needs up to
  /// 45 s to call a silent server failed.
  private func isReachable(_ server: RaftServer) -> Bool {
    if server.id == configuration.raftID { return true }
    let contact = raft.contacts[server.id] ?? RaftContact()
    let answered = contact.answeredAt ?? .start
    let failed = contact.failedAt ?? .start
    if failed > answered, now.instant - failed < Self.contactMemory { return false }
    if answered > .start, now.instant - answered < Self.contactMemory { return true }
    return directory.localAlive.contains { "\($0.address)" == server.address }
  }

  /// What Raft says against a server that gossip believes alive.
  func raftNote(_ id: String) -> String {
    guard raft.leader == nil, let contact = raft.contacts[id], let failed = contact.failedAt,
      failed > contact.answeredAt ?? .start, now.instant - failed < Self.contactMemory
    else { return "" }
    return "does not answer over Raft (port 4647 of its gossip address)"
  }

  private var firstRemedy: String {
    switch bootstrap.standing {
    case .tooFew: "Start the other servers, and let one of them join one of these: retry_join or nomad server join."
    case .conflicting: "Give all servers of the region the same bootstrap_expect and restart those that differ."
    case .tooManyOutside: "Start the servers that are out of reach, or remove them from retry_join or with force-leave."
    case .waitsForLeader: "Set bootstrap_expect, or join a cluster that has a leader."
    case .leftToPeer, .ready, .finished: ""
    }
  }

  private var reportedServers: [QuorumReport.Server] {
    var list = directory.local.map { entry in
      QuorumReport.Server(
        name: entry.gossipName, id: entry.id, address: "\(entry.address)", status: entry.status.rawValue,
        isVoter: raft.configuration.server(id: entry.raftID)?.isVoter ?? false, expect: entry.expect,
        note: bootstrap.obstacles[entry.raftID] ?? note(about: entry))
    }
    for server in raft.configuration.servers where !list.contains(where: { $0.address == server.address }) {
      list.append(
        QuorumReport.Server(
          name: "(unknown)", id: server.id, address: server.address, status: "unknown", isVoter: server.isVoter,
          expect: 0, note: "a Raft peer that gossip does not show"))
    }
    return list
  }

  /// The line for the service manager: joined or waiting, and for what.
  public var statusText: String {
    let alive = directory.localAlive.count
    if raft.role == .leader { return "leader of region \(configuration.region), \(alive) servers alive" }
    if let leader = raft.leader { return "following \(leader.address), \(alive) servers alive" }
    return quorumReport.summary
  }

  /// Making the text costs more than serving a heartbeat, so it is made only when something behind it changed.
  mutating func reportStatus() {
    let verdicts = membership.gossip.statistics.datagramVerdicts
    guard isStatusStale || verdicts != reportedDatagramVerdicts else { return }
    reportedDatagramVerdicts = verdicts
    isStatusStale = false
    let text = statusText
    guard text != lastStatus else { return }
    lastStatus = text
    events.append(.status(text))
  }

  mutating func logNoLeader(_ count: Int, _ effects: inout Effects) {
    let report = quorumReport
    effects.log.log(
      .error, "nomad.rpc", "No cluster leader",
      ["requests": "\(count)", "why": report.summary, "remedy": report.remedy])
  }
}
