import Base
import Glibc

/// A process that the harness started, with everything that it starts in turn (its process group). It never outlives
/// this value: `deinit` kills the group, and a `Leash` does so should this program die first.
public final class ChildProcess {
  public enum End: Equatable, CustomStringConvertible {
    case exited(Int32)
    case killed(signal: Int32)

    public var description: String {
      switch self {
      case .exited(let status): "exited with status \(status)"
      case .killed(let signal): "was ended by signal \(signal)"
      }
    }
  }

  /// The process id, which is also the process group.
  public let pid: Int32
  private var knownEnd: End?

  /// Starts `arguments[0]`. Output is appended to the named files; standard input is empty.
  /// - Throws: `HarnessError.system` when the program cannot be started.
  public init(
    _ arguments: [String], environment: [String: String] = [:], output: String, error: String? = nil
  ) throws(HarnessError) {
    let leash = try Leash.shared.get()
    pid = try Spawn.run(
      arguments, environment: environment, input: .null, output: .file(output), error: .file(error ?? output))
    leash.add(group: pid)
  }

  deinit {
    if knownEnd == nil { end() }
  }

  /// How the process ended, or `nil` while it runs. Never blocks.
  public var result: End? {
    if let knownEnd { return knownEnd }
    return reap(options: WNOHANG)
  }

  /// Sends a signal to the process itself, not to its group. Ignored once it has ended.
  public func send(signal: Int32) {
    if result == nil { kill(pid, signal) }
  }

  /// Kills the whole group and waits for the process: a moment, because nothing can refuse SIGKILL.
  @discardableResult public func end() -> End {
    if let knownEnd { return knownEnd }
    kill(-pid, SIGKILL)
    return reap(options: 0) ?? .killed(signal: SIGKILL)
  }

  /// Resident memory in bytes (`VmRSS` of /proc), or `nil` once the process has ended.
  public var residentBytes: Int? {
    guard result == nil, let status = try? FileText.read("/proc/\(pid)/status") else { return nil }
    for line in status.split(separator: "\n") where line.hasPrefix("VmRSS:") {
      return line.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
    }
    return nil
  }

  private func reap(options: Int32) -> End? {
    var status: Int32 = 0
    while true {
      let answer = unsafe waitpid(pid, &status, options)
      if answer == 0 { return nil }
      if answer < 0, errno == EINTR { continue }
      break
    }
    // The macros of <sys/wait.h>: the low seven bits are the signal, zero when the process exited.
    let signal = status & 0x7F
    let end: End = signal == 0 ? .exited((status >> 8) & 0xFF) : .killed(signal: signal)
    knownEnd = end
    // What the process left behind in its group goes too.
    kill(-pid, SIGKILL)
    if case .success(let leash) = Leash.shared { leash.remove(group: pid) }
    return end
  }
}
