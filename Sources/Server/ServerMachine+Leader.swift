import Base
import Raft
import State
import Wire

/// The leader's duties: settings of a new region, heartbeats, and a Raft configuration that follows gossip.
extension ServerMachine {
  /// Everything before the barrier is applied: serve, and write what a new region needs (raft.md 7.4).
  mutating func establishLeadership(_ effects: inout Effects) {
    leadership.isReady = true
    takeOverState(&effects)
    leadership.reconcileAt = now.instant
    leadership.healthAt = now.instant
    if configuration.isWitness { leadership.stepAsideAt = now.instant }
    leadership.collectAt = now.instant + Leadership.collectInterval
    events.append(.leadership(true))
    retryHeld(&effects)
  }

  /// What a leader owes to a state that is new to it: the settings that it lacks, and time for its clients.
  mutating func takeOverState(_ effects: inout Effects) {
    if state.autopilot == nil {
      proposeOwn(StateMessage.autopilot(configuration.autopilot, checked: false, write: WriteRequest()), &effects)
    }
    if state.scheduler == nil {
      proposeOwn(StateMessage.scheduler(SchedulerConfiguration(), checked: false, write: WriteRequest()), &effects)
    }
    if state.cluster == nil {
      let metadata = ClusterMetadata(clusterID: effects.random.uuid(), createTime: now.wall.unixNanoseconds)
      proposeOwn(StateMessage.clusterMetadata(metadata), &effects)
      effects.log.log(.info, "nomad.core", "established cluster id", ["cluster_id": metadata.clusterID])
    }
    leadership.timers = HeartbeatTimers()
    leadership.doubts = HeartbeatDoubts()
    armAllAfterFailover()
    completeDrains(&effects)
  }

  mutating func runLeaderDuties(_ effects: inout Effects) {
    guard raft.role == .leader, leadership.isReady else { return }
    let instant = now.instant
    armSomeAfterFailover()
    expireHeartbeats(&effects)
    if leadership.healthAt.map({ $0 <= instant }) ?? false {
      leadership.healthAt = instant + Leadership.healthInterval
      watchHealth(&effects)
    }
    if leadership.stepAsideAt.map({ $0 <= instant }) ?? false {
      leadership.stepAsideAt = instant + Leadership.stepAsideInterval
      stepAside(&effects)
    }
    if leadership.reconcileAt.map({ $0 <= instant }) ?? false {
      leadership.reconcileAt = instant + Leadership.reconcileInterval
      reconcile(&effects)
    }
    if leadership.collectAt.map({ $0 <= instant }) ?? false {
      leadership.collectAt = instant + Leadership.collectInterval
      collectNodes(threshold: configuration.nodeGCThreshold, atOnce: false, &effects)
    }
  }

  /// Those that are due, a bounded number at a time.
  private mutating func expireHeartbeats(_ effects: inout Effects) {
    if let pause = leadership.expiresAgainAt, pause > now.instant { return }
    leadership.expiresAgainAt = nil
    var budget = Leadership.expiriesPerTurn
    while leadership.timers.deadline.map({ $0 <= now.instant }) ?? false {
      guard budget > 0, raft.uncommittedCount < Leadership.uncommittedExpiries else {
        leadership.expiresAgainAt = now.instant + Leadership.expiryPause
        return
      }
      guard let id = leadership.timers.popExpired(at: now.instant) else { return }
      budget -= 1
      expireHeartbeat(id, &effects)
    }
  }

  /// A drain is complete when no work is left on the node, and here there is none, unless a leader of Nomad's own put
  /// some there (rpc.md 5.6). O(nodes), once per drain.
  mutating func completeDrains(_ effects: inout Effects) {
    guard !state.hasForeignData else { return }
    var drained: [NodeID] = []
    state.forEachNode { if $0.isDraining { drained.append($0.id) } }
    guard !drained.isEmpty else { return }
    proposeOwn(
      StateMessage.drainsComplete(nodeIDs: drained, at: now.wall, write: WriteRequest(region: configuration.region)),
      &effects)
  }

  // MARK: Raft follows gossip

  /// Brings the Raft configuration one step nearer to what gossip shows (cluster.md 6.5). Raft takes one change at a
  /// time; the next step follows when it is committed.
  mutating func reconcile(_ effects: inout Effects) {
    guard let change = nextConfigurationChange else { return }
    do throws(RaftError) {
      _ = try raft.changeConfiguration(change.change, at: now.instant, effects: &effects)
      effects.log.log(.info, "nomad", change.reason)
    } catch {
      switch error {
      case .configurationChangeInProgress: leadership.reconcileAt = now.instant + Leadership.retryInterval
      case .notLeader, .leadershipTransferInProgress, .notPristine, .invalidConfiguration, .unknownServer, .tooLarge,
        .busy, .noTransferTarget, .storageFailed, .damaged:
        effects.log.log(.error, "nomad", "failed to reconcile member", ["error": error.text])
      }
    }
  }

  private var nextConfigurationChange: (change: RaftConfigurationChange, reason: String)? {
    let configuration = raft.configuration
    for entry in directory.local where entry.status == .alive && mayReconcile(entry) {
      if let change = change(toAdmit: entry, to: configuration) { return change }
    }
    for entry in directory.local where entry.status == .left {
      if let change = removal(of: entry, from: configuration) { return change }
    }
    for (_, entry) in leadership.departed.sorted(by: { $0.key < $1.key }) where directory[entry.gossipName] == nil {
      if let change = removal(of: entry, from: configuration) { return change }
    }
    return nil
  }

  private func removal(
    of entry: ServerEntry, from configuration: RaftConfiguration
  ) -> (change: RaftConfigurationChange, reason: String)? {
    guard let server = configuration.server(id: entry.raftID) ?? configuration.server(address: "\(entry.address)"),
      server.id != self.configuration.raftID
    else { return nil }
    return (.remove(id: server.id), "removing server by ID: \(server.id) (\(entry.gossipName))")
  }

  private func change(
    toAdmit entry: ServerEntry, to configuration: RaftConfiguration
  ) -> (change: RaftConfigurationChange, reason: String)? {
    let address = "\(entry.address)"
    let id = directory.minimumRaftVersion >= 3 || entry.raftVersion >= 3 ? entry.raftID : address
    if let known = configuration.server(id: id) {
      guard known.address != address else { return nil }
      // The same server with a new address: changed in place, so that it keeps its vote.
      let moved = RaftServer(id: id, address: address, suffrage: known.suffrage)
      return (known.isVoter ? .addVoter(moved) : .addNonvoter(moved), "server \(entry.gossipName) moved to \(address)")
    }
    if let other = configuration.server(address: address) {
      return (.remove(id: other.id), "removed server with duplicate address: \(address)")
    }
    let isRival = { (other: ServerEntry) in other.bootstrapsAlone && other.gossipName != entry.gossipName }
    if entry.bootstrapsAlone, directory.local.contains(where: isRival) { return nil }
    if directory.minimumRaftVersion >= 3 {
      let server = RaftServer(id: id, address: address, suffrage: .nonvoter)
      return (.addNonvoter(server), "adding server \(entry.gossipName) as non-voter")
    }
    return (.addVoter(RaftServer(id: id, address: address)), "adding server \(entry.gossipName) as voter")
  }

  // MARK: Autopilot

  struct ServerHealth: Hashable {
    var server: RaftServer
    var entry: ServerEntry?
    var isLeader: Bool
    var lastContact: Interval
    var lastIndex: LogIndex
    var isHealthy: Bool
    var stableSince: Instant?
  }

  /// Health of every server of the Raft configuration as the leader sees it, in the order of the configuration.
  var serverHealth: [ServerHealth] {
    let settings = state.autopilot ?? configuration.autopilot
    let progress = raft.peers(at: now.instant)
    return raft.configuration.servers.map { server in
      let entry = directory.local.first { $0.raftID == server.id || "\($0.address)" == server.address }
      if server.id == configuration.raftID {
        return ServerHealth(
          server: server, entry: entry, isLeader: true, lastContact: .zero, lastIndex: raft.lastLogIndex,
          isHealthy: true, stableSince: leadership.healthySince[server.id])
      }
      let peer = progress.first { $0.id == server.id }
      let contact = peer?.lastContact ?? .hours(1)
      let index = peer?.matchIndex ?? .none
      let behind = raft.lastLogIndex.value - min(index.value, raft.lastLogIndex.value)
      // Heartbeats are up to 200 ms apart, so an answer may be that old on a healthy peer.
      let isHealthy = entry?.status == .alive && behind <= settings.maxTrailingLogs
        && contact <= settings.lastContactThreshold + .milliseconds(200)
      return ServerHealth(
        server: server, entry: entry, isLeader: false, lastContact: contact, lastIndex: index, isHealthy: isHealthy,
        stableSince: leadership.healthySince[server.id])
    }
  }

  /// Keeps track of health, promotes non-voters that have been stable, and removes the dead where that is safe.
  private mutating func watchHealth(_ effects: inout Effects) {
    let settings = state.autopilot ?? configuration.autopilot
    let health = serverHealth
    var since: [String: Instant] = [:]
    for one in health where one.isHealthy {
      since[one.server.id] = leadership.healthySince[one.server.id] ?? now.instant
    }
    leadership.healthySince = since
    let zones = settings.enableRedundancyZones ? zones(of: health, settings) : nil
    if let zones, let step = zones.step { return take(step, health, &effects) }
    if let ready = health.first(where: { one in
      isReady(one, settings) && (zones == nil || one.entry?.zone.isEmpty ?? true)
    }) {
      let voter = RaftServer(id: ready.server.id, address: ready.server.address)
      return change(.addVoter(voter), "Promoting server to voter", ready, &effects)
    }
    guard settings.cleanupDeadServers else { return }
    // Never below the size the operator asked for: a dead server is replaced before it is removed.
    let expected = min(configuration.bootstrapExpect, zones?.size ?? .max)
    let floor = max(Int(clamping: settings.minQuorum), expected, 2)
    if let dead = health.first(where: { one in
      one.entry?.status == .failed && one.lastContact > .seconds(10)
        && (!one.server.isVoter || raft.configuration.voterCount > floor)
    }) {
      change(.remove(id: dead.server.id), "Attempting removal of failed server node", dead, &effects)
    }
  }

  /// A non-voter that wants to vote and has been stable.
  private func isReady(_ one: ServerHealth, _ settings: AutopilotConfiguration) -> Bool {
    !one.server.isVoter && (one.entry?.isVoter ?? false)
      && leadership.healthySince[one.server.id].map { now.instant - $0 >= settings.serverStabilizationTime } ?? false
  }

  private func zones(of health: [ServerHealth], _ settings: AutopilotConfiguration) -> RedundancyZones {
    RedundancyZones(
      servers: health.map { one in
        RedundancyZones.Server(
          id: one.server.id, zone: one.entry?.zone ?? "", isVoter: one.server.isVoter, isLeader: one.isLeader,
          isLost: one.entry?.status != .alive || one.lastContact > .seconds(10), isHealthy: one.isHealthy,
          isReady: isReady(one, settings), stableSince: leadership.healthySince[one.server.id])
      })
  }

  private mutating func take(_ step: RedundancyZones.Step, _ health: [ServerHealth], _ effects: inout Effects) {
    switch step {
    case .promote(let id):
      guard let one = health.first(where: { $0.server.id == id }) else { return }
      let voter = RaftServer(id: id, address: one.server.address)
      change(.addVoter(voter), "Promoting server to voter of its redundancy zone", one, &effects)
    case .demote(let id):
      guard let one = health.first(where: { $0.server.id == id }) else { return }
      change(.demote(id: id), "Demoting server, its redundancy zone has another voter", one, &effects)
    }
  }

  private mutating func change(
    _ change: RaftConfigurationChange, _ reason: String, _ health: ServerHealth, _ effects: inout Effects
  ) {
    do throws(RaftError) {
      _ = try raft.changeConfiguration(change, at: now.instant, effects: &effects)
      effects.log.log(
        .info, "nomad.autopilot", reason, ["id": health.server.id, "name": health.entry?.gossipName ?? "(unknown)"])
    } catch {
      // Tried again with the next health round.
      effects.log.log(.debug, "nomad.autopilot", "configuration change not possible now", ["error": error.text])
    }
  }
}
