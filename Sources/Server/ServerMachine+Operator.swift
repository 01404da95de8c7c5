import Base
import RPC
import Raft
import State
import Wire

/// What operators ask and change (rpc.md 8.2 to 8.4).
extension ServerMachine {
  mutating func answerOperator(
    _ caller: Caller, _ method: RPCMethod, _ body: RawSpan, _ effects: inout Effects
  ) {
    do throws(RequestError) {
      switch method {
      case .operatorRaftGetConfiguration: respond(caller, encoded(packRaftConfiguration), &effects)
      case .operatorRaftRemovePeerByID: removePeer(caller, id: Self.text("ID", of: body), address: nil, &effects)
      case .operatorRaftRemovePeerByAddress:
        removePeer(caller, id: nil, address: Self.text("Address", of: body), &effects)
      case .operatorTransferLeadershipToPeer: transferLeadership(caller, body, &effects)
      case .operatorAutopilotGetConfiguration:
        let configuration = state.autopilot ?? self.configuration.autopilot
        respond(caller, &effects) { configuration.pack(into: &$0) }
      case .operatorAutopilotSetConfiguration: propose(try state.prepareAutopilot(body), .bool, caller, &effects)
      case .operatorSchedulerSetConfiguration: propose(try state.prepareScheduler(body), .updated, caller, &effects)
      case .operatorServerHealth: respond(caller, encoded(packServerHealth), &effects)
      case .systemGarbageCollect:
        collectNodes(threshold: .zero, atOnce: true, &effects)
        respond(caller, &effects) { WriteMeta(index: 0).encode(into: &$0) }
      case .systemReconcileJobSummaries:
        respond(caller, &effects) { WriteMeta(index: 0).encode(into: &$0) }
      case .evalDequeue: holdDequeue(caller, body, &effects)
      default: fail(caller, "rpc: can't find method \(method.name)", &effects)
      }
    } catch {
      fail(caller, error.text, &effects)
    }
  }

  // MARK: Status

  func packRaftStatistics(_ out: inout [UInt8]) {
    let contact: String
    if raft.role == .leader {
      contact = "0"
    } else if let last = raft.lastContact(at: now.instant) {
      contact = "\(max(0, last.nanoseconds / 1000))µs"
    } else {
      contact = "never"
    }
    out.packMapHeader(3)
    out.pack("LastContact" as StaticString)
    out.pack(contact)
    out.pack("LastIndex" as StaticString)
    out.pack(unsigned: raft.lastLogIndex.value)
    out.pack("LastTerm" as StaticString)
    out.pack(unsigned: raft.lastLogTerm.value)
  }

  func packMembers(_ out: inout [UInt8]) {
    out.packMapHeader(4)
    out.pack("Members" as StaticString)
    let members = membership.members
    out.packArrayHeader(members.count)
    for member in members {
      out.packMapHeader(11)
      out.pack("Name" as StaticString)
      out.pack(member.name)
      out.pack("Addr" as StaticString)
      out.pack(raw: member.address.host.networkBytes)
      out.pack("Port" as StaticString)
      out.pack(unsigned: UInt64(member.address.port))
      out.pack("Tags" as StaticString)
      out.packMapHeader(member.tags.tags.count)
      for tag in member.tags.tags {
        out.pack(tag.key)
        out.pack(tag.value)
      }
      out.pack("Status" as StaticString)
      out.pack(member.status.description)
      let versions = member.versions
      for (key, value) in [
        ("ProtocolMin", versions.protocolMin), ("ProtocolMax", versions.protocolMax),
        ("ProtocolCur", versions.protocolCurrent), ("DelegateMin", versions.delegateMin),
        ("DelegateMax", versions.delegateMax), ("DelegateCur", versions.delegateCurrent),
      ] {
        out.pack(key)
        out.pack(unsigned: UInt64(value))
      }
    }
    out.pack("ServerName" as StaticString)
    out.pack(configuration.name)
    out.pack("ServerRegion" as StaticString)
    out.pack(configuration.region)
    out.pack("ServerDC" as StaticString)
    out.pack(configuration.datacenter)
  }

  func packVersion(_ out: inout [UInt8]) {
    let meta = queryMeta
    out.packMapHeader(2 + meta.fieldCount)
    out.pack("Build" as StaticString)
    out.pack(configuration.build)
    out.pack("Versions" as StaticString)
    out.packMapHeader(3)
    for key in ["api.major", "api.minor", "protocol"] {
      out.pack(key)
      out.pack(signed: 1)
    }
    meta.encodeFields(into: &out)
  }

  // MARK: Raft

  private func packRaftConfiguration(_ out: inout [UInt8]) {
    let servers = raft.configuration.servers
    let leader = raft.leader
    out.packMapHeader(2)
    out.pack("Index" as StaticString)
    out.pack(unsigned: 0)
    out.pack("Servers" as StaticString)
    out.packArrayHeader(servers.count)
    for server in servers {
      let entry = directory.local.first { "\($0.address)" == server.address }
      out.packMapHeader(6)
      out.pack("Address" as StaticString)
      out.pack(server.address)
      out.pack("ID" as StaticString)
      out.pack(server.id)
      out.pack("Leader" as StaticString)
      out.pack(server.address == leader?.address)
      out.pack("Node" as StaticString)
      out.pack(entry?.gossipName ?? "(unknown)")
      out.pack("RaftProtocol" as StaticString)
      out.pack(entry.map { "\($0.raftVersion)" } ?? "unknown")
      out.pack("Voter" as StaticString)
      out.pack(server.isVoter)
    }
  }

  private mutating func removePeer(_ caller: Caller, id: String?, address: String?, _ effects: inout Effects) {
    let known = raft.configuration.servers.first { $0.id == id || $0.address == address }
    guard let known else {
      let what = id.map { "id \"\($0)\"" } ?? "address \"\(address ?? "")\""
      return fail(caller, "\(what) was not found in the Raft configuration", &effects)
    }
    do throws(RaftError) {
      let index = try raft.changeConfiguration(.remove(id: known.id), at: now.instant, effects: &effects)
      requests.proposals[index] = RequestTable.Proposal(caller: caller, answer: .empty)
      effects.log.log(.warn, "nomad", "removed Raft peer", ["peer-id": known.id, "peer-address": known.address])
    } catch {
      fail(caller, error.text, &effects)
    }
  }

  private mutating func transferLeadership(_ caller: Caller, _ body: RawSpan, _ effects: inout Effects) {
    let id = Self.text("ID", of: body)
    let address = Self.text("Address", of: body)
    let target = raft.configuration.servers.first {
      (!id.isEmpty && $0.id == id) || (!address.isEmpty && $0.address == address)
    }
    guard let target else {
      let what = id.isEmpty ? "address \"\(address)\"" : "id \"\(id)\""
      return fail(caller, RPCErrorText.coded(400, "\(what) was not found in the Raft configuration"), &effects)
    }
    guard target.isVoter else {
      return fail(caller, RPCErrorText.coded(400, "cannot transfer leadership to \(target.id): no voter"), &effects)
    }
    if target.id == configuration.raftID { return respondTransfer(caller, to: target, isNoop: true, &effects) }
    do throws(RaftError) {
      try raft.transferLeadership(to: target.id, at: now.instant, effects: &effects)
      transferCallers.append((caller, target))
    } catch {
      fail(caller, error.text, &effects)
    }
  }

  /// Raft has given a transfer up. Where leadership is gone, somebody is being elected, and the callers wait for who.
  mutating func transferEnded(_ effects: inout Effects) {
    if raft.role == .leader {
      effects.log.log(.warn, "nomad.raft", "leadership transfer did not come about in time")
      failTransferCallers(&effects)
    } else if !transferCallers.isEmpty {
      transferDue = now.instant + Self.leaderHold
      finishTransferCallers(&effects)
    }
  }

  /// The new leader is known: the one that was asked for, or another.
  mutating func finishTransferCallers(_ effects: inout Effects) {
    guard !transferCallers.isEmpty, raft.role != .leader, let leader = raft.leader else { return }
    let waiting = transferCallers
    transferCallers.removeAll()
    transferDue = nil
    for (caller, target) in waiting {
      if target.address == leader.address {
        respondTransfer(caller, to: target, isNoop: false, &effects)
      } else {
        fail(caller, "leadership transfer failed: \(leader.address) was elected instead", &effects)
      }
    }
  }

  mutating func failTransferCallers(_ effects: inout Effects) {
    let waiting = transferCallers
    transferCallers.removeAll()
    transferDue = nil
    for (caller, _) in waiting { fail(caller, "leadership transfer timeout", &effects) }
  }

  private mutating func respondTransfer(
    _ caller: Caller, to target: RaftServer, isNoop: Bool, _ effects: inout Effects
  ) {
    let own = RaftServer(id: configuration.raftID, address: "\(configuration.raftAddress)")
    respond(caller, &effects) { out in
      out.packMapHeader(5)
      for (key, server) in [("From", own), ("To", target)] {
        out.pack(key)
        out.packMapHeader(2)
        out.pack("Address" as StaticString)
        out.pack(server.address)
        out.pack("ID" as StaticString)
        out.pack(server.id)
      }
      out.pack("Noop" as StaticString)
      out.pack(isNoop)
      out.pack("Err" as StaticString)
      out.packNil()
      out.pack("Index" as StaticString)
      out.pack(unsigned: 0)
    }
  }

  // MARK: Health

  /// Clients that the leader watches; 0 on every other server.
  public var watchedNodeCount: Int { leadership.timers.count }

  /// What autopilot says in two words; meaningful on the leader only.
  public var autopilotSummary: (isHealthy: Bool, failureTolerance: Int) {
    let health = serverHealth
    let voters = health.filter(\.server.isVoter)
    let tolerance = voters.count { $0.isHealthy } - (voters.count / 2 + 1)
    return (health.allSatisfy(\.isHealthy), max(0, tolerance))
  }

  private func packServerHealth(_ out: inout [UInt8]) {
    let health = serverHealth
    let voters = health.filter(\.server.isVoter)
    let healthyVoters = voters.count { $0.isHealthy }
    out.packMapHeader(3)
    out.pack("FailureTolerance" as StaticString)
    out.pack(signed: Int64(max(0, healthyVoters - (voters.count / 2 + 1))))
    out.pack("Healthy" as StaticString)
    out.pack(health.allSatisfy(\.isHealthy))
    out.pack("Servers" as StaticString)
    out.packArrayHeader(health.count)
    for one in health { pack(one, into: &out) }
  }

  private func pack(_ one: ServerHealth, into out: inout [UInt8]) {
    let status: Int64
    switch one.entry?.status {
    case .alive: status = 1
    case .leaving: status = 2
    case .left: status = 3
    case .failed: status = 4
    case nil: status = 0
    }
    let since = one.stableSince.map {
      WallTime(unixNanoseconds: now.wall.unixNanoseconds - (now.instant - $0).nanoseconds)
    }
    out.packMapHeader(12)
    out.pack("Address" as StaticString)
    out.pack(one.server.address)
    out.pack("Healthy" as StaticString)
    out.pack(one.isHealthy)
    out.pack("ID" as StaticString)
    out.pack(one.server.id)
    out.pack("LastContact" as StaticString)
    out.pack(one.lastContact)
    out.pack("LastIndex" as StaticString)
    out.pack(unsigned: one.lastIndex.value)
    out.pack("LastTerm" as StaticString)
    out.pack(unsigned: raft.lastLogTerm.value)
    out.pack("Leader" as StaticString)
    out.pack(one.isLeader)
    out.pack("Name" as StaticString)
    out.pack(one.entry?.gossipName ?? "(unknown)")
    out.pack("SerfStatus" as StaticString)
    out.pack(signed: status)
    out.pack("StableSince" as StaticString)
    out.pack(since.map { GoTime($0) } ?? .zero)
    out.pack("Version" as StaticString)
    out.pack(one.entry?.build ?? "")
    out.pack("Voter" as StaticString)
    out.pack(one.server.isVoter)
  }

  // MARK: Evaluations

  /// Workers of Nomad's own followers ask for work without end; being answered at once would make them spin.
  private mutating func holdDequeue(_ caller: Caller, _ body: RawSpan, _ effects: inout Effects) {
    var timeout = Interval.milliseconds(500)
    var reader = MessagePackReader(body)
    do throws(WireError) {
      for _ in 0..<(try reader.readMapHeader()) {
        if try reader.readString() == "Timeout" {
          timeout = Interval(nanoseconds: try reader.readInt64())
        } else {
          try reader.skip()
        }
      }
    } catch {
      return fail(caller, "msgpack decode error: \(error)", &effects)
    }
    let wait = min(max(timeout, .milliseconds(100)), .seconds(60))
    requests.idle.append((caller, now.instant + wait))
  }

  static func packNoEvaluation(into out: inout [UInt8]) {
    let meta = QueryMeta(index: 0, knownLeader: false)
    out.packMapHeader(3 + meta.fieldCount)
    out.pack("Eval" as StaticString)
    out.packNil()
    meta.encodeFields(into: &out)
    out.pack("Token" as StaticString)
    out.pack("")
    out.pack("WaitIndex" as StaticString)
    out.pack(unsigned: 0)
  }
}
