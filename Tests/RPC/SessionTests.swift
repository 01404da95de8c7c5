import Base
import RPC
import Testing
import Wire

/// The yamux session alone (rpc.md section 2).
@Suite struct SessionTests {
  private func events(
    _ session: inout YamuxSession, _ bytes: [UInt8], output: inout [UInt8], at now: Instant = .start
  ) throws -> [YamuxEvent] {
    var result: [YamuxEvent] = []
    var offset = 0
    while let event = try session.receive(bytes.bytes, at: &offset, now: now, output: &output) {
      if case .opened(let id) = event { session.setTag(Int(id) + 100, of: id) }
      result.append(event)
    }
    #expect(offset == bytes.count)
    return result
  }

  @Test func `answers pings at once and ignores unsolicited answers`() throws {
    var session = YamuxSession(isDialer: false, at: .start)
    var output: [UInt8] = []
    #expect(try events(&session, hex("0002000100000000000000aa 000200020000000000000005"), output: &output).isEmpty)
    #expect(hex(output) == "0002000200000000000000aa")
  }

  @Test func `accepts SYN and data and end on one frame`() throws {
    var session = YamuxSession(isDialer: false, at: .start)
    var output: [UInt8] = []
    let all = try events(&session, frame(1, [1, 2, 3], flags: 5), output: &output)
    #expect(all == [.opened(1), .data(101, 12..<15), .finished(101)])
    #expect(hex(output) == "000100020000000100000000")
    let gone = session.finish(1, output: &output)
    #expect(gone)
    #expect(session.streamCount == 0)
  }

  @Test func `a window update may carry SYN and an increment`() throws {
    var session = YamuxSession(isDialer: false, at: .start)
    var output: [UInt8] = []
    _ = try events(&session, hex("000100010000000100000100"), output: &output)
    output = []
    let start = session.beginData(&output)
    output += [UInt8](repeating: 1, count: 262_144 + 300)
    session.endData(start, of: 1, output: &output)
    #expect(output.count == 12 + 262_144 + 256)
    #expect(session.pendingCount(of: 1) == 44)
  }

  @Test func `sends what exceeds the window when the peer widens it, then its end`() throws {
    var session = YamuxSession(isDialer: true, at: .start)
    var output: [UInt8] = []
    let id = try #require(session.open(tag: 7, output: &output))
    var start = session.beginData(&output)
    output += [UInt8](repeating: 1, count: 262_144)
    session.endData(start, of: id, output: &output)
    output = []
    start = session.beginData(&output)
    output += [1, 2, 3]
    session.endData(start, of: id, output: &output)
    let gone = session.finish(id, output: &output)
    #expect(!gone)
    #expect(output == [])
    #expect(try events(&session, hex("000100000000000100000002"), output: &output) == [])
    #expect(hex(output) == "0000000000000001000000020102")
    output = []
    #expect(try events(&session, hex("000100000000000100000002"), output: &output) == [.drained(7)])
    #expect(hex(output) == "00000000000000010000000103" + "000100040000000100000000")
    #expect(try events(&session, hex("000100040000000100000000"), output: &output) == [.finished(7)])
    #expect(session.streamCount == 0)
  }

  @Test func `grants half a window when it has been used`() throws {
    var session = YamuxSession(isDialer: false, at: .start)
    var output: [UInt8] = []
    _ = try events(&session, syn(1), output: &output)
    for _ in 0..<6 { _ = try events(&session, frame(1, .init(repeating: 0, count: 40_000)), output: &output) }
    output = []
    session.consume(131_071, of: 1, output: &output)
    #expect(output == [])
    session.consume(1, of: 1, output: &output)
    #expect(hex(output) == "000100000000000100020000")
    // 22,144 were left, 131,072 were granted.
    _ = try events(&session, frame(1, .init(repeating: 0, count: 153_216)), output: &output)
    #expect(throws: YamuxFailure.windowOverrun) { try events(&session, frame(1, [0]), output: &output) }
  }

  @Test func `survives an absurd window increment`() throws {
    var session = YamuxSession(isDialer: false, at: .start)
    var output: [UInt8] = []
    _ = try events(&session, syn(1), output: &output)
    for _ in 0..<4 { _ = try events(&session, hex("0001000000000001ffffffff"), output: &output) }
    #expect(session.contains(1))
  }

  @Test func `a second end of a stream is fatal`() throws {
    var session = YamuxSession(isDialer: false, at: .start)
    var output: [UInt8] = []
    _ = try events(&session, syn(1) + frame(1, [], flags: 4), output: &output)
    output = []
    #expect(throws: YamuxFailure.duplicateFinish) { try events(&session, frame(1, [], flags: 4), output: &output) }
    #expect(hex(output) == "000300000000000000000001")
  }

  @Test func `pings after silence and gives up without an answer`() throws {
    var session = YamuxSession(isDialer: true, at: .start)
    var output: [UInt8] = []
    #expect(session.deadline == .start + .seconds(30))
    // Something was heard after 20 s: the next look is 30 s later.
    _ = try events(&session, hex("000200020000000000000063"), output: &output, at: .start + .seconds(20))
    try session.handleTimeout(at: session.deadline, output: &output)
    #expect(output == [])
    #expect(session.deadline == .start + .seconds(50))
    try session.handleTimeout(at: session.deadline, output: &output)
    #expect(hex(output) == "000200010000000000000000")
    #expect(session.deadline == .start + .seconds(60))
    _ = try events(&session, hex("000200020000000000000000"), output: &output, at: .start + .seconds(55))
    #expect(session.deadline == .start + .seconds(85))
    output = []
    try session.handleTimeout(at: session.deadline, output: &output)
    #expect(hex(output) == "000200010000000000000001")
    #expect(throws: YamuxFailure.keepaliveTimeout) {
      try session.handleTimeout(at: session.deadline, output: &output)
    }
  }

  @Test func `opens streams with growing ids of its own parity`() throws {
    var dialer = YamuxSession(isDialer: true, at: .start)
    var acceptor = YamuxSession(isDialer: false, at: .start)
    var output: [UInt8] = []
    #expect((0..<3).map { dialer.open(tag: $0, output: &output) } == [1, 3, 5])
    #expect((0..<3).map { acceptor.open(tag: $0, output: &output) } == [2, 4, 6])
    dialer.reset(5, output: &output)
    #expect(dialer.open(tag: 9, output: &output) == 7)
  }

  @Test func `does not collide with a peer that uses our ids`() throws {
    var session = YamuxSession(isDialer: false, at: .start)
    var output: [UInt8] = []
    _ = try events(&session, syn(2) + syn(0), output: &output)
    #expect(session.open(tag: 1, output: &output) == 4)
  }

  @Test func `opens at most 256 streams that the peer has not acknowledged`() throws {
    var session = YamuxSession(isDialer: true, at: .start)
    var output: [UInt8] = []
    for tag in 0..<256 { #expect(session.open(tag: tag, output: &output) != nil) }
    #expect(session.open(tag: 0, output: &output) == nil)
    // Data counts as acknowledgement, a reset gives the place back.
    _ = try events(&session, frame(1, [0]) + hex("000100080000000300000000"), output: &output)
    #expect(session.open(tag: 0, output: &output) != nil)
    #expect(session.open(tag: 0, output: &output) != nil)
    #expect(session.open(tag: 0, output: &output) == nil)
  }

  @Test func `opens nothing after the peer's go away but keeps what is open`() throws {
    var session = YamuxSession(isDialer: true, at: .start)
    var output: [UInt8] = []
    _ = session.open(tag: 1, output: &output)
    #expect(try events(&session, hex("000300000000000000000000"), output: &output) == [.goAway])
    #expect(session.isDraining)
    #expect(session.open(tag: 2, output: &output) == nil)
    #expect(try events(&session, frame(1, [9]) + syn(2), output: &output) == [.data(1, 12..<13), .opened(2)])
  }
}
