import Base

/// What a node is to memberlist, with its number in push/pull lists (gossip.md 2.4).
public enum NodeState: UInt8, Hashable, Sendable {
  case alive = 0
  case suspect = 1
  case dead = 2
  case left = 3

  /// Dead or left.
  public var isGone: Bool { self == .dead || self == .left }
}

/// First value after the type byte of a state exchange (gossip.md 2.4).
public struct PushPullHeader: Hashable, Sendable {
  public let nodes: Int
  public let userStateBytes: Int
  /// True for an explicit join: the receiver consults its merge rule.
  public let isJoin: Bool

  static let fields: StructFields = ["Nodes", "UserStateLen", "Join"]

  public init(nodes: Int, userStateBytes: Int, isJoin: Bool) {
    self.nodes = nodes
    self.userStateBytes = userStateBytes
    self.isJoin = isJoin
  }

  /// Throws `.outOfRange` or `.tooLarge` for counts beyond the limits; nothing is reserved from them.
  public init(_ reader: inout MessagePackReader) throws(WireError) {
    var nodes: Int64 = 0
    var state: Int64 = 0
    var isJoin = false
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, Self.fields) {
      case 0: nodes = try reader.readInt64()
      case 1: state = try reader.readInt64()
      case 2: isJoin = try reader.readBool()
      default: try reader.skip()
      }
    }
    guard nodes >= 0, state >= 0 else { throw .outOfRange }
    guard nodes <= GossipLimits.maximumPushPullNodes, state <= GossipLimits.maximumUserStateBytes else {
      throw .tooLarge
    }
    self.nodes = Int(nodes)
    self.userStateBytes = Int(state)
    self.isJoin = isJoin
  }

  /// Writes the type byte too.
  public func encode(into out: inout [UInt8]) {
    out.append(GossipMessageKind.pushPull.rawValue)
    out.packMapHeader(3)
    out.pack("Join" as StaticString)
    out.pack(isJoin)
    out.pack("Nodes" as StaticString)
    out.pack(signed: Int64(nodes))
    out.pack("UserStateLen" as StaticString)
    out.pack(signed: Int64(userStateBytes))
  }
}

/// One entry of a push/pull list, borrowed.
public struct PushPullNode: ~Escapable {
  public let name: RawSpan
  public let address: RawSpan
  public let port: UInt16
  public let metadata: RawSpan
  public let incarnation: UInt32
  /// `nil` for a number we do not know; such entries are ignored.
  public let state: NodeState?
  public let versions: ProtocolVersions?

  static let fields: StructFields = ["Name", "Addr", "Port", "Meta", "Incarnation", "State", "Vsn"]

  /// `bytes` starts with the entry; `length` becomes the entry's size.
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan, length: inout Int) throws(WireError) {
    var reader = MessagePackReader(bytes)
    var port: UInt16 = 0
    var incarnation: UInt32 = 0
    var state: Int64 = 0
    var name = bytes.extracting(0..<0)
    var address = bytes.extracting(0..<0)
    var metadata = bytes.extracting(0..<0)
    var versions: ProtocolVersions?
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, Self.fields) {
      case 0: name = try reader.readRaw()
      case 1: address = try reader.readRaw()
      case 2: port = try reader.readInteger(as: UInt16.self)
      case 3: metadata = try reader.readRaw()
      case 4: incarnation = try reader.readInteger(as: UInt32.self)
      case 5: state = try reader.readInt64()
      case 6: versions = ProtocolVersions(try reader.readRaw())
      default: try reader.skip()
      }
    }
    length = reader.offset
    self.name = name
    self.address = address
    self.port = port
    self.metadata = metadata
    self.incarnation = incarnation
    self.state = UInt8(exactly: state).flatMap(NodeState.init(rawValue:))
    self.versions = versions
  }

  public static func encode(
    name: [UInt8], address: SocketAddress, metadata: [UInt8], incarnation: UInt32, state: NodeState,
    versions: ProtocolVersions, into out: inout [UInt8]
  ) {
    out.packMapHeader(7)
    out.pack("Addr" as StaticString)
    out.pack(address.host)
    out.pack("Incarnation" as StaticString)
    out.pack(unsigned: UInt64(incarnation))
    out.pack("Meta" as StaticString)
    out.packMetadata(metadata)
    out.pack("Name" as StaticString)
    out.pack(raw: name)
    out.pack("Port" as StaticString)
    out.pack(unsigned: UInt64(address.port))
    out.pack("State" as StaticString)
    out.pack(signed: Int64(state.rawValue))
    out.pack("Vsn" as StaticString)
    out.pack(versions)
  }
}

/// First value after the type byte of a user message on a stream (gossip.md 2.4); the raw bytes follow it.
public enum UserMessageHeader {
  static let fields: StructFields = ["UserMsgLen"]

  /// Number of bytes that follow; throws for a negative or too large one.
  public static func decode(_ reader: inout MessagePackReader) throws(WireError) -> Int {
    var length: Int64 = 0
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, fields) {
      case 0: length = try reader.readInt64()
      default: try reader.skip()
      }
    }
    guard length >= 0 else { throw .outOfRange }
    guard length <= GossipLimits.maximumUserStateBytes else { throw .tooLarge }
    return Int(length)
  }

  /// Writes the type byte too.
  public static func encode(length: Int, into out: inout [UInt8]) {
    out.append(GossipMessageKind.user.rawValue)
    out.packMapHeader(1)
    out.pack("UserMsgLen" as StaticString)
    out.pack(signed: Int64(length))
  }
}

/// A peer's complaint about the envelope of a stream (gossip.md 2.4, type 13).
public enum ErrorMessage {
  static let fields: StructFields = ["Error"]
  static let maximumTextBytes = 1024

  /// `bytes` starts after the type byte.
  public static func decode(_ bytes: RawSpan) throws(WireError) -> String {
    var reader = MessagePackReader(bytes)
    var text = ""
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, fields) {
      case 0:
        let raw = try reader.readRaw()
        text = raw.extracting(0..<min(raw.byteCount, maximumTextBytes)).text()
      default: try reader.skip()
      }
    }
    return text
  }

  public static func encode(_ text: String, into out: inout [UInt8]) {
    out.append(GossipMessageKind.error.rawValue)
    out.packMapHeader(1)
    out.pack("Error" as StaticString)
    out.pack(text)
  }
}
