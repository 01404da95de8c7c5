import Base

/// "This member joins" or "this member leaves", ordered by Lamport time (gossip.md 6.2, types 1 and 0).
public struct SerfIntent: ~Escapable {
  public let lamportTime: UInt64
  public let node: RawSpan
  /// Only in leave intents: forget the member completely. Absent in messages of old peers.
  public let prune: Bool

  static let fields: StructFields = ["LTime", "Node", "Prune"]

  /// `bytes` starts after the type byte.
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) throws(WireError) {
    var reader = MessagePackReader(bytes)
    var time: UInt64 = 0
    var node = bytes.extracting(0..<0)
    var prune = false
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, Self.fields) {
      case 0: time = try reader.readUInt64()
      case 1: node = try reader.readRaw()
      case 2: prune = try reader.readBool()
      default: try reader.skip()
      }
    }
    self.lamportTime = time
    self.node = node
    self.prune = prune
  }

  public static func encodeJoin(lamportTime: UInt64, node: [UInt8], into out: inout [UInt8]) {
    out.append(SerfMessageKind.join.rawValue)
    out.packMapHeader(2)
    out.pack("LTime" as StaticString)
    out.pack(unsigned: lamportTime)
    out.pack("Node" as StaticString)
    out.pack(raw: node)
  }

  public static func encodeLeave(lamportTime: UInt64, node: [UInt8], prune: Bool, into out: inout [UInt8]) {
    out.append(SerfMessageKind.leave.rawValue)
    out.packMapHeader(3)
    out.pack("LTime" as StaticString)
    out.pack(unsigned: lamportTime)
    out.pack("Node" as StaticString)
    out.pack(raw: node)
    out.pack("Prune" as StaticString)
    out.pack(prune)
  }
}
