import Base
import RPC
import Testing
import Wire

/// What no honest peer sends. One bad peer costs one connection and nothing else.
@Suite struct HostileTests {
  /// A multiplexed connection with one stream in use.
  private func multiplexed(_ configuration: RPCConfiguration = RPCConfiguration()) -> Driver {
    var driver = Driver(configuration: configuration)
    driver.receive(hex("06") + syn(1) + frame(1, [1]))
    _ = driver.takeSent()
    _ = driver.takeEvents()
    return driver
  }

  @Test(arguments: [
    ("010000000000000100000000", "another version"), ("000400000000000100000000", "an unknown type"),
    ("000100010000000100000000", "SYN for a stream in use"),
    ("000000000000000100040001", "more than the window"),
    ("0001000400000001000000000001000400000001000000000001000400000001", "two ends of one stream, never answered"),
    ("000300000000000000000001", "go away, protocol error"), ("000300000000000000000002", "go away, internal error"),
  ])
  func `ends the session for fatal frames`(frames: String, why: String) {
    var driver = multiplexed()
    if why.hasPrefix("two ends") { driver.receive(frame(1, request(1))) }
    driver.receive(frames)
    driver.collect()
    #expect(driver.isClosed, "\(why)")
    #expect(!driver.machine.owns(driver.id))
    let ended = driver.takeEvents().contains { if case .sessionEnded = $0 { true } else { false } }
    #expect(ended)
  }

  @Test func `tells the peer about its protocol error`() {
    var driver = multiplexed()
    driver.receive("0500")
    driver.receive("00000000000000000000")
    #expect(driver.takeSent() == "000300000000000000000001")
  }

  @Test func `drops frames for unknown streams with their payload`() {
    var driver = multiplexed()
    driver.receive(
      frame(99, Array(repeating: 0, count: 300)) + hex("000100040000006300000000 000100080000006300000000")
        + hex("000100020000006300000000") + frame(1, request(3)))
    #expect(driver.takeRequests().map(\.body) == ["03"])
    #expect(!driver.isClosed)
  }

  @Test(arguments: [0, 2, 3, 4, 6, 255])
  func `ends the session for an invalid stream mode`(mode: UInt8) {
    var driver = Driver()
    driver.receive(hex("06") + syn(1) + frame(1, [mode]))
    driver.collect()
    #expect(driver.isClosed)
  }

  @Test(arguments: [0, 7, 4, 0x47])
  func `closes without a word for an unusable first byte`(byte: UInt8) {
    var driver = Driver()
    driver.receive([byte, 1, 2, 3])
    #expect(driver.takeSent() == "")
    #expect(driver.isClosed)
    #expect(!driver.machine.owns(driver.id))
    #expect(driver.takeEvents().isEmpty)
  }

  @Test func `closes a connection that says nothing`() {
    var driver = Driver()
    driver.advance(by: .milliseconds(4999))
    driver.collect()
    #expect(!driver.isClosed)
    driver.advance(by: .milliseconds(1))
    driver.collect()
    #expect(driver.isClosed)
  }

  @Test func `refuses a declared length above the limit at once`() {
    for size in ["db80000000", "c6ffffffff", "df7fffffff", "ddffffffff", "c9ffffffff"] {
      var driver = multiplexed()
      var header: [UInt8] = []
      RPCRequestHeader.encode(method: "Status.Ping", sequence: 1, into: &header)
      driver.receive(frame(1, header + hex(size)))
      #expect(driver.takeRequests().isEmpty)
      #expect(driver.takeSent().hasSuffix("000100040000000100000000"))
      #expect(!driver.isClosed)
    }
  }

  @Test func `refuses deep nesting in a body and in a header`() {
    let nest = [UInt8](repeating: 0x91, count: 5000) + [0]
    var header: [UInt8] = []
    RPCRequestHeader.encode(method: "Status.Ping", sequence: 1, into: &header)
    for message in [header + nest, hex("81a161") + nest + [0x80], [0x81] + nest + hex("0080")] {
      for chunk in [1, 100, 100_000] {
        var driver = multiplexed()
        driver.receive(frame(1, message), chunk: chunk)
        #expect(driver.takeRequests().isEmpty)
        #expect(driver.takeSent().hasSuffix("000100040000000100000000"))
        #expect(!driver.isClosed)
      }
    }
  }

  @Test func `gives up on a message that never becomes complete`() {
    var driver = multiplexed()
    driver.receive(frame(1, hex("82a3")))
    driver.advance(by: .seconds(29))
    #expect(driver.takeSent() == "")
    driver.advance(by: .seconds(1))
    #expect(driver.takeSent().hasPrefix("000100080000000100000000"))
    var plain = Driver()
    plain.receive("01 82a3")
    plain.advance(by: .seconds(30))
    plain.collect()
    #expect(plain.isClosed)
  }

  @Test func `bounds what one connection may buffer`() {
    var configuration = RPCConfiguration()
    configuration.maximumBufferedBytes = 100_000
    var driver = multiplexed(configuration)
    driver.receive(frame(1, hex("82a153db00100000")))
    for _ in 0..<9 { driver.receive(frame(1, Array(repeating: 0, count: 10_000))) }
    driver.collect()
    #expect(!driver.isClosed)
    driver.receive(frame(1, Array(repeating: 0, count: 10_000)))
    driver.collect()
    #expect(driver.isClosed)
  }

  @Test func `gives up on a peer that asks and takes no answers`() {
    var configuration = RPCConfiguration()
    configuration.maximumBufferedBytes = 1_000_000
    var driver = multiplexed(configuration)
    let large = [UInt8](repeating: 0x61, count: 500_000)
    for stream: UInt32 in [1, 3, 5, 7, 9] {
      driver.receive((stream == 1 ? [] : syn(stream) + frame(stream, [1])) + frame(stream, request(1)))
      for request in driver.takeRequests() {
        driver.machine.respond(to: request.id, at: driver.now, effects: &driver.effects) { $0.pack(raw: large) }
      }
      driver.collect()
      #expect(driver.isClosed == (stream >= 9))
    }
  }

  @Test func `stops at one window behind a request that is being served`() {
    var driver = multiplexed()
    driver.receive(frame(1, request(1)))
    _ = driver.takeRequests()
    let used = request(1).count + 1
    driver.receive(frame(1, Array(repeating: 0, count: 262_144 - used)))
    driver.collect()
    #expect(!driver.isClosed)
    // Not a byte of new window was granted.
    #expect(driver.takeSent() == "")
    driver.receive(frame(1, [0]))
    driver.collect()
    #expect(driver.isClosed)
  }

  @Test func `resets streams that wait for their mode byte beyond the backlog`() {
    var driver = Driver()
    driver.receive([6])
    for index in 0..<256 { driver.receive(syn(UInt32(2 * index + 1))) }
    #expect(!driver.takeSent().contains("00010008"))
    driver.receive(syn(513))
    #expect(driver.takeSent() == "000100020000020100000000" + "000100080000020100000000")
    driver.receive(frame(1, [1]))
    driver.receive(syn(515))
    #expect(driver.takeSent() == "000100020000020300000000")
  }

  @Test func `resets streams beyond the limit of a session and drops their data`() {
    var configuration = RPCConfiguration()
    configuration.streamsPerSession = 2
    var driver = multiplexed(configuration)
    driver.receive(syn(3) + frame(3, [1]) + syn(5) + frame(5, [1]) + frame(5, request(1)) + frame(3, request(2)))
    #expect(driver.takeRequests().map(\.body) == ["02"])
    #expect(driver.takeSent() == "000100020000000300000000" + "000100080000000500000000")
  }

  @Test func `limits the connections of one address`() {
    var configuration = RPCConfiguration()
    configuration.connectionsPerAddress = 3
    configuration.streamingConnectionsPerAddress = 1
    var machine = RPCMachine(configuration: configuration)
    var effects = Effects(seed: 1)
    for number in 1...4 {
      machine.handleAccepted(ConnectionID(number: UInt64(number)), from: clientAddress, at: .start, effects: &effects)
    }
    #expect(effects.outbox.directives == [.abort(ConnectionID(number: 4))])
    effects.outbox.removeAll()
    let other = SocketAddress(.v4(0x7F00_0002), port: 1)
    machine.handleAccepted(ConnectionID(number: 5), from: other, at: .start, effects: &effects)
    let streaming: [UInt8] = [5]
    for number: UInt64 in [1, 2] {
      machine.handleReceived(ConnectionID(number: number), streaming.bytes, at: .start, effects: &effects)
    }
    #expect(effects.outbox.directives == [.close(ConnectionID(number: 2))])
    effects.outbox.removeAll()
    machine.handleAccepted(ConnectionID(number: 6), from: clientAddress, at: .start, effects: &effects)
    #expect(effects.outbox.isEmpty)
    #expect(machine.connectionCount == 4)
  }

  @Test func `survives random bytes in every state`() {
    var random = RandomSource(seed: 7)
    for round in 0..<400 {
      var driver = round % 2 == 0 ? multiplexed() : Driver.dialed().0
      for _ in 0..<20 {
        var bytes: [UInt8] = []
        switch random.below(4) {
        case 0: bytes = (0..<random.below(64)).map { _ in UInt8(random.below(256)) }
        case 1:
          YamuxHeader(
            .init(rawValue: UInt8(random.below(4))) ?? .data, flags: .init(rawValue: UInt16(random.below(16))),
            stream: UInt32(random.below(6)), length: UInt32(random.below(40))
          ).encode(into: &bytes)
        case 2: bytes = frame(UInt32(random.below(6)), request(UInt8(random.below(128))))
        default: bytes = frame(UInt32(random.below(6)), (0..<random.below(40)).map { _ in UInt8(random.below(256)) })
        }
        driver.receive(bytes, chunk: 1 + random.below(30))
        for request in driver.takeRequests() { driver.respond(request.id) }
        driver.advance(by: .seconds(Int64(random.below(20))))
      }
    }
  }
}
