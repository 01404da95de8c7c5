import Base
import Raft
import Wire

/// A server of the virtual cluster: a node, its disk, its clock, and the replicated state.
package struct VirtualServer {
  package var id: String
  package var address: SocketAddress
  package var node: RaftNode?
  var disk = VirtualDisk()
  var effects: Effects
  var protocolVersion: Int64 = 3
  var rehearsal = Rehearsal()
  package var isAdaptive = true
  /// Bumped at each crash, so that events of an earlier life are ignored.
  var life = 0
  var wakeAt: Instant?
  package var appliedIndex: LogIndex = 0
  var state = RegisterState()
  package var diskLatency: (Interval, Interval) = (.microseconds(100), .milliseconds(5))
  /// What the next write meets.
  var nextWrite: Fault?
  var isDiskFull = false
  /// The outcome of a batch is being told; the next one begins after that, as in the server.
  var isReporting = false
  /// Takes no part before this: the machine stands still, packets and completions wait.
  var pausedUntil = Instant.start
  /// The server's clock: how far ahead it was at the start, and how many of its milliseconds pass in a second.
  var clockAhead = Interval.zero
  var clockRate: Int64 = 1000
  /// Proposals of clients that are not answered, by index.
  var proposals: [LogIndex: Proposal] = [:]

  /// The snapshot that the state started from.
  var base: ConsensusChecker.Position?
  /// It took over a state that the others did not; it stays away until it is removed.
  var isOutcast = false
  /// Restores that wait for their entry, by its index.
  var restorations: [LogIndex: Restoration] = [:]

  struct Proposal {
    var operation: Int
    var term: Term
  }

  struct Restoration {
    /// One write of each register.
    var operations: [Int]
    var term: Term
  }

  func local(_ time: Instant) -> Instant {
    Instant(nanoseconds: clockAhead.nanoseconds + time.nanoseconds / 1000 * clockRate)
  }

  /// The first instant of the simulation at which this clock shows at least `time`.
  func global(_ time: Instant) -> Instant {
    let since = (time - clockAhead).nanoseconds
    guard since < .max / 2 else { return .distantFuture }
    return Instant(nanoseconds: ((since + clockRate - 1) / clockRate) * 1000)
  }

  mutating func call(_ now: Instant, _ body: (inout RaftNode, inout Effects, Instant) -> Void) {
    guard var running = node else { return }
    // Taken out, so that the node is changed in place.
    node = nil
    body(&running, &effects, local(now))
    node = running
  }
}

/// Servers, network and disks under one virtual clock. Everything is drawn from one seed.
package final class VirtualCluster {
  enum Happening {
    case wake(server: Int)
    case diskDone(server: Int, life: Int)
    case connectResult(connection: Int, ok: Bool)
    case segment(connection: Int, toDialer: Bool, bytes: [UInt8])
    /// Waited in the socket of a server that stood still: paths matter no more.
    case arrived(connection: Int, toDialer: Bool, bytes: [UInt8])
    case ended(connection: Int, toDialer: Bool, StreamEnd)
    case duplicate(from: Int, to: Int, life: Int, bytes: [UInt8])
    case action(Int)
  }

  package var servers: [VirtualServer] = []
  package var random: RandomSource
  package private(set) var now = Instant.start
  var queue = EventQueue<Happening>()
  var connections: [Connection] = []
  var byID: [[ConnectionID: Int]] = []
  private var actions: [() -> Void] = []
  var paths: [[Bool]]
  package var latency: (Interval, Interval) = (.microseconds(100), .milliseconds(3))
  /// Chance that a segment resets its connection.
  package var resetChance = 0.0
  /// Chance that a segment takes up to a second longer, which lets other connections overtake.
  var lateChance = 0.0
  /// Chance that a request arrives once more, up to three seconds later, on a connection of its own.
  var duplicateChance = 0.0
  package var checker = ConsensusChecker()
  var history = History()
  package var report = SimulationReport()
  var limits: RaftLimits
  /// Takes every line of a run that is looked at closely.
  package var trace: ((String) -> Void)? {
    didSet {
      for number in servers.indices { servers[number].effects.log.minimum = trace == nil ? .error : .debug }
    }
  }
  package private(set) var eventCount = 0
  package var restores: Int { report.restores }

  package init(
    count: Int, seed: UInt64, limits: RaftLimits = RaftLimits(), flaw: PlantedFlaw? = nil,
    configure: (Int, inout VirtualServer) -> Void = { _, _ in }
  ) {
    random = RandomSource(seed: seed)
    self.limits = limits
    paths = Array(repeating: Array(repeating: true, count: count), count: count)
    for number in 0..<count {
      let address = SocketAddress(.v4(0x7F00_0101 + UInt32(number)), port: 4647)
      var server = VirtualServer(
        id: "server-\(number)", address: address, effects: Effects(seed: random.next(), minimumLogLevel: .error))
      server.rehearsal.flaw = flaw
      configure(number, &server)
      if server.protocolVersion < 3 { server.id = address.description }
      server.disk.stored = { [unowned self] entry, before in checker.stored(entry, after: before, by: number) }
      server.disk.contradiction = { [unowned self] text in checker.violation("disk of server \(number): \(text)") }
      servers.append(server)
      byID.append([:])
    }
    for number in 0..<count { start(number) }
  }

  package func raftServer(_ number: Int, _ suffrage: RaftServer.Suffrage = .voter) -> RaftServer {
    RaftServer(id: servers[number].id, address: servers[number].address.description, suffrage: suffrage)
  }

  // MARK: Life of a server

  package func start(_ number: Int) {
    precondition(servers[number].node == nil)
    guard !servers[number].isOutcast else { return }
    var configuration = RaftNodeConfiguration(
      id: servers[number].id, address: servers[number].address.description,
      protocolVersion: servers[number].protocolVersion, limits: limits)
    configuration.rehearsal = servers[number].rehearsal
    configuration.timings.isAdaptive = servers[number].isAdaptive
    let disk = servers[number].disk
    do throws(RaftError) {
      servers[number].node = try RaftNode(
        configuration: configuration, restoring: disk.restored, reader: disk, at: servers[number].local(now),
        effects: &servers[number].effects)
    } catch {
      checker.violation("server \(number) cannot restart: \(error.text)")
      return
    }
    let bounds = String(describing: disk.restored.bounds)
    note("server \(number) starts with \(disk.restored.hardState) and entries \(bounds)")
    servers[number].appliedIndex = disk.durable.snapshot?.index ?? 0
    servers[number].state = RegisterState(decoding: disk.durable.state)
    servers[number].base = disk.durable.snapshot.map { ConsensusChecker.Position(index: $0.index, term: $0.term) }
    settle(number)
  }

  /// The process dies: connections reset, disk loses what was in flight, clients never hear of their proposals.
  package func crash(_ number: Int) {
    guard servers[number].node != nil else { return }
    note("server \(number) crashes")
    report.count(.crash)
    if !servers[number].disk.isIdle {
      report.count(.crashDuringWrite)
      switch servers[number].disk.interrupt(random: &random).remains {
      case .nothing: report.count(.writeLost)
      case .part: report.count(.writeTorn)
      case .everything: report.count(.writeKept)
      }
    }
    servers[number].node = nil
    servers[number].life += 1
    servers[number].wakeAt = nil
    servers[number].pausedUntil = now
    servers[number].nextWrite = nil
    servers[number].effects.outbox.removeAll()
    servers[number].proposals.removeAll()
    servers[number].restorations.removeAll()
    for index in byID[number].values.sorted() where !connections[index].isOver {
      if connections[index].dialer == number {
        end(index, toDialer: false, .reset)
      } else if connections[index].isOpen {
        end(index, toDialer: true, .reset)
      }
    }
    byID[number] = [:]
  }

  package var leaders: [Int] { servers.indices.filter { servers[$0].node?.role == .leader } }

  /// The leader with the highest term.
  package var leader: Int? { leaders.max { (servers[$0].node?.term ?? 0) < (servers[$1].node?.term ?? 0) } }

  // MARK: Time

  package func at(_ time: Instant, _ body: @escaping () -> Void) {
    actions.append(body)
    queue.push(.action(actions.count - 1), at: time)
  }

  package func run(until end: Instant) {
    while let time = queue.nextTime, time <= end, checker.violations.isEmpty {
      now = max(now, time)
      guard let happening = queue.pop() else { break }
      eventCount += 1
      handle(happening)
    }
    now = max(now, end)
  }

  /// Runs until the condition holds; false when it does not within `limit`.
  package func run(for limit: Interval, until condition: () -> Bool) -> Bool {
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
      guard (servers[number].wakeAt ?? .distantFuture) <= now else { return }
      guard servers[number].pausedUntil <= now else {
        // Packets and clients that waited may come before the timers.
        let resumed = servers[number].pausedUntil + random.interval(.zero, .milliseconds(2))
        servers[number].wakeAt = resumed
        return queue.push(.wake(server: number), at: resumed)
      }
      servers[number].wakeAt = nil
      call(number) { $0.handleTimeout(at: $2, effects: &$1) }
    case .diskDone(let number, let life):
      guard servers[number].life == life, !wait(number, happening) else { return }
      finishWriting(number)
    case .connectResult(let index, let ok):
      guard !wait(connections[index].dialer, happening) else { return }
      connected(index, ok)
    case .segment(let index, let toDialer, let bytes):
      arrive(index, toDialer: toDialer, bytes)
    case .arrived(let index, let toDialer, let bytes):
      guard !wait(toDialer ? connections[index].dialer : connections[index].acceptor, happening) else { return }
      deliver(index, toDialer: toDialer, bytes)
    case .ended(let index, let toDialer, let end):
      guard !wait(toDialer ? connections[index].dialer : connections[index].acceptor, happening) else { return }
      deliverEnd(index, toDialer: toDialer, end)
    case .duplicate(let from, let to, let life, let bytes):
      guard !wait(to, happening) else { return }
      deliverDuplicate(from: from, to: to, life: life, bytes)
    case .action(let index):
      let body = actions[index]
      actions[index] = {}
      body()
    }
  }

  /// True when the server stands still; what happens to it then happens as soon as it moves again, in the same order.
  private func wait(_ number: Int, _ happening: Happening) -> Bool {
    guard servers[number].pausedUntil > now else { return false }
    queue.push(happening, at: servers[number].pausedUntil)
    return true
  }

  /// Calls into a node and carries out what it wants.
  package func call(_ number: Int, _ body: (inout RaftNode, inout Effects, Instant) -> Void) {
    guard servers[number].node != nil else { return }
    servers[number].call(now, body)
    settle(number)
  }

  private func settle(_ number: Int) {
    tell(number)
    carryOutNetwork(number)
    if let events = servers[number].node?.takeEvents(), !events.isEmpty { apply(events, number) }
    if servers[number].disk.isIdle, !servers[number].isReporting,
      let storage = servers[number].node?.takeStorage(), !storage.isEmpty
    {
      note("server \(number) writes \(storage.map(\.summary).joined(separator: ", "))")
      servers[number].disk.start(storage)
      var time = random.interval(servers[number].diskLatency.0, servers[number].diskLatency.1)
      if servers[number].nextWrite == .slowWrite {
        servers[number].nextWrite = nil
        report.count(.slowWrite)
        time = time + random.interval(.milliseconds(300), .seconds(2))
      }
      queue.push(.diskDone(server: number, life: servers[number].life), at: now + time)
    }
    if servers[number].disk.isIdle, !servers[number].isReporting, let node = servers[number].node,
      !node.isHalted
    {
      checker.idle(number, node.hardState, onDisk: servers[number].disk.durable.hardState)
    }
    guard let deadline = servers[number].node?.deadline.map({ max(servers[number].global($0), now) }) else { return }
    if let planned = servers[number].wakeAt, planned <= deadline { return }
    servers[number].wakeAt = deadline
    queue.push(.wake(server: number), at: deadline)
  }

  private func tell(_ number: Int) {
    guard let trace else { return servers[number].effects.log.drain { _ in } }
    let time = now.nanoseconds / 1000
    servers[number].effects.log.drain { line in
      let fields = line.fields.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
      trace("\(time) us server \(number): \(line.message) \(fields)")
    }
  }

  /// For the trace.
  func note(_ text: @autoclosure () -> String) {
    if let trace { trace("\(now.nanoseconds / 1000) us \(text())") }
  }

  private func finishWriting(_ number: Int) {
    let fault = servers[number].isDiskFull ? Fault.diskFull : servers[number].nextWrite
    servers[number].nextWrite = nil
    var result = StorageResult.done
    let directives: [StorageDirective]
    switch fault {
    case .diskFull?, .diskError?:
      // Nothing of it was written.
      directives = servers[number].disk.inFlight
      servers[number].disk.forgetInFlight()
      result = .failed(fault == .diskFull ? "no space left on device" : "input/output error")
      report.count(fault ?? .diskError)
    case .syncFailure?:
      // Nobody knows what was.
      directives = servers[number].disk.interrupt(random: &random).directives
      result = .failed("fsync failed")
      report.count(.syncFailure)
    default: directives = servers[number].disk.complete()
    }
    servers[number].isReporting = true
    for directive in directives {
      call(number) { $0.storageCompleted(directive.ticket, result, at: $2, effects: &$1) }
    }
    servers[number].isReporting = false
    if servers[number].node != nil { settle(number) }
  }

  // MARK: State

  private func apply(_ events: [RaftEvent], _ number: Int) {
    for event in events {
      switch event {
      case .committed(let entries): apply(entries, number)
      case .restoreSnapshot(let metadata, let state):
        report.restores += 1
        servers[number].appliedIndex = metadata.index
        servers[number].state = RegisterState(decoding: state)
        let position = ConsensusChecker.Position(index: metadata.index, term: metadata.term)
        servers[number].base = position
        checker.installed(position, hash: servers[number].state.hash, by: number)
      case .leadershipGained(let term):
        if let node = servers[number].node { checker.elected(number, term: term, node: node) }
      case .snapshotWanted:
        let index = servers[number].appliedIndex
        let state = servers[number].state.encoded
        let life = servers[number].life
        at(now + random.interval(.zero, .milliseconds(20))) { [unowned self] in
          guard servers[number].life == life, index <= servers[number].node?.appliedIndex ?? 0 else { return }
          report.snapshots += 1
          call(number) { $0.provideSnapshot(state, at: index, now: $2, effects: &$1) }
        }
      case .configurationChanged:
        if let node = servers[number].node, node.role == .leader {
          checker.leads(number, commitIndex: node.commitIndex, configurations: node.configurations)
        }
      case .proposalsFailed(let range):
        // They may still be committed: the clients never learn.
        for index in servers[number].proposals.keys where range.contains(index) {
          servers[number].proposals[index] = nil
        }
        for index in servers[number].restorations.keys where range.contains(index) {
          servers[number].restorations[index] = nil
        }
      case .leadershipLost, .leaderChanged, .transferFailed, .storageFailed: break
      }
    }
  }

  private func apply(_ entries: [LogEntry], _ number: Int) {
    guard let term = servers[number].node?.term else { return }
    var newest: LogEntry?
    for entry in entries {
      let (applied, base) = (servers[number].appliedIndex, servers[number].base)
      if checker.committed(entry, in: term, after: applied, from: base, by: number) { newest = entry }
      servers[number].appliedIndex = entry.index
      let found = servers[number].state.apply(entry)
      checker.state(servers[number].state.hash, at: entry.index, by: number)
      if let proposal = servers[number].proposals.removeValue(forKey: entry.index), proposal.term == entry.term {
        history.complete(proposal.operation, result: found)
      }
      if let restored = servers[number].restorations.removeValue(forKey: entry.index), restored.term == entry.term {
        for operation in restored.operations { history.complete(operation) }
      }
    }
    if let newest { checkCommit(newest, number) }
  }

  /// A snapshot holds what it covers, unless it replaced that by order of an operator and nobody knows yet whether it
  /// counts.
  private func holds(_ entry: LogEntry, _ disk: VirtualDisk) -> Bool {
    if let snapshot = disk.durable.snapshot,
      checker.isUnsettled(ConsensusChecker.Position(index: snapshot.index, term: snapshot.term))
    {
      return disk.term(at: entry.index) == entry.term
    }
    return disk.holds(entry.index, entry.term)
  }

  /// The first to commit is asked where the entry is.
  private func checkCommit(_ entry: LogEntry, _ number: Int) {
    guard let node = servers[number].node else { return }
    let voters = node.configuration.servers.filter(\.isVoter)
    let holders = voters.filter { voter in
      servers.contains { $0.address.description == voter.address && holds(entry, $0.disk) }
    }
    checker.committedFirst(entry, by: number, holders: holders.count, quorum: node.configuration.quorum)
    if node.role == .leader, let term = node.storedTerm(at: node.commitIndex) {
      checker.leaderCommits(number, term: node.term, at: node.commitIndex, of: term)
    }
  }
}

extension StorageDirective {
  /// For the trace.
  var summary: String {
    switch self {
    case .write(_, let change):
      let state = change.hardState.map { "term \($0.term) vote \($0.vote ?? "-") " } ?? ""
      let cut = change.truncateFrom.map { "cut from \($0) " } ?? ""
      let entries = change.append.first.map { "entries \($0.index) to \(change.append[change.append.count - 1].index)" }
      return state + cut + (entries ?? "")
    case .saveSnapshot(_, let metadata, _): return "snapshot of \(metadata.index)"
    case .compact(_, let index): return "compaction through \(index)"
    }
  }
}
