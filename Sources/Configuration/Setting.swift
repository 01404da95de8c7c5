import Base

/// One value of the right type for its key, with the place that set it.
struct Setting: Sendable {
  enum Content: Sendable {
    case text(String)
    case integer(Int)
    case decimal(Double)
    case boolean(Bool)
    case duration(Interval)
    case list([Element])
    case map([Pair])
  }

  struct Element: Sendable {
    var text: String
    var place: SourcePlace
  }

  struct Pair: Sendable {
    var key: String
    var text: String
    var place: SourcePlace
  }

  var content: Content
  var kind: Schema.Kind
  var place: SourcePlace

  /// Converts as Nomad does: a text accepts numbers and booleans, the others accept their value as text.
  /// `path` names the setting in error messages.
  init(_ value: Value, kind: Schema.Kind, path: String) throws(ConfigurationError) {
    self.kind = kind
    place = value.place
    func refused(_ wanted: String) -> ConfigurationError {
      ConfigurationError("\(path) is \(value.words), \(wanted)", at: value.place)
    }
    switch kind {
    case .text:
      guard let text = value.scalarText else { throw refused("and should be one text, such as \(path) = \"...\"") }
      content = .text(text)
    case .integer, .explicitInteger:
      guard let number = value.numeral?.wholeNumber else {
        throw refused("which is not a whole number; write digits only")
      }
      guard number >= 0 else { throw refused("which is negative; use 0 or more") }
      content = .integer(number)
    case .port:
      guard let number = value.numeral?.wholeNumber, (1...65535).contains(number) else {
        throw refused("which is not a port; use a number from 1 to 65535")
      }
      content = .integer(number)
    case .decimal:
      guard let number = value.numeral.flatMap({ Double($0) }), number.isFinite, number >= 0 else {
        throw refused("which is not a number from 0 up; write digits, such as 50 or 0.5")
      }
      content = .decimal(number)
    case .boolean, .choice:
      guard let flag = value.truth else { throw refused("which is neither true nor false; use one of them") }
      content = .boolean(flag)
    case .duration:
      guard let text = value.numeral else { throw refused("and should be a duration, such as \"30s\"") }
      guard let interval = Interval(duration: text) else {
        throw refused(
          Double(text) == nil
            ? "which is not a duration; use numbers with h, m, s or ms, such as \"1h30m\" or \"30s\""
            : "which has no unit; write \"\(text)s\" for seconds")
      }
      guard interval >= .zero else { throw refused("which is negative; use \"0s\" or more") }
      content = .duration(interval)
    case .appendedList, .replacedList:
      guard case .list(let values) = value.kind else {
        throw refused("and should be a list, such as \(path.lastWord) = [\(value.scalarText?.quoted ?? "\"...\"")]")
      }
      var elements: [Element] = []
      for element in values {
        guard let text = element.scalarText else {
          throw ConfigurationError("\(path) holds \(element.words), and should hold only texts", at: element.place)
        }
        elements.append(Element(text: text, place: element.place))
      }
      content = .list(elements)
    case .map:
      guard case .block(let block) = value.kind else {
        throw refused("and should be a block, such as \(path.lastWord) { key = \"value\" }")
      }
      var pairs: [Pair] = []
      for item in block.items {
        guard item.labels.isEmpty, let text = item.value.scalarText else {
          throw ConfigurationError(
            "\(path).\(item.key) is \(item.value.words), and should be one text, such as \(item.key) = \"...\"",
            at: item.place)
        }
        pairs.append(Pair(key: item.key, text: text, place: item.place))
      }
      content = .map(pairs)
    case .block, .unchecked:
      preconditionFailure("only settings are converted, not blocks")
    }
  }

  /// This setting after `later` was found in the next file (config.md 1.1), and whether `later` was without effect
  /// in a way that surprises: a false after a true.
  func merged(with later: Setting) -> (Setting, surprise: Bool) {
    switch (kind, content, later.content) {
    case (_, _, .text(let new)):
      return (new.isEmpty ? self : later, false)
    case (.integer, _, .integer(0)), (_, _, .decimal(0)):
      return (self, false)
    case (.boolean, .boolean(true), .boolean(false)):
      return (self, true)
    case (.appendedList, .list(let old), .list(let new)):
      var both = later
      both.content = .list(old + new)
      return (both, false)
    case (.replacedList, _, .list(let new)):
      return (new.isEmpty ? self : later, false)
    case (.map, .map(let old), .map(let new)):
      var both = later
      both.content = .map(old.filter { pair in !new.contains { $0.key == pair.key } } + new)
      return (both, false)
    default:
      return (later, false)
    }
  }
}

extension Value {
  /// A text, or the source text of a number or boolean.
  fileprivate var scalarText: String? {
    switch kind {
    case .text(let text), .number(let text): text
    case .boolean(let flag): "\(flag)"
    case .list, .block: nil
    }
  }

  fileprivate var numeral: String? {
    switch kind {
    case .text(let text), .number(let text): text
    case .boolean, .list, .block: nil
    }
  }

  fileprivate var truth: Bool? {
    switch kind {
    case .boolean(let flag): flag
    case .text(let text), .number(let text):
      switch text.lowercased() {
      case "true", "1": true
      case "false", "0": false
      default: nil
      }
    case .list, .block: nil
    }
  }
}

extension String {
  /// The part after the last dot: `server_join` of `server.server_join`.
  fileprivate var lastWord: String { lastIndex(of: ".").map { String(self[index(after: $0)...]) } ?? self }
}
