import Base
import CLibUV

extension NetworkShell {
  /// Carries out all directives and empties the outbox. All datagrams leave in one system call per socket (up to 64),
  /// all payloads of a stream in one write. What fails at once is told to the delegate in the next turn.
  public func perform(_ outbox: inout Outbox) {
    guard !outbox.isEmpty else { return }
    unsafe outbox.arena.withUnsafeBytes { arena in
      for directive in outbox.directives { unsafe perform(directive, arena) }
      for stream in touched { unsafe sendChain(of: stream, arena) }
      for endpoint in datagramEndpoints { endpoint.flush() }
    }
    touched.removeAll(keepingCapacity: true)
    chain.removeAll(keepingCapacity: true)
    outbox.removeAll()
  }

  private func perform(_ directive: Outbox.Directive, _ arena: UnsafeRawBufferPointer) {
    switch directive {
    case .datagram(let destination, let payload):
      guard let endpoint = endpoint(for: destination) else {
        counters.datagramsUnroutable += 1
        return
      }
      unsafe endpoint.stage(to: destination, UnsafeRawBufferPointer(rebasing: arena[payload]))
    case .connect(let id, let address, let limit):
      dial(id, address, within: limit)
    case .send(let id, let payload):
      if let stream = streams[id] { link(payload, to: stream) }
    case .close(let id):
      guard let stream = streams[id] else { return }
      unsafe sendChain(of: stream, arena)
      finish(stream)
    case .abort(let id):
      guard let stream = streams[id] else { return }
      stream.chainHead = -1
      stream.closeNow(reset: true)
    case .pauseReading(let id):
      streams[id]?.setPaused(true)
    case .resumeReading(let id):
      streams[id]?.setPaused(false)
    }
  }

  private func endpoint(for destination: SocketAddress) -> DatagramEndpoint? {
    var best: DatagramEndpoint?
    var bestSuitability = 0
    for endpoint in datagramEndpoints {
      let suitability = endpoint.suitability(for: destination)
      if suitability > bestSuitability {
        best = endpoint
        bestSuitability = suitability
      }
    }
    return best
  }

  private func link(_ payload: Range<Int>, to stream: StreamEndpoint) {
    chain.append((payload, -1))
    let index = chain.count - 1
    if stream.chainHead < 0 {
      stream.chainHead = index
      touched.append(stream)
    } else {
      chain[stream.chainTail].next = index
    }
    stream.chainTail = index
  }

  private func sendChain(of stream: StreamEndpoint, _ arena: UnsafeRawBufferPointer) {
    guard stream.chainHead >= 0 else { return }
    var index = stream.chainHead
    while index >= 0 {
      unsafe gather.append(UnsafeRawBufferPointer(rebasing: arena[chain[index].payload]))
      index = chain[index].next
    }
    stream.chainHead = -1
    unsafe gather.drain { unsafe stream.send($0) }
  }
}

/// The pieces of one gathered write, kept for its capacity.
@safe struct GatherList {
  private var buffers: [uv_buf_t] = unsafe []

  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    // libuv's type has no const; a write only reads.
    let base = unsafe UnsafeMutableRawPointer(mutating: bytes.baseAddress)
    unsafe buffers.append(uv_buf_init(base?.assumingMemoryBound(to: CChar.self), UInt32(bytes.count)))
  }

  mutating func drain(_ body: (UnsafeMutableBufferPointer<uv_buf_t>) -> Void) {
    unsafe buffers.withUnsafeMutableBufferPointer { unsafe body($0) }
    unsafe buffers.removeAll(keepingCapacity: true)
  }
}
