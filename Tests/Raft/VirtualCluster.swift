import Base
import Wire

@testable import Raft

/// A server of the virtual cluster: a node, its disk, and the replicated state as a running hash.
struct VirtualServer {
  var id: String
  var address: SocketAddress
  var node: RaftNode?
  var disk = VirtualDisk()
  var effects: Effects
  /// Bumped at each crash, so that events of an earlier life are ignored.
  var life = 0
  var wakeAt: Instant?
  var appliedIndex: LogIndex = 0
  var stateHash: UInt64 = 0
  var events: [RaftEvent] = []
  var diskLatency: (Interval, Interval) = (.microseconds(100), .milliseconds(5))

  mutating func call(_ now: Instant, _ body: (inout RaftNode, inout Effects, Instant) -> Void) {
    guard var running = node else { return }
    // Taken out, so that the node is changed in place.
    node = nil
    body(&running, &effects, now)
    node = running
  }
}

/// Servers, network and disks under one virtual clock. Everything is drawn from one seed.
final class VirtualCluster {
  enum Happening {
    case wake(server: Int)
    case diskDone(server: Int, life: Int)
    case connectResult(connection: Int, ok: Bool)
    case segment(connection: Int, toDialer: Bool, bytes: [UInt8])
    case ended(connection: Int, toDialer: Bool, StreamEnd)
    case action(Int)
  }

  struct Connection {
    var dialer: Int
    var dialerLife: Int
    var dialerID: ConnectionID
    var acceptor: Int
    var acceptorLife = 0
    var acceptorID: ConnectionID?
    var acceptorSawFirstByte = false
    var isOpen = false
    var isOver = false
    /// Bytes of one direction never overtake each other.
    var lastToDialer = Instant.start
    var lastToAcceptor = Instant.start
  }

  var servers: [VirtualServer] = []
  var random: RandomSource
  private(set) var now = Instant.start
  private var queue = EventQueue<Happening>()
  private var connections: [Connection] = []
  private var byID: [[ConnectionID: Int]] = []
  private var actions: [() -> Void] = []
  /// Pairs that cannot reach each other; bytes between them are held back as by a retransmitting TCP.
  private var cut: Set<Int> = []
  var latency: (Interval, Interval) = (.microseconds(100), .milliseconds(3))
  /// Chance that a segment resets its connection.
  var resetChance = 0.0
  var checker = Checker()
  var limits: RaftLimits
  var eventCount = 0
  var restores = 0

  init(count: Int, seed: UInt64, limits: RaftLimits = RaftLimits()) {
    random = RandomSource(seed: seed)
    self.limits = limits
    for number in 0..<count {
      let address = SocketAddress(.v4(0x7F00_0101 + UInt32(number)), port: 4647)
      servers.append(
        VirtualServer(
          id: "server-\(number)", address: address,
          effects: Effects(seed: random.next(), minimumLogLevel: .error)))
      byID.append([:])
    }
    for number in 0..<count { start(number) }
  }

  func raftServer(_ number: Int, _ suffrage: RaftServer.Suffrage = .voter) -> RaftServer {
    RaftServer(id: servers[number].id, address: servers[number].address.description, suffrage: suffrage)
  }

  // MARK: Life of a server

  func start(_ number: Int) {
    precondition(servers[number].node == nil)
    let configuration = RaftNodeConfiguration(
      id: servers[number].id, address: servers[number].address.description, limits: limits)
    let disk = servers[number].disk
    do throws(RaftError) {
      servers[number].node = try RaftNode(
        configuration: configuration, restoring: disk.restored, reader: disk, at: now,
        effects: &servers[number].effects)
    } catch {
      checker.violation("server \(number) cannot restart: \(error.text)")
      return
    }
    servers[number].appliedIndex = disk.durable.snapshot?.index ?? 0
    servers[number].stateHash = Checker.hash(of: disk.durable.state)
    settle(number)
  }

  /// The process dies: connections reset, disk loses what was in flight.
  func crash(_ number: Int) {
    servers[number].node = nil
    servers[number].life += 1
    servers[number].wakeAt = nil
    servers[number].effects.outbox.removeAll()
    servers[number].disk.crash(random: &random)
    for (index, connection) in connections.enumerated() where !connection.isOver {
      if connection.dialer == number {
        end(index, toDialer: false, .reset)
      } else if connection.acceptor == number, connection.isOpen {
        end(index, toDialer: true, .reset)
      }
    }
    byID[number] = [:]
  }

  var leaders: [Int] { servers.indices.filter { servers[$0].node?.role == .leader } }

  /// The leader with the highest term.
  var leader: Int? { leaders.max { (servers[$0].node?.term ?? 0) < (servers[$1].node?.term ?? 0) } }

  // MARK: Network faults

  func setCut(_ a: Int, _ b: Int, _ isCut: Bool) {
    let key = min(a, b) * 64 + max(a, b)
    if isCut { cut.insert(key) } else { cut.remove(key) }
  }

  func isCut(_ a: Int, _ b: Int) -> Bool { cut.contains(min(a, b) * 64 + max(a, b)) }
  func healAll() { cut.removeAll() }

  // MARK: Time

  func at(_ time: Instant, _ body: @escaping () -> Void) {
    actions.append(body)
    queue.push(.action(actions.count - 1), at: time)
  }

  func run(until end: Instant) {
    while let time = queue.nextTime, time <= end, checker.violations.isEmpty {
      now = max(now, time)
      guard let happening = queue.pop() else { break }
      eventCount += 1
      handle(happening)
    }
    now = max(now, end)
  }

  /// Runs until the condition holds; false when it does not within `limit`.
  func run(for limit: Interval, until condition: () -> Bool) -> Bool {
    let end = now + limit
    while !condition() {
      guard now < end, checker.violations.isEmpty else { return false }
      run(until: min(end, now + .milliseconds(5)))
    }
    return true
  }

  private func handle(_ happening: Happening) {
    switch happening {
    case .wake(let number):
      guard servers[number].wakeAt == now || (servers[number].wakeAt ?? .distantFuture) <= now else { return }
      servers[number].wakeAt = nil
      call(number) { $0.handleTimeout(at: $2, effects: &$1) }
    case .diskDone(let number, let life):
      guard servers[number].life == life else { return }
      let fails = servers[number].disk.failsNext
      servers[number].disk.failsNext = false
      for directive in servers[number].disk.complete() {
        call(number) {
          $0.storageCompleted(directive.ticket, fails ? .failed("no space") : .done, at: $2, effects: &$1)
        }
      }
    case .connectResult(let index, let ok): connected(index, ok)
    case .segment(let index, let toDialer, let bytes): deliver(index, toDialer: toDialer, bytes)
    case .ended(let index, let toDialer, let end): deliverEnd(index, toDialer: toDialer, end)
    case .action(let index): actions[index]()
    }
  }

  /// Calls into a node and carries out what it wants.
  func call(_ number: Int, _ body: (inout RaftNode, inout Effects, Instant) -> Void) {
    guard servers[number].node != nil else { return }
    servers[number].call(now, body)
    settle(number)
  }

  private func settle(_ number: Int) {
    carryOutNetwork(number)
    if let events = servers[number].node?.takeEvents(), !events.isEmpty { apply(events, number) }
    if servers[number].disk.isIdle, servers[number].node?.storage.isEmpty == false {
      servers[number].disk.start(servers[number].node!.takeStorage())
      let done = now + random.interval(servers[number].diskLatency.0, servers[number].diskLatency.1)
      queue.push(.diskDone(server: number, life: servers[number].life), at: done)
    }
    guard let deadline = servers[number].node?.deadline.map({ max($0, now) }) else { return }
    if let planned = servers[number].wakeAt, planned <= deadline { return }
    servers[number].wakeAt = deadline
    queue.push(.wake(server: number), at: deadline)
  }

  // MARK: State

  private func apply(_ events: [RaftEvent], _ number: Int) {
    for event in events {
      servers[number].events.append(event)
      switch event {
      case .committed(let entries):
        for entry in entries {
          checker.committed(entry, after: servers[number].appliedIndex, by: number)
          servers[number].appliedIndex = entry.index
          servers[number].stateHash = Checker.combine(servers[number].stateHash, entry)
          checker.state(servers[number].stateHash, at: entry.index, by: number)
        }
      case .restoreSnapshot(let metadata, let state):
        restores += 1
        servers[number].appliedIndex = metadata.index
        servers[number].stateHash = Checker.hash(of: state)
        checker.state(servers[number].stateHash, at: metadata.index, by: number)
      case .leadershipGained(let term):
        checker.elected(number, term: term, node: servers[number].node!)
      case .snapshotWanted:
        let index = servers[number].appliedIndex
        let state = Checker.bytes(of: servers[number].stateHash)
        at(now + random.interval(.zero, .milliseconds(20))) { [self] in
          guard index <= servers[number].node?.appliedIndex ?? 0 else { return }
          call(number) { $0.provideSnapshot(state, at: index, now: $2, effects: &$1) }
        }
      case .leadershipLost, .leaderChanged, .configurationChanged, .proposalsFailed, .transferFailed, .storageFailed:
        break
      }
    }
    servers[number].events.removeFirst(max(0, servers[number].events.count - 200))
  }

  // MARK: Network

  private func carryOutNetwork(_ number: Int) {
    let outbox = servers[number].effects.outbox
    guard !outbox.isEmpty else { return }
    servers[number].effects.outbox.removeAll()
    for directive in outbox.directives {
      switch directive {
      case .connect(let id, let address, let within): dial(number, id, address, within)
      case .send(let id, let payload):
        guard let index = byID[number][id] else { continue }
        send(
          index, toDialer: connections[index].dialer != number || connections[index].dialerID != id,
          Array(outbox.arena[payload]))
      case .close(let id), .abort(let id):
        guard let index = byID[number].removeValue(forKey: id), !connections[index].isOver else { continue }
        let byDialer = connections[index].dialer == number && connections[index].dialerID == id
        end(index, toDialer: !byDialer, .finished)
      case .datagram, .pauseReading, .resumeReading: break
      }
    }
  }

  private func dial(_ number: Int, _ id: ConnectionID, _ address: SocketAddress, _ within: Interval) {
    let target = servers.firstIndex { $0.address == address }
    connections.append(
      Connection(dialer: number, dialerLife: servers[number].life, dialerID: id, acceptor: target ?? number))
    let index = connections.count - 1
    byID[number][id] = index
    let reachable = target.map { !isCut(number, $0) } ?? false
    let delay = reachable ? random.interval(latency.0, latency.1) : within
    queue.push(.connectResult(connection: index, ok: reachable), at: now + delay)
  }

  private func connected(_ index: Int, _ ok: Bool) {
    let connection = connections[index]
    guard servers[connection.dialer].life == connection.dialerLife,
      byID[connection.dialer][connection.dialerID] == index
    else { return }
    guard ok, servers[connection.acceptor].node != nil else {
      connections[index].isOver = true
      byID[connection.dialer][connection.dialerID] = nil
      return call(connection.dialer) {
        $0.handleDisconnected(connection.dialerID, ok ? .refused : .timedOut, at: $2, effects: &$1)
      }
    }
    let id = servers[connection.acceptor].effects.outbox.makeConnectionID()
    connections[index].acceptorID = id
    connections[index].acceptorLife = servers[connection.acceptor].life
    connections[index].isOpen = true
    byID[connection.acceptor][id] = index
    call(connection.dialer) { $0.handleConnected(connection.dialerID, at: $2, effects: &$1) }
  }

  private func send(_ index: Int, toDialer: Bool, _ bytes: [UInt8]) {
    let connection = connections[index]
    guard connection.isOpen, !connection.isOver else { return }
    if random.chance(resetChance) {
      end(index, toDialer: true, .reset)
      end(index, toDialer: false, .reset)
      return
    }
    var time = now + random.interval(latency.0, latency.1)
    time = max(time, toDialer ? connection.lastToDialer : connection.lastToAcceptor)
    // Chunks have no meaning: cut some.
    if bytes.count > 1, random.chance(0.1) {
      let middle = 1 + random.below(bytes.count - 1)
      queue.push(.segment(connection: index, toDialer: toDialer, bytes: Array(bytes[..<middle])), at: time)
      queue.push(.segment(connection: index, toDialer: toDialer, bytes: Array(bytes[middle...])), at: time)
    } else {
      queue.push(.segment(connection: index, toDialer: toDialer, bytes: bytes), at: time)
    }
    if toDialer { connections[index].lastToDialer = time } else { connections[index].lastToAcceptor = time }
  }

  private func end(_ index: Int, toDialer: Bool, _ end: StreamEnd) {
    let connection = connections[index]
    let last = toDialer ? connection.lastToDialer : connection.lastToAcceptor
    let time = max(now + random.interval(latency.0, latency.1), last)
    queue.push(.ended(connection: index, toDialer: toDialer, end), at: time)
    if toDialer { connections[index].lastToDialer = time } else { connections[index].lastToAcceptor = time }
  }

  private func deliver(_ index: Int, toDialer: Bool, _ bytes: [UInt8]) {
    let connection = connections[index]
    guard !connection.isOver else { return }
    if isCut(connection.dialer, connection.acceptor) {
      // TCP retransmits; order is kept because everything of this direction waits for the same instant grid.
      let retry = Instant(nanoseconds: (now.nanoseconds / 200_000_000 + 1) * 200_000_000)
      if toDialer { connections[index].lastToDialer = max(connection.lastToDialer, retry) }
      if !toDialer { connections[index].lastToAcceptor = max(connection.lastToAcceptor, retry) }
      return queue.push(.segment(connection: index, toDialer: toDialer, bytes: bytes), at: retry)
    }
    let receiver = toDialer ? connection.dialer : connection.acceptor
    guard let id = toDialer ? connection.dialerID : connection.acceptorID, byID[receiver][id] == index,
      servers[receiver].life == (toDialer ? connection.dialerLife : connection.acceptorLife)
    else { return }
    var bytes = bytes
    if !toDialer, !connection.acceptorSawFirstByte {
      precondition(bytes.removeFirst() == RaftWire.streamByte)
      connections[index].acceptorSawFirstByte = true
      let peer = servers[connection.dialer].address
      call(receiver) { $0.handleAccepted(id, from: peer, at: $2, effects: &$1) }
    }
    if !bytes.isEmpty { call(receiver) { $0.handleReceived(id, bytes.bytes, at: $2, effects: &$1) } }
  }

  private func deliverEnd(_ index: Int, toDialer: Bool, _ end: StreamEnd) {
    let connection = connections[index]
    if isCut(connection.dialer, connection.acceptor), end != .reset || connection.isOpen {
      return queue.push(.ended(connection: index, toDialer: toDialer, end), at: now + .milliseconds(200))
    }
    connections[index].isOver = true
    let receiver = toDialer ? connection.dialer : connection.acceptor
    guard let id = toDialer ? connection.dialerID : connection.acceptorID,
      byID[receiver].removeValue(forKey: id) != nil,
      servers[receiver].life == (toDialer ? connection.dialerLife : connection.acceptorLife)
    else { return }
    call(receiver) { $0.handleDisconnected(id, end, at: $2, effects: &$1) }
  }
}

/// A binary heap by time, first in first out among equals.
struct EventQueue<Event> {
  private var heap: [(time: Instant, order: Int, event: Event)] = []
  private var counter = 0

  var nextTime: Instant? { heap.first?.time }

  mutating func push(_ event: Event, at time: Instant) {
    counter += 1
    heap.append((time, counter, event))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard isBefore(child, parent) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func pop() -> Event? {
    guard !heap.isEmpty else { return nil }
    heap.swapAt(0, heap.count - 1)
    let result = heap.removeLast().event
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isBefore(child, least) { least = child }
      if least == parent { return result }
      heap.swapAt(least, parent)
      parent = least
    }
  }

  private func isBefore(_ a: Int, _ b: Int) -> Bool { (heap[a].time, heap[a].order) < (heap[b].time, heap[b].order) }
}
