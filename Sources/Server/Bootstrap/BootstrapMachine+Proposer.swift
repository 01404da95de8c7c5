import Base

/// The proposer's side: prepare (who is there?), accept (promise!), decide or abort.
extension BootstrapMachine {
  mutating func proposeIfDue(at now: Instant, random: inout RandomSource) {
    if standing == .ready, eligibleSince == nil { eligibleSince = now }
    guard let due = proposalInstant, now >= due else { return }
    attempts += 1
    obstacles.removeAll(keepingCapacity: true)
    let asked = candidates.map(\.server)
    let until = now + stretched(Self.prepareTimeout, random: &random)
    phase = .preparing(Preparing(waiting: Set(asked.map(\.id)), ready: [configuration.own], until: until))
    // A prepare promises nothing, so it may carry the counter of the next ballot before that is durable.
    let ballot = Ballot(counter: record.counter + 1, proposer: configuration.own.id)
    for server in asked { call(server, request(.prepare, ballot: ballot, servers: [])) }
  }

  public mutating func handle(
    reply: BootstrapReply, to id: BootstrapCallID, at now: Instant, random: inout RandomSource
  ) {
    guard let (server, request) = calls.removeValue(forKey: id) else { return }
    switch request.kind {
    case .prepare: handlePrepared(reply, from: server, at: now, random: &random)
    case .accept: handleAccepted(reply, from: server, ballot: request.ballot, at: now, random: &random)
    case .query: handleOutcome(reply, ballot: request.ballot, at: now)
    case .decide, .abort: break
    }
  }

  /// The call failed or timed out; `reason` is for the report.
  public mutating func handleNoReply(
    to id: BootstrapCallID, reason: String, at now: Instant, random: inout RandomSource
  ) {
    guard let (server, request) = calls.removeValue(forKey: id) else { return }
    switch request.kind {
    case .prepare:
      obstacles[server.id] = "does not answer: \(reason)"
      guard case .preparing(var preparing) = phase else { return }
      preparing.waiting.remove(server.id)
      phase = .preparing(preparing)
      if preparing.waiting.isEmpty { finishPreparing(at: now, random: &random) }
    case .accept: obstacles[server.id] = "does not answer: \(reason)"
    case .query: becomePatient()
    case .decide, .abort: break
    }
  }

  private mutating func handlePrepared(
    _ reply: BootstrapReply, from server: BootstrapServer, at now: Instant, random: inout RandomSource
  ) {
    guard case .preparing(var preparing) = phase, preparing.waiting.remove(server.id) != nil else { return }
    switch reply.answer {
    case .yes: preparing.ready.append(server)
    case .established:
      // The leader of that cluster will add this server; until then there is nothing to propose.
      obstacles[server.id] = "belongs to an established cluster"
      return backOff(at: now, random: &random)
    case .no, .decided, .aborted, .undecided: obstacles[server.id] = reply.reason
    }
    phase = .preparing(preparing)
    if preparing.waiting.isEmpty { finishPreparing(at: now, random: &random) }
  }

  mutating func finishPreparing(at now: Instant, random: inout RandomSource) {
    guard case .preparing(let preparing) = phase else { return }
    for id in preparing.waiting.sorted() where obstacles[id] == nil { obstacles[id] = "does not answer" }
    if !preparing.waiting.isEmpty { becomePatient() }
    let servers = preparing.ready.sorted()
    guard servers.count >= configuration.expect, servers.count <= Self.maximumServers,
      outsiders(of: servers) < configuration.expect
    else { return backOff(at: now, random: &random) }
    record.counter += 1
    record.promise = BootstrapRecord.Promise(
      ballot: Ballot(counter: record.counter, proposer: configuration.own.id), servers: servers, isDecided: false)
    persist(.startAccepting)
  }

  mutating func startAccepting(_ promise: BootstrapRecord.Promise, at now: Instant) {
    let others = Set(promise.servers.map(\.id)).subtracting([configuration.own.id])
    phase = .accepting(
      Accepting(
        missing: others, resendAt: now + Self.resendInterval * patience,
        until: now + min(Self.acceptTimeout * patience, Self.acceptTimeoutMax)))
    sendAccepts(to: others, at: now)
  }

  mutating func sendAccepts(to missing: Set<String>, at now: Instant) {
    guard let promise = record.promise else { return }
    for server in promise.servers where missing.contains(server.id) {
      call(server, request(.accept, ballot: promise.ballot, servers: promise.servers))
    }
  }

  private mutating func handleAccepted(
    _ reply: BootstrapReply, from server: BootstrapServer, ballot: Ballot, at now: Instant,
    random: inout RandomSource
  ) {
    guard case .accepting(var accepting) = phase, record.promise?.ballot == ballot else { return }
    guard reply.answer == .yes else {
      obstacles[server.id] = reply.reason
      nextAttempt = now + pause(random: &random)
      return abort()
    }
    accepting.missing.remove(server.id)
    phase = .accepting(accepting)
    guard accepting.missing.isEmpty else { return }
    // Durable before anybody is told: a proposer that forgot its decision could abort it after a restart.
    record.promise?.isDecided = true
    persist(.decide)
  }

  /// Gives the own undecided proposal up, durably, before its members are released: from then on nobody can decide it.
  mutating func abort() {
    guard let promise = record.promise else { return }
    record.promise = nil
    persist(.announceAbort(promise.ballot, promise.servers))
  }

  mutating func backOff(at now: Instant, random: inout RandomSource) {
    phase = .idle
    nextAttempt = now + pause(random: &random)
  }

  func pause(random: inout RandomSource) -> Interval {
    random.interval(.milliseconds(50), .milliseconds(100) * (1 << min(attempts, 4)) * patience)
  }
}
