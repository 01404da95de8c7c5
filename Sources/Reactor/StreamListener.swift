import Base
import CLibUV
import CSystem
import Glibc

/// A listening TCP socket. libuv only says when it is ready; accepting is our own, because libuv's listener can spin
/// when the process runs out of descriptors, and because a burst of dials must not starve the streams we have.
@safe final class StreamListener {
  static let acceptsPerTurn = 64
  static let backlog: Int32 = 1024
  /// How long no stream is accepted after the process ran out of descriptors.
  static let backOff = Interval.milliseconds(100)

  let address: SocketAddress
  let tag: ListenerTag
  private unowned let shell: NetworkShell
  private let descriptor: Int32
  private let poll: UnsafeMutablePointer<uv_poll_t>
  private var resumption: LoopTimer?
  private var isClosed = false

  init(at wanted: SocketAddress, isDual: Bool, tag: ListenerTag, shell: NetworkShell) throws(BindError) {
    var system = wanted.system
    let descriptor = unsafe csystem_tcp_listen(&system, isDual ? 1 : 0, Self.backlog)
    guard descriptor >= 0 else { throw BindError(tag, wanted, .tcp, code: descriptor) }
    unsafe poll = allocateHandle(uv_poll_t.self)
    unsafe csystem_local_address(descriptor, &system)
    address = SocketAddress(system)
    self.tag = tag
    self.shell = shell
    self.descriptor = descriptor
    let code = unsafe uv_poll_init(shell.loop.raw, poll, descriptor)
    guard code == 0 else {
      unsafe poll.deallocate()
      Glibc.close(descriptor)
      throw BindError(tag, wanted, .tcp, code: code)
    }
    unsafe poll.pointee.data = Unmanaged.passRetained(self).toOpaque()
    watch()
  }

  private func watch() {
    unsafe uv_poll_start(poll, Int32(UV_READABLE.rawValue)) { handle, _, _ in
      unsafe Unmanaged<StreamListener>.fromOpaque(handle!.pointee.data)._withUnsafeGuaranteedRef { $0.accept() }
    }
  }

  private func accept() {
    for _ in 0..<Self.acceptsPerTurn {
      guard !isClosed else { return }
      var from = csystem_address()
      let stream = unsafe csystem_tcp_accept(descriptor, &from)
      guard stream >= 0 else {
        if stream == UV_EMFILE.rawValue || stream == UV_ENFILE.rawValue { runOutOfDescriptors() }
        // Anything else is EAGAIN, or the error of one peer's handshake.
        return
      }
      shell.accepted(stream, from: SocketAddress(from), on: tag)
    }
  }

  /// Peers that wait for an accept which cannot come would hang until their own time-out. Giving up the reserve for a
  /// moment lets us take and end each of them, so that they try another server at once.
  private func runOutOfDescriptors() {
    shell.counters.outOfDescriptors += 1
    shell.withReserveReleased {
      for _ in 0..<Self.acceptsPerTurn {
        var from = csystem_address()
        let stream = unsafe csystem_tcp_accept(descriptor, &from)
        guard stream >= 0 else { return }
        Glibc.close(stream)
        shell.counters.streamsShed += 1
      }
    }
    unsafe uv_poll_stop(poll)
    if resumption == nil {
      resumption = unsafe LoopTimer(on: shell.loop.raw) { [unowned self] in
        if !isClosed { watch() }
      }
    }
    resumption?.arm(Loop.monotonicNow() + Self.backOff)
  }

  func close() {
    guard !isClosed else { return }
    isClosed = true
    resumption?.close()
    unsafe uv_poll_stop(poll)
    unsafe closeHandle(poll)
    Glibc.close(descriptor)
  }
}
