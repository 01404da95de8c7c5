import Base
import Membership
import Raft

/// What stands in the way besides missing servers: a firewall that drops UDP, a name that two servers have.
extension ServerMachine {
  /// A verdict about our name is asked for again each minute while the other goes on.
  static let verdictMemory = Interval.minutes(3)

  private var currentVerdict: NameVerdict? {
    guard let nameVerdict, now.instant - nameVerdict.at < Self.verdictMemory else { return nil }
    return nameVerdict.verdict
  }

  /// Servers of our region that answer over TCP only.
  private var datagramBlocked: [String] {
    let blocked = membership.gossip.datagramBlockedNames
    return blocked.isEmpty ? [] : directory.localAlive.map(\.gossipName).filter { blocked.contains($0) }
  }

  func addObstacles(to report: inout QuorumReport) {
    let blocked = datagramBlocked
    if !blocked.isEmpty {
      report.summary +=
        " UDP is blocked between this server and \(blocked.joined(separator: ", ")): only TCP gets through."
      report.add(
        remedy: "Allow UDP on port \(configuration.gossipAdvertise.port) between the servers, in both directions.")
    }
    if let verdict = currentVerdict, verdict.isDecided, !verdict.isOurs {
      report.summary += " This server is not in the pool: its name '\(configuration.gossipName)' belongs to the server "
        + "at \(verdict.claimant), say \(verdict.answers - verdict.agreeing) of \(verdict.answers) members."
      report.add(remedy: "Give this server a name of its own (name in its configuration) and start it again.")
    }
  }

  /// What stands in the way of one server.
  func note(about entry: ServerEntry) -> String {
    if entry.raftID == configuration.raftID {
      guard let verdict = currentVerdict else { return entry.isWitness ? "witness" : "" }
      return "its name is also claimed by the server at \(verdict.claimant)"
    }
    let isBlocked = datagramBlocked.contains(entry.gossipName)
    let notes = [entry.isWitness ? "witness" : "", raftNote(entry.raftID), isBlocked ? "UDP blocked, TCP works" : ""]
    return notes.filter { !$0.isEmpty }.joined(separator: "; ")
  }

  mutating func note(_ verdict: NameVerdict, _ effects: inout Effects) {
    nameVerdict = (verdict, now.instant)
    isStatusStale = true
    let words =
      "Name conflict for '\(configuration.gossipName)': \(verdict.agreeing) of \(verdict.answers) members that "
      + "answered know it at this server"
    let remedy: String
    switch (verdict.isDecided, verdict.isOurs) {
    case (false, _): remedy = "nobody could be asked; give one of the two servers another name"
    case (true, true): remedy = "this server keeps it; give the other one another name"
    case (true, false): remedy = "the other one keeps it; give this server a name of its own and start it again"
    }
    effects.log.log(
      .error, "nomad.serf", words, ["claimed_by": "\(verdict.claimant)", "remedy": remedy])
  }
}

extension QuorumReport {
  mutating func add(remedy text: String) { remedy = remedy.isEmpty ? text : remedy + " " + text }
}
