import Base

extension BootstrapMachine {
  /// Whether this server may propose now, and if not, why: the heart of the quorum report before the first leader.
  public enum Standing: Hashable, Sendable {
    case ready
    /// `bootstrap_expect` is not set: a leader has to add this server.
    case waitsForLeader
    case tooFew(have: Int, need: Int)
    /// Another value of `bootstrap_expect`, or a server that bootstraps alone.
    case conflicting(names: [String])
    /// As many servers are known but out of reach as could form another first quorum.
    case tooManyOutside(names: [String], joinAddresses: Int)
    /// A Nomad server of the original is among them: it writes the first configuration under its own rules.
    case leftToPeer(name: String)
    case finished
  }

  public var standing: Standing {
    if phase == .done { return .finished }
    if configuration.expect == 0 || !configuration.isVoter { return .waitsForLeader }
    let odd = view.peers.filter { $0.bootstrapsAlone || ($0.expect != 0 && $0.expect != configuration.expect) }
    if !odd.isEmpty { return .conflicting(names: odd.map(\.name)) }
    let candidates = self.candidates
    let present = candidates.count + 1
    if let foreign = view.peers.first(where: { $0.isAlive && !$0.speaksBootstrap && $0.expect != 0 }) {
      let all = view.peers.count { $0.isAlive && $0.isVoter } + 1
      return all < configuration.expect
        ? .tooFew(have: all, need: configuration.expect) : .leftToPeer(name: foreign.name)
    }
    if present < configuration.expect { return .tooFew(have: present, need: configuration.expect) }
    let outside = view.peers.filter { !$0.isAlive && $0.isVoter }
    if outside.count + view.unreachedJoinAddresses >= configuration.expect {
      return .tooManyOutside(names: outside.map(\.name), joinAddresses: view.unreachedJoinAddresses)
    }
    return .ready
  }

  /// Alive voters with the same expectation that can be asked for a promise, without the own server.
  var candidates: [BootstrapView.Peer] {
    view.peers.filter { $0.isAlive && $0.isVoter && $0.speaksBootstrap && $0.expect == configuration.expect }
  }

  /// How many voters this server knows of that are not in `servers`; each might be part of another first quorum.
  func outsiders(of servers: [BootstrapServer]) -> Int {
    let members = Set(servers.map(\.id))
    return view.peers.count { $0.isVoter && !members.contains($0.server.id) } + view.unreachedJoinAddresses
  }

  /// The lowest id goes first; each later one waits its turn, so that proposals seldom meet. Safety needs none
  /// of this.
  var proposalInstant: Instant? {
    guard phase == .idle, standing == .ready, let since = eligibleSince else { return nil }
    let before = candidates.count { $0.server.id < configuration.own.id }
    return max(nextAttempt, since + Self.turnLength * patience * before)
  }
}
