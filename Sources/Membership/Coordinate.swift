import Base
import Wire

/// The network coordinate that Serf puts into acks (gossip.md 6.9). Nomad uses it for nothing, so we stay at the
/// initial one, which peers accept.
enum Coordinate {
  static let payloadVersion: UInt8 = 1
  static let dimensions = 8
  static let initialError = 1.5
  static let minimumHeight = 1e-5

  static let initialPayload: [UInt8] = {
    var out: [UInt8] = [payloadVersion]
    out.packMapHeader(4)
    out.pack("Adjustment" as StaticString)
    out.pack(0.0 as Double)
    out.pack("Error" as StaticString)
    out.pack(initialError)
    out.pack("Height" as StaticString)
    out.pack(minimumHeight)
    out.pack("Vec" as StaticString)
    out.packArrayHeader(dimensions)
    for _ in 0..<dimensions { out.pack(0.0 as Double) }
    return out
  }()
}
