import Base

/// Asks "are you there?" (gossip.md 2.4, type 0). Names and addresses borrow from the packet.
public struct PingMessage: ~Escapable {
  public let sequence: UInt32
  /// Intended recipient; empty means anyone.
  public let node: RawSpan
  /// Where the ack shall go; empty means to the packet's source.
  public let sourceAddress: RawSpan
  public let sourcePort: UInt16
  public let sourceNode: RawSpan

  static let fields: StructFields = ["SeqNo", "Node", "SourceAddr", "SourcePort", "SourceNode"]

  /// `bytes` starts after the type byte.
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) throws(WireError) {
    var reader = MessagePackReader(bytes)
    var sequence: UInt32 = 0
    var port: UInt16 = 0
    var node = bytes.extracting(0..<0)
    var address = bytes.extracting(0..<0)
    var source = bytes.extracting(0..<0)
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, Self.fields) {
      case 0: sequence = try reader.readInteger(as: UInt32.self)
      case 1: node = try reader.readRaw()
      case 2: address = try reader.readRaw()
      case 3: port = try reader.readInteger(as: UInt16.self)
      case 4: source = try reader.readRaw()
      default: try reader.skip()
      }
    }
    self.sequence = sequence
    self.node = node
    self.sourceAddress = address
    self.sourcePort = port
    self.sourceNode = source
  }

  public static func encode(
    sequence: UInt32, node: [UInt8], source: SocketAddress, sourceNode: [UInt8], into out: inout [UInt8]
  ) {
    out.append(GossipMessageKind.ping.rawValue)
    out.packMapHeader(5)
    out.pack("Node" as StaticString)
    out.pack(raw: node)
    out.pack("SeqNo" as StaticString)
    out.pack(unsigned: UInt64(sequence))
    out.packSource(source, name: sourceNode)
  }
}

/// Asks a third node to ping for us (gossip.md 2.4, type 1).
public struct IndirectPingMessage: ~Escapable {
  public let sequence: UInt32
  public let target: RawSpan
  /// 0 means the receiver's own bind port.
  public let port: UInt16
  public let node: RawSpan
  public let wantsNack: Bool
  public let sourceAddress: RawSpan
  public let sourcePort: UInt16

  static let fields: StructFields = [
    "SeqNo", "Target", "Port", "Node", "Nack", "SourceAddr", "SourcePort", "SourceNode",
  ]

  /// `bytes` starts after the type byte.
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) throws(WireError) {
    var reader = MessagePackReader(bytes)
    var sequence: UInt32 = 0
    var port: UInt16 = 0
    var sourcePort: UInt16 = 0
    var nack = false
    var target = bytes.extracting(0..<0)
    var node = bytes.extracting(0..<0)
    var address = bytes.extracting(0..<0)
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, Self.fields) {
      case 0: sequence = try reader.readInteger(as: UInt32.self)
      case 1: target = try reader.readRaw()
      case 2: port = try reader.readInteger(as: UInt16.self)
      case 3: node = try reader.readRaw()
      case 4: nack = try reader.readBool()
      case 5: address = try reader.readRaw()
      case 6: sourcePort = try reader.readInteger(as: UInt16.self)
      default: try reader.skip()
      }
    }
    self.sequence = sequence
    self.target = target
    self.port = port
    self.node = node
    self.wantsNack = nack
    self.sourceAddress = address
    self.sourcePort = sourcePort
  }

  public static func encode(
    sequence: UInt32, target: SocketAddress, node: [UInt8], wantsNack: Bool, source: SocketAddress,
    sourceNode: [UInt8], into out: inout [UInt8]
  ) {
    out.append(GossipMessageKind.indirectPing.rawValue)
    out.packMapHeader(8)
    out.pack("Nack" as StaticString)
    out.pack(wantsNack)
    out.pack("Node" as StaticString)
    out.pack(raw: node)
    out.pack("Port" as StaticString)
    out.pack(unsigned: UInt64(target.port))
    out.pack("SeqNo" as StaticString)
    out.pack(unsigned: UInt64(sequence))
    out.packSource(source, name: sourceNode)
    out.pack("Target" as StaticString)
    out.pack(target.host)
  }
}

extension [UInt8] {
  fileprivate mutating func packSource(_ source: SocketAddress, name: [UInt8]) {
    pack("SourceAddr" as StaticString)
    pack(source.host)
    pack("SourceNode" as StaticString)
    pack(raw: name)
    pack("SourcePort" as StaticString)
    pack(unsigned: UInt64(source.port))
  }
}

/// Answers a ping (gossip.md 2.4, type 2).
public struct AckMessage: ~Escapable {
  public let sequence: UInt32
  /// The network coordinate on direct UDP acks, else empty.
  public let payload: RawSpan

  static let fields: StructFields = ["SeqNo", "Payload"]

  /// `bytes` starts after the type byte.
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) throws(WireError) {
    var reader = MessagePackReader(bytes)
    var sequence: UInt32 = 0
    var payload = bytes.extracting(0..<0)
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, Self.fields) {
      case 0: sequence = try reader.readInteger(as: UInt32.self)
      case 1: payload = try reader.readRaw()
      default: try reader.skip()
      }
    }
    self.sequence = sequence
    self.payload = payload
  }

  /// A `nil` payload is Go's nil.
  public static func encode(sequence: UInt32, payload: [UInt8]?, into out: inout [UInt8]) {
    out.append(GossipMessageKind.ack.rawValue)
    out.packMapHeader(2)
    out.pack("Payload" as StaticString)
    out.pack(raw: payload)
    out.pack("SeqNo" as StaticString)
    out.pack(unsigned: UInt64(sequence))
  }
}

/// "I could not reach it either" (gossip.md 2.4, type 11).
public struct NackMessage {
  public let sequence: UInt32

  static let fields: StructFields = ["SeqNo"]

  /// `bytes` starts after the type byte.
  public init(_ bytes: RawSpan) throws(WireError) {
    var reader = MessagePackReader(bytes)
    var sequence: UInt32 = 0
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, Self.fields) {
      case 0: sequence = try reader.readInteger(as: UInt32.self)
      default: try reader.skip()
      }
    }
    self.sequence = sequence
  }

  public static func encode(sequence: UInt32, into out: inout [UInt8]) {
    out.append(GossipMessageKind.nack.rawValue)
    out.packMapHeader(1)
    out.pack("SeqNo" as StaticString)
    out.pack(unsigned: UInt64(sequence))
  }
}
