import Base

/// Payload of the answers to `_serf_conflict` (gossip.md 6.2, type 6): how the answering member knows the name.
public struct SerfConflictResponse: Hashable, Sendable {
  /// `nil` when the member does not know the name.
  public let address: SocketAddress?

  static let fields: StructFields = ["Name", "Addr", "Port"]

  /// `payload` includes the type byte. Throws `.malformed` for another type.
  public init(_ payload: RawSpan) throws(WireError) {
    guard payload.byteCount > 0, payload.byte(at: 0) == SerfMessageKind.conflictResponse.rawValue else {
      throw .malformed
    }
    var reader = MessagePackReader(payload, at: 1)
    var host: IPAddress?
    var port: UInt16 = 0
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, Self.fields) {
      case 1: host = IPAddress(network: try reader.readRaw())
      case 2: port = try reader.readInteger(as: UInt16.self)
      default: try reader.skip()
      }
    }
    address = host.map { SocketAddress($0, port: port) }
  }
}
