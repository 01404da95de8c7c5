import ArgumentParser
import Base
import CBench
import Gossip
import Harness
import Membership
import Reactor

/// `nomad-bench gossip-peer`: what `nomad-bench gossip` measures, in a process of its own.
struct GossipPeerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gossip-peer", abstract: "Answers gossip pings until it is ended.", shouldDisplay: false)

  @Flag(help: "Only send back what comes, with libuv's own UDP.") var echo = false
  @Option(help: "IPv4 address and port.") var address: String

  func run() throws {
    guard let at = SocketAddress(address) else { throw ValidationError("--address must be an address with a port.") }
    if echo {
      let code = unsafe cbench_echo("\(at.host)", at.port)
      throw HarnessError.system("echo at \(at)", "libuv error \(code)")
    }
    let peer = try GossipPeer(at: at)
    peer.run()
  }
}

/// One pool member of ours on the product's own event loop and sockets, and nothing else.
final class GossipPeer: LoopDelegate {
  private let loop: Loop
  private let shell: NetworkShell
  private var effects: Effects
  private var machine: MembershipMachine

  init(at address: SocketAddress) throws {
    loop = try Loop()
    shell = try NetworkShell(loop: loop)
    effects = Effects(seed: try Loop.randomSeed(), minimumLogLevel: .error)
    try shell.listen(.gossip, at: [address])
    var configuration = MembershipConfiguration(
      gossip: .wan(name: "bench.global", address: address), tags: ["role": "nomad"])
    configuration.admission = .anybody
    machine = MembershipMachine(configuration: configuration, at: loop.now, effects: &effects)
  }

  func run() {
    loop.setDeadline(machine.deadline)
    loop.run(self)
    loop.shutDown()
  }

  func received(datagram: RawSpan, from peer: SocketAddress, on: ListenerTag) {
    machine.handleDatagram(datagram, from: peer, at: loop.now, effects: &effects)
  }

  func makeConnectionID() -> ConnectionID { effects.outbox.makeConnectionID() }

  func accepted(_ id: ConnectionID, from peer: SocketAddress, on: ListenerTag) {
    machine.handleAccepted(id, from: peer, at: loop.now, effects: &effects)
  }

  func connected(_ id: ConnectionID) { machine.handleConnected(id, at: loop.now, effects: &effects) }

  func received(_ id: ConnectionID, _ bytes: RawSpan) {
    machine.handleReceived(id, bytes, at: loop.now, effects: &effects)
  }

  func disconnected(_ id: ConnectionID, _ end: StreamEnd) {
    machine.handleDisconnected(id, end, at: loop.now, effects: &effects)
  }

  func deadlineReached() { machine.handleTimeout(at: loop.now, effects: &effects) }

  func signal(_ signal: LoopSignal) {}

  func turnEnded() {
    _ = machine.takeEvents()
    shell.perform(&effects.outbox)
    effects.log.drain { _ in }
    loop.setDeadline(machine.deadline)
  }
}
