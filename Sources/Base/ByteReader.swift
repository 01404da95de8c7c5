/// A cursor over borrowed bytes. Integers are big-endian, as on every wire this project speaks.
///
/// Every read is checked against the bytes that are present and throws `.truncated` instead of trapping; a failed read
/// leaves the position unchanged, so a stream decoder can wait for more bytes and start over.
public struct ByteReader: ~Escapable {
  public let bytes: RawSpan
  @inlinable public var offset: Int { position }
  @usableFromInline var position: Int

  @_lifetime(copy bytes)
  @inlinable public init(_ bytes: RawSpan) { self.init(bytes, at: 0) }

  /// Precondition: `offset` is inside `0 ... bytes.byteCount`.
  @_lifetime(copy bytes)
  @inlinable public init(_ bytes: RawSpan, at offset: Int) {
    precondition(offset >= 0 && offset <= bytes.byteCount)
    self.bytes = bytes
    position = offset
  }

  @inlinable public var remaining: Int { bytes.byteCount - position }
  @inlinable public var isAtEnd: Bool { position == bytes.byteCount }

  @inlinable public mutating func skip(_ count: Int) throws(ByteError) {
    guard count >= 0, count <= remaining else { throw .truncated }
    position += count
  }

  @inlinable public func peekUInt8() throws(ByteError) -> UInt8 {
    guard remaining >= 1 else { throw .truncated }
    return bytes.byte(at: position)
  }

  @inlinable public mutating func readUInt8() throws(ByteError) -> UInt8 {
    guard remaining >= 1 else { throw .truncated }
    defer { position += 1 }
    return bytes.byte(at: position)
  }

  @inlinable public mutating func readUInt16() throws(ByteError) -> UInt16 {
    guard remaining >= 2 else { throw .truncated }
    defer { position += 2 }
    return bytes.uint16(at: position)
  }

  @inlinable public mutating func readUInt32() throws(ByteError) -> UInt32 {
    guard remaining >= 4 else { throw .truncated }
    defer { position += 4 }
    return bytes.uint32(at: position)
  }

  @inlinable public mutating func readUInt64() throws(ByteError) -> UInt64 {
    guard remaining >= 8 else { throw .truncated }
    defer { position += 8 }
    return bytes.uint64(at: position)
  }

  /// The next `count` bytes, borrowed.
  @_lifetime(copy self)
  @inlinable public mutating func readSpan(_ count: Int) throws(ByteError) -> RawSpan {
    guard count >= 0, count <= remaining else { throw .truncated }
    let span = bytes.extracting(position..<(position + count))
    position += count
    return span
  }

  @inlinable public mutating func readBytes(_ count: Int) throws(ByteError) -> [UInt8] {
    guard count >= 0, count <= remaining else { throw .truncated }
    defer { position += count }
    return bytes.copy(position..<(position + count))
  }
}

public enum ByteError: Error, Hashable, Sendable {
  /// Fewer bytes are present than the format announces.
  case truncated
}
