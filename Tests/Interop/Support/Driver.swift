import Base
import Harness
import Membership
import Raft
import Reactor

/// What a machine must offer to be run on real sockets by a `Driver`.
protocol DrivenMachine {
  mutating func handleDatagram(_ bytes: RawSpan, from peer: SocketAddress, at now: Instant, effects: inout Effects)
  mutating func handleAccepted(_ id: ConnectionID, from peer: SocketAddress, at now: Instant, effects: inout Effects)
  mutating func handleConnected(_ id: ConnectionID, at now: Instant, effects: inout Effects)
  mutating func handleReceived(_ id: ConnectionID, _ bytes: RawSpan, at now: Instant, effects: inout Effects)
  mutating func handleDisconnected(_ id: ConnectionID, _ end: StreamEnd, at now: Instant, effects: inout Effects)
  mutating func handleTimeout(at now: Instant, effects: inout Effects)
  var deadline: Instant? { get }

  /// The service its listener belongs to.
  static var tag: ListenerTag { get }
  /// The byte with which a peer announces this protocol on a stream; the listener consumes it.
  static var announcement: UInt8? { get }
}

extension MembershipMachine: DrivenMachine {
  static var tag: ListenerTag { .gossip }
  static var announcement: UInt8? { nil }
}

extension RaftNode: DrivenMachine {
  static var tag: ListenerTag { .rpc }
  static var announcement: UInt8? { 0x02 }

  mutating func handleDatagram(
    _ bytes: RawSpan, from peer: SocketAddress, at now: Instant, effects: inout Effects
  ) {}
}

/// One machine on the product's own event loop and sockets. Every driver has a loop of its own; a `Stage` lets them
/// take turns.
final class Driver<Machine: DrivenMachine>: LoopDelegate {
  private(set) var machine: Machine
  /// Takes the machine's outputs, other than those for the network, after every call.
  var settle: ((inout Machine, Instant, inout Effects) -> Void)?

  var dropsDatagrams = false

  private let loop: Loop
  private let shell: NetworkShell
  private var effects: Effects
  /// Inbound streams whose first byte has not come yet.
  private var unannounced: [ConnectionID: SocketAddress] = [:]

  /// Listens on `address` and makes the machine.
  init(at address: SocketAddress, _ make: (Instant, inout Effects) throws -> Machine) throws {
    loop = try Loop()
    var effects = Effects(seed: try Loop.randomSeed(), minimumLogLevel: .error)
    do {
      shell = try NetworkShell(loop: loop)
      try shell.listen(Machine.tag, at: [address])
      machine = try make(MonotonicClock.now(), &effects)
    } catch {
      loop.shutDown()
      throw error
    }
    self.effects = effects
  }

  deinit { loop.shutDown() }

  /// Ends all streams and stops listening, as the death of the process would.
  func close() { shell.close() }

  /// Serves what is ready, and waits up to a millisecond for more.
  func turn() { _ = loop.run(self, within: .milliseconds(1)) { false } }

  func command<Result, Failure: Error>(
    _ body: (inout Machine, Instant, inout Effects) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    defer { turnEnded() }
    return try body(&machine, MonotonicClock.now(), &effects)
  }

  // MARK: LoopDelegate

  func received(datagram: RawSpan, from peer: SocketAddress, on: ListenerTag) {
    guard !dropsDatagrams else { return }
    machine.handleDatagram(datagram, from: peer, at: loop.now, effects: &effects)
  }

  func makeConnectionID() -> ConnectionID { effects.outbox.makeConnectionID() }

  func accepted(_ id: ConnectionID, from peer: SocketAddress, on: ListenerTag) {
    if Machine.announcement == nil {
      machine.handleAccepted(id, from: peer, at: loop.now, effects: &effects)
    } else {
      unannounced[id] = peer
    }
  }

  func connected(_ id: ConnectionID) { machine.handleConnected(id, at: loop.now, effects: &effects) }

  func received(_ id: ConnectionID, _ bytes: RawSpan) {
    guard let peer = unannounced.removeValue(forKey: id) else {
      return machine.handleReceived(id, bytes, at: loop.now, effects: &effects)
    }
    guard bytes.byteCount > 0, bytes.byte(at: 0) == Machine.announcement else { return effects.outbox.abort(id) }
    machine.handleAccepted(id, from: peer, at: loop.now, effects: &effects)
    guard bytes.byteCount > 1 else { return }
    machine.handleReceived(id, bytes.extracting(1..<bytes.byteCount), at: loop.now, effects: &effects)
  }

  func disconnected(_ id: ConnectionID, _ end: StreamEnd) {
    guard unannounced.removeValue(forKey: id) == nil else { return }
    machine.handleDisconnected(id, end, at: loop.now, effects: &effects)
  }

  func deadlineReached() {
    if let deadline = machine.deadline, deadline <= loop.now { machine.handleTimeout(at: loop.now, effects: &effects) }
  }

  func signal(_ signal: LoopSignal) {}

  func turnEnded() {
    settle?(&machine, MonotonicClock.now(), &effects)
    shell.perform(&effects.outbox)
    loop.setDeadline(machine.deadline)
    effects.log.drain { print("\($0.module): \($0.message) \($0.fields.map { "\($0.key)=\($0.value)" })") }
  }
}
