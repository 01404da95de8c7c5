import Base

/// A place in Serf's network coordinate space: distances between places estimate round trip times (gossip.md 6.9). All
/// in seconds, but `error`, which has no unit. Nomad uses coordinates for nothing; `serf rtt` does.
public struct NetworkCoordinate: Hashable, Sendable {
  public var vector: [Double]
  /// How little the coordinate is to be trusted: `initialError` knows nothing.
  public var error: Double
  /// Distance to everybody, whatever the direction: the access link.
  public var height: Double
  /// Correction learnt from the last errors.
  public var adjustment: Double

  public static let dimensions = 8
  static let payloadVersion: UInt8 = 1
  public static let initialError = 1.5
  public static let minimumHeight = 1e-5
  static let fields: StructFields = ["Vec", "Error", "Adjustment", "Height"]

  /// Where everybody starts.
  public init() {
    vector = Array(repeating: 0, count: Self.dimensions)
    error = Self.initialError
    height = Self.minimumHeight
    adjustment = 0
  }

  /// From the payload of an ack. Throws for another version, another number of dimensions, and what is not finite.
  public init(payload: RawSpan) throws(WireError) {
    self.init()
    guard payload.byteCount > 1, payload.byte(at: 0) == Self.payloadVersion else { throw .malformed }
    var reader = MessagePackReader(payload, at: 1)
    var count = 0
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, Self.fields) {
      case 0:
        count = try reader.readArrayHeader()
        guard count == Self.dimensions else { throw .malformed }
        for index in 0..<count { vector[index] = try reader.readDouble() }
      case 1: error = try reader.readDouble()
      case 2: adjustment = try reader.readDouble()
      case 3: height = try reader.readDouble()
      default: try reader.skip()
      }
    }
    guard count == Self.dimensions, isFinite else { throw .malformed }
  }

  /// No part is infinite or no number.
  public var isFinite: Bool {
    error.isFinite && height.isFinite && adjustment.isFinite && vector.allSatisfy(\.isFinite)
  }

  /// What a direct ack carries.
  public var payload: [UInt8] {
    var out: [UInt8] = [Self.payloadVersion]
    out.packMapHeader(4)
    out.pack("Adjustment" as StaticString)
    out.pack(adjustment)
    out.pack("Error" as StaticString)
    out.pack(error)
    out.pack("Height" as StaticString)
    out.pack(height)
    out.pack("Vec" as StaticString)
    out.packArrayHeader(vector.count)
    for value in vector { out.pack(value) }
    return out
  }
}
