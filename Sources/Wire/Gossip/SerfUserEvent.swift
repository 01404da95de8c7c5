import Base

/// An application event that floods the pool (gossip.md 6.2, type 3).
public struct SerfUserEvent: ~Escapable {
  public let lamportTime: UInt64
  public let name: RawSpan
  public let payload: RawSpan
  public let mayCoalesce: Bool

  static let fields: StructFields = ["LTime", "Name", "Payload", "CC"]

  /// `bytes` starts after the type byte.
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) throws(WireError) {
    var reader = MessagePackReader(bytes)
    var time: UInt64 = 0
    var name = bytes.extracting(0..<0)
    var payload = bytes.extracting(0..<0)
    var coalesce = false
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, Self.fields) {
      case 0: time = try reader.readUInt64()
      case 1: name = try reader.readRaw()
      case 2: payload = try reader.readRaw()
      case 3: coalesce = try reader.readBool()
      default: try reader.skip()
      }
    }
    self.lamportTime = time
    self.name = name
    self.payload = payload
    self.mayCoalesce = coalesce
  }

  public static func encode(
    lamportTime: UInt64, name: [UInt8], payload: [UInt8], mayCoalesce: Bool, into out: inout [UInt8]
  ) {
    out.append(SerfMessageKind.userEvent.rawValue)
    out.packMapHeader(4)
    out.pack("CC" as StaticString)
    out.pack(mayCoalesce)
    out.pack("LTime" as StaticString)
    out.pack(unsigned: lamportTime)
    out.pack("Name" as StaticString)
    out.pack(raw: name)
    out.pack("Payload" as StaticString)
    out.pack(raw: payload)
  }
}
