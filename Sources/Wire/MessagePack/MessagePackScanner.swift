import Base

/// Finds the end of a number of values in a growing buffer without ever looking at a byte twice.
///
/// A stream carries no message lengths, so a receiver must step over values to know where a message ends. Stepping
/// needs no stack, only the number of values still missing; nesting depth is the business of whoever decodes the
/// message.
public struct MessagePackScanner: Hashable, Sendable {
  /// Bytes of the buffer already stepped over.
  public private(set) var offset = 0
  private var values: Int
  /// Bytes of the current string still to step over; they may not have arrived yet.
  private var payload = 0

  /// Looks for the end of `values` values that start at offset 0 of the buffer.
  public init(values: Int) { self.values = values }

  /// Steps as far as the bytes allow; `bytes` is the whole buffer from its start. True when the end has been reached,
  /// which is `offset` then. Throws `.malformed` for a byte that starts no value and `.tooLarge` when the message would
  /// exceed `limit` bytes, which is noticed as soon as a declared length says so.
  public mutating func advance(over bytes: RawSpan, limit: Int) throws(WireError) -> Bool {
    while true {
      let step = min(payload, bytes.byteCount - offset)
      offset += step
      payload -= step
      // Every missing value takes at least one byte.
      guard payload <= limit, offset + payload <= limit, values <= limit - offset - payload else { throw .tooLarge }
      if payload > 0 { return false }
      if values == 0 { return true }
      guard try stepOverHeader(bytes) else { return false }
    }
  }

  private mutating func stepOverHeader(_ bytes: RawSpan) throws(WireError) -> Bool {
    let available = bytes.byteCount - offset
    guard available > 0 else { return false }
    let shape = try MessagePackShape(lead: bytes.byte(at: offset))
    guard available > shape.lengthBytes else { return false }
    let declared: Int
    switch shape.lengthBytes {
    case 1: declared = Int(bytes.byte(at: offset + 1))
    case 2: declared = Int(bytes.uint16(at: offset + 1))
    case 4: declared = Int(bytes.uint32(at: offset + 1))
    default: declared = 0
    }
    offset += 1 + shape.lengthBytes
    payload = shape.payload + (shape.holdsBytes ? declared : 0)
    values += shape.values + (shape.holdsBytes ? 0 : declared * shape.valuesPerUnit) - 1
    return true
  }
}
