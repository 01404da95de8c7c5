import Base
import Harness
import Raft
import Wire

/// One voter of a mixed quorum, ours or HashiCorp's.
protocol RaftPeer: Performer {
  var id: String { get }
  var address: SocketAddress { get }
  var isRunning: Bool { get }
  var isLeader: Bool { get }
  /// The address of the leader it follows (its own when it leads), or an empty text.
  var leader: String { get }
  var appliedCount: Int { get }

  /// With `servers` it writes the first configuration of a new cluster.
  func start(bootstrapping servers: [RaftServer]) throws
  /// Ends it without a word. What it stored may be gone.
  func crash()
  /// Proposes `prefix-0` to `prefix-(count - 1)`, in order.
  func apply(_ prefix: String, count: Int, on stage: Stage) throws
  func transfer(to peer: any RaftPeer, on stage: Stage) throws
  /// Everything applied, in order.
  func applied(on stage: Stage) throws -> [String]
  /// For the report of a failure.
  var account: String { get }
}

/// A node of ours. Its log survives a crash.
final class MachinePeer: RaftPeer {
  let id: String
  let address: SocketAddress
  private(set) var disk = MemoryLog()
  private var commands: [String] = []
  private var driver: Driver<RaftNode>?
  private let configuration: RaftNodeConfiguration
  private(set) var problems: [String] = []

  /// `id` is `nil` under protocol 2, where the address is the id.
  init(_ id: String?, protocolVersion: Int64, limits: RaftLimits = RaftLimits()) throws {
    address = SocketAddress(try Loopback.address(), port: 4647)
    self.id = id ?? "\(address)"
    configuration = RaftNodeConfiguration(
      id: self.id, address: "\(address)", protocolVersion: protocolVersion, limits: limits)
  }

  var isRunning: Bool { driver != nil }
  var isLeader: Bool { driver?.machine.role == .leader }
  var leader: String { driver?.machine.leader?.address ?? "" }
  var appliedCount: Int { commands.count }

  func start(bootstrapping servers: [RaftServer]) throws {
    commands = disk.snapshot.flatMap { CommandList.decode($0.state) } ?? []
    let driver = try Driver(at: address) { [configuration, disk] now, effects in
      try RaftNode(configuration: configuration, restoring: disk.restored, reader: disk, at: now, effects: &effects)
    }
    driver.settle = { [unowned self] node, now, effects in settle(&node, now, &effects) }
    self.driver = driver
    guard !servers.isEmpty else { return }
    try driver.command { (node, now, effects) throws(RaftError) in
      try node.bootstrap(servers, at: now, effects: &effects)
    }
  }

  func crash() {
    driver?.close()
    driver = nil
  }

  /// Precondition: it does not run.
  func loseDisk() {
    precondition(!isRunning)
    disk = MemoryLog()
  }

  func apply(_ prefix: String, count: Int, on stage: Stage) throws {
    try driver?.command { (node, now, effects) throws(RaftError) in
      for number in 0..<count {
        _ = try node.propose(Array("\(prefix)-\(number)".utf8), at: now, effects: &effects)
      }
    }
  }

  func transfer(to peer: any RaftPeer, on stage: Stage) throws {
    try driver?.command { (node, now, effects) throws(RaftError) in
      try node.transferLeadership(to: peer.id, at: now, effects: &effects)
    }
  }

  func applied(on stage: Stage) throws -> [String] { commands }

  var account: String {
    guard let node = driver?.machine else { return "\(id): down" }
    return "\(id): \(node.role) term \(node.term.value) leader \(leader) last \(node.lastLogIndex)"
      + " commit \(node.commitIndex) applied \(commands.count) commands \(problems)"
  }

  func turn() { driver?.turn() }

  /// Storage that is done at once, and the replicated state.
  private func settle(_ node: inout RaftNode, _ now: Instant, _ effects: inout Effects) {
    while !node.events.isEmpty || !node.storage.isEmpty {
      var isSnapshotWanted = false
      for event in node.takeEvents() {
        switch event {
        case .committed(let entries):
          commands += entries.filter { $0.kind == .command }.map { String(decoding: $0.data, as: UTF8.self) }
        case .restoreSnapshot(_, let state):
          disk.installed += 1
          if let restored = CommandList.decode(state) { commands = restored } else { problems.append("bad snapshot") }
        case .snapshotWanted: isSnapshotWanted = true
        case .storageFailed(let reason): problems.append(reason)
        case .leadershipGained, .leadershipLost, .leaderChanged, .configurationChanged, .proposalsFailed,
          .transferFailed:
          break
        }
      }
      if isSnapshotWanted {
        node.provideSnapshot(CommandList.encode(commands), at: node.appliedIndex, now: now, effects: &effects)
      }
      for directive in node.takeStorage() {
        disk.carryOut(directive)
        node.storageCompleted(directive.ticket, .done, at: now, effects: &effects)
      }
    }
  }
}
