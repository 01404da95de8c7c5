import Base

/// The 12-byte header of every yamux frame (rpc.md section 2.1). Only data frames are followed by a payload.
public struct YamuxHeader: Hashable, Sendable {
  public enum Kind: UInt8, Sendable {
    case data, windowUpdate, ping, goAway
  }

  public struct Flags: OptionSet, Hashable, Sendable {
    public let rawValue: UInt16
    @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }
    /// Opens the stream.
    public static let synchronize = Flags(rawValue: 1)
    /// Accepts the stream, or answers a ping.
    public static let acknowledge = Flags(rawValue: 2)
    /// The sender writes no more.
    public static let finish = Flags(rawValue: 4)
    /// Both directions end at once.
    public static let reset = Flags(rawValue: 8)
  }

  public static let byteCount = 12

  public var kind: Kind
  public var flags: Flags
  /// 0 for pings and go-aways.
  public var stream: UInt32
  /// Payload bytes, window increment, opaque ping value or go-away code, by kind.
  public var length: UInt32

  @inlinable public init(_ kind: Kind, flags: Flags = [], stream: UInt32 = 0, length: UInt32 = 0) {
    self.kind = kind
    self.flags = flags
    self.stream = stream
    self.length = length
  }

  /// Decodes the first 12 bytes. Throws `.truncated`, or `.malformed` for another version or an unknown type: both are
  /// fatal for the session, since the length can no longer be trusted.
  public init(_ bytes: RawSpan) throws(WireError) {
    guard bytes.byteCount >= Self.byteCount else { throw .truncated }
    guard bytes.byte(at: 0) == 0, let kind = Kind(rawValue: bytes.byte(at: 1)) else { throw .malformed }
    self.init(
      kind, flags: Flags(rawValue: bytes.uint16(at: 2)), stream: bytes.uint32(at: 4), length: bytes.uint32(at: 8))
  }

  public func encode(into bytes: inout [UInt8]) {
    bytes.append(bigEndian: UInt16(kind.rawValue))
    bytes.append(bigEndian: flags.rawValue)
    bytes.append(bigEndian: stream)
    bytes.append(bigEndian: length)
  }
}
