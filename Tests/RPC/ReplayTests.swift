import Base
import RPC
import Testing
import Wire

/// Whole connections between real agents. The machine takes the place of one end, gets every byte the other end sent,
/// and must send what the real agent sent, stream by stream.
@Suite struct ReplayTests {
  @Test(arguments: Recording.all, [1, 13, 100, Int.max])
  func `takes the place of the acceptor`(recording: Recording, chunk: Int) {
    var driver = Driver()
    let sent = replay(hex(recording.dialer), answers: demultiplex(hex(recording.acceptor)), &driver, chunk: chunk)
    let recorded = demultiplex(hex(recording.acceptor)).filter { $0.key & 1 == 1 }
    #expect(sent.count == recorded.count)
    for (stream, bytes) in recorded { #expect(sent[stream] == bytes, "stream \(stream)") }
    #expect(!driver.isClosed)
  }

  @Test(arguments: Recording.all, [1, 13, 100, Int.max])
  func `takes the place of the dialer for what the acceptor asks`(recording: Recording, chunk: Int) {
    var (driver, call) = Driver.dialed()
    driver.machine.cancel(call, at: driver.now, effects: &driver.effects)
    _ = driver.takeSent()
    let dialer = demultiplex(Array(hex(recording.dialer).dropFirst()))
    let sent = replay(hex(recording.acceptor), answers: dialer, &driver, chunk: chunk)
    let recorded = dialer.filter { $0.key & 1 == 0 }
    #expect(sent.count == recorded.count)
    for (stream, bytes) in recorded { #expect(sent[stream] == bytes, "stream \(stream)") }
    #expect(!driver.isClosed)
  }

  /// Feeds `bytes` and answers each request with the next body recorded for its stream; returns what was sent.
  private func replay(
    _ bytes: [UInt8], answers: [UInt32: [UInt8]], _ driver: inout Driver, chunk: Int
  ) -> [UInt32: [UInt8]] {
    var bodies: [[UInt8]: [UInt8]] = [:]
    for stream in answers.values {
      var reader = MessagePackReader(stream.bytes)
      // Streams on which this end was the caller start with a mode byte and hold no answers.
      while let header = try? RPCResponseHeader(&reader), let body = try? reader.skip().copy() {
        var name = stream.bytes(header.method).copy()
        name.append(bigEndian: header.sequence)
        bodies[name] = body
      }
    }
    driver.receive(bytes, chunk: chunk)
    var streams: [UInt32: [UInt8]] = [:]
    while true {
      let requests = driver.takeRequests()
      if requests.isEmpty { break }
      for request in requests {
        #expect(request.method != .unrecognized)
        let method = request.method.name
        // The sequence is not part of the event: it is found as the one number that has an unused answer in order.
        let next = bodies.keys.filter { $0.starts(with: method.utf8) && $0.count == method.utf8.count + 8 }
          .min { $0.lexicographicallyPrecedes($1) }
        guard let next, let body = bodies.removeValue(forKey: next) else { continue }
        driver.respond(request.id, hex(body))
      }
    }
    for (stream, bytes) in demultiplex(driver.takeSentBytes()) { streams[stream, default: []] += bytes }
    return streams
  }
}
