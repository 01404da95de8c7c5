/// Reads the JSON form of a configuration into the same blocks as HCL. `null` counts as absent.
struct JSONParser {
  private var source: SourceText
  private var depth = 0

  static func parse(_ source: SourceText) throws(ConfigurationError) -> Block {
    var parser = JSONParser(source: source)
    parser.skipBlanks()
    let block = try parser.object()
    parser.skipBlanks()
    guard parser.source.isAtEnd else {
      throw parser.source.error("found \(parser.source.found) after the document; a file holds one JSON object")
    }
    return block
  }

  /// A document that is one list; `name` stands for it in errors.
  static func parseList(_ source: SourceText, of name: String) throws(ConfigurationError) -> [Value] {
    var parser = JSONParser(source: source)
    parser.skipBlanks()
    guard parser.source.next == UInt8(ascii: "[") else {
      throw parser.source.error("found \(parser.source.found) where the list of \(name) should begin; write [ ... ]")
    }
    let list = try parser.list(of: name)
    parser.skipBlanks()
    guard parser.source.isAtEnd else {
      throw parser.source.error("found \(parser.source.found) after the list; \(name) holds one list")
    }
    return list
  }

  private init(source: SourceText) {
    self.source = source
  }

  private mutating func object() throws(ConfigurationError) -> Block {
    let opening = source.place
    try enter()
    source.advance()
    var block = Block()
    skipBlanks()
    if source.next == UInt8(ascii: "}") {
      source.advance()
      depth -= 1
      return block
    }
    while true {
      skipBlanks()
      let place = source.place
      guard source.next == UInt8(ascii: "\"") else {
        throw source.error("found \(source.found) where a key in double quotes should be; write \"key\": value")
      }
      let key = try source.jsonString()
      skipBlanks()
      guard source.next == UInt8(ascii: ":") else {
        throw source.error("found \(source.found) after the key \(key.quoted); JSON wants \":\" there")
      }
      source.advance()
      skipBlanks()
      if let value = try value(of: key) {
        block.items.append(Block.Item(key: key, place: place, value: value))
      }
      if try !separator(closing: UInt8(ascii: "}"), of: "object", openedAt: opening) { break }
    }
    depth -= 1
    return block
  }

  private mutating func value(of key: String) throws(ConfigurationError) -> Value? {
    let place = source.place
    switch source.next {
    case UInt8(ascii: "\""):
      return Value(.text(try source.jsonString()), at: place)
    case UInt8(ascii: "{"):
      return Value(.block(try object()), at: place)
    case UInt8(ascii: "["):
      return Value(.list(try list(of: key)), at: place)
    default:
      let found = source.found
      let start = source.offset
      while let next = source.next, next.isWordByte || next == UInt8(ascii: "+") { source.advance() }
      let word = source.text(from: start)
      switch word {
      case "true": return Value(.boolean(true), at: place)
      case "false": return Value(.boolean(false), at: place)
      case "null": return nil
      default:
        guard let first = word.utf8.first, first.isDigit || first == UInt8(ascii: "-"), Double(word) != nil,
          word.utf8.allSatisfy({ !$0.isLetter || $0 | 0x20 == 101 })
        else {
          throw ConfigurationError(
            "found \(found) where the value of \(key.quoted) should be; write a \"text\", a number, true, false, "
              + "[ ... ] or { ... }",
            at: place)
        }
        return Value(.number(word), at: place)
      }
    }
  }

  private mutating func list(of key: String) throws(ConfigurationError) -> [Value] {
    let opening = source.place
    try enter()
    source.advance()
    var elements: [Value] = []
    skipBlanks()
    if source.next == UInt8(ascii: "]") {
      source.advance()
      depth -= 1
      return elements
    }
    while true {
      skipBlanks()
      if let element = try value(of: key) { elements.append(element) }
      if try !separator(closing: UInt8(ascii: "]"), of: "list", openedAt: opening) { break }
    }
    depth -= 1
    return elements
  }

  /// Consumes `,` (true) or the closing bracket (false).
  private mutating func separator(
    closing: UInt8, of what: String, openedAt opening: SourcePlace
  ) throws(ConfigurationError) -> Bool {
    skipBlanks()
    let bracket = String(decoding: [closing], as: UTF8.self)
    guard !source.isAtEnd else {
      throw source.error("the \(what) opened at \(opening) is not closed; add the missing \"\(bracket)\"")
    }
    guard source.next == UInt8(ascii: ",") || source.next == closing else {
      throw source.error(
        "found \(source.found) in the \(what) opened at \(opening); JSON wants \",\" or \"\(bracket)\" there")
    }
    let more = source.next != closing
    source.advance()
    return more
  }

  private mutating func enter() throws(ConfigurationError) {
    depth += 1
    guard depth <= SourceText.maximumDepth else {
      throw source.error("objects and lists are nested more than \(SourceText.maximumDepth) deep; flatten them")
    }
  }

  private mutating func skipBlanks() {
    while let next = source.next, next.isBlank || next == 10 { source.advance() }
  }
}
