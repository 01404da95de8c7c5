import Base
import FoundationEssentials
import Glibc
import Harness

/// Something that makes progress only when it is given a turn.
protocol Performer: AnyObject {
  func turn() throws
}

/// Everybody of one test, ours and foreign, on one thread: all take turns until what the test waits for has happened.
final class Stage {
  private var performers: [any Performer] = []

  func enter(_ performer: some Performer) { performers.append(performer) }

  /// - Throws: `HarnessError.timedOut` with what `state` tells, when the condition does not hold in time.
  func wait(
    _ what: String, within limit: Interval = .seconds(25), state: () -> String = { "" },
    until condition: () throws -> Bool
  ) throws {
    let end = MonotonicClock.now() + limit
    while try !condition() {
      guard MonotonicClock.now() < end else { throw HarnessError.timedOut("\(what)\n\(state())") }
      try advance()
    }
  }

  /// Lets time pass.
  func run(for length: Interval) throws {
    let end = MonotonicClock.now() + length
    while MonotonicClock.now() < end { try advance() }
  }

  private func advance() throws {
    // The foreign ones run by themselves: without ours there is only the wait.
    if performers.isEmpty { usleep(1000) }
    for performer in performers { try performer.turn() }
  }
}

/// Whether a program of the tests' environment can be found.
enum Installed {
  static func command(_ name: String) -> Bool {
    let path = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? ""
    return path.split(separator: ":").contains { unsafe access("\($0)/\(name)", X_OK) == 0 }
  }

  /// A program of this project: of `NOMADD_BIN_DIR`, or beside the test program.
  static func ownProgram(_ name: String) throws -> String {
    if let named = ProcessInfo.processInfo.environment["NOMADD_BIN_DIR"] { return "\(named)/\(name)" }
    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return own.split(separator: "/").dropLast().map { "/\($0)" }.joined() + "/\(name)"
  }

  static func path(_ path: String) -> Bool { unsafe access(path, R_OK) == 0 }
}
