import Base

/// Every setting of all files and options, merged, by path: `server.bootstrap_expect`. Read with typed getters; the
/// order of the dictionary is never observed.
struct Settings: Sendable {
  private var byPath: [String: Setting] = [:]
  private(set) var warnings: [String] = []

  /// Merges one document. Unknown keys, repeated keys and values of the wrong type are errors.
  mutating func merge(_ document: Block) throws(ConfigurationError) {
    try merge(document, schema: .agent, path: "")
  }

  /// Merges one option or default, given as the text an operator would type.
  mutating func merge(_ path: String, _ value: Value.Kind, from place: SourcePlace) throws(ConfigurationError) {
    guard let kind = Self.kind(of: path) else { preconditionFailure("no setting is called \(path)") }
    do {
      apply(try Setting(Value(value, at: place), kind: kind, path: path), to: path)
    } catch {
      throw Self.worded(error, for: place, path: path)
    }
  }

  /// Adds a sentence for the operator; each is kept once.
  mutating func warn(_ sentence: String) {
    if !warnings.contains(sentence) { warnings.append(sentence) }
  }

  /// For a setting that is understood and does nothing yet: who wrote it must not believe otherwise.
  mutating func warnWithoutEffect(_ path: String, _ reason: String) {
    guard let place = place(path), place != .developmentMode else { return }
    warn("\(place): \(path.split(separator: ".").last ?? "") has no effect here: \(reason)")
  }

  func place(_ path: String) -> SourcePlace? { byPath[path]?.place }

  func text(_ path: String) -> String? {
    if case .text(let text)? = byPath[path]?.content, !text.isEmpty { text } else { nil }
  }

  func integer(_ path: String) -> Int? {
    if case .integer(let number)? = byPath[path]?.content { number } else { nil }
  }

  func decimal(_ path: String) -> Double? {
    if case .decimal(let number)? = byPath[path]?.content { number } else { nil }
  }

  func boolean(_ path: String) -> Bool? {
    if case .boolean(let flag)? = byPath[path]?.content { flag } else { nil }
  }

  func duration(_ path: String) -> Interval? {
    if case .duration(let interval)? = byPath[path]?.content { interval } else { nil }
  }

  func list(_ path: String) -> [Setting.Element] {
    if case .list(let elements)? = byPath[path]?.content { elements } else { [] }
  }

  func map(_ path: String) -> [Setting.Pair] {
    if case .map(let pairs)? = byPath[path]?.content { pairs } else { [] }
  }

  private mutating func merge(_ block: Block, schema: Schema, path: String) throws(ConfigurationError) {
    var seen: [String: SourcePlace] = [:]
    for item in block.items {
      guard let key = schema.key(item.key) else { throw Self.unknown(item, in: schema, path: path) }
      let inner = path.isEmpty ? key.name : "\(path).\(key.name)"
      if let first = seen[key.name], !key.repeats {
        throw ConfigurationError("\(inner) is set twice in this file, first at \(first); keep one", at: item.place)
      }
      seen[key.name] = item.place
      switch key.use {
      case .silent: continue
      case .ignored where item.value.kind == .boolean(false):
        // Switched off here, absent there: the same.
        continue
      case .ignored:
        warn("ignored: \(inner) (\(item.place)): nomadd forms the cluster and has no use for it")
        continue
      case .honoured: break
      }
      if let label = item.labels.first {
        throw ConfigurationError("the block \(inner) takes no name; remove \(label.text.quoted)", at: label.place)
      }
      if case .block(let schema) = key.kind {
        guard case .block(let block) = item.value.kind else {
          throw ConfigurationError(
            "\(inner) is \(item.value.words), and should be a block; write \(key.name) { ... }", at: item.value.place)
        }
        try merge(block, schema: schema, path: inner)
      } else {
        apply(try Setting(item.value, kind: key.kind, path: inner), to: inner)
      }
    }
  }

  private mutating func apply(_ setting: Setting, to path: String) {
    guard let earlier = byPath[path] else {
      byPath[path] = setting
      return
    }
    let (merged, surprise) = earlier.merged(with: setting)
    byPath[path] = merged
    if surprise {
      warn(
        "\(setting.place): \(path) = false has no effect, because \(earlier.place) set it to true and true stays; "
          + "remove it there")
    }
  }

  private static func unknown(_ item: Block.Item, in schema: Schema, path: String) -> ConfigurationError {
    let key = item.key.quoted
    let place = path.isEmpty ? "at the top level" : "in the block \(path)"
    let remedy: String
    if !path.isEmpty, Schema.agent.key(item.key) != nil {
      remedy = "it belongs at the top level, outside of every block"
    } else if let home = Schema.agent.home(of: item.key), home != path {
      remedy = "it belongs in the block \(home)"
    } else if let nearest = schema.nearest(to: item.key) {
      remedy = "did you mean \(nearest)?"
    } else {
      remedy = "remove it, or correct its spelling"
    }
    return ConfigurationError("unknown key \(key) \(place): \(remedy)", at: item.place)
  }

  private static func kind(of path: String) -> Schema.Kind? {
    var schema = Schema.agent
    var found: Schema.Kind?
    for part in path.split(separator: ".") {
      guard let key = schema.key(String(part)) else { return nil }
      found = key.kind
      if case .block(let inner) = key.kind { schema = inner }
    }
    return found
  }

  /// An option's error names the option; the path of the setting behind it would only confuse.
  private static func worded(_ error: ConfigurationError, for place: SourcePlace, path: String) -> ConfigurationError {
    guard case .option = place, error.message.hasPrefix(path + " ") else { return error }
    return ConfigurationError("the value" + error.message.dropFirst(path.count), at: place)
  }
}

extension Schema.Key {
  /// May stand several times in one file.
  fileprivate var repeats: Bool {
    switch kind {
    case .block(let schema): schema.repeats
    case .unchecked: true
    case .map: name == "http_api_response_headers"
    default: false
    }
  }
}
