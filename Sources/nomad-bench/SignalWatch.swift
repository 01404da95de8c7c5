import Glibc
import Harness

/// SIGINT, SIGTERM and SIGHUP as something to ask for instead of something that interrupts: they are blocked, and the
/// measuring loop looks for them at every turn. Agents are started with an empty mask and are not affected.
struct SignalWatch {
  private var watched = sigset_t()

  init() {
    unsafe sigemptyset(&watched)
    for signal in [SIGINT, SIGTERM, SIGHUP] { unsafe sigaddset(&watched, signal) }
    unsafe pthread_sigmask(SIG_BLOCK, &watched, nil)
  }

  /// - Throws: `HarnessError.interrupted` when one of them has arrived.
  func check() throws(HarnessError) {
    var set = watched
    var none = timespec()
    let signal = unsafe sigtimedwait(&set, nil, &none)
    if signal > 0 { throw .interrupted(signal: signal) }
  }
}
