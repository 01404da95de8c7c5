import Base
import Testing
import Wire

@testable import Raft

@Suite struct TransportTests {
  let now = Instant(nanoseconds: 5_000_000_000)
  let peer = RaftServer(id: "n2", address: "127.0.0.2:4647")

  private func makeTransport() -> (RaftTransport, Effects) {
    (RaftTransport(timings: RaftTimings(), limits: RaftLimits()), Effects(seed: 1, minimumLogLevel: .error))
  }

  private var heartbeat: RaftRequest {
    .appendEntries(AppendEntriesRequest(header: RaftHeader(protocolVersion: 3), term: 2, leader: "127.0.0.1:4647"))
  }

  private func response(_ index: LogIndex) -> RaftReply {
    RaftReply(
      .appendEntries(
        AppendEntriesResponse(header: RaftHeader(protocolVersion: 3), term: 2, lastIndex: index, success: true)))
  }

  @Test func dialsOnceAndWritesTheFirstByteOnce() throws {
    var (transport, effects) = makeTransport()
    transport.send(heartbeat, to: peer, .heartbeat, .heartbeat(2), at: now, effects: &effects)
    transport.send(heartbeat, to: peer, .heartbeat, .heartbeat(2), at: now, effects: &effects)
    guard case .connect(let id, let address, _)? = effects.outbox.directives.first else { throw WireError.malformed }
    #expect(effects.outbox.directives.count == 1 && address.description == peer.address)
    #expect(transport.owns(id))
    effects.outbox.removeAll()
    transport.handleConnected(id, at: now, effects: &effects)
    var expected: [UInt8] = [2]
    heartbeat.encode(into: &expected)
    heartbeat.encode(into: &expected)
    #expect(effects.outbox.arena == expected)
  }

  @Test func heartbeatsAndReplicationHaveConnectionsOfTheirOwn() {
    var (transport, effects) = makeTransport()
    transport.send(heartbeat, to: peer, .heartbeat, .heartbeat(2), at: now, effects: &effects)
    transport.send(heartbeat, to: peer, .replication, .vote(2), at: now, effects: &effects)
    #expect(effects.outbox.directives.count == 2)
  }

  @Test func silenceEndsTheExchangeAndTheConnection() throws {
    var (transport, effects) = makeTransport()
    transport.send(heartbeat, to: peer, .heartbeat, .heartbeat(2), at: now, effects: &effects)
    guard case .connect(let id, _, _)? = effects.outbox.directives.first else { throw WireError.malformed }
    transport.handleConnected(id, at: now, effects: &effects)
    #expect(transport.deadline == now + .seconds(1))
    transport.handleTimeout(at: now + .seconds(1), effects: &effects)
    #expect(effects.outbox.directives.last == .abort(id))
    #expect(transport.arrivals.count == 1 && !transport.owns(id))
    guard case .failure(.heartbeat(2), "n2", false)? = transport.arrivals.first else { throw WireError.malformed }
  }

  @Test func repliesWithoutARequestEndTheConnection() throws {
    var (transport, effects) = makeTransport()
    transport.send(heartbeat, to: peer, .heartbeat, .heartbeat(2), at: now, effects: &effects)
    guard case .connect(let id, _, _)? = effects.outbox.directives.first else { throw WireError.malformed }
    transport.handleConnected(id, at: now, effects: &effects)
    var bytes: [UInt8] = []
    response(1).encode(into: &bytes)
    response(2).encode(into: &bytes)
    transport.handleReceived(id, bytes.bytes, at: now, effects: &effects)
    #expect(transport.arrivals.count == 1 && !transport.owns(id))
  }

  @Test func repliesLeaveInTheOrderOfTheRequests() {
    var (transport, effects) = makeTransport()
    let id = ConnectionID(number: 77)
    transport.handleAccepted(id, from: SocketAddress(.loopback, port: 1), at: now, effects: &effects)
    var bytes: [UInt8] = []
    for _ in 0..<3 { heartbeat.encode(into: &bytes) }
    transport.handleReceived(id, bytes.bytes, at: now, effects: &effects)
    #expect(transport.arrivals.count == 3)
    func reply(_ sequence: UInt64) {
      transport.reply(
        response(LogIndex(sequence)), to: ReplyToken(connection: id, sequence: sequence), effects: &effects)
    }
    reply(2)
    reply(1)
    #expect(effects.outbox.arena.isEmpty)
    reply(0)
    var expected: [UInt8] = []
    for index in UInt64(0)..<3 { response(LogIndex(index)).encode(into: &expected) }
    #expect(effects.outbox.arena == expected)
  }

  @Test func aFloodOfUnansweredRequestsPausesReading() {
    var (transport, effects) = makeTransport()
    let id = ConnectionID(number: 77)
    transport.handleAccepted(id, from: SocketAddress(.loopback, port: 1), at: now, effects: &effects)
    var bytes: [UInt8] = []
    for _ in 0..<(RaftTransport.maximumUnanswered + 50) { heartbeat.encode(into: &bytes) }
    transport.handleReceived(id, bytes.bytes, at: now, effects: &effects)
    #expect(transport.arrivals.count == RaftTransport.maximumUnanswered)
    #expect(effects.outbox.directives == [.pauseReading(id)])
    for sequence in 0..<RaftTransport.maximumUnanswered {
      transport.reply(response(1), to: ReplyToken(connection: id, sequence: UInt64(sequence)), effects: &effects)
    }
    #expect(effects.outbox.directives.contains(.resumeReading(id)))
    #expect(transport.arrivals.count == RaftTransport.maximumUnanswered + 50)
  }

  @Test func garbageEndsTheAcceptedConnection() {
    var (transport, effects) = makeTransport()
    let id = ConnectionID(number: 77)
    transport.handleAccepted(id, from: SocketAddress(.loopback, port: 1), at: now, effects: &effects)
    let garbage = Array("GET / HTTP/1.1".utf8)
    transport.handleReceived(id, garbage.bytes, at: now, effects: &effects)
    #expect(effects.outbox.directives == [.abort(id)])
    #expect(!transport.owns(id))
  }

  @Test func tooManyConnectionsCostTheQuietestOne() {
    var (transport, effects) = makeTransport()
    for number in 0...RaftTransport.maximumAccepted {
      transport.handleAccepted(
        ConnectionID(number: UInt64(number + 1)), from: SocketAddress(.loopback, port: 1),
        at: now + .milliseconds(Int64(number)), effects: &effects)
    }
    #expect(transport.accepted.count == RaftTransport.maximumAccepted)
    #expect(effects.outbox.directives == [.abort(ConnectionID(number: 1))])
  }

  @Test func unknownConnectionsAreIgnored() {
    var (transport, effects) = makeTransport()
    let bytes: [UInt8] = [1, 2, 3]
    transport.handleReceived(ConnectionID(number: 5), bytes.bytes, at: now, effects: &effects)
    transport.handleConnected(ConnectionID(number: 5), at: now, effects: &effects)
    transport.handleDisconnected(ConnectionID(number: 5), .reset, effects: &effects)
    #expect(effects.outbox.isEmpty && transport.arrivals.isEmpty)
  }

  @Test func anAddressThatIsNoAddressFailsAtOnce() {
    var (transport, effects) = makeTransport()
    let server = RaftServer(id: "n2", address: "server.example:4647")
    transport.send(heartbeat, to: server, .heartbeat, .heartbeat(2), at: now, effects: &effects)
    #expect(transport.arrivals.count == 1 && effects.outbox.isEmpty)
  }
}
