import Base
import HTTP

/// What is wrong with the options, in the words of Go's `flag` package.
struct FlagError: Error {
  var text: String
}

/// Option parsing as Go's `flag` does it: one or two dashes, `-name value` or `-name=value`, booleans never take the
/// next word, the first other word ends the options.
struct Flags {
  enum Kind {
    case bool
    case string
    /// May be given again and again.
    case strings
    case integer
    case duration
  }

  private var kinds: [String: Kind] = [:]
  private var values: [String: [String]] = [:]
  /// The words behind the options.
  private(set) var arguments: [String] = []

  init(_ kinds: [String: Kind]) { self.kinds = kinds }

  mutating func parse(_ words: [String]) throws(FlagError) {
    var rest = words[...]
    while let word = rest.first {
      guard word.hasPrefix("-"), word != "-" else { break }
      rest.removeFirst()
      if word == "--" { break }
      let body = word.hasPrefix("--") ? word.dropFirst(2) : word.dropFirst(1)
      guard let first = body.first, first != "-", first != "=" else {
        throw FlagError(text: "bad flag syntax: \(word)")
      }
      let halves = body.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(halves[0])
      guard let kind = kinds[name] else { throw FlagError(text: "flag provided but not defined: -\(name)") }
      var value = halves.count > 1 ? String(halves[1]) : nil
      if kind == .bool {
        value = value ?? "true"
      } else if value == nil {
        guard let next = rest.popFirst() else { throw FlagError(text: "flag needs an argument: -\(name)") }
        value = next
      }
      try check(value ?? "", kind, name)
      values[name, default: []].append(value ?? "")
    }
    arguments = Array(rest)
  }

  private func check(_ value: String, _ kind: Kind, _ name: String) throws(FlagError) {
    switch kind {
    case .string, .strings: break
    case .bool:
      if boolean(value) == nil {
        throw FlagError(text: "invalid boolean value \"\(value)\" for -\(name): parse error")
      }
    case .integer:
      if Int64(value) == nil { throw FlagError(text: "invalid value \"\(value)\" for flag -\(name): parse error") }
    case .duration:
      if GoDuration.parse(value) == nil {
        throw FlagError(text: "invalid value \"\(value)\" for flag -\(name): time: invalid duration \"\(value)\"")
      }
    }
  }

  /// True when the option was given at all.
  func isGiven(_ name: String) -> Bool { values[name] != nil }
  func bool(_ name: String) -> Bool { values[name]?.last.flatMap(boolean) ?? false }
  func string(_ name: String) -> String? { values[name]?.last }
  func strings(_ name: String) -> [String] { values[name] ?? [] }
  func integer(_ name: String) -> Int64? { values[name]?.last.flatMap { Int64($0) } }
  func duration(_ name: String) -> Interval? { values[name]?.last.flatMap { GoDuration.parse($0) } }
}

/// Go's words for true and false.
func boolean(_ text: String) -> Bool? {
  switch text {
  case "1", "t", "T", "TRUE", "true", "True": true
  case "0", "f", "F", "FALSE", "false", "False": false
  default: nil
  }
}
