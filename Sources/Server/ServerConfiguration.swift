import Base
import Membership
import RPC
import Raft
import State

/// Everything a server is told once, at start. Addresses are resolved and checked by the shell before.
public struct ServerConfiguration: Sendable {
  /// Node name; the gossip name is `name.region`.
  public var name: String
  public var region: String
  public var datacenter: String
  /// Lower-case UUID from the data directory.
  public var id: String
  /// Version without `v`, as the gossip tag `build` carries it.
  public var build: String
  public var revision: String = ""

  /// What gossip announces; with the port of `rpcAdvertise` it is the Raft address too (cluster.md 1.1).
  public var gossipAdvertise: SocketAddress
  /// Further gossip addresses that are ours: what the listener is bound to.
  public var ownGossipAddresses: [SocketAddress] = []
  /// What clients are told.
  public var rpcAdvertise: SocketAddress

  /// 0: wait to be added by a leader.
  public var bootstrapExpect: Int = 0
  /// Where the value stands (`server.hcl:4:3`, `--bootstrap-expect`), for the sentence about a mismatch.
  public var bootstrapExpectPlace: String = "bootstrap_expect"
  public var isVoter = true
  /// Votes, and leads only while nobody else can.
  public var isWitness = false
  public var raftProtocol: Int = 3
  public var raftMultiplier: Int = 1
  public var raftLimits = RaftLimits()
  /// Own snapshots are at least so far apart, unless the log grows to four times `snapshotThreshold`.
  public var snapshotInterval = Interval.zero
  /// What the first leader writes; the replicated settings rule from then on.
  public var autopilot = AutopilotConfiguration()
  public var rpc = RPCConfiguration()
  /// Port of the gossip listener, which stands in for a missing one in foreign messages.
  public var gossipBindPort: UInt16?
  public var rejoinAfterLeave = false
  /// Regions beside the own one whose servers may be in the pool; nil: all.
  public var federation: [String]?
  public var redundancyZone: String = ""
  public var upgradeVersion: String = ""

  public var join = JoinLoop.Configuration()

  public var heartbeatGrace = Interval.seconds(10)
  public var heartbeatMinimumTTL = Interval.seconds(10)
  public var heartbeatsPerSecond: Double = 50
  /// Nil: as long as a heartbeat can take at most.
  public var heartbeatFailoverTTL: Interval?
  /// Nodes that are down for so long are deregistered.
  public var nodeGCThreshold = Interval.hours(24)

  /// Nil: gossip is in clear.
  public var keyring: GossipKeyring?

  public init(
    name: String, region: String, datacenter: String, id: String, build: String, gossipAdvertise: SocketAddress,
    rpcAdvertise: SocketAddress
  ) {
    self.name = name
    self.region = region
    self.datacenter = datacenter
    self.id = id
    self.build = build
    self.gossipAdvertise = gossipAdvertise
    self.rpcAdvertise = rpcAdvertise
  }

  public var gossipName: String { name + "." + region }
  public var raftAddress: SocketAddress { SocketAddress(gossipAdvertise.host, port: rpcAdvertise.port) }
  /// Raft id: the node id under protocol 3, the address under protocol 2.
  public var raftID: String { raftProtocol >= 3 ? id : "\(raftAddress)" }

  /// False: the gossip tags would not fit into the 512 bytes that peers accept.
  public var tagsFit: Bool { MembershipMachine.fits(ServerEntry.tags(of: self)) }

  /// Without the members of regions that this server does not federate with any more.
  public func federated(_ snapshot: [String]) -> [String] {
    var detachments = Detachments()
    for line in snapshot { detachments.replay(line) }
    guard federation != nil || !detachments.isEmpty else { return snapshot }
    return snapshot.filter { line in
      guard line.hasPrefix("alive: "), let blank = line.lastIndex(of: " ") else { return true }
      let name = line[..<blank]
      func isOf(_ region: String) -> Bool { name.hasSuffix(".\(region)") }
      if detachments.regions.contains(where: isOf) { return false }
      return federation.map { ($0 + [region]).contains(where: isOf) } ?? true
    }
  }

  /// Gossip addresses that a snapshot file records as alive (gossip.md 6.11): `alive: name 127.0.0.1:4648`.
  ///
  /// `keepingFailed` keeps those that failed too: until there is a first configuration, a server that was once known
  /// may be part of another one.
  public static func rememberedMembers(in lines: [String], keepingFailed: Bool) -> [SocketAddress] {
    var members: [String: SocketAddress] = [:]
    var order: [String] = []
    for line in lines {
      if line == "leave" {
        members.removeAll()
      } else if line.hasPrefix("alive: "), let blank = line.lastIndex(of: " ") {
        let name = String(line[line.index(line.startIndex, offsetBy: 7)..<blank])
        guard let address = SocketAddress(line[line.index(after: blank)...]) else { continue }
        if members.updateValue(address, forKey: name) == nil { order.append(name) }
      } else if line.hasPrefix("not-alive: "), !keepingFailed {
        members[String(line.dropFirst(11))] = nil
      }
    }
    return order.compactMap { members[$0] }
  }
}
