import Base
import Raft
import Wire

/// Four servers that just heard their leader for the last time, and the network between them.
struct RaftTrial {
  private struct Connection {
    var id: ConnectionID
    var peer: Int
    var peerID: ConnectionID
    /// Dialled by the peer: what is sent here are answers.
    var isAccepted: Bool
    /// Nothing was received yet.
    var isFresh: Bool
    /// When the newest bytes sent here arrive: none overtake them.
    var arrival = Instant.start
  }

  private struct Server {
    var node: RaftNode
    var effects: Effects
    var disk: VirtualLog
    var wakeAt = Instant.distantFuture
    var connections: [Connection] = []

    mutating func call(_ body: (inout RaftNode, inout Effects) -> Void) { body(&node, &effects) }
  }

  private enum Happening {
    case wake(Int)
    case connected(Int, ConnectionID, ok: Bool)
    case bytes(Int, ConnectionID, [UInt8])
  }

  private var servers: [Server] = []
  private var queue: [(time: Instant, order: Int, what: Happening)] = []
  private var order = 0
  private var now = Instant.start
  private var random: RandomSource
  private let network: ElectionNetwork
  private let crash: Instant

  static let size = 5

  private static func address(_ number: Int) -> SocketAddress {
    SocketAddress(.v4(0x0A00_0001 &+ UInt32(number)), port: 4647)
  }

  /// Server 4 is the leader that crashed; it is never heard.
  init(_ row: RaftElections.Row, _ rules: RaftElections.Rules, seed: UInt64) {
    random = RandomSource(seed: seed)
    network = ElectionNetwork(broadcast: row.broadcast)
    crash = .start + random.interval(.zero, row.minimum / 2)
    let all = (0..<Self.size).map { RaftServer(id: "server-\($0)", address: Self.address($0).description) }
    let configuration = RaftConfiguration(all)
    var lengths = Array(0..<Self.size - 1)
    lengths.shuffle(using: &random)
    for number in 0..<Self.size - 1 {
      let disk = VirtualLog()
      disk.entries = [LogEntry(index: 1, term: 1, kind: .configuration, data: configuration.encoded)]
      for extra in 0..<lengths[number] {
        disk.entries.append(LogEntry(index: LogIndex(UInt64(extra + 2)), term: 1, kind: .command, data: [1]))
      }
      var effects = Effects(seed: random.next(), minimumLogLevel: .error)
      var settings = RaftNodeConfiguration(id: "server-\(number)", address: Self.address(number).description)
      settings.timings.heartbeatTimeout = row.minimum
      settings.timings.electionTimeout = row.minimum
      // Who was just started votes for nobody for so long, and these servers have been up for ever.
      settings.timings.leaderLeaseTimeout = min(settings.timings.leaderLeaseTimeout, row.minimum / 2)
      settings.timings.timeoutSpread = row.spread
      settings.timings.isAdaptive = false
      settings.timings.retryDelayMax = row.minimum / 2
      // Also where an exchange takes longer than a timeout.
      settings.timings.votePatience = row.minimum + row.broadcast * 10
      settings.rehearsal.isOldGeneration = rules == .paper
      settings.rehearsal.keepsElectionTimer = rules == .paper
      let last = disk.entries[disk.entries.count - 1].index
      do throws(RaftError) {
        let node = try RaftNode(
          configuration: settings,
          restoring: RaftRestoredState(hardState: HardState(term: 1), bounds: LogIndex(1)...last), reader: disk,
          at: now, effects: &effects)
        servers.append(Server(node: node, effects: effects, disk: disk))
      } catch {
        preconditionFailure("the log was just written: \(error)")
      }
    }
  }

  /// From the crash until somebody leads; at most `RaftElections.limit`.
  mutating func run() -> Interval {
    for number in servers.indices { settle(number) }
    let end = crash + RaftElections.limit
    while let item = pop(), item.time < end {
      now = max(now, item.time)
      handle(item.what)
      if servers.contains(where: { $0.node.role == .leader }) { return max(.zero, now - crash) }
    }
    return RaftElections.limit
  }

  private mutating func handle(_ what: Happening) {
    let now = now
    switch what {
    case .wake(let number):
      guard servers[number].wakeAt <= now else { return }
      servers[number].wakeAt = .distantFuture
      servers[number].call { $0.handleTimeout(at: now, effects: &$1) }
      settle(number)
    case .connected(let number, let id, let ok):
      if ok {
        servers[number].call { $0.handleConnected(id, at: now, effects: &$1) }
      } else {
        servers[number].call { $0.handleDisconnected(id, .timedOut, at: now, effects: &$1) }
      }
      settle(number)
    case .bytes(let number, let id, var bytes):
      guard let position = servers[number].connections.firstIndex(where: { $0.id == id }) else { return }
      if servers[number].connections[position].isFresh {
        servers[number].connections[position].isFresh = false
        // The byte that says "Raft" is the acceptor's business.
        bytes.removeFirst()
        let peer = Self.address(servers[number].connections[position].peer)
        servers[number].call { $0.handleAccepted(id, from: peer, at: now, effects: &$1) }
      }
      if !bytes.isEmpty {
        servers[number].call { $0.handleReceived(id, bytes.bytes, at: now, effects: &$1) }
      }
      settle(number)
    }
  }

  /// Carries out what a server wants. The time of its disk is a part of its answers'; a candidate's own vote is written
  /// while the others are asked.
  private mutating func settle(_ number: Int) {
    let now = now
    while true {
      let outbox = servers[number].effects.outbox
      servers[number].effects.outbox.removeAll()
      for directive in outbox.directives { perform(directive, outbox.arena, number) }
      _ = servers[number].node.takeEvents()
      let storage = servers[number].node.takeStorage()
      if storage.isEmpty { break }
      for directive in storage {
        servers[number].disk.carryOut(directive)
        servers[number].call { $0.storageCompleted(directive.ticket, .done, at: now, effects: &$1) }
      }
    }
    guard let deadline = servers[number].node.deadline else { return }
    let due = max(deadline, now)
    guard due < servers[number].wakeAt else { return }
    servers[number].wakeAt = due
    push(.wake(number), at: due)
  }

  private mutating func perform(_ directive: Outbox.Directive, _ arena: [UInt8], _ number: Int) {
    switch directive {
    case .connect(let id, let address, let within):
      guard let target = servers.indices.first(where: { Self.address($0) == address }) else {
        return push(.connected(number, id, ok: false), at: now + within)
      }
      // Connections between servers stand; only the crashed one's do not.
      let peerID = servers[target].effects.outbox.makeConnectionID()
      servers[number].connections.append(
        Connection(id: id, peer: target, peerID: peerID, isAccepted: false, isFresh: false))
      servers[target].connections.append(
        Connection(id: peerID, peer: number, peerID: id, isAccepted: true, isFresh: true))
      push(.connected(number, id, ok: true), at: now)
    case .send(let id, let payload):
      guard let position = servers[number].connections.firstIndex(where: { $0.id == id }) else { return }
      let connection = servers[number].connections[position]
      var latency = random.interval(.zero, network.longest)
      // What was asked for is on the disk before it is answered.
      if connection.isAccepted { latency = latency + random.interval(.zero, network.longest) }
      let arrival = max(now + latency, connection.arrival)
      servers[number].connections[position].arrival = arrival
      push(.bytes(connection.peer, connection.peerID, Array(arena[payload])), at: arrival)
    case .close(let id), .abort(let id): servers[number].connections.removeAll { $0.id == id }
    case .datagram, .pauseReading, .resumeReading: break
    }
  }

  private mutating func push(_ what: Happening, at time: Instant) {
    order += 1
    queue.append((time, order, what))
  }

  /// A handful of events; no heap is worth it.
  private mutating func pop() -> (time: Instant, order: Int, what: Happening)? {
    guard let first = queue.indices.min(by: { (queue[$0].time, queue[$0].order) < (queue[$1].time, queue[$1].order) })
    else { return nil }
    return queue.remove(at: first)
  }
}

/// How long a request, the write that it causes, and the answer take: each anything from nothing to `longest`.
struct ElectionNetwork {
  let longest: Interval

  /// `broadcast`: until the slowest of four answers is there, on average. The mean of the greatest of four sums of
  /// three numbers from 0 to 1 is 2.02.
  init(broadcast: Interval) { longest = broadcast * 100 / 202 }
}

/// A disk that is done at once.
final class VirtualLog: LogReader {
  var entries: [LogEntry] = []

  func carryOut(_ directive: StorageDirective) {
    guard case .write(_, let change) = directive else { return }
    if let cut = change.truncateFrom { entries.removeAll { $0.index >= cut } }
    entries.append(contentsOf: change.append)
  }

  func entries(in range: ClosedRange<LogIndex>, maximumBytes: Int) -> [LogEntry] {
    entries.filter { range.contains($0.index) }
  }

  func term(at index: LogIndex) -> Term? { entries.first { $0.index == index }?.term }
}
