import Base
import CLibUV

/// One request on libuv's thread pool. The loop knows it from submission to completion.
class PoolRequest {
  unowned let loop: Loop
  private var isWanted = true

  init(on loop: Loop) { self.loop = loop }

  func begin() { loop.work[ObjectIdentifier(self)] = self }

  /// Ends the request; true when its completion should run.
  func end() -> Bool {
    guard isWanted else { return false }
    loop.work[ObjectIdentifier(self)] = nil
    return true
  }

  func cancel() {}

  /// The loop goes away while the pool still works: forget the loop.
  func abandon() { isWanted = false }
}

/// A closure for a thread of the pool, and one for the loop's thread with what the first returned.
@safe private final class BlockingWork<Value: Sendable>: PoolRequest {
  let request: UnsafeMutablePointer<uv_work_t>
  let body: @Sendable () -> Value
  let completion: (Value) -> Void
  var value: Value?

  init(on loop: Loop, _ body: @escaping @Sendable () -> Value, _ completion: @escaping (Value) -> Void) {
    unsafe request = allocateHandle(uv_work_t.self)
    self.body = body
    self.completion = completion
    super.init(on: loop)
  }

  deinit { unsafe request.deallocate() }

  override func cancel() {
    unsafe uv_cancel(UnsafeMutableRawPointer(request).assumingMemoryBound(to: uv_req_t.self))
  }
}

/// What the C callbacks of `uv_queue_work` call; generic classes cannot be named there.
private protocol WorkSteps: PoolRequest {
  func perform()
  func complete(_ status: Int32)
}

extension BlockingWork: WorkSteps {
  func perform() { value = body() }

  func complete(_ status: Int32) {
    guard end(), status == 0, let value else { return }
    completion(value)
  }
}

/// Carries the existential through libuv's `void *`.
private final class WorkTicket {
  let steps: any WorkSteps
  init(_ steps: any WorkSteps) { self.steps = steps }
}

extension Loop {
  /// Runs `body` on a thread of libuv's pool and then `completion`, with its result, on the loop. Work that `shutDown`
  /// withdraws is never completed. libuv orders the memory between the two threads.
  public func submitWork<Value: Sendable>(
    _ body: @escaping @Sendable () -> Value, completion: @escaping (Value) -> Void
  ) {
    let work = BlockingWork(on: self, body, completion)
    work.begin()
    unsafe work.request.pointee.data = Unmanaged.passRetained(WorkTicket(work)).toOpaque()
    // Fails only without a callback.
    unsafe uv_queue_work(
      raw, work.request,
      { request in
        unsafe Unmanaged<WorkTicket>.fromOpaque(request!.pointee.data)._withUnsafeGuaranteedRef { $0.steps.perform() }
      },
      { request, status in
        let ticket = unsafe Unmanaged<WorkTicket>.fromOpaque(request!.pointee.data).takeRetainedValue()
        ticket.steps.complete(status)
      })
  }
}
