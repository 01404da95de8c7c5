import Base

/// The side that is asked: promises at most one proposal at a time, durably, and remembers it until it is decided
/// or aborted.
extension BootstrapMachine {
  public mutating func handle(request: BootstrapRequest, token: BootstrapRequestToken, at now: Instant) {
    switch request.kind {
    case .prepare: reply(token, answer(toPrepare: request))
    case .accept: accept(request, token, at: now)
    case .decide: decide(request, token)
    case .abort: release(request, token)
    case .query: reply(token, outcome(of: request.ballot))
    }
  }

  private func answer(toPrepare request: BootstrapRequest) -> BootstrapReply {
    if phase == .done { return BootstrapReply(.established) }
    if let refusal = refusal(of: request) { return BootstrapReply(.no, reason: refusal) }
    return BootstrapReply(.yes)
  }

  private mutating func accept(_ request: BootstrapRequest, _ token: BootstrapRequestToken, at now: Instant) {
    // First of all: a promise that is still on record here binds nobody once another cluster has taken this server in.
    if phase == .done {
      return reply(token, BootstrapReply(.no, reason: "\(configuration.name) has a Raft configuration already"))
    }
    if let promise = record.promise, promise.ballot == request.ballot, promise.servers == request.servers {
      if case .persisting = phase, case .replyToAccept(let tokens)? = afterPersist {
        afterPersist = .replyToAccept(tokens + [token])
      } else {
        reply(token, BootstrapReply(.yes))
      }
      return
    }
    if let refusal = refusal(of: request) ?? refusal(ofServers: request.servers) {
      return reply(token, BootstrapReply(.no, reason: refusal))
    }
    record.promise = BootstrapRecord.Promise(ballot: request.ballot, servers: request.servers, isDecided: false)
    persist(.replyToAccept([token]))
  }

  private mutating func decide(_ request: BootstrapRequest, _ token: BootstrapRequestToken) {
    guard phase != .done, record.promise?.ballot == request.ballot, request.ballot.proposer != configuration.own.id
    else { return reply(token, BootstrapReply(.yes)) }
    afterPersist = nil
    record.promise?.isDecided = true
    writeDecision(campaign: false)
    reply(token, BootstrapReply(.yes))
  }

  private mutating func release(_ request: BootstrapRequest, _ token: BootstrapRequestToken) {
    guard phase != .done, record.promise?.ballot == request.ballot, request.ballot.proposer == request.sender.id,
      request.sender != configuration.own
    else { return reply(token, BootstrapReply(.yes)) }
    record.promise = nil
    var tokens = [token]
    if case .replyToAccept(let late)? = afterPersist { tokens += late }
    persist(.release(tokens))
  }

  /// Only the proposer knows whether its ballot can still be decided; any member knows when it was.
  private func outcome(of ballot: Ballot) -> BootstrapReply {
    if let promise = record.promise, promise.ballot == ballot {
      if promise.isDecided, phase != .persisting { return BootstrapReply(.decided) }
      return BootstrapReply(.undecided)
    }
    // The record is durable and the own counter never goes back, so a ballot of ours that is not in it is dead.
    return BootstrapReply(ballot.proposer == configuration.own.id && phase != .persisting ? .aborted : .undecided)
  }

  /// A promise is outstanding and nothing more was heard: ask the proposer and the other members.
  mutating func askForOutcome(at now: Instant) {
    guard let promise = record.promise else { return }
    nextQuery = now + Self.queryInterval * patience
    for server in promise.servers where server != configuration.own {
      call(server, request(.query, ballot: promise.ballot, servers: promise.servers))
    }
  }

  mutating func handleOutcome(_ reply: BootstrapReply, ballot: Ballot, at now: Instant) {
    guard phase == .promised, record.promise?.ballot == ballot else { return }
    switch reply.answer {
    case .decided:
      record.promise?.isDecided = true
      writeDecision(campaign: false)
    case .aborted:
      record.promise = nil
      persist(.release([]))
    case .yes, .no, .established, .undecided: break
    }
  }

  /// Reasons that do not depend on the proposed set.
  private func refusal(of request: BootstrapRequest) -> String? {
    if let promise = record.promise {
      return "\(configuration.name) has promised another first configuration (of \(promise.ballot.proposer))"
    }
    if case .persisting = phase { return "\(configuration.name) is busy" }
    if configuration.expect != request.expect {
      return "\(configuration.name) has bootstrap_expect \(configuration.expect), not \(request.expect)"
    }
    if !configuration.isVoter { return "\(configuration.name) is not a voter" }
    return nil
  }

  private func refusal(ofServers servers: [BootstrapServer]) -> String? {
    guard servers.contains(configuration.own) else { return "\(configuration.name) is not in the proposed set" }
    guard servers.count >= configuration.expect, servers.count <= Self.maximumServers,
      Set(servers.map(\.id)).count == servers.count
    else { return "the proposed set is not valid" }
    let outside = outsiders(of: servers)
    if outside >= configuration.expect {
      return "\(configuration.name) knows \(outside) servers outside of the proposed set, enough for another quorum"
    }
    return nil
  }

  private mutating func reply(_ token: BootstrapRequestToken, _ reply: BootstrapReply) {
    directives.append(.reply(token, reply))
  }
}
