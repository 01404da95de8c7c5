import Base
import RaftSimulator
import Testing
import Wire

@testable import Raft

/// One machine without a network: requests in, replies and disk directives out.
struct MachineFixture {
  var machine: RaftMachine
  var effects = Effects(seed: 1, minimumLogLevel: .error)
  let disk: VirtualDisk
  var now = Instant(nanoseconds: 1_000_000_000)
  private var sequence: UInt64 = 0

  static func address(_ number: Int) -> String { "127.0.0.\(number):4647" }
  static func server(_ number: Int) -> RaftServer { RaftServer(id: "n\(number)", address: address(number)) }
  static func header(_ number: Int, version: Int64 = 3) -> RaftHeader {
    RaftHeader(
      protocolVersion: version, identity: RaftHeader.Identity(id: "n\(number)", address: address(number)))
  }

  /// Server 1 of a cluster of `voters`, bootstrapped unless there are none.
  init(voters: Int, log: [LogEntry] = [], term: Term? = nil, version: Int64 = 3, disk: VirtualDisk = VirtualDisk(),
    isJustRestarted: Bool = false, limits: RaftLimits = RaftLimits())
    throws
  {
    self.disk = disk
    var writes: [LogEntry] = []
    if voters > 0 {
      let configuration = RaftConfiguration((1...voters).map(Self.server))
      writes.append(LogEntry(index: 1, term: 1, kind: .configuration, data: configuration.encoded))
    }
    writes += log
    if !writes.isEmpty, disk.isPristine {
      let state = HardState(term: term ?? writes.last?.term ?? 0)
      disk.start([.write(StorageTicket(number: 0), LogWrite(hardState: state, append: writes))])
      _ = disk.complete()
    }
    machine = try RaftMachine(
      configuration: RaftNodeConfiguration(
        id: "n1", address: Self.address(1), protocolVersion: version, limits: limits),
      restoring: disk.restored, reader: disk, at: now, effects: &effects)
    // Most tests are about a server that has been up for a while.
    if !isJustRestarted { machine.promisedUntil = nil }
  }

  /// Hands in a request; the reply, if there is one at once.
  mutating func request(_ request: RaftRequest) -> RaftReply? {
    sequence += 1
    let token = ReplyToken(connection: ConnectionID(number: 1), sequence: sequence)
    machine.handleRequest(request, token, at: now, effects: &effects)
    return takeReplies().last
  }

  mutating func takeReplies() -> [RaftReply] {
    var replies: [RaftReply] = []
    var others: [RaftOutput] = []
    for output in machine.outputs {
      if case .reply(let reply, _) = output { replies.append(reply) } else { others.append(output) }
    }
    machine.outputs = others
    return replies
  }

  mutating func takeRequests() -> [(request: RaftRequest, to: String, exchange: RaftExchange)] {
    var requests: [(RaftRequest, String, RaftExchange)] = []
    for output in machine.outputs {
      if case .request(let request, let server, _, let exchange) = output {
        requests.append((request, server.id, exchange))
      }
    }
    machine.outputs.removeAll()
    return requests
  }

  /// Completes all disk work, as often as completions issue more; returns the replies that this released.
  @discardableResult
  mutating func sync(_ result: StorageResult = .done) -> [RaftReply] {
    while !machine.storage.isEmpty {
      disk.start(machine.storage)
      machine.storage.removeAll()
      for directive in disk.complete() {
        machine.storageCompleted(directive.ticket, result, at: now, effects: &effects)
      }
    }
    return takeReplies()
  }

  mutating func timeout(after interval: Interval) {
    now += interval
    machine.handleTimeout(at: now, effects: &effects)
  }

  mutating func append(
    _ term: Term, from leader: Int = 2, after previous: LogIndex, _ previousTerm: Term, _ entries: [LogEntry] = [],
    commit: LogIndex = 0
  ) -> AppendEntriesResponse? {
    let reply = request(
      .appendEntries(
        AppendEntriesRequest(
          header: Self.header(leader), term: term, leader: Self.address(leader), previousIndex: previous,
          previousTerm: previousTerm, entries: entries, commitIndex: commit)))
    guard case .appendEntries(let response)? = reply?.response else { return nil }
    return response
  }

  mutating func heartbeat(_ term: Term, from leader: Int = 2) -> AppendEntriesResponse? {
    append(term, from: leader, after: 0, 0)
  }

  mutating func vote(
    _ term: Term, for candidate: Int, last: LogIndex, _ lastTerm: Term, transfer: Bool = false
  ) -> RequestVoteResponse? {
    var reply = request(
      .requestVote(
        RequestVoteRequest(
          header: Self.header(candidate), term: term, candidate: Self.address(candidate), lastIndex: last,
          lastTerm: lastTerm, leadershipTransfer: transfer)))
    if reply == nil { reply = sync().last }
    guard case .requestVote(let response)? = reply?.response else { return nil }
    return response
  }

  mutating func preVote(_ term: Term, for candidate: Int, last: LogIndex, _ lastTerm: Term) -> RequestPreVoteResponse? {
    let reply = request(
      .requestPreVote(
        RequestPreVoteRequest(header: Self.header(candidate), term: term, lastIndex: last, lastTerm: lastTerm)))
    guard case .requestPreVote(let response)? = reply?.response else { return nil }
    return response
  }

  /// Wins an election with the votes of everybody.
  mutating func lead() {
    timeout(after: .seconds(3))
    answerVotes()
    sync()
    answerVotes()
  }

  mutating func answerVotes(granted: Bool = true) {
    for (request, id, exchange) in takeRequests() {
      let reply: RaftReply
      switch request {
      case .requestPreVote(let question):
        reply = RaftReply(
          .requestPreVote(RequestPreVoteResponse(header: question.header, term: question.term, granted: granted)))
      case .requestVote(let question):
        reply = RaftReply(
          .requestVote(RequestVoteResponse(header: question.header, term: question.term, granted: granted)))
      case .appendEntries, .installSnapshot, .timeoutNow:
        continue
      }
      machine.handleReply(reply, from: id, to: exchange, at: now, effects: &effects)
    }
  }

  /// Server 2 says yes to everything: heartbeats and entries, to whomever they were sent.
  mutating func agree() {
    for (request, id, exchange) in takeRequests() {
      guard case .appendEntries(let append) = request else { continue }
      let response = AppendEntriesResponse(
        header: Self.header(2), term: append.term, lastIndex: append.previousIndex, success: true)
      machine.handleReply(RaftReply(.appendEntries(response)), from: id, to: exchange, at: now, effects: &effects)
    }
  }

  /// Peer `number` confirms everything sent to it so far, up to `limit`.
  mutating func confirm(_ number: Int, through limit: LogIndex = LogIndex(.max)) {
    let requests = takeRequests()
    for (request, id, exchange) in requests where id == "n\(number)" {
      guard case .appendEntries(let append) = request, !append.isHeartbeat,
        append.previousIndex + append.entries.count <= limit
      else { continue }
      let response = AppendEntriesResponse(
        header: Self.header(number), term: append.term, lastIndex: append.previousIndex, success: true)
      machine.handleReply(RaftReply(.appendEntries(response)), from: id, to: exchange, at: now, effects: &effects)
    }
  }
}

extension LogEntry {
  static func command(_ index: LogIndex, _ term: Term, _ text: String = "") -> LogEntry {
    LogEntry(index: index, term: term, kind: .command, data: Array("\(text)\(index)".utf8))
  }
}

extension VirtualCluster {
  /// Writes a first configuration of servers `0..<voters` and lets them stand for election; `absent` do not run.
  func form(_ voters: Int, absent: Set<Int> = []) {
    let servers = (0..<voters).map { raftServer($0) }
    for number in 0..<voters where !absent.contains(number) {
      call(number) { node, effects, now in
        do throws(RaftError) { try node.bootstrap(servers, at: now, effects: &effects) } catch {
          Issue.record("\(error)")
        }
        node.campaign(at: now, effects: &effects)
      }
    }
  }
}
