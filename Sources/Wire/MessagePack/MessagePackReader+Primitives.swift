import Base

extension MessagePackReader {
  enum Integer {
    case unsigned(UInt64)
    case negative(Int64)

    init(_ value: Int64) { self = value < 0 ? .negative(value) : .unsigned(UInt64(value)) }
  }

  mutating func readInteger() throws(WireError) -> Integer {
    let start = input
    do throws(WireError) {
      let lead = try u8()
      switch lead {
      case 0x00...0x7F: return .unsigned(UInt64(lead))
      case 0xE0...0xFF: return .negative(Int64(Int8(bitPattern: lead)))
      case 0xC0: return .unsigned(0)
      case 0xCC: return .unsigned(UInt64(try u8()))
      case 0xCD: return .unsigned(UInt64(try u16()))
      case 0xCE: return .unsigned(UInt64(try u32()))
      case 0xCF: return .unsigned(try u64())
      case 0xD0: return Integer(Int64(Int8(bitPattern: try u8())))
      case 0xD1: return Integer(Int64(Int16(bitPattern: try u16())))
      case 0xD2: return Integer(Int64(Int32(bitPattern: try u32())))
      case 0xD3: return Integer(Int64(bitPattern: try u64()))
      default: throw .typeMismatch
      }
    } catch {
      input = start
      throw error
    }
  }

  mutating func readRawHeader() throws(WireError) -> Int {
    let lead = try u8()
    switch lead {
    case 0xA0...0xBF: return Int(lead & 0x1F)
    case 0xD9, 0xC4: return Int(try u8())
    case 0xDA, 0xC5: return Int(try u16())
    case 0xDB, 0xC6: return Int(try u32())
    case 0xC0: return 0
    default: throw .typeMismatch
    }
  }

  mutating func skipValue() throws(WireError) {
    // `pending[d]` is the number of values still to step over at depth `d`.
    var pending = InlineArray<32, Int>(repeating: 0)
    var depth = 0
    pending[0] = 1
    let bytes = input.bytes
    var offset = input.offset
    while true {
      while pending[depth] == 0 {
        if depth == 0 { return try skipBytes(offset - input.offset) }
        depth -= 1
      }
      pending[depth] -= 1
      let children = try stepOver(bytes, at: &offset)
      if children > 0 {
        guard depth + 1 < MessagePack.maximumDepth else { throw .tooDeep }
        depth += 1
        pending[depth] = children
      }
    }
  }

  /// Steps over a scalar, or over a container's header; returns how many values the container holds.
  private func stepOver(_ bytes: RawSpan, at offset: inout Int) throws(WireError) -> Int {
    guard offset < bytes.byteCount else { throw .truncated }
    let lead = bytes.byte(at: offset)
    offset += 1
    // Small numbers and short strings are most of what is skipped.
    if lead < 0x80 || lead >= 0xE0 { return 0 }
    let shape = try MessagePackShape(lead: lead)
    guard shape.lengthBytes <= bytes.byteCount - offset else { throw .truncated }
    let declared: Int
    switch shape.lengthBytes {
    case 1: declared = Int(bytes.byte(at: offset))
    case 2: declared = Int(bytes.uint16(at: offset))
    case 4: declared = Int(bytes.uint32(at: offset))
    default: declared = 0
    }
    offset += shape.lengthBytes
    guard shape.holdsBytes else { return declared * shape.valuesPerUnit }
    guard shape.payload + declared <= bytes.byteCount - offset else { throw .truncated }
    offset += shape.payload + declared
    return shape.values
  }

  func peek() throws(WireError) -> UInt8 {
    do throws(ByteError) { return try input.peekUInt8() } catch { throw WireError(error) }
  }

  mutating func skipBytes(_ count: Int) throws(WireError) {
    do throws(ByteError) { try input.skip(count) } catch { throw WireError(error) }
  }

  mutating func u8() throws(WireError) -> UInt8 {
    do throws(ByteError) { return try input.readUInt8() } catch { throw WireError(error) }
  }

  mutating func u16() throws(WireError) -> UInt16 {
    do throws(ByteError) { return try input.readUInt16() } catch { throw WireError(error) }
  }

  mutating func u32() throws(WireError) -> UInt32 {
    do throws(ByteError) { return try input.readUInt32() } catch { throw WireError(error) }
  }

  mutating func u64() throws(WireError) -> UInt64 {
    do throws(ByteError) { return try input.readUInt64() } catch { throw WireError(error) }
  }

  @_lifetime(copy self)
  mutating func span(_ count: Int) throws(WireError) -> RawSpan {
    do throws(ByteError) { return try input.readSpan(count) } catch { throw WireError(error) }
  }
}
