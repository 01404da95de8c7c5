/// Where a setting came from, in the words an operator needs to find it.
public enum SourcePlace: Hashable, Sendable {
  /// Line and column count from 1, columns in characters.
  case file(path: String, line: Int, column: Int)
  /// A command line option in its long spelling, such as `--bootstrap-expect`.
  case option(String)
  case developmentMode
}

extension SourcePlace: CustomStringConvertible {
  public var description: String {
    switch self {
    case .file(let path, let line, let column): "\(path):\(line):\(column)"
    case .option(let name): name
    case .developmentMode: "--dev"
    }
  }
}

/// Why a configuration is refused: one sentence that names the place, what was found there, and the remedy.
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// `nil` when no single place is to blame, such as when neither mode is enabled.
  public var place: SourcePlace?
  public var message: String

  public init(_ message: String, at place: SourcePlace? = nil) {
    self.place = place
    self.message = message
  }

  public var description: String { place.map { "\($0): \(message)" } ?? message }
}
