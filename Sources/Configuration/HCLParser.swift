/// Reads HCL as Nomad's agent accepts it (HCL version 1: config.md 2.1), into blocks with places.
struct HCLParser {
  private var source: SourceText
  private var depth = 0

  /// The items of the whole document.
  static func parse(_ source: SourceText) throws(ConfigurationError) -> Block {
    var parser = HCLParser(source: source)
    return try parser.items(until: nil, openedAt: source.place)
  }

  private init(source: SourceText) {
    self.source = source
  }

  /// `closing` is `}` inside a block and `nil` for the document, which ends with the file.
  private mutating func items(until closing: UInt8?, openedAt opening: SourcePlace) throws(ConfigurationError) -> Block
  {
    var block = Block()
    while true {
      try skipBlanks(newlines: true)
      guard let next = source.next else {
        guard closing == nil else {
          throw source.error("the block opened at \(opening) is not closed; add the missing \"}\"")
        }
        return block
      }
      if next == closing {
        source.advance()
        return block
      }
      if next == UInt8(ascii: ","), !block.items.isEmpty {
        source.advance()
        continue
      }
      block.items.append(try item())
    }
  }

  private mutating func item() throws(ConfigurationError) -> Block.Item {
    let place = source.place
    guard let key = try word() else {
      if source.next == UInt8(ascii: "}") { throw source.error("this \"}\" closes no block; remove it") }
      throw source.error("found \(source.found) where a key should be; write key = value or key { ... }")
    }
    var labels: [Block.Label] = []
    while true {
      try skipBlanks(newlines: false)
      let here = source.place
      switch source.next {
      case UInt8(ascii: "="):
        guard labels.isEmpty else {
          throw source.error(
            "found \"=\" after \(key) \(labels[0].text.quoted), where a block should begin; write \"{\", or "
              + "remove the label"
          )
        }
        source.advance()
        try skipBlanks(newlines: false)
        return Block.Item(key: key, place: place, value: try value(of: key))
      case UInt8(ascii: "{"):
        return Block.Item(key: key, place: place, labels: labels, value: try block())
      case UInt8(ascii: ":"):
        throw source.error("found \":\" after \(key); HCL wants \"=\" there")
      default:
        guard labels.count < Self.maximumLabels, let label = try word() else {
          throw source.error("found \(source.found) after \(key); write \(key) = value or \(key) { ... }")
        }
        labels.append(Block.Label(text: label, place: here))
      }
    }
  }

  private static let maximumLabels = 4

  private mutating func block() throws(ConfigurationError) -> Value {
    let place = source.place
    try enter()
    source.advance()
    let block = try items(until: UInt8(ascii: "}"), openedAt: place)
    depth -= 1
    return Value(.block(block), at: place)
  }

  private mutating func value(of key: String) throws(ConfigurationError) -> Value {
    let place = source.place
    switch source.next {
    case UInt8(ascii: "\""):
      return Value(.text(try source.hclString()), at: place)
    case UInt8(ascii: "<") where source.peek(1) == UInt8(ascii: "<"):
      return Value(.text(try source.heredoc()), at: place)
    case UInt8(ascii: "["):
      return try list(of: key)
    case UInt8(ascii: "{"):
      return try block()
    case let next? where next.isDigit || next == UInt8(ascii: "-"):
      return Value(.number(try number()), at: place)
    case let next? where next.isLetter:
      let found = source.found
      let start = source.offset
      while let next = source.next, next.isWordByte { source.advance() }
      switch source.text(from: start) {
      case "true": return Value(.boolean(true), at: place)
      case "false": return Value(.boolean(false), at: place)
      case let bare:
        throw ConfigurationError("found the bare word \(found) as the value of \(key); write \(bare.quoted)", at: place)
      }
    default:
      throw source.error(
        "found \(source.found) where the value of \(key) should be; write a \"text\", a number, true, false, [ "
          + "... ] or { ... }"
      )
    }
  }

  private mutating func list(of key: String) throws(ConfigurationError) -> Value {
    let place = source.place
    try enter()
    source.advance()
    var elements: [Value] = []
    while true {
      try skipBlanks(newlines: true)
      if source.next == UInt8(ascii: "]") { break }
      guard !source.isAtEnd else { throw unclosedList(place) }
      elements.append(try value(of: key))
      try skipBlanks(newlines: true)
      if source.next == UInt8(ascii: ",") {
        source.advance()
      } else if source.isAtEnd {
        throw unclosedList(place)
      } else if source.next != UInt8(ascii: "]") {
        throw source.error(
          "found \(source.found) in the list of \(key); put \",\" between two values or \"]\" after the last")
      }
    }
    source.advance()
    depth -= 1
    return Value(.list(elements), at: place)
  }

  private func unclosedList(_ opening: SourcePlace) -> ConfigurationError {
    source.error("the list opened at \(opening) is not closed; add the missing \"]\"")
  }

  private mutating func number() throws(ConfigurationError) -> String {
    let place = source.place
    let start = source.offset
    source.advance()
    while let next = source.next, next.isWordByte || next == UInt8(ascii: "+") { source.advance() }
    let text = source.text(from: start)
    guard text.wholeNumber != nil || (text.utf8.allSatisfy { !$0.isLetter || $0 | 0x20 == 101 } && Double(text) != nil)
    else {
      throw ConfigurationError("\(text) is not a number; write \(text.quoted) if it is a text or a duration", at: place)
    }
    return text
  }

  /// An identifier or a quoted key; `nil` if neither starts here.
  private mutating func word() throws(ConfigurationError) -> String? {
    if source.next == UInt8(ascii: "\"") { return try source.hclString() }
    guard let first = source.next, first.isLetter || first == UInt8(ascii: "_") else { return nil }
    let start = source.offset
    while let next = source.next, next.isWordByte { source.advance() }
    return source.text(from: start)
  }

  private mutating func enter() throws(ConfigurationError) {
    depth += 1
    guard depth <= SourceText.maximumDepth else {
      throw source.error("blocks and lists are nested more than \(SourceText.maximumDepth) deep; flatten them")
    }
  }

  private mutating func skipBlanks(newlines: Bool) throws(ConfigurationError) {
    while let next = source.next {
      if next.isBlank || (newlines && next == 10) {
        source.advance()
      } else if next == UInt8(ascii: "#") || source.starts(with: "//") {
        while let next = source.next, next != 10 { source.advance() }
      } else if source.starts(with: "/*") {
        let opening = source.place
        source.advance(2)
        while !source.isAtEnd, !source.starts(with: "*/") { source.advance() }
        guard !source.isAtEnd else {
          throw ConfigurationError("this comment is not closed; add the missing \"*/\"", at: opening)
        }
        source.advance(2)
      } else {
        return
      }
    }
  }
}
