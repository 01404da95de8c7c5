import Base

/// A server as the first configuration lists it: Raft id and Raft address (`ip:port`).
public struct BootstrapServer: Hashable, Comparable, Sendable {
  public var id: String
  public var address: String

  public init(id: String, address: String) {
    self.id = id
    self.address = address
  }

  public static func < (a: BootstrapServer, b: BootstrapServer) -> Bool { a.id < b.id }
}

/// Names one proposal for the first configuration. Unique for ever: the counter is durable with the proposer's record.
public struct Ballot: Hashable, Sendable {
  public var counter: UInt64
  public var proposer: String

  public init(counter: UInt64, proposer: String) {
    self.counter = counter
    self.proposer = proposer
  }
}

/// What one server durably remembers about the first configuration until Raft has one.
///
/// `nil` ballot: nothing is promised. The counter only grows, so that a ballot is never used twice by its proposer.
public struct BootstrapRecord: Hashable, Sendable {
  public var counter: UInt64 = 0
  public var promise: Promise?

  public struct Promise: Hashable, Sendable {
    public var ballot: Ballot
    /// Sorted by id.
    public var servers: [BootstrapServer]
    public var isDecided: Bool
  }

  public init() {}
}

/// What gossip and the join loop know at one moment, as far as bootstrap cares.
public struct BootstrapView: Hashable, Sendable {
  /// A server of the own region known to gossip, in any state but left.
  public struct Peer: Hashable, Sendable {
    public var server: BootstrapServer
    public var name: String
    /// 0 when the server announces none.
    public var expect: Int
    public var isAlive: Bool
    public var isVoter: Bool
    /// Carries the tag `bootstrap`: it has made, or will make, a cluster alone.
    public var bootstrapsAlone: Bool
    /// Speaks nomadd's bootstrap protocol.
    public var speaksBootstrap: Bool

    public init(
      server: BootstrapServer, name: String, expect: Int, isAlive: Bool, isVoter: Bool = true,
      bootstrapsAlone: Bool = false, speaksBootstrap: Bool = true
    ) {
      self.server = server
      self.name = name
      self.expect = expect
      self.isAlive = isAlive
      self.isVoter = isVoter
      self.bootstrapsAlone = bootstrapsAlone
      self.speaksBootstrap = speaksBootstrap
    }
  }

  /// Everybody but the own server, sorted by id.
  public var peers: [Peer]
  /// Configured join addresses that never answered and belong to no known peer: servers that may exist.
  public var unreachedJoinAddresses: Int
  /// Raft has no term, entry or snapshot.
  public var isPristine: Bool

  public init(peers: [Peer], unreachedJoinAddresses: Int, isPristine: Bool) {
    self.peers = peers
    self.unreachedJoinAddresses = unreachedJoinAddresses
    self.isPristine = isPristine
  }
}

/// One request of the bootstrap protocol; travels as RPC `Nomadd.Bootstrap`.
public struct BootstrapRequest: Hashable, Sendable {
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    /// May I count on you? Promises nothing.
    case prepare
    /// Promise these servers, durably, and no others.
    case accept
    /// Everybody promised: write the configuration.
    case decide
    /// The proposer will never decide this ballot; forget the promise.
    case abort
    /// What became of this ballot? Asked by a server that promised and heard nothing more.
    case query
  }

  public var kind: Kind
  public var ballot: Ballot
  public var sender: BootstrapServer
  public var expect: Int
  public var servers: [BootstrapServer]

  public init(kind: Kind, ballot: Ballot, sender: BootstrapServer, expect: Int, servers: [BootstrapServer]) {
    self.kind = kind
    self.ballot = ballot
    self.sender = sender
    self.expect = expect
    self.servers = servers
  }
}

public struct BootstrapReply: Hashable, Sendable {
  public enum Answer: String, Hashable, Sendable, CaseIterable {
    case yes
    /// Refused; `reason` says why in words for the quorum report.
    case no
    /// The asked server has a Raft configuration already: no bootstrap is needed.
    case established
    /// Answers to `query`.
    case decided, aborted, undecided
  }

  public var answer: Answer
  public var reason: String

  public init(_ answer: Answer, reason: String = "") {
    self.answer = answer
    self.reason = reason
  }
}

/// What the machine wants done, in order.
public enum BootstrapDirective: Hashable, Sendable {
  /// Make the record durable, then call `persisted(at:)`. Records are written in order.
  case persist(BootstrapRecord)
  /// Ask `address`; answer with `handle(reply:)` or `handleNoReply`.
  case call(BootstrapCallID, to: BootstrapServer, BootstrapRequest)
  /// Answer the request that carried this token.
  case reply(BootstrapRequestToken, BootstrapReply)
  /// The first configuration is decided: give it to Raft. `campaign` is true on one server only.
  case bootstrap([BootstrapServer], campaign: Bool)
}

public struct BootstrapCallID: Hashable, Sendable {
  public var number: UInt64
  public init(number: UInt64) { self.number = number }
}

/// Chosen by the owner to find the request again that a delayed reply answers.
public struct BootstrapRequestToken: Hashable, Sendable {
  public var number: UInt64
  public init(number: UInt64) { self.number = number }
}
