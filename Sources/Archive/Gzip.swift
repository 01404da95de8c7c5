import CZlib

/// The gzip format, by zlib.
enum Gzip {
  private static let pieceBytes = 256 << 10

  /// Why bytes are no gzip file, in the words of Go's decoder, which operators see and scripts match.
  enum Failure: Error, Hashable {
    /// No byte at all.
    case empty
    case truncated
    case invalidHeader
    case invalidData
    case tooLarge

    var text: String {
      switch self {
      case .empty: "EOF"
      case .truncated: "unexpected EOF"
      case .invalidHeader: "gzip: invalid header"
      case .invalidData: "gzip: invalid checksum"
      case .tooLarge: "the content is larger than allowed"
      }
    }
  }

  /// Nil when zlib has no memory.
  static func compress(_ parts: [[UInt8]]) -> [UInt8]? {
    var stream = unsafe z_stream()
    guard unsafe czlib_deflate_gzip(&stream) == Z_OK else { return nil }
    defer { unsafe deflateEnd(&stream) }
    var result: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: pieceBytes)
    for (position, part) in parts.enumerated() {
      let isLast = position == parts.count - 1
      var offset = 0
      repeat {
        let size = min(part.count - offset, pieceBytes)
        let flush = isLast && offset + size == part.count ? Z_FINISH : Z_NO_FLUSH
        let isDone = unsafe part.withUnsafeBytes { input in
          unsafe stream.next_in = UnsafeMutablePointer(
            mutating: input.baseAddress?.advanced(by: offset).assumingMemoryBound(to: UInt8.self))
          unsafe stream.avail_in = UInt32(size)
          return unsafe drain(&stream, flush, &piece, &result) { unsafe deflate(&$0, $1) }
        }
        guard isDone else { return nil }
        offset += size
      } while offset < part.count
    }
    return result
  }

  private static func drain(
    _ stream: inout z_stream, _ flush: Int32, _ piece: inout [UInt8], _ result: inout [UInt8],
    _ step: (inout z_stream, Int32) -> Int32
  ) -> Bool {
    while true {
      let code = unsafe piece.withUnsafeMutableBufferPointer { output in
        unsafe stream.next_out = output.baseAddress
        unsafe stream.avail_out = UInt32(output.count)
        return unsafe step(&stream, flush)
      }
      guard code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR else { return false }
      let made = unsafe pieceBytes - Int(stream.avail_out)
      result.append(contentsOf: piece[..<made])
      if made < pieceBytes { return true }
    }
  }

  /// Expands one gzip file that must fill the input. Stops as soon as the content exceeds `limit` bytes, so that a
  /// small hostile file cannot take the memory.
  static func expand(_ bytes: [UInt8], limit: Int) throws(Failure) -> [UInt8] {
    guard !bytes.isEmpty else { throw .empty }
    // Go reads the header of ten bytes whole before it looks at it.
    guard bytes.count >= 10 else { throw .truncated }
    guard bytes[0] == 0x1F, bytes[1] == 0x8B, bytes[2] == 8 else { throw .invalidHeader }
    var stream = unsafe z_stream()
    guard unsafe czlib_inflate_gzip(&stream) == Z_OK else { throw .tooLarge }
    defer { unsafe inflateEnd(&stream) }
    var result: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: pieceBytes)
    var offset = 0
    while true {
      let size = min(bytes.count - offset, 1 << 20)
      let (code, used, made) = unsafe bytes.withUnsafeBytes { input in
        unsafe piece.withUnsafeMutableBufferPointer { output in
          unsafe stream.next_in = UnsafeMutablePointer(
            mutating: input.baseAddress?.advanced(by: offset).assumingMemoryBound(to: UInt8.self))
          unsafe stream.avail_in = UInt32(size)
          unsafe stream.next_out = output.baseAddress
          unsafe stream.avail_out = UInt32(output.count)
          let code = unsafe inflate(&stream, Z_NO_FLUSH)
          return unsafe (code, size - Int(stream.avail_in), output.count - Int(stream.avail_out))
        }
      }
      offset += used
      guard result.count + made <= limit else { throw .tooLarge }
      result.append(contentsOf: piece[..<made])
      switch code {
      case Z_STREAM_END:
        guard offset == bytes.count else { throw .invalidData }
        return result
      case Z_OK: continue
      case Z_BUF_ERROR: throw .truncated
      default: throw .invalidData
      }
    }
  }
}
