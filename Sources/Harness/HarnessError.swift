import Glibc

/// Why the harness itself (not the agent under test) could not do something.
public enum HarnessError: Error, Equatable, CustomStringConvertible {
  /// A system call failed: what was attempted, and the system's text.
  case system(String, String)
  /// An agent's process ended when it should have run: its name, how it ended, the last lines of its output.
  case agentEnded(String, String, output: String)
  /// Something did not happen in time: what, and what was seen instead.
  case timedOut(String)
  /// An HTTP answer broke the protocol or the stated limits.
  case badAnswer(String)
  /// SIGINT, SIGTERM or SIGHUP reached this process.
  case interrupted(signal: Int32)

  public var description: String {
    switch self {
    case .system(let action, let reason): "cannot \(action): \(reason)"
    case .agentEnded(let name, let end, let output): "agent \(name) \(end); its last output:\n\(output)"
    case .timedOut(let what): "timed out: \(what)"
    case .badAnswer(let what): "bad HTTP answer: \(what)"
    case .interrupted(let signal): "interrupted by signal \(signal)"
    }
  }

  /// The failure of a call that reports through `errno`.
  static func system(_ action: String, code: Int32 = errno) -> HarnessError {
    .system(action, unsafe String(cString: strerror(code)))
  }
}
