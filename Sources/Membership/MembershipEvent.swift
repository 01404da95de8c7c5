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
  case userEvent(name: String, payload: [UInt8], lamportTime: UInt64)
  /// The keyring was changed by a query; the owner stores it.
  case keyringChanged
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
