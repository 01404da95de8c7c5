import CLibUV

/// Bytes that wait for a slow stream, with the request that sends them. Blocks form a first-in first-out chain.
@safe final class SendBlock {
  /// Blocks of this size are kept for reuse; larger ones are made to measure.
  static let pooledBytes = 16_384
  static let largestBytes = 262_144

  let request: UnsafeMutablePointer<uv_write_t>
  private let memory: UnsafeMutableRawPointer
  let capacity: Int
  /// Sent and written positions: what lies between them waits.
  private var head = 0
  private var tail = 0
  var next: SendBlock?

  init(capacity: Int) {
    self.capacity = capacity
    unsafe memory = .allocate(byteCount: capacity, alignment: 16)
    unsafe request = allocateHandle(uv_write_t.self)
  }

  deinit {
    unsafe memory.deallocate()
    unsafe request.deallocate()
  }

  var count: Int { tail - head }
  var room: Int { capacity - tail }
  var waiting: uv_buf_t { unsafe uv_buf_init((memory + head).assumingMemoryBound(to: CChar.self), UInt32(count)) }

  /// Copies as much as fits; returns how much.
  func append(_ bytes: UnsafeRawBufferPointer) -> Int {
    let length = min(room, bytes.count)
    if length > 0, let source = bytes.baseAddress {
      unsafe (memory + tail).copyMemory(from: source, byteCount: length)
      tail += length
    }
    return length
  }

  func advance(_ sent: Int) {
    precondition(sent >= 0 && sent <= count)
    head += sent
  }

  func reset() {
    head = 0
    tail = 0
    next = nil
  }
}

/// A loop's spare blocks.
struct SendBlockPool {
  static let maximumSpare = 32

  private var spare: [SendBlock] = []

  mutating func take(for bytes: Int) -> SendBlock {
    if bytes <= SendBlock.pooledBytes { return spare.popLast() ?? SendBlock(capacity: SendBlock.pooledBytes) }
    return SendBlock(capacity: min(bytes, SendBlock.largestBytes))
  }

  mutating func give(_ block: SendBlock) {
    guard block.capacity == SendBlock.pooledBytes, spare.count < Self.maximumSpare else { return }
    block.reset()
    spare.append(block)
  }
}
