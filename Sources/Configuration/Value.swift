/// One value of a configuration document, HCL or JSON, with the place where it starts.
struct Value: Hashable, Sendable {
  enum Kind: Hashable, Sendable {
    case text(String)
    /// The source text, because a text setting keeps `0x10` as written.
    case number(String)
    case boolean(Bool)
    case list([Value])
    case block(Block)
  }

  var kind: Kind
  var place: SourcePlace

  init(_ kind: Kind, at place: SourcePlace) {
    self.kind = kind
    self.place = place
  }

  /// What an error message calls this value.
  var words: String {
    switch kind {
    case .text(let text): text.quoted
    case .number(let text): text
    case .boolean(let flag): "\(flag)"
    case .list: "a list"
    case .block: "a block"
    }
  }
}

/// The items between two braces, or of a whole document, in source order.
struct Block: Hashable, Sendable {
  var items: [Item] = []

  struct Item: Hashable, Sendable {
    var key: String
    var place: SourcePlace
    /// Words between key and brace: `plugin "docker" { ... }`.
    var labels: [Label] = []
    var value: Value
  }

  struct Label: Hashable, Sendable {
    var text: String
    var place: SourcePlace
  }
}

extension String {
  /// In double quotes and on one line, cut after `maximumQuotedCharacters`: error messages never carry a whole file.
  var quoted: String {
    var result = "\""
    for (count, scalar) in unicodeScalars.enumerated() {
      guard count < Self.maximumQuotedCharacters else { return result + "...\"" }
      switch scalar {
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\"": result += "\\\""
      case "\0": result += "\\0"
      default:
        if scalar.value < 32 || scalar.value == 127 {
          result += "\\x" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
        } else {
          result.unicodeScalars.append(scalar)
        }
      }
    }
    return result + "\""
  }

  private static let maximumQuotedCharacters = 120
}
