import Glibc

/// The environment variables this agent reads.
enum ProcessEnvironment {
  static var current: [String: String] {
    var result: [String: String] = [:]
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
      if let value = unsafe getenv(name) { result[name] = unsafe String(cString: value) }
    }
    return result
  }
}
