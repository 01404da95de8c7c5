import Base
import Gossip

/// Gossip machines, and nothing else, on a virtual network: two thousand members and minutes of gossip in seconds.
/// Everything is drawn from one seed, so a seed repeats a run exactly.
final class GossipNetwork {
  struct Rules {
    /// Share of datagrams lost, everywhere.
    var loss = 0.0
    var latencyMin = Interval.microseconds(200)
    var latencyMax = Interval.milliseconds(1)
    /// How long a member takes for each of the packets that wait when its block ends. What it does not reach before the
    /// next block waits on.
    var handlingTime = Interval.zero
    /// Bytes a second on a stream.
    var streamRate: Int64 = 12_500_000
    /// memberlist's gossip ticks, whether something waits or not.
    var hasStrictTicks = true
  }

  var now = Instant.start
  var random: RandomSource
  var rules: Rules
  var members: [VirtualMember] = []
  var streams: [VirtualStream] = []
  var events = EventHeap()
  var eventCount = 0
  var packets: [(bytes: [UInt8], from: Int)] = []
  private var freePackets: [Int] = []
  private var actions: [() -> Void] = []
  /// Called after each event at a member; for experiments that watch every change.
  var observer: ((_ member: Int) -> Void)?

  static let basePort: UInt16 = 7946

  init(seed: UInt64, rules: Rules = Rules()) {
    random = RandomSource(seed: seed)
    self.rules = rules
  }

  static func address(_ number: Int) -> SocketAddress {
    SocketAddress(.v4(0x0A00_0001 &+ UInt32(number)), port: basePort)
  }

  /// The last digit comes first: names that differ early are compared soon.
  static func name(_ number: Int) -> String {
    let digits = String(number)
    return String(digits.reversed()) + String(repeating: "0", count: max(0, 5 - digits.count)) + "-member"
  }

  /// The member of an address.
  private func number(of address: SocketAddress) -> Int? {
    guard case .v4(let host) = address.host, host >= 0x0A00_0001 else { return nil }
    let number = Int(host - 0x0A00_0001)
    return number < members.count ? number : nil
  }

  /// The member of a name.
  static func number(of name: [UInt8]) -> Int {
    name.prefix(5).reversed().reduce(0) { $0 * 10 + Int($1 - 48) }
  }

  @discardableResult
  func add(
    relation: Kinship = .stranger, _ configure: (String, SocketAddress) -> GossipConfiguration
  ) -> Int {
    let number = members.count
    let configuration = configure(Self.name(number), Self.address(number))
    members.append(
      VirtualMember(
        configuration, relation: relation, hasStrictTicks: rules.hasStrictTicks, seed: random.next(), at: now))
    settle(number)
    return number
  }

  /// Makes everybody know everybody, with nothing left to gossip.
  func introduceAll() {
    let all = members.indices.map { (name: Array(Self.name($0).utf8), address: Self.address($0)) }
    for number in members.indices {
      members[number].learn(all, at: now)
      members[number].layer.returns.removeAll()
      members[number].layer.viewChanges = 0
      settle(number)
    }
  }

  // MARK: Time

  func at(_ time: Instant, _ body: @escaping () -> Void) {
    actions.append(body)
    events.push(.action, subject: actions.count - 1, at: max(time, now))
  }

  func run(until end: Instant) {
    while let time = events.nextTime, time <= end, let event = events.pop() {
      now = max(now, time)
      eventCount += 1
      handle(event)
    }
    now = max(now, end)
  }

  private func handle(_ event: EventHeap.Event) {
    let subject = Int(event.subject)
    switch event.kind {
    case .wake:
      guard members[subject].wakeAt == event.time, members[subject].isRunning else { return }
      members[subject].wakeAt = .distantFuture
      // The end of the stall wakes the member.
      if members[subject].stalledUntil > now { return }
      if members[subject].blockedUntil > now {
        members[subject].wakeBlocked(at: now)
      } else {
        members[subject].wake(at: now)
      }
      settle(subject)
    case .unblocked:
      guard members[subject].isRunning else { return }
      members[subject].unblock(at: now)
      settle(subject)
    case .datagram: deliver(Int(event.detail), to: subject)
    case .accepted, .connected, .refused, .received, .ended:
      handleStream(event.kind, subject, toDialer: event.detail == 1)
    case .action: actions[subject]()
    }
  }

  /// Ends the run. Planned actions and the observer know the network: without this, neither would ever be freed.
  func finish() {
    actions.removeAll()
    events = EventHeap()
    observer = nil
  }

  // MARK: Members

  /// Calls into a member from outside.
  func with(_ number: Int, _ body: (inout VirtualMember, Instant) -> Void) {
    members[number].passTicks(at: now)
    body(&members[number], now)
    settle(number)
  }

  /// What the member sends and what is sent to it is held until then. As in memberlist, a loop hangs in its first send,
  /// and suspicions end in time. When the block ends the loops come first, then what has arrived, in its order.
  func block(_ number: Int, until end: Instant) {
    members[number].blockedUntil = end
    events.push(.unblocked, subject: number, at: end)
  }

  /// The process stands still: nothing passes, and no timer runs, until then. Timers that are due come first, as in an
  /// event loop.
  func stall(_ number: Int, until end: Instant) {
    members[number].stalledUntil = end
    block(number, until: end)
  }

  func crash(_ number: Int) { members[number].isRunning = false }

  /// Carries out what a member wants, and plans its next wake-up.
  func settle(_ number: Int) {
    if !members[number].effects.outbox.isEmpty { perform(number) }
    observer?(number)
    guard members[number].stalledUntil <= now, let deadline = members[number].deadline else { return }
    let due = max(deadline, now)
    guard due < members[number].wakeAt else { return }
    members[number].wakeAt = due
    events.push(.wake, subject: number, at: due)
  }

  private func perform(_ number: Int) {
    var outbox = Outbox()
    swap(&outbox, &members[number].effects.outbox)
    for directive in outbox.directives {
      switch directive {
      case .datagram(let address, let payload):
        members[number].packetsSent += 1
        members[number].bytesSent += UInt64(payload.count)
        guard let target = self.number(of: address), let arrival = passage(from: number, to: target) else { continue }
        let slot = freePackets.popLast() ?? packets.count
        if slot == packets.count { packets.append(([], number)) }
        packets[slot].from = number
        packets[slot].bytes.removeAll(keepingCapacity: true)
        packets[slot].bytes.append(contentsOf: outbox.arena[payload])
        events.push(.datagram, subject: target, detail: slot, at: arrival)
      case .connect(let id, let address, let within): dial(number, id, self.number(of: address), within)
      case .send(let id, let payload): send(number, id, Array(outbox.arena[payload]))
      case .close(let id), .abort(let id): close(number, id)
      case .pauseReading, .resumeReading: break
      }
    }
    outbox.removeAll()
    swap(&outbox, &members[number].effects.outbox)
  }

  // MARK: Datagrams

  var latency: Interval { random.interval(rules.latencyMin, rules.latencyMax) }

  /// When a datagram that is sent now arrives; nil: never.
  private func passage(from sender: Int, to target: Int) -> Instant? {
    let loss = lossRate(from: sender, to: target)
    if loss > 0, random.chance(loss) { return nil }
    let arrival = release(of: sender, at: now) + latency
    return arrival < members[target].blockedUntil ? nextHandling(target) : arrival
  }

  /// When a packet that arrives at a blocked member is looked at: after those before it.
  private func nextHandling(_ target: Int) -> Instant {
    let time = max(members[target].blockedUntil, members[target].busyUntil) + rules.handlingTime
    members[target].busyUntil = time
    return time
  }

  /// A blocked member's traffic passes at the end of the block.
  func release(of member: Int, at time: Instant) -> Instant { max(time, members[member].blockedUntil) }

  func lossRate(from sender: Int, to target: Int) -> Double {
    let passes = (1 - rules.loss) * (1 - members[sender].egressLoss) * (1 - members[target].ingressLoss)
    return 1 - passes
  }

  private func deliver(_ slot: Int, to target: Int) {
    if members[target].blockedUntil > now {
      return events.push(.datagram, subject: target, detail: slot, at: nextHandling(target))
    }
    if members[target].isRunning {
      members[target].receive(packets[slot].bytes, from: Self.address(packets[slot].from), at: now)
      settle(target)
    }
    freePackets.append(slot)
  }
}
