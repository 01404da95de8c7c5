import CLibUV
import Synchronization

/// A thread of its own for blocking work that is done one piece after the other: a disk. libuv's pool is shared with
/// name look-ups, and a few that wait for a silent name server would hold up whatever waits behind them.
///
/// Everything but the work itself happens on the loop's thread. Ends with the loop, see `Loop.shutDown`.
@safe public final class WorkThread {
  private let line: WorkLine
  private var thread = uv_thread_t()
  private var completions: [() -> Void] = []

  /// Starts the thread.
  public init(on loop: Loop) throws(LoopError) {
    line = unsafe WorkLine(on: loop.raw)
    let code = unsafe uv_thread_create(
      &thread, { unsafe Unmanaged<WorkLine>.fromOpaque($0!).takeRetainedValue().work() },
      Unmanaged.passRetained(line).toOpaque())
    guard code == 0 else {
      unsafe Unmanaged.passUnretained(line).release()
      line.close()
      throw LoopError(code, "cannot start a thread")
    }
    unsafe line.wake.pointee.data = Unmanaged.passRetained(self).toOpaque()
    loop.atShutDown { [line] in line.end() }
  }

  /// Pieces that were submitted and not completed.
  public var pendingWork: Int { completions.count }

  /// Runs `body` on the thread, after everything that was submitted before, and then `completion` with its result on
  /// the loop. Work that has not begun when the loop shuts down is dropped.
  public func submit<Value: Sendable>(
    _ body: @escaping @Sendable () -> Value, completion: @escaping (Value) -> Void
  ) {
    let result = WorkResult<Value>()
    completions.append { if let value = result.value { completion(value) } }
    line.append { result.value = body() }
  }

  func complete() {
    let (count, hasEnded) = line.takeFinished()
    let finished = completions.prefix(count)
    completions.removeFirst(finished.count)
    for completion in finished { completion() }
    guard hasEnded else { return }
    unsafe uv_thread_join(&thread)
    line.close()
  }
}

private final class WorkResult<Value: Sendable>: Sendable {
  private let stored = Mutex<Value?>(nil)

  var value: Value? {
    get { stored.withLock { $0 } }
    set { stored.withLock { $0 = newValue } }
  }
}

/// What the thread and the loop share. The handle that wakes the loop keeps it alive until the thread has ended.
@safe private final class WorkLine: @unchecked Sendable {
  private struct State {
    var waiting: [@Sendable () -> Void] = []
    var finished = 0
    var isEnding = false
    var hasEnded = false
  }

  private let state = Mutex(State())
  /// Counts what waits. Posting it costs one system call and, unlike a condition, leaves nothing locked for the thread
  /// that it wakes.
  private let ready: UnsafeMutablePointer<uv_sem_t>
  let wake: UnsafeMutablePointer<uv_async_t>

  @unsafe init(on loop: UnsafeMutablePointer<uv_loop_t>) {
    unsafe ready = UnsafeMutablePointer<uv_sem_t>.allocate(capacity: 1)
    unsafe wake = allocateHandle(uv_async_t.self)
    unsafe uv_sem_init(ready, 0)
    unsafe uv_async_init(loop, wake) { handle in
      unsafe Unmanaged<WorkThread>.fromOpaque(handle!.pointee.data)._withUnsafeGuaranteedRef { $0.complete() }
    }
  }

  deinit {
    unsafe uv_sem_destroy(ready)
    unsafe ready.deallocate()
  }

  // MARK: On the loop

  func append(_ piece: @escaping @Sendable () -> Void) {
    state.withLock { $0.waiting.append(piece) }
    unsafe uv_sem_post(ready)
  }

  func end() {
    state.withLock { $0.isEnding = true }
    unsafe uv_sem_post(ready)
  }

  func takeFinished() -> (count: Int, hasEnded: Bool) {
    state.withLock { state in
      defer { state.finished = 0 }
      return (state.finished, state.hasEnded)
    }
  }

  func close() { unsafe closeHandle(wake) }

  // MARK: On the thread

  func work() {
    while let piece = next() {
      piece()
      state.withLock { $0.finished += 1 }
      unsafe uv_async_send(wake)
    }
    state.withLock { $0.hasEnded = true }
    unsafe uv_async_send(wake)
  }

  private func next() -> (@Sendable () -> Void)? {
    unsafe uv_sem_wait(ready)
    return state.withLock { state in
      state.isEnding || state.waiting.isEmpty ? nil : state.waiting.removeFirst()
    }
  }
}
