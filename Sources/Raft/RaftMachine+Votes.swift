import Base
import Wire

// What a server answers to those who want to lead (raft.md 3.2, 3.3, 3.5), checks in the order given there.

extension RaftMachine {
  mutating func handleRequestVote(
    _ request: RequestVoteRequest, _ token: ReplyToken, at now: Instant, effects: inout Effects
  ) {
    let candidate = address(of: request.header, or: request.candidate)
    let standing = standing(of: request.header, address: candidate, request.lastIndex, request.lastTerm)
    if standing == .unknown { return refuseVote(token) }
    if let leader, leader.address != candidate, !request.leadershipTransfer {
      effects.log.log(
        .warn, "nomad.raft", "rejecting vote request since we have a leader",
        ["from": candidate, "leader": leader.address])
      return refuseVote(token)
    }
    if let end = promisedUntil {
      guard now >= end || request.leadershipTransfer else { return refuseVote(token) }
      promisedUntil = nil
    }
    let isOursNewer = (log.lastTerm, log.lastIndex) >= (request.lastTerm, request.lastIndex)
    if request.term < term {
      if isOursNewer { notePeerWithoutLeader(candidate, at: now, effects: &effects) }
      return refuseVote(token)
    }
    if request.term > term { becomeFollower(term: request.term, at: now, effects: &effects) }
    if standing == .nonvoter { return refuseVote(token) }
    if let vote = hardState.vote {
      if vote == configuration.address, isOursNewer {
        notePeerWithoutLeader(candidate, at: now, effects: &effects)
      }
      return vote == candidate ? grantVote(token) : refuseVote(token)
    }
    guard isUpToDate(request.lastIndex, request.lastTerm) else {
      notePeerWithoutLeader(candidate, at: now, effects: &effects)
      return refuseVote(token)
    }
    persist(HardState(term: term, vote: candidate))
    lastContact = now
    restartElectionTimer(at: now, effects: &effects)
    grantVote(token)
  }

  /// Changes nothing, so that asking is free of consequences.
  mutating func handleRequestPreVote(_ request: RequestPreVoteRequest, _ token: ReplyToken, at now: Instant) {
    let candidate = address(of: request.header, or: "")
    let standing = standing(of: request.header, address: candidate, request.lastIndex, request.lastTerm)
    let hasOtherLeader = leader != nil && leader?.address != candidate
    let granted =
      standing == .voter && !hasOtherLeader && request.term >= term && promisedUntil.map { now >= $0 } ?? true
      && isUpToDate(request.lastIndex, request.lastTerm)
    let response = RequestPreVoteResponse(header: header, term: max(request.term, term), granted: granted)
    outputs.append(.reply(RaftReply(.requestPreVote(response)), token))
  }

  /// The leader hands over: reply first, then stand at once, without a pre-vote. From a sender that tells its id and
  /// does not lead us it is a leftover of an earlier term, read late from a socket: obeying would break into the lease
  /// of a leader that never asked for it.
  mutating func handleTimeoutNow(
    _ request: TimeoutNowRequest, _ token: ReplyToken, at now: Instant, effects: inout Effects
  ) {
    outputs.append(.reply(RaftReply(.timeoutNow(TimeoutNowResponse())), token))
    guard role != .leader, isVoter else { return }
    if let sender = request.header.identity?.id, !sender.isEmpty, let leader, !leader.id.isEmpty, leader.id != sender {
      return effects.log.log(.warn, "nomad.raft", "ignoring a leadership transfer of a former leader", ["from": sender])
    }
    becomeCandidate(transfer: true, at: now, effects: &effects)
  }

  // MARK: Helpers

  private enum Standing { case voter, nonvoter, unknown }

  /// What the own configuration says about a candidate.
  ///
  /// The newer library refuses everybody it does not know. Followed to the letter that can block a cluster: a voter
  /// whose configuration is older than the candidate's would refuse it for ever, although its vote is needed. So a
  /// candidate whose log is strictly newer than ours counts as a voter: our configuration may be outdated, its cannot.
  private func standing(
    of header: RaftHeader, address: String, _ lastIndex: LogIndex, _ lastTerm: Term
  ) -> Standing {
    guard let id = header.identity?.id, !id.isEmpty, !history.latest.isEmpty else { return .voter }
    if (lastTerm, lastIndex) > (log.lastTerm, log.lastIndex) { return .voter }
    let server = history.latest.servers.first { $0.id == id || ($0.address == address && $0.id == $0.address) }
    guard let server else { return .unknown }
    return server.isVoter ? .voter : .nonvoter
  }

  private func isUpToDate(_ lastIndex: LogIndex, _ lastTerm: Term) -> Bool {
    (lastTerm, lastIndex) >= (log.lastTerm, log.lastIndex) || flaw == .voteIgnoresLog
  }

  func address(of header: RaftHeader, or legacy: String) -> String {
    guard let address = header.identity?.address, !address.isEmpty else { return legacy }
    return address
  }

  private mutating func grantVote(_ token: ReplyToken) { answerVote(true, token) }
  private mutating func refuseVote(_ token: ReplyToken) { answerVote(false, token) }

  private mutating func answerVote(_ granted: Bool, _ token: ReplyToken) {
    // The vote counts with all that we store: what was appended before is written before.
    let response = RequestVoteResponse(header: header, term: term, granted: granted)
    reply(RaftReply(.requestVote(response)), to: token, whenDurable: granted ? log.lastIndex : 0)
  }
}
