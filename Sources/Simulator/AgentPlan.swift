import Base
import Client
import Raft
import Server
import Wire

/// What an operator wrote into the configuration of one agent.
public struct AgentPlan: Sendable {
  public var name: String
  public var region: String
  public var datacenter: String
  public var host: IPAddress
  public var server: ServerPlan?
  public var client: ClientPlan?
  /// What tells the machine from its clones; empty: nothing does.
  public var machineID = ""

  public struct ServerPlan: Sendable {
    public var bootstrapExpect: Int
    /// `retry_join`
    public var join: [SocketAddress]
    public var isWitness = false
    /// `federates_with`
    public var federation: [String]?
    /// `redundancy_zone`; with any the autopilot is told to mind them.
    public var zone = ""
    /// `raft_snapshot_threshold`
    public var snapshotThreshold = RaftLimits().snapshotThreshold
    /// `raft_snapshot_interval`
    public var snapshotInterval = Interval.zero

    public init(bootstrapExpect: Int, join: [SocketAddress]) {
      self.bootstrapExpect = bootstrapExpect
      self.join = join
    }
  }

  public struct ClientPlan: Sendable {
    public var servers: [SocketAddress]

    public init(servers: [SocketAddress]) { self.servers = servers }
  }

  public init(
    name: String, region: String = "global", datacenter: String = "dc1", host: IPAddress, server: ServerPlan? = nil,
    client: ClientPlan? = nil
  ) {
    self.name = name
    self.region = region
    self.datacenter = datacenter
    self.host = host
    self.server = server
    self.client = client
  }

  public static let gossipPort: UInt16 = 4648
  public static let rpcPort: UInt16 = 4647

  /// Address number `number` of the virtual network.
  public static func host(_ number: Int) -> IPAddress { .v4(0x0A00_0001 + UInt32(number)) }

  public var gossipAddress: SocketAddress { SocketAddress(host, port: Self.gossipPort) }
  public var rpcAddress: SocketAddress { SocketAddress(host, port: Self.rpcPort) }

  func serverConfiguration(_ plan: ServerPlan, id: String, _ restored: ServerRestoredState) -> ServerConfiguration {
    var result = ServerConfiguration(
      name: name, region: region, datacenter: datacenter, id: id, build: "1.1.2", gossipAdvertise: gossipAddress,
      rpcAdvertise: rpcAddress)
    result.bootstrapExpect = plan.bootstrapExpect
    result.redundancyZone = plan.zone
    result.isWitness = plan.isWitness
    result.federation = plan.federation
    result.raftLimits.snapshotThreshold = plan.snapshotThreshold
    result.snapshotInterval = plan.snapshotInterval
    result.autopilot.enableRedundancyZones = !plan.zone.isEmpty
    result.join.hasEntries = !plan.join.isEmpty
    result.join.remembered = ServerConfiguration.rememberedMembers(
      in: result.federated(restored.gossipSnapshot), keepingFailed: restored.raft == RaftRestoredState())
    return result
  }

  func clientConfiguration(_ plan: ClientPlan, _ state: ClientPersistedState) -> ClientConfiguration {
    var node = NodeDescription(
      id: state.nodeID, secretID: state.secretID, name: name, datacenter: datacenter,
      httpAddress: "\(SocketAddress(host, port: 4646))")
    node.attributes = [
      NodeAttribute("kernel.name", "linux"), NodeAttribute("nomad.version", "1.6.0"), ServersChanged.attribute,
    ]
    var result = ClientConfiguration(node: node)
    result.region = region
    result.machineID = machineID
    result.servesStatistics = true
    result.servers = (server == nil ? [] : [rpcAddress]) + plan.servers
    return result
  }
}
