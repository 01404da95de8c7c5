/// Severity of a log line, in Nomad's words.
public enum LogLevel: Int, Comparable, Sendable, CaseIterable {
  case trace, debug, info, warn, error
  public static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }
}

/// One structured log line: `2026-01-02T03:04:05.678Z [INFO]  nomad.raft: election won: term=2 tally=2`.
public struct LogLine: Hashable, Sendable {
  public var level: LogLevel
  /// Dotted name of the part that speaks, Nomad's own where it has one: `nomad`, `nomad.raft`, `client`, `agent`.
  public var module: String
  public var message: String
  /// In the order given; values are quoted by the printer when they hold blanks.
  public var fields: [Field]

  public struct Field: Hashable, Sendable {
    public var key: String
    public var value: String
  }
}

/// Where machines put log lines; the shell drains it once per turn. A machine checks nothing before calling: `log`
/// evaluates its arguments only when the level is enabled.
public struct LogSink: Sendable {
  public var minimum: LogLevel
  public private(set) var lines: [LogLine] = []
  /// Lines lost because a turn produced more than `maximumLines`; the shell reports the number.
  public private(set) var dropped = 0

  static let maximumLines = 4096

  public init(minimum: LogLevel = .info) { self.minimum = minimum }

  public mutating func log(
    _ level: LogLevel, _ module: @autoclosure () -> String, _ message: @autoclosure () -> String,
    _ fields: @autoclosure () -> KeyValuePairs<String, String> = [:]
  ) {
    guard level >= minimum else { return }
    guard lines.count < Self.maximumLines else { return dropped += 1 }
    lines.append(
      LogLine(
        level: level, module: module(), message: message(),
        fields: fields().map { LogLine.Field(key: $0.key, value: $0.value) }))
  }

  public mutating func drain(_ body: (LogLine) -> Void) {
    for line in lines { body(line) }
    lines.removeAll(keepingCapacity: true)
    dropped = 0
  }
}
