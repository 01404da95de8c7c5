import Base

/// LZW as in GIF: 8-bit literals, least significant bit first, codes of 9 to 12 bits, no early change (gossip.md 1.5).
///
/// Every table entry is "the previous expansion plus one byte", and these lie side by side in the output; so an entry
/// is a range of the output and no string is ever walked backwards. The tables are kept between calls.
public struct LempelZivWelchDecoder: Sendable {
  private static let clearCode = 256
  private static let endCode = 257
  private static let maximumWidth = 12
  private static let tableSize = 1 << maximumWidth

  private var starts = [Int32](repeating: 0, count: tableSize)
  private var lengths = [Int32](repeating: 0, count: tableSize)

  public init() {}

  /// Appends the expansion of `input` to `out`. Bytes after the end code are ignored.
  /// Throws `.truncated` without an end code, `.malformed` for a code that does not exist yet, `.tooLarge` when more
  /// than `limit` bytes come out.
  public mutating func expand(_ input: RawSpan, into out: inout [UInt8], limit: Int) throws(WireError) {
    let base = out.count
    var bits: UInt32 = 0
    var available = 0
    var position = 0
    var width = 9
    var highest = Self.endCode
    var previous: (start: Int, length: Int)?

    while true {
      while available < width {
        guard position < input.byteCount else { throw .truncated }
        bits |= UInt32(input.byte(at: position)) << UInt32(available)
        available += 8
        position += 1
      }
      let code = Int(bits & ((1 << UInt32(width)) - 1))
      bits >>= UInt32(width)
      available -= width

      if code == Self.clearCode {
        width = 9
        highest = Self.endCode
        previous = nil
        continue
      }
      if code == Self.endCode { return }

      let start = out.count
      if code < Self.clearCode {
        guard start - base < limit else { throw .tooLarge }
        out.append(UInt8(code))
      } else {
        guard code <= highest else { throw .malformed }
        if code == highest, let previous {
          // Not in the table yet: it is the previous expansion followed by that expansion's first byte.
          try copy(previous.start, previous.length, to: &out, base: base, limit: limit)
          out.append(out[previous.start])
        } else {
          try copy(Int(starts[code]), Int(lengths[code]), to: &out, base: base, limit: limit)
        }
      }
      if let previous {
        starts[highest] = Int32(previous.start)
        lengths[highest] = Int32(previous.length + 1)
      }
      previous = (start, out.count - start)
      highest += 1
      if highest == 1 << width {
        if width < Self.maximumWidth {
          width += 1
        } else {
          // The table is full and stays as it is.
          previous = nil
          highest -= 1
        }
      }
    }
  }

  /// Leaves room for one byte more, which the caller may append.
  private func copy(_ start: Int, _ length: Int, to out: inout [UInt8], base: Int, limit: Int) throws(WireError) {
    guard length < limit - (out.count - base) else { throw .tooLarge }
    for offset in start..<(start + length) { out.append(out[offset]) }
  }
}
