import Base
import Wire

/// Bytes from hexadecimal text, for golden vectors of MessagePack.
func packedBytes(_ text: String) -> [UInt8] {
  let digits = text.compactMap(\.hexDigitValue)
  return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// Hexadecimal text of what `body` appends.
func packedText(_ body: (inout [UInt8]) throws -> Void) rethrows -> String {
  var bytes: [UInt8] = []
  try body(&bytes)
  return bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

/// Reads one value from hexadecimal text and reports what is left over as an error.
func unpacked<Value>(
  _ text: String, _ body: (inout MessagePackReader) throws(WireError) -> Value
) throws(WireError) -> Value {
  let bytes = packedBytes(text)
  var reader = MessagePackReader(bytes.bytes)
  let value = try body(&reader)
  guard reader.isAtEnd else { throw .trailingBytes }
  return value
}

/// The error of reading from hexadecimal text, and where the reader stood afterwards.
func unpackFailure<Value>(
  _ text: String, _ body: (inout MessagePackReader) throws(WireError) -> Value
) -> (error: WireError?, offset: Int) {
  let bytes = packedBytes(text)
  var reader = MessagePackReader(bytes.bytes)
  do throws(WireError) {
    _ = try body(&reader)
    return (nil, reader.offset)
  } catch {
    return (error, reader.offset)
  }
}
