/// What a value's first byte says about its size.
struct MessagePackShape {
  /// Width of the length that follows the first byte.
  var lengthBytes = 0
  /// Bytes that follow in any case.
  var payload = 0
  /// Values that follow in any case.
  var values = 0
  /// What the length counts: bytes, or values.
  var holdsBytes = true
  var valuesPerUnit = 1

  @inline(__always)
  init(lead: UInt8) throws(WireError) {
    if lead & 0xE0 == 0xA0 {
      payload = Int(lead & 0x1F)
      return
    }
    switch lead {
    case 0x00...0x7F, 0xE0...0xFF, 0xC0, 0xC2, 0xC3: break
    case 0x80...0x8F: values = Int(lead & 0x0F) * 2
    case 0x90...0x9F: values = Int(lead & 0x0F)
    case 0xC4, 0xD9: lengthBytes = 1
    case 0xC5, 0xDA: lengthBytes = 2
    case 0xC6, 0xDB: lengthBytes = 4
    case 0xC7...0xC9:
      lengthBytes = 1 << Int(lead - 0xC7)
      payload = 1
    case 0xCA, 0xCE, 0xD2: payload = 4
    case 0xCB, 0xCF, 0xD3: payload = 8
    case 0xCC, 0xD0: payload = 1
    case 0xCD, 0xD1: payload = 2
    case 0xD4...0xD8: payload = 1 + (1 << Int(lead - 0xD4))
    case 0xDC...0xDF:
      lengthBytes = lead & 1 == 0 ? 2 : 4
      holdsBytes = false
      valuesPerUnit = lead >= 0xDE ? 2 : 1
    default: throw .malformed
    }
  }
}
