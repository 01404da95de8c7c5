/// A log entry as plain data; the store knows no protocol.
public struct StoredEntry: Hashable, Sendable {
  public var index: UInt64
  public var term: UInt64
  public var kind: UInt8
  public var data: [UInt8]
  public var extensions: [UInt8]

  public init(index: UInt64, term: UInt64, kind: UInt8, data: [UInt8], extensions: [UInt8] = []) {
    self.index = index
    self.term = term
    self.kind = kind
    self.data = data
    self.extensions = extensions
  }
}

/// Term and vote.
public struct StoredHardState: Hashable, Sendable {
  public var term: UInt64
  public var vote: [UInt8]?

  public init(term: UInt64, vote: [UInt8]? = nil) {
    self.term = term
    self.vote = vote
  }
}

/// One step of a batch. All steps of a batch become durable together, or none does.
public enum StoreOperation: Hashable, Sendable {
  case hardState(StoredHardState)
  /// Deletes this index and everything after.
  case truncate(from: UInt64)
  /// Ascending indexes after the last stored one.
  case append([StoredEntry])
  /// Deletes everything up to this index, included.
  case compact(through: UInt64)
}

/// What a store holds at start.
public struct StoredState: Hashable, Sendable {
  public var hardState: StoredHardState?
  /// First and last index; `nil` when no entry is stored.
  public var bounds: ClosedRange<UInt64>?

  public init(hardState: StoredHardState? = nil, bounds: ClosedRange<UInt64>? = nil) {
    self.hardState = hardState
    self.bounds = bounds
  }
}
