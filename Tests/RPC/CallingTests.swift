import Base
import RPC
import Testing
import Wire

/// The machine as the caller.
@Suite struct CallingTests {
  static let pong = "83a54572726f72a0a353657101ad536572766963654d6574686f64ab5374617475732e50696e6780"

  @Test func `sends mode, stream, stream mode and request at once`() {
    var (driver, _) = Driver.dialed()
    #expect(driver.sendDirectives == 1)
    #expect(driver.takeSent() == hex(hex(ServingTests.firstExchange)))
  }

  @Test(arguments: [1, 2, 3, 12, 13, 50, 1000])
  func `takes the answer in any chunking`(chunk: Int) {
    var (driver, call) = Driver.dialed()
    _ = driver.takeEvents()
    driver.receive("000100020000000100000000 000000000000000100000028" + Self.pong, chunk: chunk)
    let events = driver.takeEvents()
    guard case .response(call, .reply(let body))? = events.first else {
      Issue.record("\(events)")
      return
    }
    #expect(driver.bytes(body) == [0x80])
  }

  @Test func `accepts an answer without acknowledgement, sequence, method and body content`() {
    var (driver, call) = Driver.dialed()
    _ = driver.takeEvents()
    driver.receive(frame(1, hex("81a353657163 c0")))
    #expect(driver.takeEvents().map { if case .response(call, .reply) = $0 { true } else { false } } == [true])
  }

  @Test func `reuses the stream for the next call`() {
    var (driver, _) = Driver.dialed()
    driver.receive(frame(1, hex(Self.pong)))
    _ = driver.takeSent()
    _ = driver.takeEvents()
    _ = driver.machine.call(
      .statusPing, to: serverAddress, deadline: driver.now + .seconds(1), at: driver.now, effects: &driver.effects
    ) { $0.packMapHeader(0) }
    #expect(
      driver.takeSent() == "000000000000000100000021"
        + "82a353657102ad536572766963654d6574686f64ab5374617475732e50696e6780")
  }

  @Test func `reports a remote error and ends that stream`() {
    var (driver, call) = Driver.dialed()
    _ = driver.takeEvents()
    _ = driver.takeSent()
    driver.receive(frame(1, hex("82a353657101a54572726f72a3626164 c0")))
    let events = driver.takeEvents()
    guard case .response(call, .remoteError(let text))? = events.first else {
      Issue.record("\(events)")
      return
    }
    #expect(driver.bytes(text).bytes.text() == "bad")
    #expect(driver.takeSent() == "000100040000000100000000")
    driver.receive("000100040000000100000000")
    #expect(!driver.isClosed)
  }

  @Test func `resets the stream of a call that takes too long`() {
    var (driver, call) = Driver.dialed()
    _ = driver.takeSent()
    driver.receive("000100020000000100000000")
    driver.advance(by: .seconds(29))
    driver.receive("000200010000000000000000")
    _ = driver.takeSent()
    _ = driver.takeEvents()
    driver.advance(by: .seconds(31))
    #expect(driver.takeEvents() == [.response(call, .failure(.timedOut))])
    #expect(driver.takeSent().contains("000100080000000100000000"))
    // A late answer belongs to nobody.
    driver.receive(frame(1, hex(Self.pong)))
    #expect(driver.takeEvents().isEmpty)
  }

  @Test func `a cancelled call ends without an event`() {
    var (driver, call) = Driver.dialed()
    _ = driver.takeSent()
    _ = driver.takeEvents()
    driver.machine.cancel(call, at: driver.now, effects: &driver.effects)
    driver.machine.cancel(call, at: driver.now, effects: &driver.effects)
    #expect(driver.takeSent() == "000100080000000100000000")
    driver.advance(by: .seconds(10))
    #expect(driver.takeEvents().isEmpty)
  }

  @Test func `collapses concurrent dials and fails all callers alike`() {
    var pair = Pair()
    pair.serverRefuses = true
    let calls = (0..<5).map { _ in pair.call(.statusPing) }
    #expect(pair.clientEffects.outbox.directives.count == 1)
    pair.settle()
    let outcomes = pair.outcomes()
    for call in calls { #expect(outcomes[call] == .failure(.dial(.refused))) }
    #expect(pair.client.connectionCount == 0)
    #expect(
      RPCFailure.dial(.refused).text(address: serverAddress)
        == "rpc error: failed to get conn: dial tcp 127.0.0.1:4647: connect: connection refused")
    pair.serverRefuses = false
    let again = pair.call(.statusPing)
    pair.echo()
    #expect(pair.outcomes()[again]?.isReply == true)
  }

  @Test func `fails outstanding calls when the connection dies`() {
    var (driver, call) = Driver.dialed()
    _ = driver.takeEvents()
    driver.machine.handleDisconnected(driver.id, .finished, at: driver.now, effects: &driver.effects)
    let events = driver.takeEvents()
    #expect(events.first == .response(call, .failure(.ended)))
    #expect(events.count == 2)
    #expect(driver.machine.connectionCount == 0)
  }

  @Test(arguments: [1, 7, 1000, Int.max])
  func `runs many calls over one connection`(chunk: Int) {
    var pair = Pair(chunk: chunk)
    let calls = (0..<300).map { _ in pair.call(.nodeUpdateStatus, body: "81a14101") }
    pair.echo()
    let outcomes = pair.outcomes()
    #expect(outcomes.count == 300)
    for call in calls { #expect(outcomes[call]?.isReply == true) }
    #expect(pair.client.connectionCount == 1)
    #expect(pair.server.connectionCount == 1)
  }

  @Test(arguments: [100, 65_536, Int.max])
  func `moves messages larger than the window both ways`(chunk: Int) {
    var pair = Pair(chunk: chunk)
    let text = [UInt8](repeating: 0x61, count: 1_500_000)
    let call = pair.client.call(
      .nodeRegister, to: serverAddress, deadline: .start + .seconds(9), at: .start, effects: &pair.clientEffects
    ) { $0.pack(raw: text) }
    pair.echo()
    guard case .reply(let range)? = pair.outcomes()[call] else {
      Issue.record("no reply")
      return
    }
    var expected: [UInt8] = []
    expected.pack(raw: text)
    #expect(pair.clientBatch.arena[range].elementsEqual(expected))
  }

  @Test func `the acceptor calls the dialer over its own session`() {
    var pair = Pair()
    let first = pair.call(.statusPing)
    pair.settle()
    pair.server.takeEvents(into: &pair.serverBatch)
    var session: SessionID?
    for case .request(let id, let from, _, _) in pair.serverBatch.events {
      session = from
      pair.server.respond(to: id, at: pair.now, effects: &pair.serverEffects) { $0.packMapHeader(0) }
    }
    guard let session else {
      Issue.record("no session")
      return
    }
    for round in 0..<3 {
      let call = pair.server.call(
        .clientServersChanged, overSession: session, deadline: .start + .seconds(5), at: .start,
        effects: &pair.serverEffects
      ) { $0.pack(unsigned: UInt64(round)) }
      pair.settle()
      pair.client.takeEvents(into: &pair.clientBatch)
      if round == 0 {
        #expect(pair.clientBatch.events.contains { if case .response(first, .reply) = $0 { true } else { false } })
      }
      var asked = 0
      for case .request(let id, _, .clientServersChanged, let body) in pair.clientBatch.events {
        #expect(Array(pair.clientBatch.arena[body]) == [UInt8(round)])
        pair.client.respond(to: id, at: .start, effects: &pair.clientEffects) { $0.packNil() }
        asked += 1
      }
      #expect(asked == 1)
      pair.settle()
      pair.server.takeEvents(into: &pair.serverBatch)
      #expect(pair.serverBatch.events.contains { if case .response(call, .reply) = $0 { true } else { false } })
    }
    #expect(pair.client.connectionCount == 1)
  }

  @Test func `opens server streams with even ids and a mode byte`() {
    var driver = Driver()
    driver.receive([6])
    guard let session = driver.session() else { return }
    _ = driver.machine.call(
      .clientStatsStats, overSession: session, deadline: .start + .seconds(5), at: .start, effects: &driver.effects
    ) { $0.packMapHeader(0) }
    #expect(driver.takeSent().hasPrefix("000100010000000200000000" + "00000000000000020000000101"))
  }

  @Test func `calls over an ended session fail at once`() {
    var driver = Driver()
    driver.receive([6])
    guard let session = driver.session() else { return }
    driver.machine.handleDisconnected(driver.id, .finished, at: driver.now, effects: &driver.effects)
    #expect(driver.takeEvents() == [.sessionEnded(session)])
    #expect(driver.machine.peer(of: session) == nil)
    let call = driver.machine.call(
      .clientStatsStats, overSession: session, deadline: .start + .seconds(5), at: .start, effects: &driver.effects
    ) { $0.packMapHeader(0) }
    #expect(driver.takeEvents() == [.response(call, .failure(.noStream))])
  }

  @Test func `dials anew after the peer's go away and lets old calls end`() {
    var (driver, call) = Driver.dialed()
    let old = driver.id
    _ = driver.takeEvents()
    driver.receive("000300000000000000000000")
    driver.collect()
    #expect(!driver.isClosed)
    _ = driver.machine.call(
      .statusPing, to: serverAddress, deadline: driver.now + .seconds(1), at: driver.now, effects: &driver.effects
    ) { $0.packMapHeader(0) }
    driver.collect()
    #expect(driver.id != old)
    let new = driver.id
    driver.id = old
    driver.receive(frame(1, hex(Self.pong)) + hex("000100040000000100000000"))
    #expect(driver.takeEvents().contains { if case .response(call, .reply) = $0 { true } else { false } })
    driver.collect()
    #expect(driver.isClosed)
    #expect(!driver.machine.owns(old))
    #expect(driver.machine.owns(new))
  }

  @Test func `queues calls beyond the unacknowledged streams`() {
    var (driver, _) = Driver.dialed()
    for _ in 0..<400 {
      _ = driver.machine.call(
        .statusPing, to: serverAddress, deadline: driver.now + .seconds(5), at: driver.now, effects: &driver.effects
      ) { $0.packMapHeader(0) }
    }
    #expect(demultiplex(Array(driver.takeSentBytes().dropFirst())).count == 256)
    for stream in 0..<10 { driver.receive("00010002" + hex(word(UInt32(2 * stream + 1))) + "00000000") }
    #expect(demultiplex(driver.takeSentBytes()).count == 10)
  }

  @Test func `closes a connection of ours that is not used`() {
    var pair = Pair()
    _ = pair.call(.statusPing)
    pair.echo()
    pair.advance(by: .seconds(119))
    #expect(pair.client.connectionCount == 1)
    pair.advance(by: .seconds(2))
    #expect(pair.client.connectionCount == 0)
    #expect(pair.server.connectionCount == 0)
  }

  @Test func `keeps a connection with a waiting call`() {
    var pair = Pair()
    let call = pair.call(.nodeGetClientAllocations, within: .minutes(6))
    pair.settle()
    pair.advance(by: .minutes(5))
    #expect(pair.client.connectionCount == 1)
    pair.echo()
    #expect(pair.outcomes()[call]?.isReply == true)
  }
}

func word(_ value: UInt32) -> [UInt8] {
  var bytes: [UInt8] = []
  bytes.append(bigEndian: value)
  return bytes
}
