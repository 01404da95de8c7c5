import Base

/// Turns log lines into bytes, in the two forms Nomad's operators know.
public struct LogFormatter: Sendable {
  public enum Form: Hashable, Sendable {
    /// `2026-01-02T03:04:05.678Z [INFO]  nomad.raft: election won: term=2 tally=2`
    case text
    /// `{"@level":"info","@message":"election won","@module":"nomad.raft","@timestamp":"...","term":"2","tally":"2"}`
    case json
  }

  public let form: Form
  private var time = CivilTimeText()

  public init(_ form: Form) { self.form = form }

  /// Appends the line and a line feed. Nothing in a line, whoever chose its words, can begin another line.
  public mutating func append(_ line: LogLine, at wall: WallTime, to bytes: inout [UInt8]) {
    switch form {
    case .text: appendText(line, wall, &bytes)
    case .json: appendJSON(line, wall, &bytes)
    }
    bytes.append(UInt8(ascii: "\n"))
  }

  private mutating func appendText(_ line: LogLine, _ wall: WallTime, _ bytes: inout [UInt8]) {
    time.append(wall, to: &bytes)
    bytes += line.level.column.utf8
    if !line.module.isEmpty {
      Self.appendEscaped(line.module, quotes: false, to: &bytes)
      bytes += ": ".utf8
    }
    Self.appendEscaped(line.message, quotes: false, to: &bytes)
    if !line.fields.isEmpty { bytes.append(UInt8(ascii: ":")) }
    for field in line.fields {
      bytes.append(UInt8(ascii: " "))
      Self.appendEscaped(field.key, quotes: false, to: &bytes)
      bytes.append(UInt8(ascii: "="))
      let needsQuotes = field.value.utf8.contains { $0 <= 0x20 || $0 == 0x7F || $0 == UInt8(ascii: "\"") }
      if needsQuotes { bytes.append(UInt8(ascii: "\"")) }
      Self.appendEscaped(field.value, quotes: needsQuotes, to: &bytes)
      if needsQuotes { bytes.append(UInt8(ascii: "\"")) }
    }
  }

  private mutating func appendJSON(_ line: LogLine, _ wall: WallTime, _ bytes: inout [UInt8]) {
    bytes += "{\"@level\":\"".utf8
    bytes += line.level.name.utf8
    bytes += "\",\"@message\":\"".utf8
    Self.appendEscaped(line.message, quotes: true, to: &bytes)
    if !line.module.isEmpty {
      bytes += "\",\"@module\":\"".utf8
      Self.appendEscaped(line.module, quotes: true, to: &bytes)
    }
    bytes += "\",\"@timestamp\":\"".utf8
    time.append(wall, fractionDigits: 6, to: &bytes)
    for field in line.fields {
      bytes += "\",\"".utf8
      Self.appendEscaped(field.key, quotes: true, to: &bytes)
      bytes += "\":\"".utf8
      Self.appendEscaped(field.value, quotes: true, to: &bytes)
    }
    bytes += "\"}".utf8
  }

  /// Control characters are written as JSON writes them, in both forms; quotes and backslashes only inside quotes.
  private static func appendEscaped(_ text: String, quotes: Bool, to bytes: inout [UInt8]) {
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\n"): bytes += "\\n".utf8
      case UInt8(ascii: "\r"): bytes += "\\r".utf8
      case UInt8(ascii: "\t"): bytes += "\\t".utf8
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        if quotes { bytes.append(UInt8(ascii: "\\")) }
        bytes.append(byte)
      case 0..<0x20, 0x7F:
        bytes += "\\u00".utf8
        bytes.append(hexDigits[Int(byte >> 4)])
        bytes.append(hexDigits[Int(byte & 15)])
      default: bytes.append(byte)
      }
    }
  }

  private static let hexDigits = Array("0123456789abcdef".utf8)
}

extension LogLevel {
  /// `info`
  public var name: String {
    switch self {
    case .trace: "trace"
    case .debug: "debug"
    case .info: "info"
    case .warn: "warn"
    case .error: "error"
    }
  }

  /// The level between the time and the module, padded so that modules begin in one column.
  var column: String {
    switch self {
    case .trace: " [TRACE] "
    case .debug: " [DEBUG] "
    case .info: " [INFO]  "
    case .warn: " [WARN]  "
    case .error: " [ERROR] "
    }
  }
}
