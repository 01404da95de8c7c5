import Base
import Harness
import Testing

/// Polls until `condition` holds and returns how long that took. An error counts as "not yet": an agent that is
/// starting refuses connections. Only an agent that has ended ends the wait.
///
/// Simulations of other suites may keep this process' few threads busy for longer than `limit`, while the agents did
/// all that they should. So what one look takes beyond `fairShare` is not counted, up to five times `limit` in all.
/// - Throws: `HarnessError.timedOut` with the last error once `limit` has passed.
@discardableResult
func eventually(
  _ what: String, within limit: Interval = .seconds(30), _ condition: () async throws -> Bool
) async throws -> Interval {
  let fairShare = Interval.milliseconds(500)
  let start = MonotonicClock.now()
  var looked = start
  var waited = Interval.zero
  var lastError: (any Error)?
  while true {
    do {
      if try await condition() { return MonotonicClock.now() - start }
      lastError = nil
    } catch HarnessError.agentEnded(let name, let end, let output) {
      throw HarnessError.agentEnded(name, end, output: output)
    } catch {
      lastError = error
    }
    let now = MonotonicClock.now()
    waited = waited + min(now - looked, fairShare)
    looked = now
    guard waited < limit, now - start < limit * 5 else {
      let reason = lastError.map { "; last error: \($0)" } ?? ""
      throw HarnessError.timedOut("\(what) within \(limit.seconds) s\(reason)")
    }
    try await Task.sleep(for: .milliseconds(4))
  }
}

/// Watches for a while that something does not happen. The only kind of wait that lasts as long as it says.
func never(_ what: String, for time: Interval, _ condition: () async throws -> Bool) async throws {
  let end = MonotonicClock.now() + time
  while MonotonicClock.now() < end {
    if try await condition() {
      Issue.record("\(what), which must not happen")
      return
    }
    try await Task.sleep(for: .milliseconds(20))
  }
}

/// A measured time, for the reader of the test's output.
func record(_ what: String, _ time: Interval) {
  print("measured: \(what): \(Int(time.milliseconds.rounded())) ms")
}
