import Base

/// Header of a message that a third member shall pass on (gossip.md 6.2, type 9); the inner message follows it.
public struct SerfRelay: ~Escapable {
  /// `nil` when the address is none.
  public let destination: SocketAddress?
  public let destinationName: RawSpan
  /// The complete inner Serf message.
  public let message: RawSpan

  static let fields: StructFields = ["DestAddr", "DestName"]
  static let addressFields: StructFields = ["IP", "Port", "Zone"]

  /// `bytes` starts after the type byte.
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) throws(WireError) {
    var reader = MessagePackReader(bytes)
    var host: IPAddress?
    var port: UInt16 = 0
    var name = bytes.extracting(0..<0)
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, Self.fields) {
      case 0:
        let inner = try reader.readStructHeader()
        for innerPosition in 0..<inner.count {
          switch try reader.readField(inner, innerPosition, Self.addressFields) {
          case 0: host = IPAddress(network: try reader.readRaw())
          case 1: port = try reader.readInteger(as: UInt16.self)
          default: try reader.skip()
          }
        }
      case 1: name = try reader.readRaw()
      default: try reader.skip()
      }
    }
    self.destination = host.map { SocketAddress($0, port: port) }
    self.destinationName = name
    self.message = bytes.extracting(reader.offset..<bytes.byteCount)
  }

  /// The inner message is appended by the caller.
  public static func encodeHeader(destination: SocketAddress, name: [UInt8], into out: inout [UInt8]) {
    out.append(SerfMessageKind.relay.rawValue)
    out.packMapHeader(2)
    out.pack("DestAddr" as StaticString)
    out.packMapHeader(3)
    out.pack("IP" as StaticString)
    out.pack(destination.host)
    out.pack("Port" as StaticString)
    out.pack(signed: Int64(destination.port))
    out.pack("Zone" as StaticString)
    out.pack("" as StaticString)
    out.pack("DestName" as StaticString)
    out.pack(raw: name)
  }
}
