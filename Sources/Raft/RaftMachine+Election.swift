import Base
import Wire

/// The votes of one round.
struct Ballot {
  enum Answer: Hashable {
    case waiting
    case granted
    case refused
    /// The exchange failed; ask again at this time.
    case failed(retryAt: Instant)
  }

  struct Vote {
    var server: RaftServer
    var answer: Answer
  }

  var term: Term = 0
  var isPreVote = false
  /// The leader asked us to take over.
  var isTransfer = false
  /// One per voter of the latest configuration, ourselves included.
  var votes: [Vote] = []

  var granted: Int { votes.reduce(0) { $0 + ($1.answer == .granted ? 1 : 0) } }
  /// Also right without voters: nobody wins then.
  var isWon: Bool { granted >= votes.count / 2 + 1 }

  mutating func record(_ answer: Answer, from id: String) {
    guard let position = votes.firstIndex(where: { $0.server.id == id }) else { return }
    votes[position].answer = answer
  }
}

extension RaftMachine {
  /// A voter may stand; so may one that an uncommitted entry would remove, because that entry may need it to commit.
  var mayCampaign: Bool {
    if isVoter { return true }
    guard history.latestIndex > commitIndex else { return false }
    let committed = history.item(at: commitIndex).index
    return history.items.contains { item in
      item.index >= committed && item.configuration.servers.contains { $0.isVoter && configuration.isSelf($0) }
    }
  }

  /// Stands for election without waiting for the follower timer: the cluster was just bootstrapped and cannot have a
  /// leader. Servers that do this together take turns by id, so that the first one normally wins alone.
  mutating func campaign(at now: Instant, effects: inout Effects) {
    guard role == .follower, leader == nil, mayCampaign, !isHalted else { return }
    let rank = history.latest.servers.reduce(0) { $0 + ($1.isVoter && $1.id < configuration.id ? 1 : 0) }
    earlyUntil = now + timings.heartbeatTimeout * 2
    electionDeadline = now + timings.campaignStagger * (configuration.standsLast ? 16 : min(rank, 8))
    if rank == 0, !configuration.standsLast { electionTimeout(at: now, effects: &effects) }
  }

  /// A connection of the leader ended, as it does when its process dies.
  mutating func leaderConnectionEnded(address: String) {
    guard role == .follower, leader?.address == address, mayCampaign, !isHalted else { return }
    outputs.append(.probe(address: address))
  }

  /// Nothing listens where the leader was: its process is gone, and waiting for the timer would only prolong the
  /// outage. Pre-votes keep a wrong conclusion harmless: servers that still hear the leader refuse them.
  mutating func leaderIsGone(address: String, at now: Instant, effects: inout Effects) {
    guard role == .follower, leader?.address == address, mayCampaign, !isHalted else { return }
    effects.log.log(.warn, "nomad.raft", "leader refuses connections, starting election early", ["leader": address])
    setLeader(nil)
    earlyUntil = now + timings.heartbeatTimeout
    assentFrom = electionDeadline
    let wait = configuration.standsLast ? timings.heartbeatTimeout : .zero
    electionDeadline = now + wait + effects.random.interval(.zero, timings.campaignStagger)
  }

  mutating func electionTimeout(at now: Instant, effects: inout Effects) {
    guard mayCampaign else {
      if leader != nil {
        effects.log.log(.warn, "nomad.raft", "heartbeat timeout reached, not part of stable configuration")
      }
      setLeader(nil)
      return restartElectionTimer(at: now, effects: &effects)
    }
    if role == .follower {
      effects.log.log(
        .warn, "nomad.raft", "heartbeat timeout reached, starting election",
        ["last-leader-addr": leader?.address ?? "", "last-leader-id": leader?.id ?? ""])
    } else {
      effects.log.log(.warn, "nomad.raft", "Election timeout reached, restarting election")
    }
    setLeader(nil)
    if configuration.rehearsal.isOldGeneration {
      becomeCandidate(transfer: false, at: now, effects: &effects)
    } else {
      startPreVote(at: now, effects: &effects)
    }
  }

  private mutating func setRoundDeadline(at now: Instant, effects: inout Effects) {
    var length = pace.electionTimeout
    if let early = earlyUntil, now < early { length = timings.campaignStagger }
    electionDeadline = now + effects.random.interval(length, length + (timings.timeoutSpread ?? length))
  }

  private func makeBallot(term: Term, isPreVote: Bool) -> Ballot {
    let votes = history.latest.servers.filter(\.isVoter).map { server in
      Ballot.Vote(server: server, answer: configuration.isSelf(server) ? .granted : .failed(retryAt: .start))
    }
    return Ballot(term: term, isPreVote: isPreVote, votes: votes)
  }

  // MARK: Pre-vote

  private mutating func startPreVote(at now: Instant, effects: inout Effects) {
    let asked = role == .preCandidate ? ballot : Ballot()
    role = .preCandidate
    setRoundDeadline(at: now, effects: &effects)
    ballot = makeBallot(term: term.next, isPreVote: true)
    pace.startedRound(ballot.term, isPreVote: true, at: now)
    // A question that is still open is not asked twice.
    for vote in asked.votes where asked.term == ballot.term && vote.answer == .waiting {
      ballot.record(.waiting, from: vote.server.id)
    }
    effects.log.log(.debug, "nomad.raft", "asking for pre-votes", ["term": "\(ballot.term)"])
    retryBallot(at: now, effects: &effects)
    countVotes(at: now, effects: &effects)
  }

  mutating func handlePreVoteReply(
    _ reply: RaftReply, from id: String, asked: Term, at now: Instant, effects: inout Effects
  ) {
    pace.answered(asked, isPreVote: true, at: now)
    guard role == .preCandidate, ballot.term == asked else { return }
    guard case .requestPreVote(let response)? = reply.response, reply.error.isEmpty else {
      // A node that does not know the question would vote: the real election decides.
      let unknown = reply.error.contains("unexpected command")
      ballot.record(unknown ? .granted : .failed(retryAt: now + timings.retryDelayMax), from: id)
      return countVotes(at: now, effects: &effects)
    }
    if response.term > asked { return becomeFollower(term: response.term, at: now, effects: &effects) }
    ballot.record(response.granted ? .granted : .refused, from: id)
    countVotes(at: now, effects: &effects)
  }

  // MARK: Vote

  /// The real thing: the new term and the own vote become durable, then everybody is asked.
  mutating func becomeCandidate(transfer: Bool, at now: Instant, effects: inout Effects) {
    role = .candidate
    setLeader(nil)
    persist(HardState(term: term.next, vote: configuration.address))
    ballot = makeBallot(term: term, isPreVote: false)
    ballot.isTransfer = transfer
    pace.startedRound(term, isPreVote: false, at: now)
    setRoundDeadline(at: now, effects: &effects)
    effects.log.log(.info, "nomad.raft", "entering candidate state", ["term": "\(term)"])
    guard let ticket = hardTicket else { preconditionFailure("the hard state was just issued") }
    deferred.append(DeferredAction(ticket: ticket, action: .requestVotes(term)))
  }

  mutating func requestVotes(term asked: Term, at now: Instant, effects: inout Effects) {
    pace.answered(asked, isPreVote: false, at: now)
    guard role == .candidate, term == asked else { return }
    retryBallot(at: now, effects: &effects)
    countVotes(at: now, effects: &effects)
  }

  mutating func handleVoteReply(
    _ reply: RaftReply, from id: String, asked: Term, at now: Instant, effects: inout Effects
  ) {
    pace.answered(asked, isPreVote: false, at: now)
    tellPace(&effects)
    guard role == .candidate, term == asked else { return }
    guard case .requestVote(let response)? = reply.response, reply.error.isEmpty else {
      return ballot.record(.failed(retryAt: now + timings.retryDelayMax), from: id)
    }
    if response.term > term { return becomeFollower(term: response.term, at: now, effects: &effects) }
    ballot.record(response.granted && response.term == term ? .granted : .refused, from: id)
    countVotes(at: now, effects: &effects)
  }

  /// The connection was refused, or ended before the answer. `closed`: by the peer, after it had been open.
  mutating func handleBallotFailure(
    of id: String, asked: Term, isPreVote: Bool, closed: Bool, at now: Instant, effects: inout Effects
  ) {
    guard ballot.term == asked, ballot.isPreVote == isPreVote, role == .candidate || role == .preCandidate else {
      return
    }
    if isPreVote, closed, !peersWithIdentity.contains(id), let vote = ballot.votes.first(where: { $0.server.id == id })
    {
      // Old nodes close the connection on this question, and never tell their id. Were that a refusal, a cluster of one
      // new and one old voter could never be led by the new one (raft.md 5.1). Pre-votes are a courtesy, so a wrong
      // guess costs little.
      withoutPreVote.insert(vote.server.address)
      ballot.record(presumedAnswer(of: vote.server.address, at: now), from: id)
      return countVotes(at: now, effects: &effects)
    }
    ballot.record(.failed(retryAt: now + timings.retryDelayMax / 5), from: id)
  }

  /// What a server that knows no pre-vote is taken to say to one: no, as long as we stand earlier than our own timer
  /// would have it, because such a server still knows the leader. Real elections at that time would not get its vote;
  /// they would only raise our term far above the one with which that server stands next.
  private func presumedAnswer(of address: String, at now: Instant) -> Ballot.Answer {
    guard let from = assentFrom, now < from, !withoutLeader.contains(address) else { return .granted }
    return .failed(retryAt: from)
  }

  /// A server of the old generation stands, and cannot have our vote in this term. But since it has no leader any more
  /// we can have its vote, in the next one. Left alone it would stand in vain for a second or two, again and again, and
  /// each time its higher term would stop us.
  mutating func notePeerWithoutLeader(_ address: String, at now: Instant, effects: inout Effects) {
    guard withoutPreVote.contains(address), mayCampaign else { return }
    withoutLeader.insert(address)
    guard !configuration.standsLast else { return }
    electionDeadline = min(electionDeadline, now + effects.random.interval(.zero, timings.campaignStagger))
  }

  // MARK: Asking and counting

  var ballotRetryDeadline: Instant? {
    // Not before the own vote is durable.
    guard role == .preCandidate || (role == .candidate && hardTicket == nil) else { return nil }
    var result: Instant?
    for vote in ballot.votes {
      if case .failed(let retryAt) = vote.answer { result = earliest(result, retryAt) }
    }
    return result
  }

  /// Asks everybody whose turn it is.
  mutating func retryBallot(at now: Instant, effects: inout Effects) {
    guard role == .preCandidate || (role == .candidate && hardTicket == nil) else { return }
    for position in ballot.votes.indices {
      guard case .failed(let retryAt) = ballot.votes[position].answer, retryAt <= now else { continue }
      let server = ballot.votes[position].server
      ballot.votes[position].answer = .waiting
      if ballot.isPreVote, withoutPreVote.contains(server.address) {
        ballot.votes[position].answer = presumedAnswer(of: server.address, at: now)
      } else if ballot.isPreVote {
        let request = RequestPreVoteRequest(
          header: header, term: ballot.term, lastIndex: log.lastIndex, lastTerm: log.lastTerm)
        outputs.append(.request(.requestPreVote(request), to: server, .replication, .preVote(ballot.term)))
      } else {
        let request = RequestVoteRequest(
          header: header, term: ballot.term, candidate: configuration.address, lastIndex: log.lastIndex,
          lastTerm: log.lastTerm, leadershipTransfer: ballot.isTransfer)
        outputs.append(.request(.requestVote(request), to: server, .replication, .vote(ballot.term)))
      }
    }
  }

  mutating func countVotes(at now: Instant, effects: inout Effects) {
    guard ballot.isWon else { return }
    switch role {
    case .preCandidate: becomeCandidate(transfer: false, at: now, effects: &effects)
    case .candidate:
      effects.log.log(.info, "nomad.raft", "election won", ["term": "\(term)", "tally": "\(ballot.granted)"])
      becomeLeader(at: now, effects: &effects)
    case .follower, .leader: break
    }
  }
}
