import Base
import Wire

/// What a client keeps over restarts: who it is, and the servers it last heard of.
public struct ClientPersistedState: Hashable, Sendable {
  /// UUID texts of 36 characters.
  public var nodeID: String
  public var secretID: String
  /// The machine on which this identity was made; empty: not known.
  public var machineID = ""
  /// The last list a server gave; tried beside the configured ones.
  public var servers: [SocketAddress] = []

  /// The identity is made by the shell, from the operating system's randomness: the secret is one.
  public init(nodeID: String, secretID: String, machineID: String = "", servers: [SocketAddress] = []) {
    self.nodeID = nodeID
    self.secretID = secretID
    self.machineID = machineID
    self.servers = servers
  }

  /// Reads what `encoded` wrote. Addresses that cannot be read are left out.
  public init(decoding bytes: RawSpan) throws(WireError) {
    var reader = MessagePackReader(bytes)
    var node = ""
    var secret = ""
    var machine = ""
    var list: [SocketAddress] = []
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "NodeID": node = try reader.readString()
      case "SecretID": secret = try reader.readString()
      case "MachineID": machine = try reader.readString()
      case "Servers":
        for _ in 0..<(try reader.readArrayHeader()) {
          let text = try reader.readString()
          if let address = SocketAddress(text), list.count < ServerInfo.maximumListCount { list.append(address) }
        }
      default: try reader.skip()
      }
    }
    guard node.utf8.count == 36, secret.utf8.count == 36 else { throw .malformed }
    self.init(nodeID: node, secretID: secret, machineID: machine, servers: list)
  }

  public func encoded() -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.packMapHeader(4)
    bytes.pack("NodeID")
    bytes.pack(nodeID)
    bytes.pack("SecretID")
    bytes.pack(secretID)
    bytes.pack("MachineID")
    bytes.pack(machineID)
    bytes.pack("Servers")
    bytes.pack(servers.map(\.description))
    return bytes
  }
}
