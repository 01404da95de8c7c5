import Base

/// A server as clients are told of it (rpc.md section 5.3).
public struct ServerInfo: Hashable, Sendable {
  /// `ip:port` that clients can reach: tag `rpc_addr` (else the gossip address) and tag `port`.
  public var rpcAdvertiseAddress: String
  public var rpcMajorVersion: Int32 = 1
  public var rpcMinorVersion: Int32 = 1
  public var datacenter: String

  public init(rpcAdvertiseAddress: String, datacenter: String) {
    self.rpcAdvertiseAddress = rpcAdvertiseAddress
    self.datacenter = datacenter
  }

  public init(_ reader: inout MessagePackReader) throws(WireError) {
    var address = ""
    var major: Int32 = 0
    var minor: Int32 = 0
    var dc = ""
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "RPCAdvertiseAddr": address = try reader.readString()
      case "RPCMajorVersion": major = try reader.readInteger(as: Int32.self)
      case "RPCMinorVersion": minor = try reader.readInteger(as: Int32.self)
      case "Datacenter": dc = try reader.readString()
      default: try reader.skip()
      }
    }
    self.init(rpcAdvertiseAddress: address, datacenter: dc)
    rpcMajorVersion = major
    rpcMinorVersion = minor
  }

  public func encode(into bytes: inout [UInt8]) {
    bytes.packMapHeader(4)
    bytes.pack("Datacenter")
    bytes.pack(datacenter)
    bytes.pack("RPCAdvertiseAddr")
    bytes.pack(rpcAdvertiseAddress)
    bytes.pack("RPCMajorVersion")
    bytes.pack(signed: Int64(rpcMajorVersion))
    bytes.pack("RPCMinorVersion")
    bytes.pack(signed: Int64(rpcMinorVersion))
  }

  /// The address to dial; an address without port gets 4647. Nil when it is no IP address.
  public var socketAddress: SocketAddress? {
    if let address = SocketAddress(rpcAdvertiseAddress) { return address }
    var host = rpcAdvertiseAddress[...]
    if host.first == "[", host.last == "]" { host = host.dropFirst().dropLast() }
    return IPAddress(host).map { SocketAddress($0, port: Self.defaultPort) }
  }

  /// Nomad's RPC port.
  public static let defaultPort: UInt16 = 4647

  /// Servers read from one list; a region has a handful.
  public static let maximumListCount = 1024

  /// A Go `[]*NodeServerInfo`; nil stays nil. Throws `.tooLarge` above `maximumListCount`.
  static func readList(_ reader: inout MessagePackReader) throws(WireError) -> [ServerInfo]? {
    if try reader.readNil() { return nil }
    let count = try reader.readArrayHeader()
    guard count <= maximumListCount else { throw .tooLarge }
    var list: [ServerInfo] = []
    list.reserveCapacity(count)
    for _ in 0..<count {
      if try reader.readNil() { continue }
      list.append(try ServerInfo(&reader))
    }
    return list
  }

  static func encode(_ list: [ServerInfo]?, into bytes: inout [UInt8]) {
    guard let list else { return bytes.packNil() }
    bytes.packArrayHeader(list.count)
    for server in list { server.encode(into: &bytes) }
  }
}
