import Base

/// The other direction of `LempelZivWelchDecoder`, byte for byte what peers produce (gossip.md 1.5).
public struct LempelZivWelchEncoder: Sendable {
  private static let clearCode: UInt32 = 256
  private static let endCode: UInt32 = 257
  private static let lastCode: UInt32 = 4095
  private static let slots = 1 << 14

  /// Open addressing: `key << 12 | code`, where the key is the prefix code and the next byte; 0 is free.
  private var table = [UInt32](repeating: 0, count: slots)
  private var bits: UInt32 = 0
  private var pending: UInt32 = 0
  private var width: UInt32 = 9
  private var highest: UInt32 = endCode

  public init() {}

  /// Appends the compressed form of `input` to `out`.
  public mutating func compress(_ input: RawSpan, into out: inout [UInt8]) {
    bits = 0
    pending = 0
    reset()
    emit(Self.clearCode, &out)
    if input.byteCount > 0 {
      var prefix = UInt32(input.byte(at: 0))
      for offset in 1..<max(1, input.byteCount) {
        let byte = UInt32(input.byte(at: offset))
        let key = prefix << 8 | byte
        var slot = Int((key >> 12 ^ key) & UInt32(Self.slots - 1))
        var found: UInt32?
        while table[slot] != 0 {
          if table[slot] >> 12 == key {
            found = table[slot] & 0xFFF
            break
          }
          slot = (slot + 1) & (Self.slots - 1)
        }
        if let found {
          prefix = found
          continue
        }
        emit(prefix, &out)
        prefix = byte
        if advance(&out) { table[slot] = key << 12 | highest }
      }
      emit(prefix, &out)
      _ = advance(&out)
    }
    emit(Self.endCode, &out)
    if pending > 0 { out.append(UInt8(truncatingIfNeeded: bits)) }
  }

  /// Counts a code; false when the table was full and starts anew.
  private mutating func advance(_ out: inout [UInt8]) -> Bool {
    highest += 1
    if highest == 1 << width { width += 1 }
    guard highest == Self.lastCode else { return true }
    emit(Self.clearCode, &out)
    reset()
    return false
  }

  private mutating func reset() {
    width = 9
    highest = Self.endCode
    for index in table.indices { table[index] = 0 }
  }

  private mutating func emit(_ code: UInt32, _ out: inout [UInt8]) {
    bits |= code << pending
    pending += width
    while pending >= 8 {
      out.append(UInt8(truncatingIfNeeded: bits))
      bits >>= 8
      pending -= 8
    }
  }
}
