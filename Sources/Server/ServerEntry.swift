import Base
import Wire

/// What the gossip tags of one member say, if it is a Nomad server (cluster.md 1.2).
public struct ServerEntry: Hashable, Sendable {
  public enum Status: String, Hashable, Sendable {
    case alive, leaving, left, failed
  }

  /// `name.region`
  public var gossipName: String
  public var gossipAddress: SocketAddress
  public var status: Status
  public var id: String
  public var region: String
  public var datacenter: String
  public var build: String
  public var raftVersion: Int
  /// 0 when not announced.
  public var expect: Int
  public var bootstrapsAlone: Bool
  public var isVoter: Bool
  /// Tag `witness`: it votes and is no server for clients.
  public var isWitness: Bool
  /// Tag `ap_zone`: of the servers of one redundancy zone one votes. Empty: in no zone.
  public var zone: String
  /// Gossip IP and the tag `port`: where servers call it, and its Raft address.
  public var address: SocketAddress
  /// Tag `rpc_addr` and the tag `port`: what clients are told.
  public var clientAddress: SocketAddress
  /// Speaks nomadd's bootstrap protocol of this version or later; 0 for Nomad's own servers.
  public var nomaddVersion: Int
  /// Id of the cluster it belongs to; empty before there is one, and for servers of the original.
  public var cluster: String

  /// Why a member counts as no server; logged once, and the member is ignored everywhere else.
  public enum Refusal: Error, Hashable, Sendable {
    case role
    case tag(String)
  }

  public init(
    name: String, gossipAddress: SocketAddress, tags: SerfTags, status: Status
  ) throws(Refusal) {
    func integer(_ key: String, absent: Int?) throws(Refusal) -> Int {
      guard let text = tags[key] else {
        guard let absent else { throw .tag(key) }
        return absent
      }
      guard let value = Int(text) else { throw .tag(key) }
      return value
    }
    guard tags["role"] == "nomad" else { throw .role }
    guard let port = UInt16(exactly: try integer("port", absent: nil)) else { throw .tag("port") }
    guard let build = tags["build"], Self.isVersion(build) else { throw .tag("build") }
    self.gossipName = name
    self.gossipAddress = gossipAddress
    self.status = status
    self.build = build
    id = tags["id"] ?? "unknown"
    region = tags["region"] ?? ""
    datacenter = tags["dc"] ?? ""
    raftVersion = try integer("raft_vsn", absent: 0)
    expect = try integer("expect", absent: 0)
    nomaddVersion = try integer("nomadd", absent: 0)
    cluster = tags["cluster"] ?? ""
    bootstrapsAlone = tags["bootstrap"] != nil
    isVoter = tags["nonvoter"] == nil
    isWitness = tags["witness"] != nil
    zone = tags["ap_zone"] ?? ""
    address = SocketAddress(gossipAddress.host, port: port)
    clientAddress = SocketAddress(tags["rpc_addr"].flatMap { IPAddress($0) } ?? gossipAddress.host, port: port)
  }

  public var raftID: String { raftVersion >= 3 ? id : "\(address)" }

  /// Starts like a version: digits, then a dot or the end.
  private static func isVersion(_ text: String) -> Bool {
    let head = text.prefix { $0.isNumber }
    return !head.isEmpty && (head.endIndex == text.endIndex || text[head.endIndex] == ".")
  }

  /// The tags of the own server.
  static func tags(of configuration: ServerConfiguration, cluster: String? = nil) -> [String: String] {
    var tags = [
      "role": "nomad", "region": configuration.region, "dc": configuration.datacenter, "build": configuration.build,
      "vsn": "1", "mvn": "1", "raft_vsn": "\(configuration.raftProtocol)", "id": configuration.id,
      "rpc_addr": "\(configuration.rpcAdvertise.host)", "port": "\(configuration.rpcAdvertise.port)",
      "nomadd": "\(ServerMachine.bootstrapProtocolVersion)",
    ]
    if let cluster { tags["cluster"] = cluster }
    if !configuration.revision.isEmpty { tags["revision"] = configuration.revision }
    if configuration.bootstrapExpect != 0 { tags["expect"] = "\(configuration.bootstrapExpect)" }
    if configuration.bootstrapExpect == 1 { tags["bootstrap"] = "1" }
    if !configuration.isVoter { tags["nonvoter"] = "1" }
    if configuration.isWitness { tags["witness"] = "1" }
    if !configuration.upgradeVersion.isEmpty { tags["ap_version"] = configuration.upgradeVersion }
    if !configuration.redundancyZone.isEmpty { tags["ap_zone"] = configuration.redundancyZone }
    return tags
  }
}
