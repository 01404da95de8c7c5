import CLibUV
import Synchronization

/// The only door into a loop for other threads. A closure that is posted runs once on the loop's thread, in the order
/// of posting; after the loop shut down it is refused.
public final class LoopMailbox: Sendable {
  private struct State: ~Copyable {
    var letters: [@Sendable () -> Void] = []
    /// Address of the `uv_async_t`; `nil` once it is closed. An integer, because pointers are not `Sendable`.
    var wake: UInt?
  }

  private let state: Mutex<State>

  /// The most closures that may wait; more are refused.
  public static let capacity = 65_536

  @unsafe init(on loop: UnsafeMutablePointer<uv_loop_t>) {
    let wake = unsafe allocateHandle(uv_async_t.self)
    state = Mutex(State(wake: UInt(bitPattern: wake)))
    unsafe uv_async_init(loop, wake) { handle in
      unsafe Unmanaged<LoopMailbox>.fromOpaque(handle!.pointee.data)._withUnsafeGuaranteedRef { $0.deliver() }
    }
    unsafe wake.pointee.data = Unmanaged.passRetained(self).toOpaque()
  }

  /// Returns false when the loop has shut down or the mailbox is full; then the closure will not run.
  @discardableResult public func post(_ letter: @escaping @Sendable () -> Void) -> Bool {
    state.withLock { state in
      guard let wake = unsafe Self.handle(state.wake), state.letters.count < Self.capacity else { return false }
      state.letters.append(letter)
      // Under the lock, so that the handle cannot be closed between the check and this call.
      unsafe uv_async_send(wake)
      return true
    }
  }

  private func deliver() {
    let letters = state.withLock { state in
      defer { state.letters = [] }
      return state.letters
    }
    for letter in letters { letter() }
  }

  /// On the loop's thread.
  func close() {
    state.withLock { state in
      if let wake = unsafe Self.handle(state.wake) { unsafe closeHandle(wake) }
      state.wake = nil
      state.letters = []
    }
  }

  @unsafe private static func handle(_ address: UInt?) -> UnsafeMutablePointer<uv_async_t>? {
    unsafe UnsafeMutablePointer(bitPattern: address ?? 0)
  }
}
