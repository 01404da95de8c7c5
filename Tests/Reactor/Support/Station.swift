import Base
import Testing

@testable import Reactor

/// A loop with sockets that records what happens. Both ends of every stream live in one station, so a test reads like a
/// conversation. Waiting is running the loop until a condition holds, never sleeping.
final class Station: LoopDelegate {
  let loop: Loop
  let network: NetworkShell
  var outbox = Outbox()

  var datagrams: [(bytes: [UInt8], from: SocketAddress)] = []
  var accepted: [ConnectionID] = []
  var connected: [ConnectionID] = []
  var received: [ConnectionID: [UInt8]] = [:]
  var drained: [ConnectionID] = []
  var ends: [ConnectionID: StreamEnd] = [:]
  var endCount = 0
  var deadlines: [Instant] = []
  var signals: [LoopSignal] = []
  var turns = 0

  /// What the test does inside an event.
  var onAccepted: (ConnectionID) -> Void = { _ in }
  var onConnected: (ConnectionID) -> Void = { _ in }
  var onReceived: (ConnectionID) -> Void = { _ in }
  var onDisconnected: (ConnectionID) -> Void = { _ in }
  var onDatagram: () -> Void = {}
  var keepsBytes = true
  var receivedCount: [ConnectionID: Int] = [:]

  static let patience = Interval.seconds(20)

  init() throws {
    loop = try Loop()
    network = try NetworkShell(loop: loop)
  }

  /// Runs `body` with a station and checks that it leaves nothing behind.
  static func with(_ body: (Station) throws -> Void) throws {
    let station = try Station()
    defer {
      #expect(station.loop.shutDown())
      #expect(station.network.streamCount == 0)
    }
    try body(station)
  }

  /// Delivers events until `condition` holds; fails the test when it does not in time.
  func wait(
    _ what: Comment = "condition", for limit: Interval = patience, until condition: () -> Bool,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let isFulfilled = loop.run(self, within: limit, until: condition)
    #expect(isFulfilled, what, sourceLocation: sourceLocation)
  }

  /// Lets everything that is ready happen, and a little of what is not: for checks that something does not happen.
  func settle(_ time: Interval = .milliseconds(50)) {
    _ = loop.run(self, within: time) { false }
  }

  func perform() { network.perform(&outbox) }

  /// An established stream: the dialling and the accepted end.
  func makeStream(to address: SocketAddress) -> (client: ConnectionID, server: ConnectionID)? {
    let client = outbox.connect(to: address, within: .seconds(5))
    let before = accepted.count
    wait("stream") { connected.contains(client) && accepted.count > before }
    return accepted.last.map { (client, $0) }
  }

  func listen(_ tag: ListenerTag = .rpc) throws -> SocketAddress {
    try #require(network.listen(tag, at: [SocketAddress(.loopback, port: 0)]).first)
  }

  // MARK: LoopDelegate

  func received(datagram: RawSpan, from: SocketAddress, on: ListenerTag) {
    datagrams.append((datagram.copy(), from))
    onDatagram()
  }
  func makeConnectionID() -> ConnectionID { outbox.makeConnectionID() }
  func accepted(_ id: ConnectionID, from: SocketAddress, on: ListenerTag) {
    accepted.append(id)
    onAccepted(id)
  }
  func connected(_ id: ConnectionID) {
    connected.append(id)
    onConnected(id)
  }
  func received(_ id: ConnectionID, _ bytes: RawSpan) {
    receivedCount[id, default: 0] += bytes.byteCount
    if keepsBytes { received[id, default: []].append(contentsOf: bytes) }
    onReceived(id)
  }
  func drained(_ id: ConnectionID) { drained.append(id) }
  func disconnected(_ id: ConnectionID, _ end: StreamEnd) {
    ends[id] = end
    endCount += 1
    onDisconnected(id)
  }
  func deadlineReached() { deadlines.append(loop.now) }
  func signal(_ signal: LoopSignal) { signals.append(signal) }
  func turnEnded() {
    turns += 1
    perform()
  }
}
