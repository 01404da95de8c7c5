import Base
import CSystem
import Glibc

/// Tells systemd about the state of the service (sd_notify(3)) and keeps its watchdog content. Every call is one
/// datagram that never waits; outside of systemd there is no notifier.
public struct ServiceNotifier: Sendable {
  /// A message did not reach the service manager: a negated errno. Worth a log line, never a reason to stop.
  public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
    public let code: Int32
    public var description: String { "cannot notify the service manager: \(systemErrorText(code))" }
  }

  /// A path, or `@name` for an abstract socket.
  let socket: String
  /// How often the watchdog wants a sign of life: half of what it tolerates. `nil` when it is off.
  public let watchdogInterval: Interval?
  /// When `handleTimeout` wants to be called.
  public private(set) var deadline: Instant?

  /// `nil` unless `NOTIFY_SOCKET` names a Unix socket. A watchdog meant for another process (`WATCHDOG_PID`) is
  /// ignored.
  public init?(environment: [String: String], processID: Int32 = getpid(), at now: Instant) {
    guard let socket = environment["NOTIFY_SOCKET"], socket.hasPrefix("/") || socket.hasPrefix("@"),
      socket.utf8.count > 1
    else { return nil }
    self.socket = socket
    let isForUs = environment["WATCHDOG_PID"].map { $0 == String(processID) } ?? true
    if isForUs, let text = environment["WATCHDOG_USEC"], let microseconds = Int64(text), microseconds > 0 {
      watchdogInterval = Interval.microseconds(microseconds) / 2
      deadline = now
    } else {
      watchdogInterval = nil
      deadline = nil
    }
  }

  /// The service serves; `status` is one line for `systemctl status`.
  public func ready(status: String) throws(Failure) { try send("READY=1\nSTATUS=\(Self.line(status))") }
  public func status(_ status: String) throws(Failure) { try send("STATUS=\(Self.line(status))") }
  public func stopping(status: String) throws(Failure) { try send("STOPPING=1\nSTATUS=\(Self.line(status))") }
  /// Asks for more time to start or stop than the unit allows, from now on.
  public func extendTimeout(_ interval: Interval) throws(Failure) {
    try send("EXTEND_TIMEOUT_USEC=\(max(0, interval.nanoseconds) / 1000)")
  }

  /// Sends the sign of life when it is due. Call it from the loop that does the work, so that a loop that hangs is
  /// noticed.
  public mutating func handleTimeout(at now: Instant) throws(Failure) {
    guard let due = deadline, now >= due, let watchdogInterval else { return }
    deadline = now + watchdogInterval
    try send("WATCHDOG=1")
  }

  /// A line feed would begin another assignment.
  private static func line(_ text: String) -> String {
    String(text.map { $0.isNewline ? " " : $0 })
  }

  private func send(_ message: String) throws(Failure) {
    var name = socket
    var text = message
    let code = name.withUTF8 { name in
      unsafe name.withMemoryRebound(to: CChar.self) { name in
        text.withUTF8 { unsafe csystem_send_to_unix(name.baseAddress, name.count, $0.baseAddress, $0.count) }
      }
    }
    guard code == 0 else { throw Failure(code: code) }
  }
}
