import Base

/// A server as the Raft configuration names it.
public struct RaftServer: Hashable, Sendable {
  public enum Suffrage: Int64, Hashable, Sendable {
    case voter = 0
    case nonvoter = 1
    /// Receives the log, does not vote; nobody writes it, but old logs may hold it.
    case staging = 2
  }

  /// A UUID under protocol 3, the address under protocol 2.
  public var id: String
  /// `ip:port` of the server's RPC listener; compared as text.
  public var address: String
  public var suffrage: Suffrage

  public init(id: String, address: String, suffrage: Suffrage = .voter) {
    self.id = id
    self.address = address
    self.suffrage = suffrage
  }

  public var isVoter: Bool { suffrage == .voter }
}

/// The set of servers that share a log, in the order the entry lists them (raft.md 4.2).
public struct RaftConfiguration: Hashable, Sendable {
  public var servers: [RaftServer]

  public init(_ servers: [RaftServer] = []) { self.servers = servers }

  public var isEmpty: Bool { servers.isEmpty }
  public var voterCount: Int { servers.reduce(0) { $0 + ($1.isVoter ? 1 : 0) } }
  /// Voters that must agree.
  public var quorum: Int { voterCount / 2 + 1 }

  public func server(id: String) -> RaftServer? { servers.first { $0.id == id } }
  public func server(address: String) -> RaftServer? { servers.first { $0.address == address } }

  public enum Defect: Error, Hashable, Sendable {
    case emptyID, emptyAddress, duplicateID, duplicateAddress, noVoter, tooManyServers
  }

  /// Why a cluster cannot run with this configuration; `nil` when it can.
  public var defect: Defect? {
    if servers.count > RaftWire.maximumServers { return .tooManyServers }
    for (position, server) in servers.enumerated() {
      if server.id.isEmpty { return .emptyID }
      if server.address.isEmpty { return .emptyAddress }
      for other in servers[..<position] {
        if other.id == server.id { return .duplicateID }
        if other.address == server.address { return .duplicateAddress }
      }
    }
    return voterCount == 0 ? .noVoter : nil
  }
}

extension RaftConfiguration {
  /// Data of an entry of kind `configuration`, and the field of InstallSnapshot.
  public init(decoding bytes: RawSpan) throws(WireError) {
    var reader = MessagePackReader(bytes)
    servers = []
    for _ in 0..<(try reader.readMapHeader()) {
      guard try reader.readRaw().equals("Servers") else {
        try reader.skip()
        continue
      }
      let count = try reader.readArrayHeader()
      guard count <= RaftWire.maximumServers else { throw .tooLarge }
      for _ in 0..<count { servers.append(try Self.decodeServer(&reader)) }
    }
    guard reader.isAtEnd else { throw .trailingBytes }
  }

  /// Data of the deprecated kinds 2 and 3: the complete set of voters, as addresses that are also the ids.
  public init(decodingPeers bytes: RawSpan) throws(WireError) {
    var reader = MessagePackReader(bytes)
    servers = []
    let count = try reader.readArrayHeader()
    guard count <= RaftWire.maximumServers else { throw .tooLarge }
    for _ in 0..<count {
      let address = try reader.readName()
      servers.append(RaftServer(id: address, address: address))
    }
    guard reader.isAtEnd else { throw .trailingBytes }
  }

  /// The configuration that `entry` puts in force. Precondition: `entry.kind.isConfiguration`.
  public init(of entry: LogEntry) throws(WireError) {
    precondition(entry.kind.isConfiguration)
    if entry.kind == .configuration {
      try self.init(decoding: entry.data.bytes)
    } else {
      try self.init(decodingPeers: entry.data.bytes)
    }
  }

  private static func decodeServer(_ reader: inout MessagePackReader) throws(WireError) -> RaftServer {
    var server = RaftServer(id: "", address: "")
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "ID": server.id = try reader.readName()
      case "Address": server.address = try reader.readName()
      case "Suffrage":
        guard let suffrage = RaftServer.Suffrage(rawValue: try reader.readInt64()) else { throw .outOfRange }
        server.suffrage = suffrage
      default: try reader.skip()
      }
    }
    return server
  }

  public func encode(into out: inout [UInt8]) {
    out.packMapHeader(1)
    out.pack("Servers" as StaticString)
    out.packArrayHeader(servers.count)
    for server in servers {
      out.packMapHeader(3)
      out.pack("Address" as StaticString)
      out.pack(server.address)
      out.pack("ID" as StaticString)
      out.pack(server.id)
      out.pack("Suffrage" as StaticString)
      out.pack(signed: server.suffrage.rawValue)
    }
  }

  /// The legacy list: addresses of the voters.
  public func encodePeers(into out: inout [UInt8]) {
    out.packArrayHeader(voterCount)
    for server in servers where server.isVoter { out.pack(server.address) }
  }

  public var encoded: [UInt8] {
    var out: [UInt8] = []
    encode(into: &out)
    return out
  }

  public var encodedPeers: [UInt8] {
    var out: [UInt8] = []
    encodePeers(into: &out)
    return out
  }
}
