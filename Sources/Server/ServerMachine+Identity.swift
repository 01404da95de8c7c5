import Base
import Membership
import Raft
import State
import Wire

/// Who is who: a server is its id, wherever it is; a cluster is its id, whoever is in it.
extension ServerMachine {
  /// Conflicts of identity that are logged in the life of a process.
  static let maximumIdentityConflicts = 64

  /// Tells gossip which cluster this server belongs to, once it knows. Servers of the original do not look at it.
  mutating func announceCluster(_ effects: inout Effects) {
    guard let cluster = state.cluster?.clusterID, cluster != announcedCluster else { return }
    announcedCluster = cluster
    do throws(TagError) {
      try membership.setTags(
        ServerEntry.tags(of: configuration, cluster: cluster), at: now.instant, effects: &effects)
    } catch {
      effects.log.log(.warn, "nomad", "gossip cannot be told the cluster id", ["reason": "\(error)"])
    }
  }

  /// Looks at the servers of the region for identities that contradict each other, and for servers that have moved.
  mutating func checkIdentities(_ effects: inout Effects) {
    let alive = directory.localAlive
    raft.movedServers = movedServers(alive)
    var byID: [String: ServerEntry] = [:]
    for entry in alive {
      guard let other = byID.updateValue(entry, forKey: entry.id), entry.id != "unknown" else { continue }
      complain(
        "two servers have the node id \(entry.id): \(other.gossipName) (\(other.gossipAddress)) and "
          + "\(entry.gossipName) (\(entry.gossipAddress)); was a data directory copied? Stop one, empty its data "
          + "directory and start it again. Until then neither is changed in Raft", &effects)
    }
    // Servers of our own configuration are no other cluster: after a restore they come to its id one after the other.
    let own = Set(raft.configuration.servers.map(\.id)).subtracting([configuration.raftID])
    let established = alive.filter { !$0.cluster.isEmpty && !own.contains($0.raftID) }
    let clusters = Set(established.map(\.cluster)).sorted()
    guard clusters.count > 1 else { return }
    let names = clusters.map { cluster in
      "\(cluster) (\(established.filter { $0.cluster == cluster }.map(\.gossipName).joined(separator: ", ")))"
    }
    let sentence =
      "split brain: region \"\(configuration.region)\" has more than one established cluster: "
      + names.joined(separator: " and ")
    // A server that belongs to none of them must not end up in both.
    guard state.cluster != nil || !raft.isPristine else {
      events.append(.fatal("\(sentence); name servers of one of them only in retry_join"))
      return
    }
    complain("\(sentence); stop the servers of one, empty their data directories and start them again", &effects)
  }

  private mutating func complain(_ sentence: String, _ effects: inout Effects) {
    // Foreign names make the sentences: so many, and no more.
    guard identityConflicts.count < Self.maximumIdentityConflicts, identityConflicts.insert(sentence).inserted
    else { return }
    effects.log.log(.error, "nomad", sentence)
  }

  /// Servers of the configuration that gossip shows alive elsewhere; none whose id two claim.
  private func movedServers(_ alive: [ServerEntry]) -> [String: String] {
    var moved: [String: String] = [:]
    for server in raft.configuration.servers where server.id != configuration.raftID {
      let claimants = alive.filter { $0.raftID == server.id }
      guard claimants.count == 1, let entry = claimants.first, "\(entry.address)" != server.address else { continue }
      moved[server.id] = "\(entry.address)"
    }
    return moved
  }

  /// May the leader take this server into its configuration, or change it there?
  func mayReconcile(_ entry: ServerEntry) -> Bool {
    if !entry.cluster.isEmpty, let own = state.cluster?.clusterID, entry.cluster != own { return false }
    if entry.id == "unknown" { return true }
    return !directory.localAlive.contains { $0.id == entry.id && $0.gossipName != entry.gossipName }
  }
}
