import Base
import CLibUV
import Glibc

/// One re-armable timer. libuv counts whole milliseconds; a deadline is rounded up, so it never fires early.
@safe final class LoopTimer {
  private let handle: UnsafeMutablePointer<uv_timer_t>
  private let fire: () -> Void
  private(set) var deadline: Instant?
  private var isClosed = false

  /// `fire` must not keep its owner alive: the loop keeps the timer until `close`.
  init(on loop: UnsafeMutablePointer<uv_loop_t>, fire: @escaping () -> Void) {
    unsafe handle = allocateHandle(uv_timer_t.self)
    self.fire = fire
    unsafe uv_timer_init(loop, handle)
    unsafe handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
  }

  func arm(_ deadline: Instant?) {
    guard deadline != self.deadline, !isClosed else { return }
    self.deadline = deadline
    guard let deadline else {
      unsafe uv_timer_stop(handle)
      return
    }
    // libuv adds the delay to its own idea of now, which may lag behind ours; the sum is what counts.
    let dueMilliseconds = Self.milliseconds(roundingUp: deadline)
    let now = unsafe uv_now(handle.pointee.loop)
    unsafe uv_timer_start(
      handle,
      { handle in
        unsafe Unmanaged<LoopTimer>.fromOpaque(handle!.pointee.data)._withUnsafeGuaranteedRef { timer in
          timer.deadline = nil
          timer.fire()
        }
      }, dueMilliseconds > now ? dueMilliseconds - now : 0, 0)
  }

  /// Lets the loop end although the timer is armed.
  func unreference() { unsafe uv_unref(asHandle(handle)) }

  func close() {
    guard !isClosed else { return }
    isClosed = true
    deadline = nil
    unsafe closeHandle(handle)
  }

  static func milliseconds(roundingUp instant: Instant) -> UInt64 {
    let nanoseconds = UInt64(max(0, instant.nanoseconds))
    return nanoseconds / 1_000_000 + (nanoseconds % 1_000_000 == 0 ? 0 : 1)
  }
}

// Memory of a handle belongs to libuv from its `init` to its close callback. Every handle is allocated here, holds one
// reference on its owner in `data`, and gives both back in the callback.

@unsafe func allocateHandle<Handle>(_ type: Handle.Type) -> UnsafeMutablePointer<Handle> {
  let handle = UnsafeMutablePointer<Handle>.allocate(capacity: 1)
  unsafe memset(handle, 0, MemoryLayout<Handle>.size)
  return unsafe handle
}

@unsafe func asHandle<Handle>(_ handle: UnsafeMutablePointer<Handle>) -> UnsafeMutablePointer<uv_handle_t> {
  unsafe UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self)
}

@unsafe func closeHandle<Handle>(_ handle: UnsafeMutablePointer<Handle>) {
  unsafe uv_close(asHandle(handle)) { handle in
    if let owner = unsafe handle!.pointee.data { unsafe Unmanaged<AnyObject>.fromOpaque(owner).release() }
    unsafe UnsafeMutableRawPointer(handle!).deallocate()
  }
}
