import Base
import Gossip
import Harness
import Membership
import Server
import Wire

/// A membership machine of ours in a pool of Serf agents: the timing of one local network, and everybody admitted.
final class MachineMember: PoolMember, Performer {
  let name: String
  let address: SocketAddress
  private(set) var lastUserEvent = ""
  private(set) var finishedJoins: [JoinID: [JoinOutcome]] = [:]
  private(set) var hasLeft = false

  /// Answers to our query as `from: payload`, and whether its time is over.
  private(set) var answers: [String] = []
  private(set) var isQueryFinished = false
  private(set) var keyringResults: [QueryID: KeyringResult] = [:]

  private let tags: [String: String]
  private let keys: [[UInt8]]
  private var driver: Driver<MembershipMachine>?

  /// With `keys` it encrypts. It answers queries named `load` with `load of NAME`.
  init(_ name: String, tags: [String: String] = [:], keys: [[UInt8]] = [], at address: SocketAddress? = nil) throws {
    self.name = name
    self.tags = tags
    self.keys = keys
    self.address = try address ?? SocketAddress(Loopback.address(), port: 4648)
  }

  func start() throws {
    var configuration = MembershipConfiguration(gossip: .lan(name: name, address: address), tags: tags)
    configuration.admission = .anybody
    hasLeft = false
    let driver = try Driver(at: address) { [keys] now, effects in
      MembershipMachine(configuration: configuration, cipher: GossipKeyring(keys: keys), at: now, effects: &effects)
    }
    driver.settle = { [unowned self] machine, now, effects in
      let events = machine.takeEvents()
      take(events)
      for case .queryReceived(let query) in events where query.name == "load" {
        _ = machine.respond(to: query, Array("load of \(name)".utf8), at: now, effects: &effects)
      }
    }
    self.driver = driver
  }

  /// As behind a firewall that lets only streams in.
  func blockDatagrams(_ areBlocked: Bool) { driver?.dropsDatagrams = areBlocked }

  /// Says nothing to anybody.
  func crash() {
    driver?.close()
    driver = nil
  }

  func join(_ peer: SocketAddress, on stage: Stage) throws -> [JoinOutcome] {
    guard let driver else { return [] }
    let id = driver.command { $0.join([peer], at: $1, effects: &$2) }
    try stage.wait("\(name) joins \(peer)") { finishedJoins[id] != nil }
    return finishedJoins[id] ?? []
  }

  func enter(_ peer: SocketAddress, on stage: Stage) throws {
    let outcomes = try join(peer, on: stage)
    guard outcomes.allSatisfy(\.isSuccess) else { throw HarnessError.timedOut("\(name) joins \(peer): \(outcomes)") }
  }

  func sendEvent(_ name: String, _ payload: String, on stage: Stage) throws { sendUserEvent(name, payload) }
  func retag(_ tags: [String: String], on stage: Stage) throws { try setTags(tags) }

  func leave(on stage: Stage) throws {
    driver?.command { $0.leave(at: $1, effects: &$2) }
    try stage.wait("\(name) leaves") { hasLeft }
    crash()
  }

  func setTags(_ tags: [String: String]) throws {
    try driver?.command { (machine, now, effects) throws(TagError) in
      try machine.setTags(tags, at: now, effects: &effects)
    }
  }

  func ask(_ query: Query) {
    answers = []
    isQueryFinished = false
    _ = driver?.command { $0.ask(query, at: $1, effects: &$2) }
  }

  func changeKeyring(_ operation: KeyringOperation, on stage: Stage) throws -> KeyringResult {
    guard let driver else { throw HarnessError.timedOut("\(name) runs") }
    let id = driver.command { $0.changeKeyring(operation, at: $1, effects: &$2) }
    try stage.wait("\(operation) by \(name)") { keyringResults[id] != nil }
    guard let result = keyringResults[id] else { throw HarnessError.timedOut("\(operation)") }
    return result
  }

  var currentKeys: [[UInt8]] { driver?.machine.gossip.cipher?.keys ?? [] }
  /// Seconds to another member, estimated.
  func roundTrip(to other: String) -> Double? { driver?.machine.estimatedRoundTrip(to: other) }
  func forceLeave(_ name: String, prune: Bool) -> ForceLeaveOutcome? {
    driver?.command { $0.forceLeave(name, prune: prune, at: $1, effects: &$2) }
  }

  /// How often anybody was suspected here.
  var suspicions: UInt64 { driver?.machine.gossip.statistics.suspicions ?? 0 }
  /// Inputs that were not understood.
  var dropped: UInt64 { driver?.machine.gossip.statistics.dropped ?? 0 }

  func sendUserEvent(_ name: String, _ payload: String) {
    _ = driver?.command {
      $0.sendUserEvent(name: name, payload: Array(payload.utf8), mayCoalesce: false, at: $1, effects: &$2)
    }
  }

  var view: PoolView {
    var view: PoolView = [:]
    for member in driver?.machine.members ?? [] {
      view[member.name] = Self.describe(
        status: "\(member.status)", address: "\(member.address)", tags: member.tags.tags.map { ($0.key, $0.value) })
    }
    return view
  }

  /// `name address` of every member that is there, sorted like Go's.
  var living: [String] {
    (driver?.machine.members ?? []).filter { $0.status == .alive || $0.status == .leaving }
      .map { "\($0.name) \($0.address)" }.sorted()
  }

  /// Datagrams that no machine has made.
  func send(_ packets: [[UInt8]], to peer: SocketAddress) {
    for start in stride(from: 0, to: packets.count, by: 32) {
      driver?.command { _, _, effects in
        for packet in packets[start..<min(start + 32, packets.count)] {
          effects.outbox.datagram(to: peer) { $0 += packet }
        }
      }
    }
  }

  /// Hears of `count` members that do not exist.
  func learn(_ count: Int) {
    driver?.command { machine, now, effects in
      for number in 0..<count {
        var alive: [UInt8] = []
        AliveMessage.encode(
          incarnation: 1, node: Array("member\(number)".utf8),
          address: SocketAddress(.v4(0x7FF0_0001 + UInt32(number)), port: 4648), metadata: [], versions: .nomad,
          into: &alive)
        machine.handleDatagram(alive.bytes, from: address, at: now, effects: &effects)
      }
    }
  }

  /// Lamport times of the newest intents, for the report of a failure.
  var intentTimes: [String] { (driver?.machine.members ?? []).map { "\($0.name) \($0.statusTime)" } }

  func turn() { driver?.turn() }

  private func take(_ events: [MembershipEvent]) {
    for event in events {
      switch event {
      case .joinFinished(let id, let outcomes): finishedJoins[id] = outcomes
      case .leaveFinished: hasLeft = true
      case .userEvent(let name, let payload, _): lastUserEvent = "\(name) \(String(decoding: payload, as: UTF8.self))"
      case .queryAnswered(_, let from, let payload):
        answers.append("\(from): \(String(decoding: payload, as: UTF8.self))")
      case .queryFinished: isQueryFinished = true
      case .keyringOperationFinished(let id, let result): keyringResults[id] = result
      default: break
      }
    }
  }
}
