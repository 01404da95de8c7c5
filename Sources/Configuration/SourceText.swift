/// A configuration document with a reading position; both parsers stand on it.
struct SourceText {
  /// Configuration is written by hand: a larger file is a mistake (a log, an image) and is refused unread.
  static let maximumBytes = 4 << 20
  /// Nesting of blocks and lists; the parsers recurse once a level.
  static let maximumDepth = 32

  let path: String
  private let bytes: [UInt8]
  private(set) var offset = 0
  private var line = 1
  private var column = 1

  /// Throws when the document is too large, is not UTF-8, or starts with a byte order mark.
  init(_ bytes: [UInt8], path: String) throws(ConfigurationError) {
    self.path = path
    self.bytes = bytes
    guard bytes.count <= Self.maximumBytes else {
      throw error("the file has \(bytes.count) bytes, and a configuration file may have \(Self.maximumBytes); split it")
    }
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
      throw error("the file starts with a byte order mark; save it as UTF-8 without one")
    }
    if String(validating: bytes, as: UTF8.self) == nil {
      for (found, repaired) in zip(bytes, String(decoding: bytes, as: UTF8.self).utf8) where found == repaired {
        advance()
      }
      throw error("the bytes here are not UTF-8; save the file as UTF-8")
    }
  }

  var place: SourcePlace { .file(path: path, line: line, column: column) }
  var isAtEnd: Bool { offset >= bytes.count }
  var next: UInt8? { peek(0) }

  func peek(_ distance: Int) -> UInt8? {
    offset + distance < bytes.count ? bytes[offset + distance] : nil
  }

  func starts(with word: StaticString, at distance: Int = 0) -> Bool {
    var index = distance
    for scalar in word.description.utf8 {
      guard peek(index) == scalar else { return false }
      index += 1
    }
    return true
  }

  /// Does nothing at the end.
  mutating func advance() {
    guard offset < bytes.count else { return }
    let byte = bytes[offset]
    offset += 1
    if byte == 10 {
      line += 1
      column = 1
    } else if offset >= bytes.count || bytes[offset] & 0xC0 != 0x80 {
      // Columns count characters: a continuation byte ends none.
      column += 1
    }
  }

  mutating func advance(_ count: Int) {
    for _ in 0..<count { advance() }
  }

  func text(from start: Int, to end: Int) -> String {
    guard start >= 0, start <= end, end <= bytes.count else { return "" }
    return String(decoding: bytes[start..<end], as: UTF8.self)
  }

  func text(from start: Int) -> String { text(from: start, to: offset) }

  func error(_ message: String) -> ConfigurationError { ConfigurationError(message, at: place) }

  /// What stands at the position, for an error message.
  var found: String {
    guard let next else { return "the end of the file" }
    if next == 10 || next == 13 { return "the end of the line" }
    var end = offset
    while end < bytes.count, end - offset < 40, bytes[end].isWordByte || (end > offset && bytes[end] & 0xC0 == 0x80) {
      end += 1
    }
    if end == offset {
      end += 1
      while end < bytes.count, bytes[end] & 0xC0 == 0x80 { end += 1 }
    }
    return text(from: offset, to: end).quoted
  }
}

extension UInt8 {
  var isDigit: Bool { self >= 48 && self <= 57 }
  var isLetter: Bool { (self | 0x20) >= 97 && (self | 0x20) <= 122 || self >= 0x80 }
  /// Letters, digits, `_`, `-`, `.`: the bytes of an HCL identifier after its first.
  var isWordByte: Bool { isLetter || isDigit || self == 95 || self == 45 || self == 46 }
  var isBlank: Bool { self == 32 || self == 9 || self == 13 }
}
