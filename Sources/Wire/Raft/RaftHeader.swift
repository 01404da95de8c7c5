import Base

/// Limits of the Raft wire format as this project accepts it.
public enum RaftWire {
  /// First byte of a connection that carries Raft.
  public static let streamByte: UInt8 = 0x02
  /// Largest request object (all its entries included), in bytes. Bounds what one connection may make us buffer.
  public static let maximumRequestBytes = 64 << 20
  /// Largest reply (both objects), in bytes.
  public static let maximumReplyBytes = 64 << 10
  /// Largest snapshot state accepted from a peer, in bytes.
  public static let maximumSnapshotBytes = 1 << 30
  /// Servers in one configuration.
  public static let maximumServers = 256
  /// Bytes of a server id or address.
  public static let maximumNameBytes = 512
}

/// What every Raft request and response carries, flattened into its map (raft.md 1.4).
public struct RaftHeader: Hashable, Sendable {
  /// Server id and Raft address of the sender. Sent by the newer generation of the library only.
  public struct Identity: Hashable, Sendable {
    public var id: String
    public var address: String

    public init(id: String, address: String) {
      self.id = id
      self.address = address
    }
  }

  public var protocolVersion: Int64
  /// `nil`: the keys are omitted on the wire, respectively the sender is of the older generation.
  public var identity: Identity?

  public init(protocolVersion: Int64, identity: Identity? = nil) {
    self.protocolVersion = protocolVersion
    self.identity = identity
  }
}

/// Collects the header fields while a map is decoded in any key order.
struct RaftHeaderFields {
  private var protocolVersion: Int64 = 0
  private var id = ""
  private var address = ""

  /// True when the key belonged to the header and its value was consumed.
  mutating func decode(_ key: RawSpan, _ reader: inout MessagePackReader) throws(WireError) -> Bool {
    switch key {
    case "ProtocolVersion": protocolVersion = try reader.readInt64()
    case "ID": id = try reader.readName()
    case "Addr": address = try reader.readName()
    default: return false
    }
    return true
  }

  var header: RaftHeader {
    let known = !id.isEmpty || !address.isEmpty
    return RaftHeader(
      protocolVersion: protocolVersion, identity: known ? RaftHeader.Identity(id: id, address: address) : nil)
  }
}

extension MessagePackReader {
  /// A server id or address.
  mutating func readName() throws(WireError) -> String {
    let raw = try readRaw()
    guard raw.byteCount <= RaftWire.maximumNameBytes else { throw .tooLarge }
    return raw.text()
  }

  mutating func readIndex() throws(WireError) -> LogIndex { LogIndex(try readUInt64()) }
  mutating func readTerm() throws(WireError) -> Term { Term(try readUInt64()) }
}

extension [UInt8] {
  // Maps are written with their keys sorted by byte value, as Go's codec does: `Addr` first, `ID` in its place.

  mutating func packAddress(_ header: RaftHeader) {
    guard let identity = header.identity else { return }
    pack("Addr" as StaticString)
    pack(identity.address)
  }

  mutating func packID(_ header: RaftHeader) {
    guard let identity = header.identity else { return }
    pack("ID" as StaticString)
    pack(identity.id)
  }

  mutating func packVersion(_ header: RaftHeader) {
    pack("ProtocolVersion" as StaticString)
    pack(signed: header.protocolVersion)
  }

  mutating func pack(_ key: StaticString, _ index: LogIndex) {
    pack(key)
    pack(unsigned: index.value)
  }

  mutating func pack(_ key: StaticString, _ term: Term) {
    pack(key)
    pack(unsigned: term.value)
  }

  mutating func pack(_ key: StaticString, _ flag: Bool) {
    pack(key)
    pack(flag)
  }
}

extension RaftHeader {
  /// Keys that the header adds to a map.
  var fieldCount: Int { identity == nil ? 1 : 3 }
}
