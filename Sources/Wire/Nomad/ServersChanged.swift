import Base

/// Body of `Client.ServersChanged`, an RPC of our own that a server calls over the session a client has dialed, as soon
/// as the servers of the region change; the answer is an empty map. Clients that understand it say so with the node
/// attribute `nomadd.push`; all others learn the list with their next heartbeat.
public struct ServersChanged: Hashable, Sendable {
  /// Every server of the region, as in `NodeUpdateResponse`.
  public var servers: [ServerInfo]
  /// Raft address of the leader, empty when none is known.
  public var leaderRPCAddress: String
  /// Grows with each change that the sending server sees. Not comparable between servers.
  public var index: UInt64

  /// Attribute by which a node says that it takes pushes, and its value.
  public static let attribute = NodeAttribute("nomadd.push", "1")

  public init(servers: [ServerInfo], leaderRPCAddress: String, index: UInt64) {
    self.servers = servers
    self.leaderRPCAddress = leaderRPCAddress
    self.index = index
  }

  public init(_ reader: inout MessagePackReader) throws(WireError) {
    self.init(servers: [], leaderRPCAddress: "", index: 0)
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "Servers": servers = try ServerInfo.readList(&reader) ?? []
      case "LeaderRPCAddr": leaderRPCAddress = try reader.readString()
      case "Index": index = try reader.readUInt64()
      default: try reader.skip()
      }
    }
  }

  public func encode(into bytes: inout [UInt8]) {
    bytes.packMapHeader(3)
    bytes.pack("Index")
    bytes.pack(unsigned: index)
    bytes.pack("LeaderRPCAddr")
    bytes.pack(leaderRPCAddress)
    bytes.pack("Servers")
    ServerInfo.encode(servers, into: &bytes)
  }
}
