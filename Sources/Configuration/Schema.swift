/// Which keys a block may hold, of which kind, and what nomadd does with them.
struct Schema: Sendable {
  /// The type of a setting together with its rule when several files or repeated blocks set it (config.md 1.1).
  indirect enum Kind: Sendable {
    /// The later text wins unless it is empty.
    case text
    /// The later number wins unless it is 0.
    case integer
    /// The later number wins, 0 included.
    case explicitInteger
    /// A TCP or UDP port, 1 to 65535; the later wins.
    case port
    case decimal
    /// Once true, always true: a later false does not reset it.
    case boolean
    /// The later value wins, false included.
    case choice
    case duration
    /// Lists of several files are appended.
    case appendedList
    /// The later list replaces an earlier one unless it is empty.
    case replacedList
    /// Text per key, merged key by key.
    case map
    case block(Schema)
    /// Accepted whatever it holds.
    case unchecked
  }

  /// What nomadd does with a key.
  enum Use: Sendable {
    case honoured
    /// Nothing, and nobody would expect more: no warning.
    case silent
    /// Nothing, and the operator is told.
    case ignored
  }

  struct Key: Sendable {
    var name: String
    var kind: Kind
    var use: Use
  }

  var keys: [Key]
  /// A block that may stand several times in one file; the others may not (config.md 2.2).
  var repeats: Bool

  init(
    repeats: Bool = false, _ honoured: KeyValuePairs<String, Kind>, silent: [String] = [], ignored: [String] = []
  ) {
    self.repeats = repeats
    keys = honoured.map { Key(name: $0.key, kind: $0.value, use: .honoured) }
    keys += silent.map { Key(name: $0, kind: .unchecked, use: .silent) }
    keys += ignored.map { Key(name: $0, kind: .unchecked, use: .ignored) }
  }

  /// Keys match without regard to case.
  func key(_ name: String) -> Key? {
    let lower = name.lowercased()
    return keys.first { $0.name == lower }
  }

  /// The path of the block that knows `name`, for a key that was written one level too high or too low.
  func home(of name: String, path: String = "") -> String? {
    let lower = name.lowercased()
    for key in keys {
      guard case .block(let schema) = key.kind else { continue }
      let path = path.isEmpty ? key.name : "\(path).\(key.name)"
      if schema.keys.contains(where: { $0.name == lower }) { return path }
      if let found = schema.home(of: name, path: path) { return found }
    }
    return nil
  }

  /// The known key most like `name`, if any is like it at all.
  func nearest(to name: String) -> String? {
    Schema.nearest(to: name, among: keys.map(\.name))
  }

  static func nearest(to word: String, among words: [String]) -> String? {
    let wanted = Array(word.lowercased().utf8.map { $0 == 45 ? 95 : $0 })
    var best: (word: String, distance: Int)?
    for candidate in words {
      let distance = Self.distance(wanted, Array(candidate.utf8.map { $0 == 45 ? 95 : $0 }))
      if distance < best?.distance ?? .max { best = (candidate, distance) }
    }
    guard let best, best.distance <= max(2, wanted.count / 3), best.distance < wanted.count else { return nil }
    return best.word
  }

  /// Insertions, removals, replacements and swaps of neighbours; long words count as unlike.
  private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    guard !a.isEmpty, !b.isEmpty, a.count <= 64 else { return .max }
    var before: [Int] = []
    var last = Array(0...b.count)
    for i in 1...a.count {
      var row = [i]
      for j in 1...b.count {
        var cost = min(row[j - 1] + 1, last[j] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
        if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { cost = min(cost, before[j - 2] + 1) }
        row.append(cost)
      }
      (before, last) = (last, row)
    }
    return last[b.count]
  }
}
