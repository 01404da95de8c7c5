import Base
import Glibc
import HTTP
import Harness

/// Asks several agents the same question over and over, on one thread, without blocking on any of them.
final class Prober {
  private struct Target {
    var connection: HTTPCaller
    /// The question being repeated; `nil` leaves the agent alone.
    var path: String?
    var due: Instant
  }

  private let pause: Interval
  private var targets: [Target] = []

  /// `pause` passes between an answer (or a refused dial) and the next question to the same agent.
  init(pause: Interval) { self.pause = pause }

  /// Returns the number by which `ask` and `turn` name the agent.
  func add(_ address: SocketAddress) -> Int {
    targets.append(Target(connection: HTTPCaller(to: address), path: nil, due: .start))
    return targets.count - 1
  }

  /// Changes the question for one agent. An answer still under way to an older one is dropped.
  func ask(_ number: Int, _ path: String?) {
    guard targets[number].path != path else { return }
    if targets[number].connection.awaitedEvents != 0 { targets[number].connection.disconnect() }
    targets[number].path = path
    targets[number].due = .start
  }

  /// Waits until something is ready or due, or for 20 ms, and returns the answers that are complete, by agent.
  func turn() -> [(number: Int, answer: HTTPResponse)] {
    wait()
    var answers: [(Int, HTTPResponse)] = []
    for number in targets.indices {
      guard let path = targets[number].path else { continue }
      let connection = targets[number].connection
      let now = MonotonicClock.now()
      if connection.awaitedEvents == 0 {
        guard targets[number].due <= now else { continue }
        connection.send("GET", path)
      }
      switch connection.advance() {
      case .waiting: continue
      case .answered(let answer): answers.append((number, answer))
      case .failed: break
      }
      targets[number].due = now + pause
    }
    return answers
  }

  private func wait() {
    var questions: [pollfd] = []
    var wake = MonotonicClock.now() + .milliseconds(20)
    for target in targets where target.path != nil {
      let events = target.connection.awaitedEvents
      if events == 0 {
        wake = min(wake, target.due)
      } else {
        questions.append(pollfd(fd: target.connection.descriptor, events: events, revents: 0))
      }
    }
    let remaining = wake - MonotonicClock.now()
    guard remaining > .zero else { return }
    // Rounded up to the millisecond, which is all that poll(2) knows: never a busy loop.
    let millis = Int32(remaining.milliseconds.rounded(.up))
    unsafe poll(&questions, nfds_t(questions.count), millis)
  }
}
