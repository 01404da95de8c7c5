import Base
import Gossip
import Membership
import Wire

/// Machines on a virtual network with a virtual clock. One seed decides everything.
struct TestNetwork {
  struct Node {
    var machine: MembershipMachine
    var effects: Effects
    var isUp = true
    var events: [MembershipEvent] = []
    var snapshot: [String] = []

    mutating func with<Result>(
      _ body: (inout MembershipMachine, inout Effects) throws -> Result
    ) rethrows -> Result {
      try body(&machine, &effects)
    }
  }

  private enum Delivery {
    case datagram(from: SocketAddress, [UInt8])
    case accepted(remote: Link, from: SocketAddress)
    case connected(ConnectionID)
    case refused(ConnectionID)
    case bytes(ConnectionID, [UInt8])
    case ended(ConnectionID)
  }

  /// One end of a stream.
  struct Link: Hashable {
    let node: Int
    let id: ConnectionID
  }

  private struct Event {
    let time: Instant
    let serial: UInt64
    let node: Int
    let delivery: Delivery
  }

  var nodes: [Node] = []
  var now = Instant.start
  var random: RandomSource
  /// Share of datagrams that get lost.
  var loss = 0.0
  var latency = Interval.microseconds(200)
  /// Pairs of nodes that cannot talk.
  var cuts: Set<[Int]> = []
  var datagrams = 0

  private var queue: [Event] = []
  private var serial: UInt64 = 0
  private var links: [Link: Link] = [:]
  private var streamTimes: [Link: Instant] = [:]

  init(seed: UInt64) { random = RandomSource(seed: seed) }

  static func address(_ node: Int) -> SocketAddress {
    SocketAddress(.v4(0x7F00_0001 + UInt32(node)), port: 4648)
  }

  static func tags(_ name: String) -> [String: String] {
    ["role": "nomad", "port": "4647", "build": "1.9.0", "region": "global", "id": name, "vsn": "1"]
  }

  /// Adds a node, or starts one again under its old number.
  @discardableResult
  mutating func start(
    _ name: String, at index: Int? = nil, lan: Bool = false, restoring snapshot: [String] = [],
    cipher: (any PacketCipher)? = nil,
    _ change: (inout MembershipConfiguration) -> Void = { _ in }
  ) -> Int {
    let number = index ?? nodes.count
    let address = Self.address(number)
    let gossip: GossipConfiguration = lan ? .lan(name: name, address: address) : .wan(name: name, address: address)
    var configuration = MembershipConfiguration(gossip: gossip, tags: Self.tags(name))
    change(&configuration)
    var effects = Effects(seed: random.next())
    let machine = MembershipMachine(
      configuration: configuration, cipher: cipher, restoring: snapshot, at: now, effects: &effects)
    let node = Node(machine: machine, effects: effects)
    if number < nodes.count { nodes[number] = node } else { nodes.append(node) }
    carryOut(number)
    return number
  }

  mutating func kill(_ node: Int) {
    nodes[node].isUp = false
    for (end, other) in links.sorted(by: { $0.key.id < $1.key.id }) where end.node == node {
      schedule(.ended(other.id), to: other.node, after: latency)
      links[end] = nil
      links[other] = nil
    }
  }

  /// Calls a command of one machine.
  @discardableResult
  mutating func call<Result>(
    _ node: Int, _ body: (inout MembershipMachine, Instant, inout Effects) throws -> Result
  ) rethrows -> Result {
    let result = try nodes[node].with { try body(&$0, now, &$1) }
    carryOut(node)
    return result
  }

  mutating func join(_ node: Int, _ targets: [Int]) {
    call(node) { machine, now, effects in
      _ = machine.join(targets.map { Self.address($0) }, at: now, effects: &effects)
    }
  }

  mutating func run(_ interval: Interval) { _ = run(within: interval) { _ in false } }

  /// Runs until the condition holds; false when it does not within the time.
  mutating func run(within interval: Interval, until condition: (TestNetwork) -> Bool) -> Bool {
    let end = now + interval
    while !condition(self) {
      var next = queue.first?.time ?? .distantFuture
      var timer: Int?
      for index in nodes.indices where nodes[index].isUp {
        if let deadline = nodes[index].machine.deadline, deadline < next {
          next = deadline
          timer = index
        }
      }
      guard next <= end else {
        now = end
        return condition(self)
      }
      now = max(now, next)
      if let timer {
        nodes[timer].with { [now] in $0.handleTimeout(at: now, effects: &$1) }
        carryOut(timer)
      } else {
        deliver(queue.removeFirst())
      }
    }
    return true
  }

  /// Statuses as `node` sees them, in the order of names: "a=alive b=failed".
  func view(_ node: Int) -> String {
    nodes[node].machine.members.map { "\($0.name)=\($0.status)" }.joined(separator: " ")
  }

  func allSee(_ text: String) -> Bool {
    nodes.indices.allSatisfy { !nodes[$0].isUp || view($0) == text }
  }

  // MARK: Internals

  private mutating func carryOut(_ node: Int) {
    let arena = nodes[node].effects.outbox.arena
    let directives = nodes[node].effects.outbox.directives
    nodes[node].effects.outbox.removeAll()
    nodes[node].effects.log.drain { _ in }
    for directive in directives {
      switch directive {
      case .datagram(let to, let range):
        datagrams += 1
        guard let target = index(of: to), isLinked(node, target), !random.chance(loss) else { continue }
        schedule(.datagram(from: Self.address(node), Array(arena[range])), to: target, after: latency)
      case .connect(let id, let to, _):
        guard let target = index(of: to), nodes[target].isUp, isLinked(node, target) else {
          schedule(.refused(id), to: node, after: latency)
          continue
        }
        schedule(.accepted(remote: Link(node: node, id: id), from: Self.address(node)), to: target, after: latency)
      case .send(let id, let range):
        guard let other = links[Link(node: node, id: id)] else { continue }
        // Streams arrive in chunks of any size.
        var start = range.lowerBound
        while start < range.upperBound {
          let end = min(range.upperBound, start + 1 + random.below(400))
          schedule(.bytes(other.id, Array(arena[start..<end])), to: other.node, after: latency, stream: other)
          start = end
        }
      case .close(let id), .abort(let id):
        guard let other = links.removeValue(forKey: Link(node: node, id: id)) else { continue }
        links[other] = nil
        schedule(.ended(other.id), to: other.node, after: latency, stream: other)
      case .pauseReading, .resumeReading: break
      }
    }
    let events = nodes[node].machine.takeEvents()
    for case .snapshotLine(let line) in events { nodes[node].snapshot.append(line) }
    nodes[node].events += events
  }

  private mutating func deliver(_ event: Event) {
    let node = event.node
    guard nodes[node].isUp else { return }
    switch event.delivery {
    case .datagram(let peer, let bytes):
      nodes[node].with { [now] in $0.handleDatagram(bytes.bytes, from: peer, at: now, effects: &$1) }
    case .accepted(let remote, let peer):
      let id = nodes[node].effects.outbox.makeConnectionID()
      let link = Link(node: node, id: id)
      links[link] = remote
      links[remote] = link
      schedule(.connected(remote.id), to: remote.node, after: latency)
      nodes[node].with { [now] in $0.handleAccepted(id, from: peer, at: now, effects: &$1) }
    case .connected(let id):
      nodes[node].with { [now] in $0.handleConnected(id, at: now, effects: &$1) }
    case .refused(let id):
      nodes[node].with { [now] in $0.handleDisconnected(id, .refused, at: now, effects: &$1) }
    case .bytes(let id, let bytes):
      nodes[node].with { [now] in $0.handleReceived(id, bytes.bytes, at: now, effects: &$1) }
    case .ended(let id):
      nodes[node].with { [now] in $0.handleDisconnected(id, .finished, at: now, effects: &$1) }
    }
    carryOut(node)
  }

  private mutating func schedule(_ delivery: Delivery, to node: Int, after delay: Interval, stream: Link? = nil) {
    var time = now + delay + random.interval(.zero, delay)
    if let stream {
      time = max(time, streamTimes[stream] ?? time)
      streamTimes[stream] = time
    }
    serial += 1
    let event = Event(time: time, serial: serial, node: node, delivery: delivery)
    var low = 0
    var high = queue.count
    while low < high {
      let middle = (low + high) / 2
      if (queue[middle].time, queue[middle].serial) < (time, serial) { low = middle + 1 } else { high = middle }
    }
    queue.insert(event, at: low)
  }

  private func index(of address: SocketAddress) -> Int? {
    nodes.indices.first { Self.address($0) == address }
  }

  private func isLinked(_ a: Int, _ b: Int) -> Bool { !cuts.contains([min(a, b), max(a, b)]) }
}
