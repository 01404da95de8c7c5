import Base

/// Finds the end of MessagePack values that arrive in pieces, looking at every header once: work is linear in the bytes
/// however they are cut, where starting `skip()` over after each chunk would be quadratic.
struct MessagePackScanner: Sendable {
  /// Bytes of the value known so far; may lie beyond what has arrived, inside a string.
  private(set) var position = 0
  private var depth = 0
  /// Values still to step over, per depth.
  private var pending = InlineArray<32, Int>(repeating: 0)

  init(values: Int = 1) { pending[0] = values }

  /// Goes on in `bytes`, which start at the same byte at each call. Returns true when all values are complete; then
  /// `position` is their length.
  mutating func advance(in bytes: RawSpan) throws(WireError) -> Bool {
    while true {
      while pending[depth] == 0 {
        if depth == 0 { return position <= bytes.byteCount }
        depth -= 1
      }
      guard position < bytes.byteCount, let (size, children) = try header(in: bytes) else { return false }
      position += size
      pending[depth] -= 1
      if children > 0 {
        guard depth + 1 < MessagePack.maximumDepth else { throw .tooDeep }
        depth += 1
        pending[depth] = children
      }
    }
  }

  /// Size of the value at `position` without its children, and their number; `nil`: the length field has not arrived.
  private func header(in bytes: RawSpan) throws(WireError) -> (size: Int, children: Int)? {
    let lead = bytes.byte(at: position)
    let left = bytes.byteCount - position
    func length(_ width: Int) -> Int? {
      guard left > width else { return nil }
      switch width {
      case 1: return Int(bytes.byte(at: position + 1))
      case 2: return Int(bytes.uint16(at: position + 1))
      default: return Int(bytes.uint32(at: position + 1))
      }
    }
    func sized(_ width: Int, extra: Int = 0) -> (Int, Int)? { length(width).map { (1 + width + $0 + extra, 0) } }
    func container(_ width: Int, factor: Int) -> (Int, Int)? { length(width).map { (1 + width, $0 * factor) } }
    switch lead {
    case 0x00...0x7F, 0xE0...0xFF, 0xC0, 0xC2, 0xC3: return (1, 0)
    case 0x80...0x8F: return (1, Int(lead & 0x0F) * 2)
    case 0x90...0x9F: return (1, Int(lead & 0x0F))
    case 0xA0...0xBF: return (1 + Int(lead & 0x1F), 0)
    case 0xC4, 0xD9: return sized(1)
    case 0xC5, 0xDA: return sized(2)
    case 0xC6, 0xDB: return sized(4)
    case 0xC7: return sized(1, extra: 1)
    case 0xC8: return sized(2, extra: 1)
    case 0xC9: return sized(4, extra: 1)
    case 0xCC, 0xD0: return (2, 0)
    case 0xCD, 0xD1: return (3, 0)
    case 0xCA, 0xCE, 0xD2: return (5, 0)
    case 0xCB, 0xCF, 0xD3: return (9, 0)
    case 0xD4: return (3, 0)
    case 0xD5: return (4, 0)
    case 0xD6: return (6, 0)
    case 0xD7: return (10, 0)
    case 0xD8: return (18, 0)
    case 0xDC: return container(2, factor: 1)
    case 0xDD: return container(4, factor: 1)
    case 0xDE: return container(2, factor: 2)
    case 0xDF: return container(4, factor: 2)
    default: throw .malformed
    }
  }
}
