import Base

/// The compression envelope (gossip.md 1.5).
public struct CompressedMessage: ~Escapable {
  /// 0 = LZW, the only one there is.
  public let algorithm: UInt64
  public let buffer: RawSpan

  static let fields: StructFields = ["Algo", "Buf"]

  /// `bytes` starts after the type byte.
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) throws(WireError) {
    var reader = MessagePackReader(bytes)
    var algorithm: UInt64 = 0
    var buffer = bytes.extracting(0..<0)
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, Self.fields) {
      case 0: algorithm = UInt64(try reader.readInteger(as: UInt8.self))
      case 1: buffer = try reader.readRaw()
      default: try reader.skip()
      }
    }
    self.algorithm = algorithm
    self.buffer = buffer
  }

  /// For streams: how many bytes (counted from the start of `bytes`, which begins after the type byte) the message
  /// needs as far as can be told yet; it is complete when that many are present. Throws `.truncated` while not even
  /// that is known.
  public static func extent(_ bytes: RawSpan) throws(WireError) -> Int {
    var reader = MessagePackReader(bytes)
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, fields) {
      case 1:
        let count = try reader.readRawHeader()
        if count > reader.remaining { return reader.offset + count }
        try reader.skipBytes(count)
      default: try reader.skip()
      }
    }
    return reader.offset
  }

  /// Appends the expanded bytes to `out`. Throws `.malformed` for another algorithm or an impossible code, `.tooLarge`
  /// beyond `limit` bytes, `.truncated` when the stream has no end code.
  public func expand(into out: inout [UInt8], limit: Int, using decoder: inout LempelZivWelchDecoder) throws(WireError)
  {
    guard algorithm == 0 else { throw .malformed }
    try decoder.expand(buffer, into: &out, limit: limit)
  }
}
