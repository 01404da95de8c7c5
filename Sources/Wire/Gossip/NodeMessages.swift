import Base

/// "This node is alive, with these data" (gossip.md 2.4, type 4); also how an entry of a push/pull list is merged.
public struct AliveMessage: ~Escapable {
  public let incarnation: UInt32
  public let node: RawSpan
  public let address: RawSpan
  /// 0 means the receiver's own bind port.
  public let port: UInt16
  /// Encoded tags.
  public let metadata: RawSpan
  /// `nil` when fewer than six bytes were announced.
  public let versions: ProtocolVersions?

  static let fields: StructFields = ["Incarnation", "Node", "Addr", "Port", "Meta", "Vsn"]

  /// `bytes` starts after the type byte.
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) throws(WireError) {
    var reader = MessagePackReader(bytes)
    var incarnation: UInt32 = 0
    var port: UInt16 = 0
    var node = bytes.extracting(0..<0)
    var address = bytes.extracting(0..<0)
    var metadata = bytes.extracting(0..<0)
    var versions: ProtocolVersions?
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, Self.fields) {
      case 0: incarnation = try reader.readInteger(as: UInt32.self)
      case 1: node = try reader.readRaw()
      case 2: address = try reader.readRaw()
      case 3: port = try reader.readInteger(as: UInt16.self)
      case 4: metadata = try reader.readRaw()
      case 5: versions = ProtocolVersions(try reader.readRaw())
      default: try reader.skip()
      }
    }
    self.incarnation = incarnation
    self.node = node
    self.address = address
    self.port = port
    self.metadata = metadata
    self.versions = versions
  }

  /// The alive message that an entry of a push/pull list stands for.
  @_lifetime(copy entry)
  public init(_ entry: PushPullNode) {
    incarnation = entry.incarnation
    node = entry.name
    address = entry.address
    port = entry.port
    metadata = entry.metadata
    versions = entry.versions
  }

  public static func encode(
    incarnation: UInt32, node: [UInt8], address: SocketAddress, metadata: [UInt8], versions: ProtocolVersions,
    into out: inout [UInt8]
  ) {
    out.append(GossipMessageKind.alive.rawValue)
    out.packMapHeader(6)
    out.pack("Addr" as StaticString)
    out.pack(address.host)
    out.pack("Incarnation" as StaticString)
    out.pack(unsigned: UInt64(incarnation))
    out.pack("Meta" as StaticString)
    out.packMetadata(metadata)
    out.pack("Node" as StaticString)
    out.pack(raw: node)
    out.pack("Port" as StaticString)
    out.pack(unsigned: UInt64(address.port))
    out.pack("Vsn" as StaticString)
    out.pack(versions)
  }
}

extension [UInt8] {
  /// A node without metadata has Go's nil there.
  mutating func packMetadata(_ metadata: [UInt8]) {
    if metadata.isEmpty { packNil() } else { pack(raw: metadata) }
  }
}

/// Body of `suspect` (type 3) and `dead` (type 5): `from` says that `node` does not answer. In `dead`, a node that
/// accuses itself has left of its own will (gossip.md 2.4).
public struct AccusationMessage: ~Escapable {
  public let incarnation: UInt32
  public let node: RawSpan
  public let from: RawSpan

  static let fields: StructFields = ["Incarnation", "Node", "From"]

  /// `bytes` starts after the type byte.
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) throws(WireError) {
    var reader = MessagePackReader(bytes)
    var incarnation: UInt32 = 0
    var node = bytes.extracting(0..<0)
    var from = bytes.extracting(0..<0)
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, Self.fields) {
      case 0: incarnation = try reader.readInteger(as: UInt32.self)
      case 1: node = try reader.readRaw()
      case 2: from = try reader.readRaw()
      default: try reader.skip()
      }
    }
    self.incarnation = incarnation
    self.node = node
    self.from = from
  }

  /// Made locally, from a push/pull entry or a probe's verdict.
  @_lifetime(copy node, copy from)
  public init(incarnation: UInt32, node: RawSpan, from: RawSpan) {
    self.incarnation = incarnation
    self.node = node
    self.from = from
  }

  /// Precondition: `kind` is `suspect` or `dead`.
  public static func encode(
    _ kind: GossipMessageKind, incarnation: UInt32, node: [UInt8], from: [UInt8], into out: inout [UInt8]
  ) {
    precondition(kind == .suspect || kind == .dead)
    out.append(kind.rawValue)
    out.packMapHeader(3)
    out.pack("From" as StaticString)
    out.pack(raw: from)
    out.pack("Incarnation" as StaticString)
    out.pack(unsigned: UInt64(incarnation))
    out.pack("Node" as StaticString)
    out.pack(raw: node)
  }
}
