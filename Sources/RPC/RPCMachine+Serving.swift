import Base
import Wire

/// Requests of peers and our answers.
extension RPCMachine {
  /// Answers a request; `body` appends exactly one encoded value. Ignored when the request is gone.
  public mutating func respond(
    to request: RequestID, at now: Instant, effects: inout Effects, body: (inout [UInt8]) -> Void
  ) {
    guard let stream = find(request) else { return }
    answer(stream, error: "", at: now, effects: &effects, body: body)
    flush(&effects)
  }

  /// Answers with an error text; the stream stays usable.
  public mutating func fail(
    _ request: RequestID, error: String, at now: Instant, effects: inout Effects
  ) {
    guard let stream = find(request) else { return }
    answer(stream, error: error, at: now, effects: &effects) { $0.packMapHeader(0) }
    flush(&effects)
  }

  /// Answers with an error text and ends the stream, as Go does for what it cannot dispatch or decode.
  public mutating func failAndFinish(
    _ request: RequestID, error: String, at now: Instant, effects: inout Effects
  ) {
    guard let stream = find(request) else { return }
    streams[stream].finishesAfterAnswer = true
    answer(stream, error: error, at: now, effects: &effects) { $0.packMapHeader(0) }
    flush(&effects)
  }

  /// Answers a method nobody implements with Go's text for it (rpc.md section 3.1) and ends the stream.
  public mutating func reject(_ request: RequestID, at now: Instant, effects: inout Effects) {
    guard let stream = find(request) else { return }
    let name = streams[stream].nameBytes
    let text = name.bytes.text()
    let error: String
    if let dot = name.lastIndex(of: UInt8(ascii: ".")) {
      error = "rpc: can't find \(RPCMethod.hasService(name.bytes(0..<dot)) ? "method" : "service") \(text)"
    } else {
      error = "rpc: service/method request ill-formed: \(text)"
    }
    failAndFinish(request, error: error, at: now, effects: &effects)
  }

  /// The `Service.Method` text of a request that is still waiting.
  public func methodName(of request: RequestID) -> String? {
    find(request).map { streams[$0].nameBytes.bytes.text() }
  }

  func find(_ request: RequestID) -> Int? {
    guard let stream = streams.find(request.slot), streams[stream].phase == .serving,
      streams[stream].requestNumber == request.number
    else { return nil }
    return stream
  }

  mutating func parseRequest(_ stream: Int, _ bytes: RawSpan) -> Parsed {
    var reader = MessagePackReader(bytes)
    let header: RPCRequestHeader
    do throws(WireError) { header = try RPCRequestHeader(&reader) } catch {
      return error == .truncated ? .incomplete : .malformed(position: reader.offset, hasHeader: false)
    }
    let start = reader.offset
    do throws(WireError) { try reader.skip() } catch {
      if error == .truncated { return .incomplete }
      identify(stream, header, bytes)
      return .malformed(position: reader.offset, hasHeader: true)
    }
    identify(stream, header, bytes)
    streams[stream].phase = .serving
    streams[stream].requestNumber &+= 1
    let body = pending.append(bytes.extracting(start..<reader.offset))
    let request = RequestID(slot: streams.name(stream), number: streams[stream].requestNumber)
    pending.events.append(
      .request(
        request, session: sessionID(Int(streams[stream].connection)), method: streams[stream].method, body: body))
    return .complete(reader.offset)
  }

  /// Remembers what the answer must echo. False when the bytes do not begin with a whole request header.
  mutating func identify(_ stream: Int, _ bytes: RawSpan) -> Bool {
    guard streams[stream].phase == .request else { return false }
    var reader = MessagePackReader(bytes)
    guard let header = try? RPCRequestHeader(&reader) else { return false }
    identify(stream, header, bytes)
    return true
  }

  private mutating func identify(_ stream: Int, _ header: RPCRequestHeader, _ bytes: RawSpan) {
    let name = bytes.extracting(header.method)
    let method = RPCMethod(name)
    streams[stream].sequence = header.sequence
    streams[stream].method = method
    streams[stream].methodName = method == .unrecognized ? name.copy() : []
  }

  /// Writes the answer to the stream's current request and goes on with the next one.
  mutating func answer(
    _ stream: Int, error: String, at now: Instant, effects: inout Effects, body: (inout [UInt8]) -> Void
  ) {
    let slot = Int(streams[stream].connection)
    let id = streams[stream].id
    let method = streams[stream].method
    let sequence = streams[stream].sequence
    connections[slot].lastUsed = now
    let foreignName = streams[stream].methodName
    send(slot, effects: &effects) { output, connection in
      let start = connection.stage == .multiplexed ? connection.session.beginData(&output) : 0
      if method == .unrecognized {
        RPCResponseHeader.encode(method: foreignName, sequence: sequence, error: error, into: &output)
      } else {
        RPCResponseHeader.encode(method: method.name, sequence: sequence, error: error, into: &output)
      }
      body(&output)
      if connection.stage == .multiplexed { connection.session.endData(start, of: id, output: &output) }
    }
    streams[stream].methodName = []
    streams[stream].phase = .request
    guard connections[slot].session.pendingCount <= configuration.maximumBufferedBytes else {
      effects.log.log(
        .error, Self.logModule, "peer takes no answers, closing connection", ["peer": "\(connections[slot].peer)"])
      return close(slot, .ended, effects: &effects)
    }
    if streams[stream].finishesAfterAnswer { return finishStreamOrClose(stream, at: now, effects: &effects) }
    if connections[slot].stage == .multiplexed, connections[slot].session.pendingCount(of: id) > 0 {
      streams[stream].phase = .answering
    } else {
      nextRequest(stream, at: now, effects: &effects)
    }
  }

  /// Takes the next queued request, or ends the stream when the peer has.
  mutating func nextRequest(_ stream: Int, at now: Instant, effects: inout Effects) {
    let name = streams.name(stream)
    if streams[stream].bufferedCount > 0 { parseBuffer(stream, at: now, effects: &effects) }
    guard streams.find(name) != nil, streams[stream].phase == .request, streams[stream].peerFinished else { return }
    finishStreamOrClose(stream, at: now, effects: &effects)
  }
}

extension RPCStream {
  /// The method's name, known or foreign.
  var nameBytes: [UInt8] { method == .unrecognized ? methodName : Array(method.name.utf8) }

  /// Objects that make one message: header and body, or a streaming header alone.
  var valuesPerMessage: Int { phase == .request || phase == .calling ? 2 : 1 }
}
