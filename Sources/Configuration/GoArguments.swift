/// Command line arguments in the syntax of Go's `flag` package, rewritten for ArgumentParser: one dash becomes two,
/// `-server=true` becomes `--server`, and options that nomadd ignores are taken out.
struct GoArguments {
  private(set) var arguments: [String] = []
  private(set) var warnings: [String] = []

  /// Far more than a command line has; the kernel's own limit is of this order.
  static let maximumArguments = 100_000

  init(_ words: [String]) throws(ConfigurationError) {
    var words = words.prefix(Self.maximumArguments)
    while let word = words.popFirst() {
      guard let option = Self.option(in: word) else {
        arguments.append(word)
        continue
      }
      let (name, value) = option
      if AgentOptions.refused.contains(name) {
        throw ConfigurationError(
          "--\(name) starts a development setup that nomadd does not have; use --dev", at: nil)
      } else if AgentOptions.ignoredWithValue.contains(name) {
        if value == nil { _ = words.popFirst() }
        warnings.append("ignored: --\(name): nomadd forms the cluster and has no use for it")
      } else if AgentOptions.ignoredSwitches.contains(name) {
        warnings.append("ignored: --\(name): nomadd forms the cluster and has no use for it")
      } else if AgentOptions.switches.contains(name), let value {
        switch value.lowercased() {
        case "true", "t", "1": arguments.append("--\(name)")
        // Switches can only switch on, so that a false says nothing.
        case "false", "f", "0": break
        default:
          throw ConfigurationError(
            "the value \(String(value).quoted) is neither true nor false; write --\(name) alone",
            at: .option("--\(name)"))
        }
      } else if value == nil, !AgentOptions.switches.contains(name), let next = words.first, next.hasPrefix("-"),
        Self.option(in: next) == nil
      {
        // Go takes the next word whatever it is, such as a negative number.
        arguments.append("--\(name)=\(next)")
        words = words.dropFirst()
      } else {
        arguments.append("--\(name)" + (value.map { "=\($0)" } ?? ""))
      }
    }
  }

  /// `-name`, `--name`, `-name=value`: at least two letters, so that `-h` and `-v` stay as they are.
  private static func option(in word: String) -> (name: String, value: Substring?)? {
    guard word.hasPrefix("-") else { return nil }
    let body = word.dropFirst(word.hasPrefix("--") ? 2 : 1)
    guard let first = body.utf8.first, first.isLetter, body.utf8.count > 1 else { return nil }
    guard let equals = body.firstIndex(of: "=") else { return (String(body), nil) }
    return (String(body[..<equals]), body[body.index(after: equals)...])
  }
}
