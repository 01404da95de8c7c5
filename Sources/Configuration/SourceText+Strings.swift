extension SourceText {
  /// A double-quoted HCL string, the position on its opening quote. `${...}` is kept as it stands, with the quotes
  /// inside.
  mutating func hclString() throws(ConfigurationError) -> String {
    let opening = place
    advance()
    var bytes: [UInt8] = []
    var braces = 0
    while true {
      guard let next, next != 10 else {
        throw ConfigurationError("this text has no closing quote on its line; add the missing '\"'", at: opening)
      }
      if braces > 0 {
        if next == UInt8(ascii: "{") { braces += 1 }
        if next == UInt8(ascii: "}") { braces -= 1 }
      } else if next == UInt8(ascii: "\"") {
        advance()
        return String(decoding: bytes, as: UTF8.self)
      } else if next == UInt8(ascii: "\\") {
        bytes += try hclEscape()
        continue
      } else if starts(with: "${") {
        braces = 1
        bytes.append(next)
        advance()
      }
      if let next = self.next { bytes.append(next) }
      advance()
    }
  }

  private mutating func hclEscape() throws(ConfigurationError) -> [UInt8] {
    let opening = place
    advance()
    let letter = next
    switch letter {
    case UInt8(ascii: "x"), UInt8(ascii: "u"), UInt8(ascii: "U"):
      advance()
      let digits = letter == UInt8(ascii: "x") ? 2 : letter == UInt8(ascii: "u") ? 4 : 8
      return try scalarEscape(digits: digits, radix: 16, from: opening)
    case let digit? where digit >= 48 && digit < 56:
      return try scalarEscape(digits: 3, radix: 8, from: opening)
    default:
      guard let byte = Self.simpleEscape(letter) else {
        throw ConfigurationError("\\ before \(found) is no escape; write \\\\ for a backslash", at: opening)
      }
      advance()
      return [byte]
    }
  }

  private static func simpleEscape(_ letter: UInt8?) -> UInt8? {
    switch letter {
    case UInt8(ascii: "a"): 7
    case UInt8(ascii: "b"): 8
    case UInt8(ascii: "f"): 12
    case UInt8(ascii: "n"): 10
    case UInt8(ascii: "r"): 13
    case UInt8(ascii: "t"): 9
    case UInt8(ascii: "v"): 11
    case UInt8(ascii: "\\"), UInt8(ascii: "\""): letter
    default: nil
    }
  }

  /// `digits` digits that name one Unicode scalar, as UTF-8.
  mutating func scalarEscape(digits: Int, radix: Int, from opening: SourcePlace) throws(ConfigurationError) -> [UInt8] {
    let start = offset
    for _ in 0..<digits where next != UInt8(ascii: "\"") && next != 10 { advance() }
    let text = text(from: start)
    guard text.utf8.count == digits, text.first != "+", text.first != "-", let number = UInt32(text, radix: radix),
      let scalar = Unicode.Scalar(number)
    else {
      throw ConfigurationError("\(text.quoted) is not the number of a character; write \(digits) digits", at: opening)
    }
    return Array(String(Character(scalar)).utf8)
  }

  /// `<<WORD` or `<<-WORD` up to a line that holds only the word. The value ends with a newline; `<<-` removes the
  /// indentation that all lines share.
  mutating func heredoc() throws(ConfigurationError) -> String {
    let opening = place
    advance(2)
    let indented = next == UInt8(ascii: "-")
    if indented { advance() }
    let wordStart = offset
    while let next, next.isWordByte { advance() }
    let word = text(from: wordStart)
    if next == 13 { advance() }
    guard !word.isEmpty, next == 10 else {
      throw ConfigurationError("<< must be followed by a word and a new line; write <<EOT", at: opening)
    }
    advance()
    var lines: [String] = []
    while !isAtEnd {
      let start = offset
      while let next, next != 10 { advance() }
      var line = text(from: start)
      if line.utf8.last == 13 { line.unicodeScalars.removeLast() }
      let trimmed = line.drop { $0 == " " || $0 == "\t" }
      if trimmed == word, indented || trimmed.utf8.count == line.utf8.count {
        return Self.joined(lines, indented: indented)
      }
      lines.append(line)
      advance()
    }
    throw ConfigurationError("this text has no closing line; add a line that holds only \(word)", at: opening)
  }

  private static func joined(_ lines: [String], indented: Bool) -> String {
    var shared = indented ? Int.max : 0
    for line in lines where indented && !line.isEmpty {
      shared = min(shared, line.utf8.prefix { $0 == 32 || $0 == 9 }.count)
    }
    return lines.reduce(into: "") { $0 += $1.dropFirst(min(shared, $1.count)) + "\n" }
  }

  /// A JSON string, the position on its opening quote.
  mutating func jsonString() throws(ConfigurationError) -> String {
    let opening = place
    advance()
    var bytes: [UInt8] = []
    while true {
      switch next {
      case nil, 10:
        throw ConfigurationError("this text has no closing quote on its line; add the missing '\"'", at: opening)
      case UInt8(ascii: "\""):
        advance()
        return String(decoding: bytes, as: UTF8.self)
      case UInt8(ascii: "\\"):
        bytes += try jsonEscape()
      case let byte?:
        bytes.append(byte)
        advance()
      }
    }
  }

  private mutating func jsonEscape() throws(ConfigurationError) -> [UInt8] {
    let opening = place
    advance()
    guard next == UInt8(ascii: "u") else {
      guard let next, next == UInt8(ascii: "/") || "bfnrt\\\"".utf8.contains(next) else {
        throw ConfigurationError("\\ before \(found) is no escape; write \\\\ for a backslash", at: opening)
      }
      advance()
      return [Self.simpleEscape(next) ?? next]
    }
    advance()
    // A character outside of the basic plane is written as two escapes, a surrogate pair.
    if let high = surrogate(0xD800..<0xDC00, at: 0), starts(with: "\\u", at: 4),
      let low = surrogate(0xDC00..<0xE000, at: 6),
      let scalar = Unicode.Scalar(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00))
    {
      advance(10)
      return Array(String(Character(scalar)).utf8)
    }
    return try scalarEscape(digits: 4, radix: 16, from: opening)
  }

  private func surrogate(_ range: Range<UInt32>, at distance: Int) -> UInt32? {
    let digits = text(from: offset + distance, to: offset + distance + 4)
    guard let number = UInt32(digits, radix: 16), range.contains(number) else { return nil }
    return number
  }
}
