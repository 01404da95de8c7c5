import Base

@testable import Server

/// Bootstrap machines over a virtual network and virtual disks: one seed draws everything.
///
/// Gossip is modelled by what matters here: who has heard of whom. Two servers that exchange state learn everything the
/// other knows; a server out of reach for `failureAfter` counts as not alive; after a restart a server knows only the
/// addresses it has kept, and counts them as unreached until it meets them again.
struct BootstrapNetwork {
  struct Node {
    var machine: BootstrapMachine
    var disk = BootstrapRecord()
    var pendingWrites: [BootstrapRecord] = []
    var isUp = false
    var isPristine = true
    var known: Set<Int> = []
    var keptAddresses: Set<Int> = []
    var unreachableSince: [Int: Instant] = [:]
    var incarnation = 0
    var timeoutAt: Instant?
  }

  enum Event {
    case start(Int)
    case crash(Int)
    case exchange(Int)
    case refresh(Int)
    case persisted(Int, incarnation: Int)
    case request(from: Int, to: Int, BootstrapCallID, incarnation: Int, BootstrapRequest)
    case reply(to: Int, BootstrapCallID, incarnation: Int, BootstrapReply)
    case lost(Int, BootstrapCallID, incarnation: Int)
    case partition([Int])
    case timeout(Int)
    case quiet
  }

  let expect: Int
  var nodes: [Node] = []
  var queue: [(at: Instant, order: Int, event: Event)] = []
  var order = 0
  var now = Instant.start
  var random: RandomSource
  var side: [Int]
  var loss: Double
  var faultsOver = false
  var tokens: [UInt64: (node: Int, from: Int, call: BootstrapCallID, incarnation: Int)] = [:]
  var nextToken: UInt64 = 1
  /// Every first configuration that any server was told to write.
  var decided: Set<[BootstrapServer]> = []
  let failureAfter = Interval.seconds(2)
  /// One way.
  var latency = (Interval.microseconds(50), Interval.milliseconds(30))

  init(seed: UInt64, servers: Int, expect: Int) {
    self.expect = expect
    random = RandomSource(seed: seed)
    side = Array(repeating: 0, count: servers)
    loss = random.chance(0.5) ? random.fraction() * 0.3 : 0
    for index in 0..<servers {
      nodes.append(Node(machine: Self.machine(index, expect: expect, disk: BootstrapRecord(), view: .empty, at: now)))
      if index != 0 { nodes[index].keptAddresses = [0] }
      schedule(.start(index), in: random.interval(.zero, .milliseconds(400)))
    }
    for _ in 0..<random.below(6) {
      schedule(.partition((0..<servers).map { _ in random.below(2) }), in: random.interval(.zero, .seconds(8)))
    }
    for _ in 0..<random.below(6) {
      schedule(.crash(random.below(servers)), in: random.interval(.zero, .seconds(8)))
    }
    schedule(.quiet, in: .seconds(10))
  }

  static func server(_ index: Int) -> BootstrapServer {
    BootstrapServer(id: "id-\(index * 7 % 10)-\(index)", address: "127.0.0.\(index + 1):4647")
  }

  static func machine(
    _ index: Int, expect: Int, disk: BootstrapRecord, view: BootstrapView, at now: Instant
  ) -> BootstrapMachine {
    BootstrapMachine(
      configuration: .init(own: server(index), name: "s\(index)", expect: expect), restoring: disk, view: view, at: now)
  }

  mutating func schedule(_ event: Event, in delay: Interval) {
    order += 1
    queue.append((now + delay, order, event))
  }

  /// Runs until the given instant; the queue is small, so the earliest event is searched for.
  mutating func run(until end: Instant) {
    while let index = queue.indices.min(by: { (queue[$0].at, queue[$0].order) < (queue[$1].at, queue[$1].order) }),
      queue[index].at <= end
    {
      let (at, _, event) = queue.remove(at: index)
      now = max(now, at)
      handle(event)
    }
    now = end
  }

  private mutating func handle(_ event: Event) {
    switch event {
    case .start(let index): start(index)
    case .crash(let index): crash(index)
    case .exchange(let index): exchange(index)
    case .refresh(let index): refresh(index)
    case .persisted(let index, let incarnation): persisted(index, incarnation)
    case .request(let from, let to, let call, let incarnation, let request):
      deliver(request, from: from, to: to, call, incarnation)
    case .reply(let to, let call, let incarnation, let reply):
      guard nodes[to].isUp, nodes[to].incarnation == incarnation else { return }
      nodes[to].machine.handle(reply: reply, to: call, at: now, random: &random)
      carryOut(to)
    case .lost(let index, let call, let incarnation):
      guard nodes[index].isUp, nodes[index].incarnation == incarnation else { return }
      nodes[index].machine.handleNoReply(to: call, reason: "lost", at: now, random: &random)
      carryOut(index)
    case .partition(let sides): if !faultsOver { side = sides }
    case .timeout(let index):
      guard nodes[index].isUp, nodes[index].timeoutAt == now else { return }
      nodes[index].timeoutAt = nil
      nodes[index].machine.handleTimeout(at: now, random: &random)
      carryOut(index)
    case .quiet:
      faultsOver = true
      loss = 0
      side = side.map { _ in 0 }
      for index in nodes.indices where !nodes[index].isUp { start(index) }
    }
  }

  private mutating func start(_ index: Int) {
    guard !nodes[index].isUp else { return }
    nodes[index].isUp = true
    nodes[index].timeoutAt = nil
    nodes[index].incarnation += 1
    nodes[index].known = []
    nodes[index].unreachableSince = [:]
    nodes[index].machine = Self.machine(
      index, expect: expect, disk: nodes[index].disk, view: view(of: index), at: now)
    carryOut(index)
    schedule(.exchange(index), in: random.interval(.zero, .milliseconds(20)))
    schedule(.refresh(index), in: .milliseconds(100))
  }

  private mutating func crash(_ index: Int) {
    guard !faultsOver, nodes[index].isUp else { return }
    nodes[index].isUp = false
    // What was being written may or may not have reached the disk.
    let kept = random.below(nodes[index].pendingWrites.count + 1)
    if kept > 0 { nodes[index].disk = nodes[index].pendingWrites[kept - 1] }
    nodes[index].pendingWrites = []
    schedule(.start(index), in: random.interval(.milliseconds(1), .seconds(4)))
  }

  private func reach(_ a: Int, _ b: Int) -> Bool { nodes[a].isUp && nodes[b].isUp && side[a] == side[b] }

  private mutating func exchange(_ index: Int) {
    guard nodes[index].isUp else { return }
    let targets = Array(nodes[index].keptAddresses.union(nodes[index].known)).sorted()
    if !targets.isEmpty {
      let target = targets[random.below(targets.count)]
      if target != index, reach(index, target), !random.chance(loss) {
        let union = nodes[index].known.union(nodes[target].known).union([index, target])
        for one in [index, target] {
          nodes[one].known = union.subtracting([one])
          nodes[one].keptAddresses.formUnion(nodes[one].known)
        }
        refreshNow(target)
      }
    }
    refreshNow(index)
    schedule(.exchange(index), in: random.interval(.milliseconds(20), .milliseconds(200)))
  }

  private mutating func refresh(_ index: Int) {
    guard nodes[index].isUp else { return }
    for other in nodes[index].known.sorted() {
      if reach(index, other) {
        nodes[index].unreachableSince[other] = nil
      } else if nodes[index].unreachableSince[other] == nil {
        nodes[index].unreachableSince[other] = now
      }
    }
    refreshNow(index)
    schedule(.refresh(index), in: .milliseconds(100))
  }

  private mutating func refreshNow(_ index: Int) {
    nodes[index].machine.update(view: view(of: index), at: now, random: &random)
    carryOut(index)
  }

  private func view(of index: Int) -> BootstrapView {
    let node = nodes[index]
    let peers = node.known.sorted().map { other in
      let since = node.unreachableSince[other]
      return BootstrapView.Peer(
        server: Self.server(other), name: "s\(other)", expect: expect,
        isAlive: since.map { now - $0 < failureAfter } ?? true)
    }
    return BootstrapView(
      peers: peers.sorted { $0.server < $1.server },
      unreachedJoinAddresses: node.keptAddresses.subtracting(node.known).subtracting([index]).count,
      isPristine: node.isPristine)
  }

  private mutating func persisted(_ index: Int, _ incarnation: Int) {
    guard nodes[index].isUp, nodes[index].incarnation == incarnation, !nodes[index].pendingWrites.isEmpty else {
      return
    }
    nodes[index].disk = nodes[index].pendingWrites.removeFirst()
    nodes[index].machine.persisted(at: now)
    carryOut(index)
  }

  private mutating func deliver(
    _ request: BootstrapRequest, from: Int, to: Int, _ call: BootstrapCallID, _ incarnation: Int
  ) {
    guard reach(from, to), !random.chance(loss) else {
      return schedule(.lost(from, call, incarnation: incarnation), in: .milliseconds(50))
    }
    let token = nextToken
    nextToken += 1
    tokens[token] = (to, from, call, incarnation)
    nodes[to].machine.handle(request: request, token: BootstrapRequestToken(number: token), at: now)
    carryOut(to)
  }

  private mutating func carryOut(_ index: Int) {
    let directives = nodes[index].machine.directives
    nodes[index].machine.directives.removeAll()
    for directive in directives {
      switch directive {
      case .persist(let record):
        nodes[index].pendingWrites.append(record)
        schedule(
          .persisted(index, incarnation: nodes[index].incarnation),
          in: .milliseconds(Int64(nodes[index].pendingWrites.count)) + random.interval(.zero, .microseconds(900)))
      case .call(let call, let server, let request):
        guard let target = nodes.indices.first(where: { Self.server($0) == server }) else { continue }
        let incarnation = nodes[index].incarnation
        schedule(
          .request(from: index, to: target, call, incarnation: incarnation, request),
          in: random.interval(latency.0, latency.1))
        // An answer that comes later finds nobody waiting.
        schedule(.lost(index, call, incarnation: incarnation), in: nodes[index].machine.callTimeout)
      case .reply(let token, let reply):
        guard let (_, from, call, incarnation) = tokens.removeValue(forKey: token.number) else { continue }
        if reach(index, from), !random.chance(loss) {
          schedule(
            .reply(to: from, call, incarnation: incarnation, reply),
            in: random.interval(latency.0, latency.1))
        } else {
          schedule(.lost(from, call, incarnation: incarnation), in: .milliseconds(50))
        }
      case .bootstrap(let servers, _):
        decided.insert(servers)
        // A crash right after may lose Raft's own write; the decided record then repeats it.
        if random.chance(0.8) { nodes[index].isPristine = false }
      }
    }
    guard let deadline = nodes[index].machine.deadline.map({ max($0, now) }), deadline != nodes[index].timeoutAt
    else { return }
    nodes[index].timeoutAt = deadline
    schedule(.timeout(index), in: deadline - now)
  }
}

extension BootstrapView {
  static let empty = BootstrapView(peers: [], unreachedJoinAddresses: 0, isPristine: true)
}
