import Base
import CSystem

/// The memory every socket of a loop receives into. One slab is enough: bytes are handed to the delegate before the
/// next read begins. It is mapped, not allocated, so only pages that traffic has touched are resident.
@safe final class ReceiveSlab {
  /// The largest UDP payload fits, so no datagram is ever truncated.
  static let slotBytes = 65_536
  static let slots = 16
  static let streamReadBytes = 65_536

  let base: UnsafeMutableRawPointer

  init() throws(LoopError) {
    guard let memory = unsafe csystem_map(Self.slotBytes * Self.slots) else {
      throw LoopError(-12, "cannot map the receive slab")
    }
    unsafe base = memory
  }

  deinit { unsafe csystem_unmap(base, Self.slotBytes * Self.slots) }
}
