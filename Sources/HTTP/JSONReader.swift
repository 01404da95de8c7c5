import Base

/// Why a text is not JSON, in the words of Go's decoder, which clients show and match.
public enum JSONError: Error, Hashable, Sendable {
  /// Nothing but blanks.
  case empty
  case truncated
  /// A byte where `context` does not allow it.
  case invalid(UInt8, context: String)
  case tooDeep

  public var text: String {
    switch self {
    case .empty: "EOF"
    case .truncated: "unexpected EOF"
    case .invalid(let byte, let context): "invalid character \(Self.quoted(byte)) \(context)"
    case .tooDeep: "exceeded max depth"
    }
  }

  private static func quoted(_ byte: UInt8) -> String {
    switch byte {
    case 0x27: #"'\''"#
    case 0x22: #"'"'"#
    case 0x0A: #"'\n'"#
    case 0x0D: #"'\r'"#
    case 0x09: #"'\t'"#
    case 0x5C: #"'\\'"#
    case 0x20...0x7E: "'\(Unicode.Scalar(byte))'"
    case 0..<0x20, 0x7F: "'\\x\(byte < 16 ? "0" : "")\(String(byte, radix: 16))'"
    default: "'\(Unicode.Scalar(byte))'"
    }
  }
}

extension JSONValue {
  /// Reads the first value of a text; what follows it is ignored, as Go's stream decoder does.
  public init(parsing bytes: RawSpan) throws(JSONError) {
    var reader = JSONReader(bytes)
    reader.skipBlanks()
    guard reader.peek != nil else { throw .empty }
    self = try reader.value(depth: 0)
  }

  public init(parsing bytes: [UInt8]) throws(JSONError) { try self.init(parsing: bytes.borrowedBytes) }
}

/// Recursive descent with a depth limit. Every index is checked; the text may be anything.
struct JSONReader: ~Escapable {
  let bytes: RawSpan
  var offset = 0

  static let maximumDepth = 64

  @_lifetime(copy bytes)
  init(_ bytes: RawSpan) { self.bytes = bytes }

  var peek: UInt8? { offset < bytes.byteCount ? bytes.byte(at: offset) : nil }

  mutating func next() throws(JSONError) -> UInt8 {
    guard let byte = peek else { throw .truncated }
    offset += 1
    return byte
  }

  mutating func skipBlanks() {
    while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { offset += 1 }
  }

  mutating func value(depth: Int) throws(JSONError) -> JSONValue {
    guard depth < Self.maximumDepth else { throw .tooDeep }
    skipBlanks()
    switch try next() {
    case 0x7B: return .object(try object(depth: depth))
    case 0x5B: return .array(try array(depth: depth))
    case 0x22: return .string(try string())
    case 0x74: return try literal("true", .bool(true))
    case 0x66: return try literal("false", .bool(false))
    case 0x6E: return try literal("null", .null)
    case let byte where byte == 0x2D || (0x30...0x39).contains(byte):
      offset -= 1
      return try number()
    case let byte: throw .invalid(byte, context: "looking for beginning of value")
    }
  }

  private mutating func object(depth: Int) throws(JSONError) -> JSONObject {
    var members: [JSONObject.Member] = []
    skipBlanks()
    if peek == 0x7D {
      offset += 1
      return JSONObject()
    }
    while true {
      skipBlanks()
      let quote = try next()
      guard quote == 0x22 else { throw .invalid(quote, context: "looking for beginning of object key string") }
      let name = try string()
      skipBlanks()
      let colon = try next()
      guard colon == 0x3A else { throw .invalid(colon, context: "after object key") }
      members.append(JSONObject.Member(name: name, value: try value(depth: depth + 1)))
      skipBlanks()
      switch try next() {
      case 0x2C: continue
      case 0x7D: return JSONObject(members: members)
      case let byte: throw .invalid(byte, context: "after object key:value pair")
      }
    }
  }

  private mutating func array(depth: Int) throws(JSONError) -> [JSONValue] {
    var elements: [JSONValue] = []
    skipBlanks()
    if peek == 0x5D {
      offset += 1
      return []
    }
    while true {
      elements.append(try value(depth: depth + 1))
      skipBlanks()
      switch try next() {
      case 0x2C: continue
      case 0x5D: return elements
      case let byte: throw .invalid(byte, context: "after array element")
      }
    }
  }

  /// After the opening quote.
  private mutating func string() throws(JSONError) -> String {
    let start = offset
    while let byte = peek, byte != 0x22, byte != 0x5C, byte >= 0x20 { offset += 1 }
    if peek == 0x22 {
      defer { offset += 1 }
      return bytes.extracting(start..<offset).text()
    }
    var unescaped = bytes.copy(start..<offset)
    while true {
      let byte = try next()
      switch byte {
      case 0x22: return String(decoding: unescaped, as: UTF8.self)
      case 0x5C: try escape(into: &unescaped)
      case 0..<0x20: throw .invalid(byte, context: "in string literal")
      default: unescaped.append(byte)
      }
    }
  }

  private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
    let byte = try next()
    switch byte {
    case 0x22, 0x5C, 0x2F: text.append(byte)
    case 0x62: text.append(0x08)
    case 0x66: text.append(0x0C)
    case 0x6E: text.append(0x0A)
    case 0x72: text.append(0x0D)
    case 0x74: text.append(0x09)
    case 0x75:
      var code = try hexadecimal()
      if (0xD800..<0xDC00).contains(code), peek == 0x5C {
        let mark = offset
        offset += 1
        if try next() == 0x75 {
          let low = try hexadecimal()
          if (0xDC00..<0xE000).contains(low) {
            code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
          } else {
            offset = mark
          }
        } else {
          offset = mark
        }
      }
      text.append(contentsOf: String(Character(Unicode.Scalar(code) ?? "\u{FFFD}")).utf8)
    default: throw .invalid(byte, context: "in string escape code")
    }
  }

  private mutating func hexadecimal() throws(JSONError) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      let byte = try next()
      guard let digit = hexadecimalValue(byte) else {
        throw .invalid(byte, context: "in \\u hexadecimal character escape")
      }
      code = code << 4 | UInt32(digit)
    }
    return code
  }

  private mutating func number() throws(JSONError) -> JSONValue {
    let start = offset
    if peek == 0x2D { offset += 1 }
    let first = try next()
    guard (0x30...0x39).contains(first) else { throw .invalid(first, context: "in numeric literal") }
    if first != 0x30 { skipDigits() }
    var isWhole = true
    if peek == 0x2E {
      offset += 1
      isWhole = false
      try digits(context: "after decimal point in numeric literal")
    }
    if peek == 0x65 || peek == 0x45 {
      offset += 1
      isWhole = false
      if peek == 0x2B || peek == 0x2D { offset += 1 }
      try digits(context: "in exponent of numeric literal")
    }
    let text = bytes.extracting(start..<offset).text()
    if isWhole {
      if let value = Int64(text) { return .integer(value) }
      if let value = UInt64(text) { return .unsigned(value) }
    }
    return .number(Double(text) ?? 0)
  }

  private mutating func digits(context: String) throws(JSONError) {
    let byte = try next()
    guard (0x30...0x39).contains(byte) else { throw .invalid(byte, context: context) }
    skipDigits()
  }

  private mutating func skipDigits() {
    while let byte = peek, (0x30...0x39).contains(byte) { offset += 1 }
  }

  /// After the first letter.
  private mutating func literal(_ name: String, _ value: JSONValue) throws(JSONError) -> JSONValue {
    for expected in name.utf8.dropFirst() {
      let byte = try next()
      guard byte == expected else {
        throw .invalid(byte, context: "in literal \(name) (expecting '\(Unicode.Scalar(expected))')")
      }
    }
    return value
  }
}
