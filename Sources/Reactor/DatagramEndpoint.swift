import Base
import CLibUV
import CSystem
import Glibc

/// A bound UDP socket. libuv only says when it is ready; reading and writing are our own `recvmmsg` and `sendmmsg`,
/// because libuv's batch fails as a whole on one bad destination and its receive batch can spin (libuv 1.44).
@safe final class DatagramEndpoint {
  /// Datagrams read per readiness event; then other sockets have their turn.
  static let batchesPerTurn = 4
  /// What may wait while the socket is full. Gossip repeats itself, so more than this is dropped, not kept.
  static let maximumQueuedDatagrams = 512
  static let maximumQueuedBytes = 1 << 20
  static let receiveBufferBytes: Int32 = 2 << 20

  let address: SocketAddress
  let tag: ListenerTag
  private unowned let shell: NetworkShell
  private let descriptor: Int32
  private let isDual: Bool
  private let poll: UnsafeMutablePointer<uv_poll_t>
  private var isClosed = false

  private var staged: [csystem_outgoing] = unsafe []
  private var queue: [(to: csystem_address, bytes: [UInt8])] = []
  private var queuedBytes = 0
  var queuedCount: Int { queue.count }

  init(at wanted: SocketAddress, isDual: Bool, tag: ListenerTag, shell: NetworkShell) throws(BindError) {
    var system = wanted.system
    let descriptor = unsafe csystem_udp_bind(&system, isDual ? 1 : 0, Self.receiveBufferBytes)
    guard descriptor >= 0 else { throw BindError(tag, wanted, .udp, code: descriptor) }
    unsafe poll = allocateHandle(uv_poll_t.self)
    unsafe csystem_local_address(descriptor, &system)
    address = SocketAddress(system)
    self.tag = tag
    self.shell = shell
    self.descriptor = descriptor
    self.isDual = isDual
    let code = unsafe uv_poll_init(shell.loop.raw, poll, descriptor)
    guard code == 0 else {
      unsafe poll.deallocate()
      Glibc.close(descriptor)
      throw BindError(tag, wanted, .udp, code: code)
    }
    unsafe poll.pointee.data = Unmanaged.passRetained(self).toOpaque()
    watch(UV_READABLE.rawValue)
  }

  /// Whether a datagram for this destination can leave here; prefers an exact scope over none.
  func suitability(for destination: SocketAddress) -> Int {
    guard isDual || destination.isIPv6 == address.isIPv6 else { return 0 }
    if address.host.isUnspecified { return 2 }
    return address.host.isLoopback == destination.host.isLoopback ? 3 : 1
  }

  // MARK: Sending

  /// Adds a datagram to the batch of this turn. The bytes must live until `flush`.
  @unsafe func stage(to destination: SocketAddress, _ bytes: UnsafeRawBufferPointer) {
    unsafe staged.append(
      csystem_outgoing(to: destination.system, bytes: bytes.baseAddress, length: UInt32(bytes.count), error: 0))
    if unsafe staged.count == csystem_batch_maximum { flush() }
  }

  /// Sends what is staged; what the full socket refuses is copied and waits.
  func flush() {
    guard unsafe !staged.isEmpty else { return }
    defer { unsafe staged.removeAll(keepingCapacity: true) }
    guard !isClosed, queue.isEmpty else {
      for unsafe datagram in unsafe staged { unsafe enqueue(datagram) }
      return
    }
    unsafe send(&staged) { unsafe self.enqueue($0) }
  }

  private func send(_ batch: inout [csystem_outgoing], full: (csystem_outgoing) -> Void) {
    let sent = unsafe batch.withUnsafeMutableBufferPointer {
      unsafe csystem_send_batch(descriptor, isDual ? 1 : 0, $0.baseAddress, UInt32($0.count))
    }
    shell.counters.datagramsSent += Int(sent)
    guard unsafe sent < batch.count else { return }
    for unsafe datagram in unsafe batch where unsafe datagram.error != 0 {
      if unsafe datagram.error == UV_EAGAIN.rawValue {
        unsafe full(datagram)
      } else {
        shell.counters.datagramsFailed += 1
      }
    }
  }

  private func enqueue(_ datagram: csystem_outgoing) {
    let bytes = unsafe UnsafeRawBufferPointer(start: datagram.bytes, count: Int(datagram.length))
    unsafe enqueue(to: datagram.to, [UInt8](bytes))
  }

  /// Keeps a datagram until the socket has room. Separate from the send itself so that tests can fill the queue.
  func enqueue(to destination: csystem_address, _ bytes: [UInt8]) {
    let hasRoom = queue.count < Self.maximumQueuedDatagrams && queuedBytes + bytes.count <= Self.maximumQueuedBytes
    guard !isClosed, hasRoom else {
      shell.counters.datagramsDropped += 1
      return
    }
    queuedBytes += bytes.count
    queue.append((destination, bytes))
    if queue.count == 1 { watch(UV_READABLE.rawValue | UV_WRITABLE.rawValue) }
  }

  private func sendQueued() {
    let count = min(queue.count, csystem_batch_maximum)
    // One copy into one buffer, so that every pointer of the batch stays valid; this path is rare.
    var bytes: [UInt8] = []
    for datagram in queue[..<count] { bytes += datagram.bytes }
    var done = count
    unsafe bytes.withUnsafeBytes { all in
      var offset = 0
      var batch: [csystem_outgoing] = unsafe []
      for datagram in queue[..<count] {
        unsafe batch.append(
          csystem_outgoing(
            to: datagram.to, bytes: all.baseAddress.map { unsafe $0 + offset }, length: UInt32(datagram.bytes.count),
            error: 0))
        offset += datagram.bytes.count
      }
      unsafe send(&batch) { _ in done -= 1 }
    }
    for datagram in queue[..<done] { queuedBytes -= datagram.bytes.count }
    queue.removeFirst(done)
    if queue.isEmpty { watch(UV_READABLE.rawValue) }
  }

  // MARK: Readiness

  private func watch(_ events: UInt32) {
    unsafe uv_poll_start(poll, Int32(events)) { handle, status, events in
      unsafe Unmanaged<DatagramEndpoint>.fromOpaque(handle!.pointee.data)._withUnsafeGuaranteedRef { endpoint in
        // A failed poll (EBADF) can only be our own bug; both directions report the socket's own error when tried.
        if status != 0 || events & Int32(UV_WRITABLE.rawValue) != 0 { endpoint.sendQueued() }
        if status != 0 || events & Int32(UV_READABLE.rawValue) != 0 { endpoint.receive() }
      }
    }
  }

  private func receive() {
    unsafe withUnsafeTemporaryAllocation(of: csystem_received.self, capacity: ReceiveSlab.slots) { received in
      for _ in 0..<Self.batchesPerTurn {
        guard !isClosed else { return }
        let count = unsafe csystem_receive_batch(
          descriptor, shell.slab.base, ReceiveSlab.slotBytes, UInt32(ReceiveSlab.slots), received.baseAddress)
        guard count > 0 else {
          if count != UV_EAGAIN.rawValue { shell.counters.datagramErrors += 1 }
          return
        }
        for index in 0..<Int(count) {
          guard !isClosed else { return }
          unsafe deliver(received[index], at: index)
        }
        if count < ReceiveSlab.slots { return }
      }
    }
  }

  private func deliver(_ datagram: csystem_received, at index: Int) {
    guard datagram.is_truncated == 0 else {
      shell.counters.datagramErrors += 1
      return
    }
    shell.counters.datagramsReceived += 1
    let bytes = unsafe UnsafeRawBufferPointer(
      start: shell.slab.base + index * ReceiveSlab.slotBytes, count: Int(datagram.length))
    shell.loop.delegate?.received(datagram: unsafe bytes.bytes, from: SocketAddress(datagram.from), on: tag)
  }

  func close() {
    guard !isClosed else { return }
    isClosed = true
    queue = []
    unsafe uv_poll_stop(poll)
    unsafe closeHandle(poll)
    // libuv has forgotten the descriptor in `uv_poll_stop`, and closing it is ours.
    Glibc.close(descriptor)
  }
}
