import Base
import RPC
import Testing
import Wire

/// Streaming RPCs (rpc.md section 9).
@Suite struct StreamingTests {
  static let monitor = "81a64d6574686f64ad4167656e742e4d6f6e69746f72"

  @Test(arguments: [1, 5, 1000])
  func `accepts a streaming connection and passes bytes`(chunk: Int) {
    var driver = Driver()
    driver.receive("05" + Self.monitor + "80", chunk: chunk)
    guard let handle = handle(&driver) else { return }
    #expect(driver.takeSent() == "")
    driver.machine.acceptStream(handle, at: driver.now, effects: &driver.effects)
    #expect(driver.takeSent() == "81a54572726f72a0")
    let events = driver.takeEvents()
    guard case .streamBytes(handle, let range)? = events.first else {
      Issue.record("\(events)")
      return
    }
    #expect(driver.bytes(range) == [0x80])
    driver.machine.sendStream(handle, at: driver.now, effects: &driver.effects) {
      $0 += hex("82a54572726f72c0a75061796c6f6164a27b7d")
    }
    #expect(driver.takeSent() == "82a54572726f72c0a75061796c6f6164a27b7d")
    driver.machine.finishStream(handle, at: driver.now, effects: &driver.effects)
    driver.collect()
    #expect(driver.isClosed)
  }

  @Test func `refuses an unknown streaming method`() {
    var driver = Driver()
    driver.receive(hex("06") + syn(1) + frame(1, [5]) + frame(1, hex("81a64d6574686f64a94e6f70652e4e6f7065")))
    guard let handle = handle(&driver, name: "Nope.Nope") else { return }
    _ = driver.takeSent()
    driver.machine.rejectStream(
      handle, error: "Unknown rpc method: \"Nope.Nope\"", at: driver.now, effects: &driver.effects)
    #expect(
      driver.takeSentBytes()
        == frame(1, hex("81a54572726f72bf556e6b6e6f776e20727063206d6574686f643a20224e6f70652e4e6f706522"))
        + hex("000100040000000100000000"))
  }

  @Test(arguments: [1, 9, Int.max])
  func `opens a stream over a session and passes bytes until both ends are done`(chunk: Int) {
    var pair = Pair(chunk: chunk)
    _ = pair.call(.statusPing)
    pair.echo()
    pair.client.takeEvents(into: &pair.clientBatch)
    guard let session = started(pair.clientBatch),
      let ours = pair.client.openStream(
        named: "Agent.Monitor", overSession: session, at: .start, effects: &pair.clientEffects)
    else {
      Issue.record("no stream")
      return
    }
    pair.settle()
    pair.server.takeEvents(into: &pair.serverBatch)
    var theirs: StreamHandle?
    for case .streamingRequest(let handle, _, .agentMonitor, _) in pair.serverBatch.events { theirs = handle }
    guard let theirs else {
      Issue.record("no request")
      return
    }
    pair.server.acceptStream(theirs, at: .start, effects: &pair.serverEffects)
    pair.server.sendStream(theirs, at: .start, effects: &pair.serverEffects) { $0 += [1, 2, 3] }
    pair.settle()
    pair.client.takeEvents(into: &pair.clientBatch)
    #expect(pair.clientBatch.events.first == .streamingAnswer(ours, error: 0..<0))
    #expect(received(pair.clientBatch, ours) == [1, 2, 3])
    // Half close: our end is done, the peer still sends.
    pair.client.sendStream(ours, at: .start, effects: &pair.clientEffects) { $0 += [9] }
    pair.client.finishStream(ours, at: .start, effects: &pair.clientEffects)
    pair.settle()
    pair.server.takeEvents(into: &pair.serverBatch)
    #expect(received(pair.serverBatch, theirs) == [9])
    #expect(pair.serverBatch.events.contains(.streamFinished(theirs)))
    pair.server.sendStream(theirs, at: .start, effects: &pair.serverEffects) { $0 += [4] }
    pair.server.finishStream(theirs, at: .start, effects: &pair.serverEffects)
    pair.settle()
    pair.client.takeEvents(into: &pair.clientBatch)
    #expect(received(pair.clientBatch, ours) == [4])
    #expect(pair.clientBatch.events.suffix(2) == [.streamFinished(ours), .streamEnded(ours)])
    pair.server.takeEvents(into: &pair.serverBatch)
    #expect(pair.serverBatch.events == [.streamEnded(theirs)])
  }

  @Test func `a sender is held back until its bytes are credited`() {
    var pair = Pair()
    _ = pair.call(.statusPing)
    pair.echo()
    pair.client.takeEvents(into: &pair.clientBatch)
    guard let session = started(pair.clientBatch),
      let ours = pair.client.openStream(
        named: "Operator.SnapshotSave", overSession: session, at: .start, effects: &pair.clientEffects)
    else {
      Issue.record("no stream")
      return
    }
    pair.settle()
    pair.server.takeEvents(into: &pair.serverBatch)
    for case .streamingRequest(let theirs, _, _, _) in pair.serverBatch.events {
      pair.server.acceptStream(theirs, at: .start, effects: &pair.serverEffects)
      pair.server.sendStream(theirs, at: .start, effects: &pair.serverEffects) {
        $0 += [UInt8](repeating: 7, count: 600_000)
      }
      pair.settle()
      #expect(pair.server.streamBacklog(theirs) == 600_000 - 262_144 + 8)
      var total = 0
      while total < 600_000 {
        pair.client.takeEvents(into: &pair.clientBatch)
        let count = received(pair.clientBatch, ours).count
        guard count > 0 else { break }
        total += count
        pair.client.creditStream(ours, count, at: .start, effects: &pair.clientEffects)
        pair.settle()
      }
      #expect(total == 600_000)
      pair.server.takeEvents(into: &pair.serverBatch)
      #expect(pair.serverBatch.events.contains(.streamDrained(theirs)))
    }
  }

  @Test func `a plain streaming connection is paused instead`() {
    var driver = Driver()
    driver.receive("05" + Self.monitor)
    guard let handle = handle(&driver) else { return }
    driver.machine.acceptStream(handle, at: driver.now, effects: &driver.effects)
    driver.receive([UInt8](repeating: 0, count: 300_000))
    driver.collect()
    #expect(driver.pauses == 1)
    driver.machine.creditStream(handle, 300_000, at: driver.now, effects: &driver.effects)
    driver.collect()
    #expect(driver.resumes == 1)
  }

  @Test func `hands the Raft transport over with what came behind the first byte`() {
    var driver = Driver()
    driver.receive("02 0102")
    let events = driver.takeEvents()
    guard case .raftConnection(driver.id, from: clientAddress, let leftover)? = events.first else {
      Issue.record("\(events)")
      return
    }
    #expect(driver.bytes(leftover) == [1, 2])
    #expect(!driver.machine.owns(driver.id))
    driver.receive("ffff")
    #expect(driver.takeSent() == "")
    #expect(driver.takeEvents().isEmpty)
  }

  private func handle(_ driver: inout Driver, name: String = "Agent.Monitor") -> StreamHandle? {
    for case .streamingRequest(let handle, _, _, let range) in driver.takeEvents() {
      #expect(driver.bytes(range).bytes.text() == name)
      return handle
    }
    Issue.record("no streaming request")
    return nil
  }

  private func started(_ batch: RPCEventBatch) -> SessionID? {
    for case .sessionStarted(let id, _, _) in batch.events { return id }
    return nil
  }

  private func received(_ batch: RPCEventBatch, _ handle: StreamHandle) -> [UInt8] {
    var bytes: [UInt8] = []
    for case .streamBytes(handle, let range) in batch.events { bytes += batch.arena[range] }
    return bytes
  }
}
