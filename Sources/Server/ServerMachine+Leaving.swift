import Base
import Membership
import RPC
import Raft
import Wire

/// Steps of a graceful leave: hand leadership over, leave gossip, wait until Raft has let go (cluster.md 7.1).
enum Leaving: Sendable {
  case no
  /// Leadership is being handed over, tried again at `tryAt`. Next: `gossip`.
  case transferring(until: Instant, tryAt: Instant)
  /// The farewell spreads. Next: `removal`.
  case gossip(until: Instant)
  /// Asks the leader whether we are out of its configuration. Next: `done`.
  case removal(until: Instant, askAt: Instant, call: CallID?)
  case done

  static let transferLimit = Interval.seconds(4)
  static let transferRetry = Interval.milliseconds(100)
  static let gossipLimit = Interval.seconds(12)
  static let removalLimit = Interval.seconds(5)
  static let askInterval = Interval.milliseconds(100)

  var isUnderWay: Bool {
    if case .no = self { return false }
    return true
  }

  var deadline: Instant? {
    switch self {
    case .no, .done: nil
    case .transferring(let until, let tryAt): min(until, tryAt)
    case .gossip(let until): until
    case .removal(let until, let askAt, let call): call == nil ? min(until, askAt) : until
    }
  }

  func awaits(_ id: CallID) -> Bool {
    if case .removal(_, _, let call) = self { return call == id }
    return false
  }

  mutating func transferFailed(at now: Instant) {
    if case .transferring(let until, _) = self { self = .transferring(until: until, tryAt: now + Self.transferRetry) }
  }

  mutating func gossipFinished(at now: Instant) {
    if case .gossip = self { self = .removal(until: now + Self.removalLimit, askAt: now, call: nil) }
  }
}

extension ServerMachine {
  /// Why this server should not leave now, in one sentence: the servers that stay could not decide anything, or nobody
  /// could take this one out of Raft. Nil when it may go.
  public var leaveObstacle: String? {
    let servers = raft.configuration.servers
    guard servers.count > 1, servers.contains(where: { $0.id == configuration.raftID }) else { return nil }
    guard raft.leader != nil else {
      return "there is no leader that could take this server out of the cluster; " + quorumReport.summary
    }
    let others = servers.filter { $0.isVoter && $0.id != configuration.raftID }
    let alive = others.count { server in
      directory.localAlive.contains { $0.raftID == server.id || "\($0.address)" == server.address }
    }
    let needed = others.count / 2 + 1
    guard alive < needed else { return nil }
    return "of the \(others.count) voters that would stay \(alive) are alive and \(needed) are needed, so the cluster "
      + "would be without a leader for good; start the others, or remove those that are lost, first"
  }

  /// Leaves the cluster for good. Ends with `.left`.
  public mutating func leave(at now: Moment, effects: inout Effects) {
    guard !leaving.isUnderWay else { return }
    self.now = now
    effects.log.log(.info, "nomad", "server starting leave")
    leaving = .transferring(until: now.instant + Leaving.transferLimit, tryAt: now.instant)
    continueLeaving(&effects)
    settle(&effects)
  }

  mutating func continueLeaving(_ effects: inout Effects) {
    let instant = now.instant
    switch leaving {
    case .no, .done: return
    case .transferring(let until, let tryAt):
      let isAlone = raft.configuration.voterCount <= 1
      if raft.role == .leader, !isAlone {
        guard instant >= until else { return instant >= tryAt ? handOver(until: until, &effects) : () }
        removeItself(&effects)
      }
      leaving = .gossip(until: instant + Leaving.gossipLimit)
      membership.leave(at: instant, effects: &effects)
    case .gossip(let until):
      guard instant >= until else { return }
      leaving = .removal(until: instant + Leaving.removalLimit, askAt: instant, call: nil)
      continueLeaving(&effects)
    case .removal(let until, let askAt, let call):
      // The last server has nobody to be removed by.
      if raft.configuration.server(id: configuration.raftID) == nil || raft.configuration.servers.count <= 1 {
        return finishLeaving(clean: true)
      }
      guard instant < until else {
        effects.log.log(.warn, "nomad", "failed to leave raft configuration gracefully, timeout")
        return finishLeaving(clean: false)
      }
      guard call == nil, instant >= askAt else { return }
      askWhetherRemoved(until: until, &effects)
    }
  }

  /// A leader that was only just elected has nobody yet who could take over, so it is tried again.
  private mutating func handOver(until: Instant, _ effects: inout Effects) {
    leaving = .transferring(until: until, tryAt: until)
    do throws(RaftError) {
      try raft.transferLeadership(to: successor, at: now.instant, effects: &effects)
    } catch {
      effects.log.log(.debug, "nomad", "cannot hand leadership over yet", ["error": error.text])
      leaving.transferFailed(at: now.instant)
    }
  }

  /// Nobody takes over: the leader takes itself out, and the others elect one.
  private mutating func removeItself(_ effects: inout Effects) {
    do throws(RaftError) {
      _ = try raft.changeConfiguration(.remove(id: configuration.raftID), at: now.instant, effects: &effects)
      effects.log.log(.warn, "nomad", "leadership could not be handed over, leaving Raft as the leader")
    } catch {
      effects.log.log(.warn, "nomad", "cannot leave Raft as the leader", ["error": error.text])
    }
  }

  private mutating func askWhetherRemoved(until: Instant, _ effects: inout Effects) {
    let next = now.instant + Leaving.askInterval
    guard raft.role != .leader, let leader = raft.leader, let address = SocketAddress(leader.address) else {
      leaving = .removal(until: until, askAt: next, call: nil)
      return
    }
    let options = QueryOptions(region: configuration.region, allowStale: true)
    let call = rpc.call(
      .operatorRaftGetConfiguration, to: address, deadline: min(until, now.instant + .seconds(1)), at: now.instant,
      effects: &effects
    ) { options.encode(into: &$0) }
    leaving = .removal(until: until, askAt: next, call: call)
  }

  mutating func handleLeavingResponse(
    _ outcome: RPCOutcome, in batch: borrowing RPCEventBatch, _ effects: inout Effects
  ) {
    guard case .removal(let until, let askAt, _) = leaving else { return }
    leaving = .removal(until: until, askAt: askAt, call: nil)
    if case .reply(let range) = outcome, Self.lacksServer(configuration.raftID, batch.bytes(range)) {
      finishLeaving(clean: true)
    } else {
      continueLeaving(&effects)
    }
  }

  private mutating func finishLeaving(clean: Bool) {
    leaving = .done
    events.append(.left(clean: clean))
  }

  /// True when a reply of `Operator.RaftGetConfiguration` is readable and does not list the id.
  private static func lacksServer(_ id: String, _ reply: RawSpan) -> Bool {
    var reader = MessagePackReader(reply)
    var isListed = false
    var hasList = false
    do throws(WireError) {
      for _ in 0..<(try reader.readMapHeader()) {
        guard try reader.readString() == "Servers" else {
          try reader.skip()
          continue
        }
        hasList = true
        for _ in 0..<(try reader.readArrayHeader()) where text("ID", of: try reader.skip()) == id { isListed = true }
      }
    } catch {
      return false
    }
    return hasList && !isListed
  }

  /// `nomad server detach`: parts our region from another one, or allows it again. False: that is our own region.
  public mutating func detach(_ region: String, undo: Bool, at now: Moment, effects: inout Effects) -> Bool {
    self.now = now
    let isSent = membership.detach(region, undo: undo, at: now.instant, effects: &effects)
    settle(&effects)
    return isSent
  }

  /// `nomad server force-leave`: declares another member gone. Answers what became of it in words, nil when done.
  public mutating func forceLeave(
    _ name: String, prune: Bool, at now: Moment, effects: inout Effects
  ) -> ForceLeaveOutcome {
    self.now = now
    // The short name, the id and the address are accepted beside the gossip name.
    let entry = directory[name] ?? directory[name + "." + configuration.region] ?? directory.server(id: name)
      ?? directory.all.first { "\($0.gossipAddress)" == name || "\($0.address)" == name }
    let outcome = membership.forceLeave(entry?.gossipName ?? name, prune: prune, at: now.instant, effects: &effects)
    settle(&effects)
    return outcome
  }
}
