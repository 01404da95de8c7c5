import Base
import RPC
import Wire

/// One connection of a load: a yamux session and its streams. Stream `n` carries the tag `n`.
struct LoadConnection {
  struct Stream {
    /// Yamux's number.
    var id: UInt32 = 0
    var body: [UInt8] = []
    /// An answer that is not complete yet.
    var buffer: [UInt8] = []
    var sentAt = Instant.start
    var isBusy = false
  }

  enum Answer {
    case success(stream: Int, sentAt: Instant)
    case failure(stream: Int, String)
    /// The server told which servers there are.
    case told(servers: Int)
    /// The connection is of no more use.
    case ended(String)
  }

  /// First byte of a session with modes, and of a stream of calls (rpc.md 1.1).
  private static let sessionByte: UInt8 = 6
  private static let streamByte: UInt8 = 1

  let id: ConnectionID
  let firstNumber: Int
  var streams: [Stream]
  var isOpen = false
  var hasEnded = false
  /// Servers in the list that the server told last.
  var servers = 0
  private var session = YamuxSession(isDialer: true, at: .start)
  private var sequence: UInt64 = 0
  /// Streams that the server opened, and what came on them; they carry the tags behind those of `streams`.
  private var inbound: [(id: UInt32, buffer: [UInt8])] = []

  init(id: ConnectionID, firstNumber: Int, streams: Int) {
    self.id = id
    self.firstNumber = firstNumber
    self.streams = Array(repeating: Stream(), count: streams)
  }

  /// The dial succeeded: chooses the protocol and opens all streams.
  mutating func open(at now: Instant, output: inout [UInt8]) {
    isOpen = true
    session = YamuxSession(isDialer: true, at: now)
    output.append(Self.sessionByte)
    for stream in streams.indices {
      guard let id = session.open(tag: stream, output: &output) else { return }
      streams[stream].id = id
      let start = session.beginData(&output)
      output.append(Self.streamByte)
      session.endData(start, of: id, output: &output)
    }
  }

  /// Sends the stream's body as a call.
  mutating func call(_ method: String, on stream: Int, at now: Instant, output: inout [UInt8]) {
    sequence += 1
    streams[stream].sentAt = now
    streams[stream].isBusy = true
    let start = session.beginData(&output)
    RPCRequestHeader.encode(method: method, sequence: sequence, into: &output)
    output.append(contentsOf: streams[stream].body)
    session.endData(start, of: streams[stream].id, output: &output)
  }

  /// The next answer in `bytes` from `offset` on; nil when they are used up.
  mutating func receive(
    _ bytes: RawSpan, at offset: inout Int, now: Instant, output: inout [UInt8]
  ) -> Answer? {
    while !hasEnded {
      do throws(YamuxFailure) {
        guard let event = try session.receive(bytes, at: &offset, now: now, output: &output) else { return nil }
        switch event {
        case .data(let tag, let range) where Int(tag) >= streams.count:
          let stream = Int(tag) - streams.count
          session.consume(range.count, of: inbound[stream].id, output: &output)
          if let answer = serve(bytes.extracting(range), on: stream, &output) { return answer }
        case .data(let tag, let range):
          let stream = Int(tag)
          session.consume(range.count, of: streams[stream].id, output: &output)
          if let answer = deliver(bytes.extracting(range), to: stream) { return answer }
        case .opened(let id):
          inbound.append((id, []))
          session.setTag(streams.count + inbound.count - 1, of: id)
        case .finished(let tag) where Int(tag) >= streams.count, .reset(let tag) where Int(tag) >= streams.count:
          break
        case .finished, .reset, .goAway: return .ended("the server ended the session or a stream")
        case .drained: break
        }
      } catch {
        return .ended("session error: \(error)")
      }
    }
    return nil
  }

  /// A call of the server, answered with an empty map.
  private mutating func serve(_ bytes: RawSpan, on stream: Int, _ output: inout [UInt8]) -> Answer? {
    inbound[stream].buffer.append(contentsOf: bytes)
    let whole = inbound[stream].buffer
    // The stream's mode byte comes before its first call.
    let start = whole.first == Self.streamByte ? 1 : 0
    var reader = MessagePackReader(whole.bytes(start..<whole.count))
    do throws(WireError) {
      let header = try RPCRequestHeader(&reader)
      let name = whole.bytes(start..<whole.count).extracting(header.method).text()
      let change = try ServersChanged(&reader)
      inbound[stream].buffer = []
      let place = session.beginData(&output)
      RPCResponseHeader.encode(method: name, sequence: header.sequence, into: &output)
      output.packMapHeader(0)
      session.endData(place, of: inbound[stream].id, output: &output)
      return .told(servers: change.servers.count)
    } catch {
      return error == .truncated ? nil : .ended("undecodable call of the server: \(error)")
    }
  }

  /// Answers come one at a time on a stream, so nothing follows a complete one.
  private mutating func deliver(_ bytes: RawSpan, to stream: Int) -> Answer? {
    if streams[stream].buffer.isEmpty, let answer = parse(bytes, stream) { return answer }
    streams[stream].buffer.append(contentsOf: bytes)
    let whole = streams[stream].buffer
    guard let answer = parse(whole.bytes, stream) else { return nil }
    streams[stream].buffer = []
    return answer
  }

  private mutating func parse(_ bytes: RawSpan, _ stream: Int) -> Answer? {
    var reader = MessagePackReader(bytes)
    do throws(WireError) {
      let header = try RPCResponseHeader(&reader)
      try reader.skip()
      streams[stream].isBusy = false
      guard header.error.isEmpty else {
        return .failure(stream: stream, bytes.extracting(header.error).text())
      }
      return .success(stream: stream, sentAt: streams[stream].sentAt)
    } catch {
      return error == .truncated ? nil : .ended("undecodable answer: \(error)")
    }
  }
}
