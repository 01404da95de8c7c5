import Base
import CLibUV
import CSystem

/// One TCP stream. Owned by libuv from `open` to the close callback, and by the shell's table while it has an id.
@safe final class StreamEndpoint {
  enum State {
    /// -> open, closed
    case connecting
    /// -> ending, draining, closed
    case open
    /// Its end is known and will be told in this turn or the next; bytes may still be sent. -> draining, closed
    case ending(StreamEnd)
    /// The owner is done with it; queued bytes leave. -> lingering, closed
    case draining
    /// Our side is finished; waiting for the peer to finish, so that what we sent is not lost to a reset. -> closed
    case lingering
    case closed
  }

  let id: ConnectionID
  let handle: UnsafeMutablePointer<uv_tcp_t>
  private unowned let shell: NetworkShell
  private(set) var state: State
  private var isPaused = false
  private var isPeerFinished = false

  private var first: SendBlock?
  private var last: SendBlock?
  private var isWriting = false
  private(set) var queuedBytes = 0
  private var wasCongested = false
  /// Payloads of this turn in the shell's chain: index of the first and the last, -1 for none.
  var chainHead = -1
  var chainTail = -1

  init(_ id: ConnectionID, isDialled: Bool, shell: NetworkShell) {
    self.id = id
    self.shell = shell
    state = isDialled ? .connecting : .open
    unsafe handle = allocateHandle(uv_tcp_t.self)
    // Cannot fail without flags: no socket is made yet.
    unsafe uv_tcp_init(shell.loop.raw, handle)
    unsafe handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
  }

  // MARK: Opening

  /// Takes over an accepted descriptor. False when libuv refuses it.
  func adopt(_ descriptor: Int32) -> Bool {
    unsafe uv_tcp_open(handle, descriptor) == 0
  }

  /// Starts the handshake; 0 or a negated errno.
  func dial(_ address: SocketAddress) -> Int32 {
    var storage = sockaddr_storage()
    var system = address.system
    _ = unsafe csystem_to_sockaddr(&system, 0, &storage)
    let request = unsafe allocateHandle(uv_connect_t.self)
    let code = unsafe withUnsafePointer(to: &storage) { storage in
      unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        unsafe uv_tcp_connect(request, handle, address) { request, status in
          let endpoint = unsafe StreamEndpoint.of(request!.pointee.handle)
          unsafe request!.deallocate()
          endpoint.dialled(status)
        }
      }
    }
    if code != 0 { unsafe request.deallocate() }
    return code
  }

  private func dialled(_ status: Int32) {
    guard case .connecting = state else { return }
    guard status == 0 else { return shell.ended(self, StreamEnd(code: status)) }
    state = .open
    startReading()
    shell.loop.delegate?.connected(id)
    flush()
  }

  // MARK: Receiving

  func startReading() {
    unsafe uv_read_start(
      asStream,
      { handle, _, buffer in
        // Callbacks run one after the other, so all streams share one slab.
        let slab = unsafe StreamEndpoint.of(UnsafeMutablePointer<uv_stream_t>(OpaquePointer(handle!))).shell.slab
        unsafe buffer!.pointee = uv_buf_init(
          slab.base.assumingMemoryBound(to: CChar.self), UInt32(ReceiveSlab.streamReadBytes))
      },
      { handle, count, buffer in
        let endpoint = unsafe StreamEndpoint.of(handle!)
        if count > 0 {
          unsafe endpoint.received(UnsafeRawBufferPointer(start: buffer!.pointee.base, count: count))
        } else if count < 0 {
          endpoint.readingEnded(Int32(truncatingIfNeeded: count))
        }
      })
  }

  private func received(_ bytes: UnsafeRawBufferPointer) {
    shell.counters.bytesReceived += bytes.count
    // While draining and lingering the bytes have no reader any more; they are taken only to reach the end of file.
    guard case .open = state else { return }
    shell.loop.delegate?.received(id, unsafe bytes.bytes)
  }

  private func readingEnded(_ code: Int32) {
    unsafe uv_read_stop(asStream)
    isPeerFinished = code == UV_EOF.rawValue
    switch state {
    case .open: endLater(StreamEnd(code: code))
    case .draining where isPeerFinished: break
    case .draining, .lingering: closeNow()
    case .connecting, .ending, .closed: break
    }
  }

  func setPaused(_ pause: Bool) {
    guard case .open = state, pause != isPaused else { return }
    isPaused = pause
    if pause { unsafe uv_read_stop(asStream) } else { startReading() }
  }

  // MARK: Ending

  /// Tells the owner in this turn or the next: answers to what came before the end can still leave, and the owner is
  /// not called while it is calling us.
  func endLater(_ end: StreamEnd) {
    switch state {
    case .connecting, .open: break
    case .ending, .draining, .lingering, .closed: return
    }
    unsafe uv_read_stop(asStream)
    state = .ending(end)
    shell.loop.postpone { [self] in
      guard case .ending(let end) = state else { return }
      shell.ended(self, end)
    }
  }

  /// The owner is done, or has been told of the peer's end: send what is queued, then end.
  func drain() {
    switch state {
    case .open: break
    case .ending(.finished): break
    case .connecting, .ending: return closeNow()
    case .draining, .lingering, .closed: return
    }
    state = .draining
    if isPaused {
      isPaused = false
      startReading()
    }
    flush()
  }

  /// Says to the peer that we are done, and waits until it is.
  private func finish() {
    if isPeerFinished { return closeNow() }
    state = .lingering
    let request = unsafe allocateHandle(uv_shutdown_t.self)
    let code = unsafe uv_shutdown(request, asStream) { request, status in
      let endpoint = unsafe StreamEndpoint.of(request!.pointee.handle)
      unsafe request!.deallocate()
      if status != 0 { endpoint.closeNow() }
    }
    if code != 0 {
      unsafe request.deallocate()
      closeNow()
    }
  }

  /// Ends at once. With `reset` the peer learns it at once too, and the port is free.
  func closeNow(reset: Bool = false) {
    if case .closed = state { return }
    let wasConnecting = if case .connecting = state { true } else { false }
    state = .closed
    shell.forget(self)
    first = isWriting ? first : nil
    last = nil
    if reset, !wasConnecting, unsafe uv_tcp_close_reset(handle, Self.release) == 0 { return }
    unsafe uv_close(asHandle(handle), Self.release)
  }

  private static let release: uv_close_cb = { handle in
    unsafe Unmanaged<AnyObject>.fromOpaque(handle!.pointee.data).release()
    unsafe UnsafeMutableRawPointer(handle!).deallocate()
  }

  // MARK: Sending

  /// Writes the payloads at once if nothing waits before them, and queues the rest. The bytes are not used after
  /// return.
  @unsafe func send(_ payloads: UnsafeMutableBufferPointer<uv_buf_t>) {
    var sent = 0
    switch state {
    case .open, .ending(.finished):
      if first == nil, !isWriting {
        let code = unsafe uv_try_write(asStream, payloads.baseAddress, UInt32(payloads.count))
        if code < 0, code != UV_EAGAIN.rawValue { return endLater(StreamEnd(code: code)) }
        sent = max(0, Int(code))
        shell.counters.bytesSent += sent
      }
    case .connecting: break
    case .ending, .draining, .lingering, .closed: return
    }
    for unsafe payload in unsafe payloads {
      let skipped = unsafe min(sent, payload.len)
      sent -= skipped
      let rest = unsafe UnsafeRawBufferPointer(start: payload.base, count: payload.len).dropFirst(skipped)
      unsafe enqueue(UnsafeRawBufferPointer(rebasing: rest))
    }
    guard queuedBytes <= shell.maximumQueuedBytes else {
      shell.counters.streamsOverflowed += 1
      return endLater(.local)
    }
    wasCongested = wasCongested || queuedBytes > NetworkShell.congestedBytes
    if first != nil, !isWriting { submit() }
  }

  private func enqueue(_ bytes: UnsafeRawBufferPointer) {
    var rest = unsafe bytes
    while unsafe !rest.isEmpty {
      // The block at the head may be in the kernel's hands, but only up to what it held when it was submitted; new
      // bytes go behind that, into a block of their own.
      if last == nil || last?.room == 0 || (isWriting && last === first) {
        let block = shell.pool.take(for: rest.count)
        if let last { last.next = block } else { first = block }
        last = block
      }
      guard let last else { return }
      let taken = unsafe last.append(rest)
      queuedBytes += taken
      unsafe rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(taken))
    }
  }

  /// Writes blocks until the socket is full, then leaves the next one to libuv.
  private func flush() {
    guard !isWriting else { return }
    while let block = first {
      var buffer = unsafe block.waiting
      let code = unsafe uv_try_write(asStream, &buffer, 1)
      if code == UV_EAGAIN.rawValue { return submit() }
      guard code >= 0 else { return failWriting(code) }
      shell.counters.bytesSent += Int(code)
      block.advance(Int(code))
      queuedBytes -= Int(code)
      if block.count > 0 { return submit() }
      removeFirst()
    }
    if case .draining = state { return finish() }
    if wasCongested, case .open = state {
      wasCongested = false
      shell.loop.delegate?.drained(id)
    }
  }

  private func submit() {
    switch state {
    case .open, .ending, .draining: break
    case .connecting, .lingering, .closed: return
    }
    guard let block = first else { return }
    var buffer = unsafe block.waiting
    let code = unsafe uv_write(block.request, asStream, &buffer, 1) { request, status in
      let endpoint = unsafe StreamEndpoint.of(request!.pointee.handle)
      endpoint.written(status)
    }
    guard code == 0 else { return failWriting(code) }
    isWriting = true
  }

  private func written(_ status: Int32) {
    isWriting = false
    // After `closeNow` the shell may be gone; only the block had to live until here.
    if case .closed = state { return first = nil }
    guard let block = first else { return }
    let count = block.count
    if status == 0 {
      shell.counters.bytesSent += count
      queuedBytes -= count
      block.advance(count)
    }
    removeFirst()
    if status == 0 { flush() } else { failWriting(status) }
  }

  private func failWriting(_ code: Int32) {
    switch state {
    case .draining, .lingering: closeNow()
    case .open: endLater(StreamEnd(code: code))
    case .connecting, .ending, .closed: break
    }
  }

  private func removeFirst() {
    guard let block = first else { return }
    first = block.next
    if first == nil { last = nil }
    shell.pool.give(block)
  }

  private var asStream: UnsafeMutablePointer<uv_stream_t> {
    unsafe UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_stream_t.self)
  }

  private static func of(_ stream: UnsafeMutablePointer<uv_stream_t>) -> StreamEndpoint {
    unsafe Unmanaged<StreamEndpoint>.fromOpaque(stream.pointee.data).takeUnretainedValue()
  }
}
