import Base
import CLibUV
import CSystem
import Glibc

/// The one thread of the process that owns sockets and machines: a libuv loop with one deadline, signals, a mailbox for
/// other threads and a thread pool for blocking work.
///
/// Calling order: `init`, listeners and `watchSignals`, `run`, `shutDown`. Everything is called on the thread that runs
/// the loop; only `mailbox` may be used from others.
@safe public final class Loop {
  let raw: UnsafeMutablePointer<uv_loop_t>
  /// Posts closures to this loop from any thread.
  public let mailbox: LoopMailbox

  private var deadlineTimer: LoopTimer?
  private var boundTimer: LoopTimer?
  private let prepare: UnsafeMutablePointer<uv_prepare_t>
  private let idle: UnsafeMutablePointer<uv_idle_t>
  private var signals: [UnsafeMutablePointer<uv_signal_t>] = unsafe []

  private var cachedNow = Instant.start
  private var cachedWall = WallTime(unixNanoseconds: 0)
  private var isClockStale = true

  private var delegateWhileRunning: (any LoopDelegate)?
  /// What `run(_:within:until:)` checks.
  private var afterTurn: (() -> Void)?
  private var postponed: [() -> Void] = []
  private var shutDownHooks: [() -> Void] = []
  private var isShutDown = false
  /// Work given to the thread pool and not finished, for `shutDown`.
  var work: [ObjectIdentifier: PoolRequest] = [:]
  /// Blocking work and name look-ups that are not finished.
  public var pendingWork: Int { work.count }

  public init() throws(LoopError) {
    unsafe raw = UnsafeMutablePointer<uv_loop_t>.allocate(capacity: 1)
    let code = unsafe uv_loop_init(raw)
    guard code == 0 else {
      unsafe raw.deallocate()
      throw LoopError(code, "cannot make an event loop")
    }
    unsafe mailbox = LoopMailbox(on: raw)
    unsafe prepare = allocateHandle(uv_prepare_t.self)
    unsafe idle = allocateHandle(uv_idle_t.self)
    csystem_ignore_broken_pipes()
    unsafe raw.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    unsafe uv_prepare_init(raw, prepare)
    unsafe uv_idle_init(raw, idle)
    unsafe uv_prepare_start(prepare) { unsafe Loop.of($0!.pointee.loop) { $0.endTurn() } }
    // The mailbox keeps `run` from returning; the turn's own handles must not.
    unsafe uv_unref(asHandle(prepare))
    deadlineTimer = unsafe LoopTimer(on: raw) { [unowned self] in
      isClockStale = true
      delegateWhileRunning?.deadlineReached()
    }
    boundTimer = unsafe LoopTimer(on: raw) {}
    boundTimer?.unreference()
  }

  deinit { precondition(isShutDown, "a loop must be shut down before it goes away: libuv holds its memory") }

  // MARK: Running

  /// Delivers events until `stop` is called. The delegate is held while this runs, and only then.
  public func run(_ delegate: any LoopDelegate) {
    precondition(delegateWhileRunning == nil && !isShutDown)
    delegateWhileRunning = delegate
    unsafe uv_run(raw, UV_RUN_DEFAULT)
    delegateWhileRunning = nil
  }

  /// Delivers events until `condition` holds, which is checked at the end of every turn, or `limit` has passed. Returns
  /// whether the condition held.
  public func run(_ delegate: any LoopDelegate, within limit: Interval, until condition: () -> Bool) -> Bool {
    if condition() { return true }
    let end = Self.monotonicNow() + limit
    var isFulfilled = false
    withoutActuallyEscaping(condition) { condition in
      afterTurn = { [unowned self] in
        isFulfilled = condition()
        if isFulfilled || Self.monotonicNow() >= end { stop() }
      }
      boundTimer?.arm(end)
      run(delegate)
      boundTimer?.arm(nil)
      afterTurn = nil
    }
    return isFulfilled
  }

  /// Makes `run` return at the end of this turn.
  public func stop() { unsafe uv_stop(raw) }

  var delegate: (any LoopDelegate)? { delegateWhileRunning }

  /// Runs `body` in this turn or the next, before `turnEnded` and never inside the caller. For events that are found
  /// while the owner is calling us.
  func postpone(_ body: @escaping () -> Void) {
    postponed.append(body)
    guard postponed.count == 1 else { return }
    // An active idle handle also keeps the loop from waiting.
    unsafe uv_idle_start(idle) { unsafe Loop.of($0!.pointee.loop) { $0.runPostponed() } }
  }

  private func runPostponed() {
    let bodies = postponed
    postponed.removeAll(keepingCapacity: true)
    unsafe uv_idle_stop(idle)
    for body in bodies { body() }
  }

  private func endTurn() {
    delegateWhileRunning?.turnEnded()
    afterTurn?()
    isClockStale = true
  }

  // MARK: Time

  /// The monotonic clock, read once per turn.
  public var now: Instant {
    refreshClocks()
    return cachedNow
  }

  /// The civil clock, read together with `now`.
  public var wall: WallTime {
    refreshClocks()
    return cachedWall
  }

  public var moment: Moment {
    refreshClocks()
    return Moment(instant: cachedNow, wall: cachedWall)
  }

  /// Calls `deadlineReached` once, at or up to a millisecond after `deadline`. Replaces the previous deadline; `nil`
  /// disarms. Cheap when nothing changes.
  public func setDeadline(_ deadline: Instant?) { deadlineTimer?.arm(deadline) }

  private func refreshClocks() {
    guard isClockStale else { return }
    isClockStale = false
    cachedNow = Self.monotonicNow()
    cachedWall = Self.wallNow()
  }

  static func monotonicNow() -> Instant { Instant(nanoseconds: Int64(clamping: uv_hrtime())) }

  /// The civil clock, for code outside of a loop.
  public static func wallNow() -> WallTime {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return WallTime(unixNanoseconds: Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec))
  }

  /// A seed for `RandomSource` from the operating system's generator.
  public static func randomSeed() throws(LoopError) -> UInt64 {
    var seed: UInt64 = 0
    let code = unsafe uv_random(nil, nil, &seed, MemoryLayout<UInt64>.size, 0, nil)
    guard code == 0 else { throw LoopError(code, "cannot read random bytes") }
    return seed
  }

  // MARK: Signals

  /// From now on the given signals are events, not the end of the process.
  public func watchSignals(_ wanted: [LoopSignal] = LoopSignal.allCases) throws(LoopError) {
    for signal in wanted {
      let handle = unsafe allocateHandle(uv_signal_t.self)
      unsafe uv_signal_init(raw, handle)
      let code = unsafe uv_signal_start(
        handle,
        { handle, number in
          unsafe Loop.of(handle!.pointee.loop) { loop in
            if let signal = LoopSignal(number: number) { loop.delegateWhileRunning?.signal(signal) }
          }
        }, signal.number)
      guard code == 0 else {
        unsafe closeHandle(handle)
        throw LoopError(code, "cannot watch signal \(signal.number)")
      }
      unsafe signals.append(handle)
    }
  }

  // MARK: The end

  /// Runs `hook` at the start of `shutDown`.
  func atShutDown(_ hook: @escaping () -> Void) { shutDownHooks.append(hook) }

  /// Closes every handle, withdraws blocking work that has not begun, waits up to `limit` for work that has, and frees
  /// the loop. Completions of withdrawn work are dropped. False when work outlived the limit (a name server that does
  /// not answer): then the loop's own memory stays allocated, which is harmless for a process about to exit.
  @discardableResult public func shutDown(within limit: Interval = .seconds(5)) -> Bool {
    guard !isShutDown else { return true }
    isShutDown = true
    for hook in shutDownHooks { hook() }
    shutDownHooks = []
    for request in work.values { request.cancel() }
    mailbox.close()
    deadlineTimer?.close()
    for unsafe signal in unsafe signals { unsafe closeHandle(signal) }
    unsafe signals = []
    unsafe closeHandle(prepare)
    unsafe closeHandle(idle)
    postponed = []

    let end = Self.monotonicNow() + limit
    while unsafe uv_loop_alive(raw) != 0, Self.monotonicNow() < end {
      boundTimer?.arm(end)
      unsafe uv_run(raw, UV_RUN_ONCE)
    }
    boundTimer?.close()
    unsafe uv_run(raw, UV_RUN_NOWAIT)
    deadlineTimer = nil
    boundTimer = nil
    guard unsafe uv_loop_close(raw) == 0 else {
      for request in work.values { request.abandon() }
      return false
    }
    unsafe raw.deallocate()
    return true
  }

  private static func of(_ raw: UnsafeMutablePointer<uv_loop_t>, _ body: (Loop) -> Void) {
    unsafe Unmanaged<Loop>.fromOpaque(raw.pointee.data)._withUnsafeGuaranteedRef { body($0) }
  }
}

extension LoopSignal {
  var number: Int32 {
    switch self {
    case .interrupt: SIGINT
    case .terminate: SIGTERM
    case .hangUp: SIGHUP
    case .userOne: SIGUSR1
    }
  }

  init?(number: Int32) {
    guard let signal = Self.allCases.first(where: { $0.number == number }) else { return nil }
    self = signal
  }
}
