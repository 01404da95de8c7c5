import Base

/// The part of the tar format (POSIX ustar) that a snapshot needs: regular files with short names. Written here because
/// the whole format is a hundred lines, and everything a library would accept beyond it (links, sparse files, paths)
/// must be refused anyway.
enum Tar {
  static let blockBytes = 512
  /// A snapshot has three files.
  static let maximumFiles = 16

  struct File: Hashable {
    var name: String
    var content: [UInt8]
  }

  enum Failure: Error, Hashable {
    case truncated
    case badHeader(String)
    case tooManyFiles

    var text: String {
      switch self {
      case .truncated: "failed to read or write snapshot data: unexpected EOF"
      case .badHeader(let what): "archive/tar: invalid tar header (\(what))"
      case .tooManyFiles: "archive/tar: too many files"
      }
    }
  }

  // MARK: Writing

  /// The archive in parts, so that large contents are not copied. `unixSeconds` becomes the files' time.
  static func encode(_ files: [File], unixSeconds: Int64) -> [[UInt8]] {
    var parts: [[UInt8]] = []
    for file in files {
      parts.append(header(file, unixSeconds: unixSeconds))
      parts.append(file.content)
      let rest = file.content.count % blockBytes
      parts.append([UInt8](repeating: 0, count: rest == 0 ? 0 : blockBytes - rest))
    }
    parts.append([UInt8](repeating: 0, count: 2 * blockBytes))
    return parts
  }

  private static func header(_ file: File, unixSeconds: Int64) -> [UInt8] {
    var block = [UInt8](repeating: 0, count: blockBytes)
    func put(_ text: String, at offset: Int) {
      for (position, byte) in text.utf8.enumerated() { block[offset + position] = byte }
    }
    func octal(_ value: Int64, digits: Int) -> String {
      let text = String(max(0, value), radix: 8)
      return String(repeating: "0", count: max(0, digits - text.count)) + text.suffix(digits)
    }
    precondition(file.name.utf8.count <= 100)
    put(file.name, at: 0)
    put(octal(0o600, digits: 7), at: 100)
    put(octal(0, digits: 7), at: 108)
    put(octal(0, digits: 7), at: 116)
    if file.content.count < 1 << 33 {
      put(octal(Int64(file.content.count), digits: 11), at: 124)
    } else {
      // The binary form for sizes above eight gigabytes.
      block[124] = 0x80
      for position in 0..<8 {
        block[128 + position] = UInt8(truncatingIfNeeded: file.content.count >> (8 * (7 - position)))
      }
    }
    put(octal(unixSeconds, digits: 11), at: 136)
    put("        ", at: 148)
    block[156] = UInt8(ascii: "0")
    put("ustar", at: 257)
    put("00", at: 263)
    let sum = block.reduce(0) { $0 + Int64($1) }
    put(octal(sum, digits: 6) + "\0 ", at: 148)
    return block
  }

  // MARK: Reading

  /// The files of an archive. Sizes are believed only as far as the bytes go.
  static func decode(_ bytes: [UInt8]) throws(Failure) -> [File] {
    var files: [File] = []
    var offset = 0
    while true {
      guard bytes.count - offset >= blockBytes else { throw .truncated }
      let block = bytes[offset..<(offset + blockBytes)]
      offset += blockBytes
      if block.allSatisfy({ $0 == 0 }) { return files }
      let (name, size, type) = try header(block)
      guard size <= bytes.count - offset else { throw .truncated }
      if type == UInt8(ascii: "0") || type == 0 {
        guard files.count < maximumFiles else { throw .tooManyFiles }
        files.append(File(name: name, content: Array(bytes[offset..<(offset + size)])))
      } else if type != UInt8(ascii: "g"), type != UInt8(ascii: "x") {
        // Extended headers of newer writers carry nothing we need; anything else is no file.
        throw .badHeader("\(name) is no regular file")
      }
      let padding = (blockBytes - size % blockBytes) % blockBytes
      guard padding <= bytes.count - offset - size else { throw .truncated }
      offset += size + padding
    }
  }

  private static func header(_ block: ArraySlice<UInt8>) throws(Failure) -> (name: String, size: Int, type: UInt8) {
    let start = block.startIndex
    func field(_ offset: Int, _ count: Int) -> ArraySlice<UInt8> { block[(start + offset)..<(start + offset + count)] }
    let sum = block.indices.reduce(0) { total, index in
      total + (148..<156 ~= index - start ? 32 : Int(block[index]))
    }
    guard octal(field(148, 8)) == sum else { throw .badHeader("checksum") }
    let name = field(0, 100).prefix { $0 != 0 }
    guard !name.isEmpty, field(345, 155).first == 0, let text = String(validating: name, as: UTF8.self) else {
      throw .badHeader("name")
    }
    guard let size = size(field(124, 12)) else { throw .badHeader("size") }
    return (text, size, block[start + 156])
  }

  private static func size(_ field: ArraySlice<UInt8>) -> Int? {
    guard field.first == 0x80 else { return octal(field) }
    var value = 0
    for byte in field.dropFirst() {
      guard value < 1 << 47 else { return nil }
      value = value << 8 | Int(byte)
    }
    return value
  }

  /// Digits with blanks or zeros around; nil for anything else.
  private static func octal(_ field: ArraySlice<UInt8>) -> Int? {
    var value = 0
    var digits = 0
    var isOver = false
    for byte in field {
      switch byte {
      case 0x30...0x37 where !isOver:
        guard value < 1 << 55 else { return nil }
        value = value << 3 | Int(byte - 0x30)
        digits += 1
      case 0, 0x20: isOver = digits > 0
      default: return nil
      }
    }
    return digits > 0 ? value : nil
  }
}
