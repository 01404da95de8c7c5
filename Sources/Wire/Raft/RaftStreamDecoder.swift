import Base

/// Requests of one accepted connection, from chunks of any size. Feed with `append`, then call `next` until it returns
/// `nil`. After an error the stream is out of step and must be closed.
public struct RaftRequestDecoder: Sendable {
  private var buffer = StreamBuffer()
  private var kind: RaftRequestKind?
  private var scanner = MessagePackScanner(values: 1)
  private var snapshot: InstallSnapshotRequest?
  /// Bytes of the snapshot's state that have not arrived.
  private var stateBytesLeft = 0
  private let maximumSnapshotBytes: Int

  public init(maximumSnapshotBytes: Int = RaftWire.maximumSnapshotBytes) {
    self.maximumSnapshotBytes = maximumSnapshotBytes
  }

  /// Bytes held for incomplete requests.
  public var bufferedBytes: Int { buffer.count + (snapshot?.state.count ?? 0) }

  public mutating func append(_ bytes: RawSpan) {
    // A state is collected directly; it can be large, and must be consumed even when it is too large to keep.
    let direct = buffer.count == 0 ? min(stateBytesLeft, bytes.byteCount) : 0
    if direct > 0 { takeState(bytes.extracting(0..<direct)) }
    if direct < bytes.byteCount { buffer.append(bytes.extracting(direct..<bytes.byteCount)) }
  }

  /// The next complete request. A snapshot above the limit is delivered with an empty `state` and its announced `size`.
  public mutating func next() throws(WireError) -> RaftRequest? {
    if snapshot != nil {
      let available = min(stateBytesLeft, buffer.count)
      if available > 0 {
        takeState(buffer.bytes.extracting(0..<available).copy().bytes)
        buffer.consume(available)
      }
      guard stateBytesLeft == 0, let complete = snapshot else { return nil }
      snapshot = nil
      return .installSnapshot(complete)
    }
    guard let request = try nextObject() else { return nil }
    guard case .installSnapshot(var header) = request else { return request }
    stateBytesLeft = header.size
    header.state.reserveCapacity(min(header.size, 1 << 20))
    snapshot = header
    return try next()
  }

  private mutating func nextObject() throws(WireError) -> RaftRequest? {
    if kind == nil {
      guard buffer.count > 0 else { return nil }
      guard let known = RaftRequestKind(rawValue: buffer.bytes.byte(at: 0)) else { throw .malformed }
      buffer.consume(1)
      kind = known
      scanner = MessagePackScanner(values: 1)
    }
    guard let kind else { return nil }
    // The copy is a few words; the buffer is borrowed from `self` meanwhile.
    var scanner = scanner
    defer { self.scanner = scanner }
    guard try scanner.advance(over: buffer.bytes, limit: RaftWire.maximumRequestBytes) else { return nil }
    var reader = MessagePackReader(buffer.bytes.extracting(0..<scanner.offset))
    let request = try RaftRequest(kind, decoding: &reader)
    buffer.consume(scanner.offset)
    self.kind = nil
    return request
  }

  private mutating func takeState(_ bytes: RawSpan) {
    stateBytesLeft -= bytes.byteCount
    guard let size = snapshot?.size, size <= maximumSnapshotBytes else { return }
    snapshot?.state.append(contentsOf: bytes)
  }
}

/// Replies on one dialled connection, from chunks of any size. After an error the connection must be dropped.
public struct RaftReplyDecoder: Sendable {
  private var buffer = StreamBuffer()
  private var scanner = MessagePackScanner(values: 2)

  public init() {}

  /// Bytes held for an incomplete reply. More than none while no request is outstanding means a confused peer.
  public var bufferedBytes: Int { buffer.count }

  public mutating func append(_ bytes: RawSpan) { buffer.append(bytes) }

  /// The next complete reply; `kind` is that of the oldest unanswered request.
  public mutating func next(to kind: RaftRequestKind) throws(WireError) -> RaftReply? {
    // The copy is a few words; the buffer is borrowed from `self` meanwhile.
    var scanner = scanner
    defer { self.scanner = scanner }
    guard try scanner.advance(over: buffer.bytes, limit: RaftWire.maximumReplyBytes) else { return nil }
    var reader = MessagePackReader(buffer.bytes.extracting(0..<scanner.offset))
    let reply = try RaftReply(kind, decoding: &reader)
    buffer.consume(scanner.offset)
    scanner = MessagePackScanner(values: 2)
    return reply
  }
}

/// Bytes that have arrived and are not consumed. Consuming moves an offset; the bytes move when the waste is large.
struct StreamBuffer: Sendable {
  private var storage: [UInt8] = []
  private var start = 0

  var count: Int { storage.count - start }

  var bytes: RawSpan {
    @_lifetime(borrow self)
    get { storage.bytes(start..<storage.count) }
  }

  mutating func append(_ bytes: RawSpan) { storage.append(contentsOf: bytes) }

  mutating func consume(_ count: Int) {
    precondition(count <= self.count)
    start += count
    if start == storage.count {
      // One large message must not keep its memory for the life of the connection.
      storage.removeAll(keepingCapacity: storage.capacity <= Self.keptBytes)
      start = 0
    } else if start > Self.keptBytes {
      storage.removeSubrange(0..<start)
      start = 0
    }
  }

  static let keptBytes = 16 << 10
}
