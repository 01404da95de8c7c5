import Base

/// Limits of the format as this project accepts it.
public enum MessagePack {
  /// Nesting allowed in a skipped or generically decoded value.
  public static let maximumDepth = 32
}

/// Pull decoder over borrowed bytes with the tolerance of Go's codec (rpc.md section 3.3): any integer width, str8 and
/// bin for strings, nil for every zero value.
///
/// A failed read leaves the position where it was for scalars; after a failed compound read the reader is discarded.
public struct MessagePackReader: ~Escapable {
  @usableFromInline var input: ByteReader

  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) { input = ByteReader(bytes) }

  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan, at offset: Int) { input = ByteReader(bytes, at: offset) }

  public var offset: Int { input.offset }
  public var remaining: Int { input.remaining }
  public var isAtEnd: Bool { input.isAtEnd }

  // MARK: Scalars

  /// Consumes a nil if one is next.
  public mutating func readNil() throws(WireError) -> Bool {
    guard try peek() == 0xC0 else { return false }
    try skipBytes(1)
    return true
  }

  /// `nil` (the MessagePack value) counts as false; 0 and 1 are accepted as Go does.
  public mutating func readBool() throws(WireError) -> Bool {
    switch try peek() {
    case 0xC2, 0xC0, 0x00:
      try skipBytes(1)
      return false
    case 0xC3, 0x01:
      try skipBytes(1)
      return true
    default: throw .typeMismatch
    }
  }

  /// Any integer encoding whose value fits; nil counts as 0.
  public mutating func readUInt64() throws(WireError) -> UInt64 {
    switch try readInteger() {
    case .unsigned(let value): return value
    case .negative: throw .outOfRange
    }
  }

  /// Any integer encoding whose value fits; nil counts as 0.
  public mutating func readInt64() throws(WireError) -> Int64 {
    switch try readInteger() {
    case .unsigned(let value):
      guard let signed = Int64(exactly: value) else { throw .outOfRange }
      return signed
    case .negative(let value): return value
    }
  }

  /// Any integer encoding whose value fits in `T`.
  public mutating func readInteger<T: FixedWidthInteger>(as type: T.Type) throws(WireError) -> T {
    switch try readInteger() {
    case .unsigned(let value):
      guard let result = T(exactly: value) else { throw .outOfRange }
      return result
    case .negative(let value):
      guard let result = T(exactly: value) else { throw .outOfRange }
      return result
    }
  }

  /// A float of either width, or any integer; nil counts as 0.
  public mutating func readDouble() throws(WireError) -> Double {
    let start = input
    do throws(WireError) {
      switch try peek() {
      case 0xCA:
        try skipBytes(1)
        return Double(Float(bitPattern: try u32()))
      case 0xCB:
        try skipBytes(1)
        return Double(bitPattern: try u64())
      default:
        switch try readInteger() {
        case .unsigned(let value): return Double(value)
        case .negative(let value): return Double(value)
        }
      }
    } catch {
      input = start
      throw error
    }
  }

  // MARK: Strings and bytes

  /// Raw, str8 or bin, borrowed; nil counts as empty.
  @_lifetime(copy self)
  public mutating func readRaw() throws(WireError) -> RawSpan {
    let start = input
    do throws(WireError) {
      let count = try readRawHeader()
      return try span(count)
    } catch {
      input = start
      throw error
    }
  }

  public mutating func readString() throws(WireError) -> String { try readRaw().text() }
  public mutating func readByteArray() throws(WireError) -> [UInt8] { try readRaw().copy() }

  // MARK: Containers

  /// Number of pairs; nil counts as an empty map. The count is bounded by the bytes that are present (a pair needs at
  /// least two), so it may be used to reserve.
  public mutating func readMapHeader() throws(WireError) -> Int {
    let start = input
    do throws(WireError) {
      let lead = try u8()
      let count: Int
      switch lead {
      case 0x80...0x8F: count = Int(lead & 0x0F)
      case 0xDE: count = Int(try u16())
      case 0xDF: count = Int(try u32())
      case 0xC0: return 0
      default: throw .typeMismatch
      }
      guard count <= remaining / 2 else { throw .truncated }
      return count
    } catch {
      input = start
      throw error
    }
  }

  /// Number of elements; nil counts as an empty array, an empty map too (Go sends one for an empty slice at times).
  /// Bounded by the bytes that are present.
  public mutating func readArrayHeader() throws(WireError) -> Int {
    let start = input
    do throws(WireError) {
      let lead = try u8()
      let count: Int
      switch lead {
      case 0x90...0x9F: count = Int(lead & 0x0F)
      case 0xDC: count = Int(try u16())
      case 0xDD: count = Int(try u32())
      case 0xC0, 0x80: return 0
      case 0xDE where try u16() == 0: return 0
      case 0xDF where try u32() == 0: return 0
      default: throw .typeMismatch
      }
      guard count <= remaining else { throw .truncated }
      return count
    } catch {
      input = start
      throw error
    }
  }

  /// Steps over one complete value of any kind and returns its bytes. Iterative, so foreign nesting costs no stack.
  /// `.truncated` means: not all of the value has arrived.
  @discardableResult
  @_lifetime(copy self)
  public mutating func skip() throws(WireError) -> RawSpan {
    let start = input
    do throws(WireError) {
      try skipValue()
    } catch {
      input = start
      throw error
    }
    let count = input.offset - start.offset
    input = start
    return try span(count)
  }

  /// The kind of the next value, without consuming it.
  public func peekKind() throws(WireError) -> MessagePackKind {
    switch try peek() {
    case 0x00...0x7F, 0xCC...0xD3, 0xE0...0xFF: .integer
    case 0x80...0x8F, 0xDE, 0xDF: .map
    case 0x90...0x9F, 0xDC, 0xDD: .array
    case 0xA0...0xBF, 0xD9, 0xDA, 0xDB, 0xC4, 0xC5, 0xC6: .raw
    case 0xC0: .nil
    case 0xC2, 0xC3: .bool
    case 0xCA, 0xCB: .float
    case 0xC7, 0xC8, 0xC9, 0xD4...0xD8: .ext
    default: throw .malformed
    }
  }
}

public enum MessagePackKind: Hashable, Sendable {
  case `nil`, bool, integer, float, raw, array, map, ext
}
