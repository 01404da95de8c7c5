import Base
import Wire

/// One end of a yamux session (rpc.md section 2): streams, their windows, pings and the end of the session. A value
/// that does no IO: received bytes go in chunk by chunk and come out as events, frames to send are appended to
/// `output`.
///
/// Calling order: `receive` until it returns nil for each chunk; `open`, `beginData`/`endData`, `finish`, `reset` and
/// `consume` at any time; `handleTimeout` when `deadline` has passed. After a thrown failure the session is over: the
/// output already holds the go-away, and the caller closes the connection.
public struct YamuxSession: Sendable {
  /// Bytes each side may send on a fresh stream; both ends use this value, nothing is negotiated.
  public static let initialWindow = 262_144
  /// Streams we opened that the peer has not acknowledged, as Go bounds them.
  public static let maximumUnacknowledged = 256
  public static let keepaliveInterval = Interval.seconds(30)
  public static let keepaliveTimeout = Interval.seconds(10)
  /// Streams alive at once in one session, from both sides. Further ones of the peer are reset.
  public let maximumStreams: Int

  /// In order of their ids, so that a look-up is a short binary search and no table is needed.
  private var streams: [YamuxStream] = []
  private var nextStream: UInt32
  private var unacknowledged = 0
  /// Bytes of all streams that wait for the peer's windows.
  public private(set) var pendingCount = 0
  private var peerRefusesStreams = false

  private var partialHeader = InlineArray<12, UInt8>(repeating: 0)
  private var partialCount = 0
  /// Payload bytes of the current data frame still to come, and whose they are.
  private var payload = 0
  private var current: UInt32 = 0
  private var discardsPayload = false
  private var finishesAfterPayload = false

  private var pingValue: UInt32 = 0
  private var pingDeadline: Instant?
  private var keepaliveAt: Instant
  private var lastReceived: Instant

  /// `isDialer`: our side dialed the connection, and therefore uses odd stream ids.
  public init(isDialer: Bool, maximumStreams: Int = 4096, at now: Instant) {
    nextStream = isDialer ? 1 : 2
    self.maximumStreams = maximumStreams
    keepaliveAt = now + Self.keepaliveInterval
    lastReceived = now
  }

  public var streamCount: Int { streams.count }
  /// When `handleTimeout` is due.
  public var deadline: Instant { pingDeadline ?? keepaliveAt }
  /// False while the peer has too many of our streams unacknowledged, and for ever after its go-away.
  public var canOpen: Bool {
    !peerRefusesStreams && unacknowledged < Self.maximumUnacknowledged && streams.count < maximumStreams
      && nextStream < UInt32.max - 2
  }
  /// The peer takes no more streams in this session.
  public var isDraining: Bool { peerRefusesStreams || nextStream >= UInt32.max - 2 }

  // MARK: Receiving

  /// Takes bytes from `offset` on and returns the next event, or nil when the chunk is used up. Ranges in events are
  /// offsets into `bytes`.
  public mutating func receive(
    _ bytes: RawSpan, at offset: inout Int, now: Instant, output: inout [UInt8]
  ) throws(YamuxFailure) -> YamuxEvent? {
    lastReceived = now
    while true {
      if payload > 0 {
        let count = min(payload, bytes.byteCount - offset)
        guard count > 0 else { return nil }
        let range = offset..<(offset + count)
        offset += count
        payload -= count
        if !discardsPayload, let index = find(current) { return .data(streams[index].tag, range) }
        continue
      }
      if finishesAfterPayload {
        finishesAfterPayload = false
        if let index = find(current) {
          streams[index].isRemotelyFinished = true
          let tag = streams[index].tag
          removeIfOver(at: index)
          return .finished(tag)
        }
      }
      guard let header = try nextHeader(bytes, at: &offset, output: &output) else { return nil }
      if let event = try handle(header, now: now, output: &output) { return event }
    }
  }

  private mutating func nextHeader(
    _ bytes: RawSpan, at offset: inout Int, output: inout [UInt8]
  ) throws(YamuxFailure) -> YamuxHeader? {
    let available = bytes.byteCount - offset
    do throws(WireError) {
      if partialCount == 0, available >= YamuxHeader.byteCount {
        let header = try YamuxHeader(bytes.extracting(offset..<(offset + YamuxHeader.byteCount)))
        offset += YamuxHeader.byteCount
        return header
      }
      let count = min(YamuxHeader.byteCount - partialCount, available)
      for index in 0..<count { partialHeader[partialCount + index] = bytes.byte(at: offset + index) }
      partialCount += count
      offset += count
      guard partialCount == YamuxHeader.byteCount else { return nil }
      partialCount = 0
      return try YamuxHeader(Self.bytes(of: partialHeader).bytes)
    } catch {
      throw fail(.badHeader, output: &output)
    }
  }

  private static func bytes(of header: InlineArray<12, UInt8>) -> [UInt8] {
    header.indices.map { header[$0] }
  }

  private mutating func handle(
    _ header: YamuxHeader, now: Instant, output: inout [UInt8]
  ) throws(YamuxFailure) -> YamuxEvent? {
    switch header.kind {
    case .ping:
      if header.flags.contains(.synchronize) {
        YamuxHeader(.ping, flags: .acknowledge, length: header.length).encode(into: &output)
      } else if pingDeadline != nil, header.length == pingValue &- 1 {
        pingDeadline = nil
        keepaliveAt = now + Self.keepaliveInterval
      }
      return nil
    case .goAway:
      guard header.length == 0 else { throw .refused(code: header.length) }
      peerRefusesStreams = true
      return .goAway
    case .data, .windowUpdate:
      return try handleStreamFrame(header, output: &output)
    }
  }

  private mutating func handleStreamFrame(
    _ header: YamuxHeader, output: inout [UInt8]
  ) throws(YamuxFailure) -> YamuxEvent? {
    current = header.stream
    payload = header.kind == .data ? Int(header.length) : 0
    discardsPayload = false
    var event: YamuxEvent?
    if header.flags.contains(.synchronize) {
      guard find(header.stream) == nil else { throw fail(.duplicateStream, output: &output) }
      guard streams.count < maximumStreams else {
        YamuxHeader(.windowUpdate, flags: .reset, stream: header.stream).encode(into: &output)
        discardsPayload = true
        return nil
      }
      insert(YamuxStream(id: header.stream, isAcknowledged: true))
      YamuxHeader(.windowUpdate, flags: .acknowledge, stream: header.stream).encode(into: &output)
      event = .opened(header.stream)
    }
    // Frames of streams that are gone are normal after a reset; their payload is dropped.
    guard let index = find(header.stream) else {
      discardsPayload = true
      return nil
    }
    if header.flags.contains(.reset) {
      discardsPayload = true
      let tag = streams[index].tag
      remove(at: index)
      return event == nil ? .reset(tag) : nil
    }
    // Any frame of the peer proves that it took the stream: old Go peers may answer and finish without an ACK.
    if !streams[index].isAcknowledged {
      streams[index].isAcknowledged = true
      unacknowledged -= 1
    }
    if header.flags.contains(.finish) {
      guard !streams[index].isRemotelyFinished else { throw fail(.duplicateFinish, output: &output) }
      finishesAfterPayload = true
    }
    if header.kind == .data {
      guard Int(header.length) <= streams[index].receiveWindow else { throw fail(.windowOverrun, output: &output) }
      streams[index].receiveWindow -= Int(header.length)
      if streams[index].isRemotelyFinished { discardsPayload = true }
    } else if header.length > 0 {
      let before = streams[index].pendingCount
      let drained = streams[index].widenSendWindow(by: Int(header.length), output: &output)
      pendingCount -= before - streams[index].pendingCount
      if drained, event == nil {
        let tag = streams[index].tag
        if !finishesAfterPayload { removeIfOver(at: index) }
        return .drained(tag)
      }
    }
    return event
  }

  // MARK: Streams

  /// Opens a stream and appends its SYN; nil when `canOpen` is false. The tag comes back in the stream's events.
  public mutating func open(tag: Int, output: inout [UInt8]) -> UInt32? {
    guard canOpen else { return nil }
    // A peer may wrongly have used one of our ids.
    while find(nextStream) != nil {
      guard nextStream < UInt32.max - 4 else { return nil }
      nextStream += 2
    }
    let id = nextStream
    nextStream += 2
    insert(YamuxStream(id: id, tag: Int32(tag), isAcknowledged: false))
    unacknowledged += 1
    YamuxHeader(.windowUpdate, flags: .synchronize, stream: id).encode(into: &output)
    return id
  }

  /// Names the owner of a stream that the peer opened; to be called at the `opened` event.
  public mutating func setTag(_ tag: Int, of stream: UInt32) {
    if let index = find(stream) { streams[index].tag = Int32(tag) }
  }

  /// Reserves room for a frame header; the payload is to be appended next, then `endData` called with the returned
  /// place.
  public func beginData(_ output: inout [UInt8]) -> Int {
    let start = output.count
    YamuxHeader(.data).encode(into: &output)
    return start
  }

  /// Completes a data frame begun at `start`. What exceeds the peer's window is taken off `output` and kept until the
  /// peer widens it; the `drained` event tells when all of it has been sent.
  public mutating func endData(_ start: Int, of stream: UInt32, output: inout [UInt8]) {
    guard let index = find(stream), !streams[index].isLocallyFinished else { return output.removeSubrange(start...) }
    let body = start + YamuxHeader.byteCount
    let allowed = streams[index].pendingCount > 0 ? 0 : min(output.count - body, streams[index].sendWindow)
    if body + allowed < output.count {
      pendingCount += output.count - body - allowed
      streams[index].pending.append(contentsOf: output[(body + allowed)...])
      output.removeSubrange((allowed == 0 ? start : body + allowed)...)
    }
    guard allowed > 0 else { return output.removeSubrange(min(start, output.count)...) }
    streams[index].sendWindow -= allowed
    output.store(bigEndian: stream, at: start + 4)
    output.store(bigEndian: UInt32(allowed), at: start + 8)
  }

  /// Bytes of a stream that wait for the peer's window.
  public func pendingCount(of stream: UInt32) -> Int {
    guard let index = find(stream) else { return 0 }
    return streams[index].pendingCount
  }

  /// Ends our direction, after everything still pending. The stream is gone once the peer has ended its own; true when
  /// it is gone already.
  public mutating func finish(_ stream: UInt32, output: inout [UInt8]) -> Bool {
    guard let index = find(stream) else { return true }
    streams[index].finish(output: &output)
    removeIfOver(at: index)
    return find(stream) == nil
  }

  public func contains(_ stream: UInt32) -> Bool { find(stream) != nil }

  /// The owner's tag of the stream at a position in `0 ..< streamCount`, in order of the ids.
  public func tag(at position: Int) -> Int { Int(streams[position].tag) }

  /// Ends both directions at once and forgets the stream.
  public mutating func reset(_ stream: UInt32, output: inout [UInt8]) {
    guard let index = find(stream) else { return }
    YamuxHeader(.windowUpdate, flags: .reset, stream: stream).encode(into: &output)
    remove(at: index)
  }

  /// Tells the session that `count` received bytes of a stream were used up. Grants the peer more once half a window
  /// has been used, as Go does.
  public mutating func consume(_ count: Int, of stream: UInt32, output: inout [UInt8]) {
    guard let index = find(stream) else { return }
    streams[index].consumed += count
    guard streams[index].consumed >= Self.initialWindow / 2, !streams[index].isRemotelyFinished else { return }
    YamuxHeader(.windowUpdate, stream: stream, length: UInt32(streams[index].consumed)).encode(into: &output)
    streams[index].receiveWindow += streams[index].consumed
    streams[index].consumed = 0
  }

  // MARK: Keepalive and end

  /// Pings when nothing was heard for the keepalive interval; throws when a ping stayed unanswered for too long.
  public mutating func handleTimeout(at now: Instant, output: inout [UInt8]) throws(YamuxFailure) {
    if let due = pingDeadline {
      if now >= due { throw .keepaliveTimeout }
      return
    }
    guard now >= keepaliveAt else { return }
    // Whatever was received proves the peer alive just as well as an answer.
    if lastReceived + Self.keepaliveInterval > now {
      keepaliveAt = lastReceived + Self.keepaliveInterval
      return
    }
    YamuxHeader(.ping, flags: .synchronize, length: pingValue).encode(into: &output)
    pingValue &+= 1
    pingDeadline = now + Self.keepaliveTimeout
  }

  /// Tells the peer to open no more streams.
  public func goAway(code: UInt32, output: inout [UInt8]) {
    YamuxHeader(.goAway, length: code).encode(into: &output)
  }

  private func fail(_ failure: YamuxFailure, output: inout [UInt8]) -> YamuxFailure {
    goAway(code: 1, output: &output)
    return failure
  }

  // MARK: Table

  private func find(_ id: UInt32) -> Int? {
    let index = lowerBound(id)
    return index < streams.count && streams[index].id == id ? index : nil
  }

  private func lowerBound(_ id: UInt32) -> Int {
    var low = 0
    var high = streams.count
    while low < high {
      let middle = (low + high) / 2
      if streams[middle].id < id { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private mutating func insert(_ stream: YamuxStream) { streams.insert(stream, at: lowerBound(stream.id)) }

  private mutating func remove(at index: Int) {
    if !streams[index].isAcknowledged { unacknowledged -= 1 }
    pendingCount -= streams[index].pendingCount
    streams.remove(at: index)
    if streams.isEmpty { streams = [] }
  }

  private mutating func removeIfOver(at index: Int) {
    if streams[index].isLocallyFinished, streams[index].isRemotelyFinished { remove(at: index) }
  }
}

/// What `YamuxSession.receive` reports. The integer is the tag of the stream's owner.
public enum YamuxEvent: Hashable, Sendable {
  /// The peer opened a stream (its id); the owner calls `setTag` at once.
  case opened(UInt32)
  case data(Int32, Range<Int>)
  /// The peer sends no more on this stream.
  case finished(Int32)
  /// The stream is gone.
  case reset(Int32)
  /// Everything that waited for the peer's window has been sent.
  case drained(Int32)
  /// The peer takes no more streams.
  case goAway
}

/// Why a session ended.
public enum YamuxFailure: Error, Hashable, Sendable {
  case badHeader, duplicateStream, duplicateFinish, windowOverrun, keepaliveTimeout
  /// The peer ended the session with this go-away code.
  case refused(code: UInt32)
}
