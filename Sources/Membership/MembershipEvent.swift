import Base

/// Names one `join` command.
public struct JoinID: Hashable, Sendable {
  public let number: UInt64
  public init(number: UInt64) { self.number = number }
}

/// What became of one address of a `join`.
public struct JoinOutcome: Hashable, Sendable {
  public enum Result: Hashable, Sendable {
    /// State was exchanged and merged; `nodes` is the length of the peer's list.
    case joined(nodes: Int)
    /// The address is our own, known beforehand or found out by talking to it. Never a success.
    case ownAddress
    /// The peer answered, but one side's rules forbid it, or it complained.
    case refused(String)
    /// No answer.
    case failed(StreamEnd)
  }

  public let address: SocketAddress
  public let result: Result

  public init(address: SocketAddress, result: Result) {
    self.address = address
    self.result = result
  }

  public var isSuccess: Bool {
    switch result {
    case .joined: true
    case .ownAddress, .refused, .failed: false
    }
  }
}

/// What happened in the pool, in order. Drained by the owner.
public enum MembershipEvent: Hashable, Sendable {
  case joined(Member)
  case updated(Member)
  case failed(Member)
  /// Left in order, or was made to leave.
  case left(Member)
  /// Forgotten: pruned, or gone for too long.
  case reaped(Member)
  /// One outcome per address, in the order given to `join`.
  case joinFinished(JoinID, [JoinOutcome])
  case leaveFinished
  /// To be appended to the snapshot, without line end.
  case snapshotLine(String)
  /// Another address claims the name of `member`; the claim was ignored.
  case nameConflict(Member, claimedBy: SocketAddress)
  /// Another address claims our own name, and the pool was asked whose it is. The owner decides what follows.
  case nameJudged(NameVerdict)
  case userEvent(name: String, payload: [UInt8], lamportTime: UInt64)
  /// A member asks; `MembershipMachine.respond` answers.
  case queryReceived(ReceivedQuery)
  /// A member has received our query.
  case queryAcknowledged(QueryID, from: String)
  case queryAnswered(QueryID, from: String, payload: [UInt8])
  /// The time of our query is over.
  case queryFinished(QueryID, QueryResult)
  /// A `changeKeyring` is decided, or its time is over.
  case keyringOperationFinished(QueryID, KeyringResult)
  /// The keyring was changed by a query; the owner stores it.
  case keyringChanged
}

/// Names one query of ours.
public struct QueryID: Hashable, Sendable {
  public let number: UInt64
  public init(number: UInt64) { self.number = number }
}

/// A change of the keyring on every member (gossip.md 6.10).
public enum KeyringOperation: Hashable, Sendable {
  case install([UInt8])
  case use([UInt8])
  case remove([UInt8])
  case list
}

/// What the members answered to a keyring operation.
public struct KeyringResult: Hashable, Sendable {
  /// How often a key was reported; keys are standard base64.
  public struct Tally: Hashable, Sendable {
    public let key: String
    public var members: Int

    public init(key: String, members: Int) {
      self.key = key
      self.members = members
    }
  }

  /// Members that were alive at the start.
  public var members: Int
  /// Answers of any kind.
  public var responses = 0
  /// Reason by name of those that could not do it.
  public var errors: [String: String] = [:]
  /// What members said beside a good result, by name: that their list of keys was too long and is cut.
  public var remarks: [String: String] = [:]
  /// In the order of first report.
  public var keys: [Tally] = []
  public var primaryKeys: [Tally] = []

  /// Every live member answered that it was done.
  public var isSuccess: Bool { responses == members && errors.isEmpty }
}

/// What `forceLeave` did.
public enum ForceLeaveOutcome: Hashable, Sendable {
  /// No member has this name; nothing was sent.
  case unknown
  /// The name is our own; nothing was done.
  case ourselves
  /// The intent was applied and spreads; the status before it.
  case spread(previous: MemberStatus)
}

/// Why tags were refused.
public enum TagError: Error, Hashable, Sendable {
  /// More than 512 bytes when encoded.
  case tooLarge(bytes: Int)
  case leaving
}
