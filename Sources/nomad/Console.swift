/// Where a command writes. Tests collect, the program prints at once.
final class Console {
  private(set) var output = ""
  private(set) var errors = ""
  private let isLive: Bool
  /// Lines for prompts; tests give them, the program reads its standard input.
  var input: () -> String?

  init(isLive: Bool, input: @escaping () -> String? = { nil }) {
    self.isLive = isLive
    self.input = input
  }

  /// A result.
  func print(_ text: String, terminator: String = "\n") {
    if isLive { write(text + terminator, to: .output) } else { output += text + terminator }
  }

  /// An error or a warning.
  func error(_ text: String) {
    if isLive { write(text + "\n", to: .error) } else { errors += text + "\n" }
  }

  /// Bytes as they are.
  func print(bytes: [UInt8]) {
    if isLive { writeBytes(bytes, to: .output) } else { output += String(decoding: bytes, as: UTF8.self) }
  }
}
