import Base

/// Several messages in one packet (gossip.md 1.4): `07 | count | lengths u16 | parts`.
public struct CompoundMessage: ~Escapable {
  private let bytes: RawSpan
  private let count: Int
  private var index = 0
  private var offset: Int

  /// `bytes` starts after the type byte. Throws `.truncated` when the table of lengths is not complete: then no part
  /// can be trusted.
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) throws(WireError) {
    guard bytes.byteCount >= 1 else { throw .truncated }
    let count = Int(bytes.byte(at: 0))
    guard bytes.byteCount >= 1 + 2 * count else { throw .truncated }
    self.bytes = bytes
    self.count = count
    self.offset = 1 + 2 * count
  }

  /// True while there are parts that were not taken.
  public var hasNext: Bool { index < count }

  /// The next part; throws `.truncated` when the bytes end inside it, after which nothing more may be taken.
  /// Precondition: `hasNext`.
  @_lifetime(copy self)
  public mutating func next() throws(WireError) -> RawSpan {
    precondition(hasNext)
    let length = Int(bytes.uint16(at: 1 + 2 * index))
    guard length <= bytes.byteCount - offset else {
      index = count
      throw .truncated
    }
    let part = bytes.extracting(offset..<(offset + length))
    index += 1
    offset += length
    return part
  }

  /// Precondition: 1 to 127 parts, each of 1 to 65535 bytes.
  public static func encode(_ parts: [[UInt8]], into out: inout [UInt8]) {
    precondition(!parts.isEmpty && parts.count <= GossipLimits.maximumCompoundParts)
    out.append(GossipMessageKind.compound.rawValue)
    out.append(UInt8(parts.count))
    for part in parts {
      precondition(!part.isEmpty && part.count <= 0xFFFF)
      out.append(bigEndian: UInt16(part.count))
    }
    for part in parts { out.append(contentsOf: part) }
  }
}
