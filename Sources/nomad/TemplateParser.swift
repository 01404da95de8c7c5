import HTTP

/// Reads a template; see `Template`.
struct TemplateParser {
  private enum Token {
    case text(String)
    /// The words between the braces.
    case action([String])
  }

  private var tokens: [Token] = []
  private var position = 0
  private var failure: TemplateError?

  init(_ text: String) {
    do throws(TemplateError) { tokens = try Self.tokens(text) } catch { failure = error }
  }

  mutating func parse() throws(TemplateError) -> [Template.Node] {
    if let failure { throw failure }
    let (nodes, end) = try body(depth: 0)
    if let end { throw TemplateError(text: "unexpected {{\(end.joined(separator: " "))}}") }
    return nodes
  }

  // MARK: Structure

  /// Reads up to the action that ends this part (`end` or `else ...`), which is returned.
  private mutating func body(depth: Int) throws(TemplateError) -> ([Template.Node], [String]?) {
    guard depth < Template.maximumDepth else { throw TemplateError(text: "too deep") }
    var nodes: [Template.Node] = []
    while position < tokens.count {
      defer { position += 1 }
      switch tokens[position] {
      case .text(let text): nodes.append(.text(text))
      case .action(let words):
        switch words.first {
        case nil: throw TemplateError(text: "missing value for command")
        case "end", "else": return (nodes, words)
        case "if", "with", "range": nodes.append(try block(words, depth: depth))
        case let word? where word.hasPrefix("/*"): continue
        default: nodes.append(.value(try pipeline(words)))
        }
      }
    }
    return (nodes, nil)
  }

  /// Begins at the opening action and leaves the position at the closing one.
  private mutating func block(_ words: [String], depth: Int) throws(TemplateError) -> Template.Node {
    guard depth < Template.maximumDepth else { throw TemplateError(text: "too deep") }
    let keyword = words[0]
    let condition = try pipeline(Array(words.dropFirst()))
    position += 1
    let (then, end) = try body(depth: depth + 1)
    guard let end else { throw TemplateError(text: "unexpected EOF") }
    var otherwise: [Template.Node] = []
    if end[0] == "else" {
      if end.count > 1 {
        // `else if` is an `if` inside the else-part that shares our `end`.
        position -= 1
        tokens[position] = .action(Array(end.dropFirst()))
        otherwise = [try block(Array(end.dropFirst()), depth: depth + 1)]
        position += 1
      } else {
        let (nodes, last) = try body(depth: depth + 1)
        guard last?[0] == "end" else { throw TemplateError(text: "unexpected EOF") }
        otherwise = nodes
      }
    }
    position -= 1
    switch keyword {
    case "if": return .choice(condition, then, otherwise)
    case "with": return .with(condition, then, otherwise)
    default: return .range(condition, then, otherwise)
    }
  }

  private func pipeline(_ words: [String]) throws(TemplateError) -> Template.Pipeline {
    var rest = words[...]
    let pipeline = try pipeline(&rest, depth: 0)
    if let word = rest.first { throw TemplateError(text: "unexpected \"\(word)\" in operand") }
    return pipeline
  }

  private func pipeline(_ words: inout ArraySlice<String>, depth: Int) throws(TemplateError) -> Template.Pipeline {
    guard depth < Template.maximumDepth else { throw TemplateError(text: "too deep") }
    var commands: [[Template.Operand]] = [[]]
    while let word = words.first, word != ")" {
      words.removeFirst()
      if word == "|" {
        commands.append([])
      } else if word == "(" {
        let inner = try pipeline(&words, depth: depth + 1)
        guard words.popFirst() == ")" else { throw TemplateError(text: "unclosed left paren") }
        commands[commands.count - 1].append(.group(inner))
      } else {
        commands[commands.count - 1].append(try operand(word))
      }
    }
    if commands.contains(where: \.isEmpty) { throw TemplateError(text: "missing value for command") }
    return Template.Pipeline(commands: commands)
  }

  private func operand(_ word: String) throws(TemplateError) -> Template.Operand {
    switch word {
    case "true": return .literal(true)
    case "false": return .literal(false)
    case "nil": return .literal(nil)
    case ".": return .field([], isRoot: false)
    case "$": return .field([], isRoot: true)
    default: break
    }
    if word.hasPrefix("\"") {
      guard let value = try? JSONValue(parsing: Array(word.utf8)) else {
        throw TemplateError(text: "bad string \(word)")
      }
      return .literal(value)
    }
    if word.hasPrefix("`") { return .literal(.string(String(word.dropFirst().dropLast()))) }
    if word.hasPrefix(".") || word.hasPrefix("$.") {
      let names = word.drop { $0 == "$" }.split(separator: ".", omittingEmptySubsequences: true).map(String.init)
      return .field(names, isRoot: word.hasPrefix("$"))
    }
    if let number = Int64(word) { return .literal(.integer(number)) }
    if let number = Double(word) { return .literal(.number(number)) }
    guard word.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "_" }) else {
      throw TemplateError(text: "unexpected \"\(word)\" in operand")
    }
    return .function(word)
  }

  // MARK: Words

  private static func tokens(_ text: String) throws(TemplateError) -> [Token] {
    var tokens: [Token] = []
    var rest = Substring(text)
    var trimsNext = false
    func isBlank(_ character: Character) -> Bool { character.isWhitespace || character.isNewline }
    while true {
      let open = rest.firstRange(of: "{{")
      var literal = open.map { rest[..<$0.lowerBound] } ?? rest
      if trimsNext { literal = literal.drop(while: isBlank) }
      guard let open else {
        if !literal.isEmpty { tokens.append(.text(String(literal))) }
        return tokens
      }
      rest = rest[open.upperBound...]
      if rest.hasPrefix("- ") || rest.hasPrefix("-\n") {
        while let last = literal.last, isBlank(last) { literal.removeLast() }
        rest = rest.dropFirst()
      }
      if !literal.isEmpty { tokens.append(.text(String(literal))) }
      let (words, trims) = try action(&rest)
      tokens.append(.action(words))
      trimsNext = trims
    }
  }

  /// The words up to `}}`; true when blanks behind it are trimmed.
  private static func action(_ rest: inout Substring) throws(TemplateError) -> ([String], Bool) {
    var words: [String] = []
    while let first = rest.first {
      if first.isWhitespace {
        rest.removeFirst()
        if rest.hasPrefix("-}}") {
          rest.removeFirst(3)
          return (words, true)
        }
      } else if rest.hasPrefix("}}") {
        rest.removeFirst(2)
        return (words, false)
      } else if rest.hasPrefix("/*") {
        guard let end = rest.firstRange(of: "*/") else { throw TemplateError(text: "unclosed comment") }
        words.append("/*")
        rest = rest[end.upperBound...]
      } else if "()|".contains(first) {
        words.append(String(first))
        rest.removeFirst()
      } else if first == "\"" || first == "`" {
        words.append(try quoted(&rest, by: first))
      } else {
        let word = rest.prefix { !$0.isWhitespace && !"()|}\"`".contains($0) }
        guard !word.isEmpty else { throw TemplateError(text: "unexpected \"\(first)\" in command") }
        words.append(String(word))
        rest = rest[word.endIndex...]
      }
    }
    throw TemplateError(text: "unclosed action")
  }

  private static func quoted(_ rest: inout Substring, by quote: Character) throws(TemplateError) -> String {
    var word = String(rest.removeFirst())
    while let character = rest.popFirst() {
      word.append(character)
      if character == "\\", quote == "\"", let next = rest.popFirst() {
        word.append(next)
      } else if character == quote {
        return word
      }
    }
    throw TemplateError(text: "unterminated quoted string")
  }
}
