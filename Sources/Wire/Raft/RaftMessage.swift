import Base

/// The byte before a request object.
public enum RaftRequestKind: UInt8, Hashable, Sendable {
  case appendEntries = 0
  case requestVote = 1
  case installSnapshot = 2
  case timeoutNow = 3
  case requestPreVote = 4
}

/// Any request of the Raft stream.
public enum RaftRequest: Hashable, Sendable {
  case appendEntries(AppendEntriesRequest)
  case requestVote(RequestVoteRequest)
  case installSnapshot(InstallSnapshotRequest)
  case timeoutNow(TimeoutNowRequest)
  case requestPreVote(RequestPreVoteRequest)

  public var kind: RaftRequestKind {
    switch self {
    case .appendEntries: .appendEntries
    case .requestVote: .requestVote
    case .installSnapshot: .installSnapshot
    case .timeoutNow: .timeoutNow
    case .requestPreVote: .requestPreVote
    }
  }

  public var header: RaftHeader {
    switch self {
    case .appendEntries(let request): request.header
    case .requestVote(let request): request.header
    case .installSnapshot(let request): request.header
    case .timeoutNow(let request): request.header
    case .requestPreVote(let request): request.header
    }
  }

  /// Type byte, object, and the state of a snapshot.
  public func encode(into out: inout [UInt8]) {
    out.append(kind.rawValue)
    switch self {
    case .appendEntries(let request): request.encode(into: &out)
    case .requestVote(let request): request.encode(into: &out)
    case .installSnapshot(let request): request.encode(into: &out)
    case .timeoutNow(let request): request.encode(into: &out)
    case .requestPreVote(let request): request.encode(into: &out)
    }
  }

  /// Decodes the object after the type byte. Of a snapshot the state stays empty.
  public init(_ kind: RaftRequestKind, decoding reader: inout MessagePackReader) throws(WireError) {
    switch kind {
    case .appendEntries: self = .appendEntries(try AppendEntriesRequest(decoding: &reader))
    case .requestVote: self = .requestVote(try RequestVoteRequest(decoding: &reader))
    case .installSnapshot: self = .installSnapshot(try InstallSnapshotRequest(decoding: &reader))
    case .timeoutNow: self = .timeoutNow(try TimeoutNowRequest(decoding: &reader))
    case .requestPreVote: self = .requestPreVote(try RequestPreVoteRequest(decoding: &reader))
    }
  }
}

/// Any response object.
public enum RaftResponse: Hashable, Sendable {
  case appendEntries(AppendEntriesResponse)
  case requestVote(RequestVoteResponse)
  case installSnapshot(InstallSnapshotResponse)
  case timeoutNow(TimeoutNowResponse)
  case requestPreVote(RequestPreVoteResponse)

  public var header: RaftHeader {
    switch self {
    case .appendEntries(let response): response.header
    case .requestVote(let response): response.header
    case .installSnapshot(let response): response.header
    case .timeoutNow(let response): response.header
    case .requestPreVote(let response): response.header
    }
  }
}

/// A reply is always two objects: an error text, empty when there is none, and the response or nil.
public struct RaftReply: Hashable, Sendable {
  public var error: String
  public var response: RaftResponse?

  public init(_ response: RaftResponse) {
    error = ""
    self.response = response
  }

  public init(error: String, response: RaftResponse? = nil) {
    self.error = error
    self.response = response
  }

  public static let unsupportedVersion = RaftReply(
    error: "operation not supported with current protocol version")

  public func encode(into out: inout [UInt8]) {
    out.pack(error)
    switch response {
    case nil: out.packNil()
    case .appendEntries(let response)?: response.encode(into: &out)
    case .requestVote(let response)?: response.encode(into: &out)
    case .installSnapshot(let response)?: response.encode(into: &out)
    case .timeoutNow(let response)?: response.encode(into: &out)
    case .requestPreVote(let response)?: response.encode(into: &out)
    }
  }

  /// Decodes both objects; `kind` is that of the request that is answered.
  public init(_ kind: RaftRequestKind, decoding reader: inout MessagePackReader) throws(WireError) {
    error = try reader.readString()
    if try reader.readNil() {
      response = nil
      return
    }
    switch kind {
    case .appendEntries: response = .appendEntries(try AppendEntriesResponse(decoding: &reader))
    case .requestVote: response = .requestVote(try RequestVoteResponse(decoding: &reader))
    case .installSnapshot: response = .installSnapshot(try InstallSnapshotResponse(decoding: &reader))
    case .timeoutNow: response = .timeoutNow(try TimeoutNowResponse(decoding: &reader))
    case .requestPreVote: response = .requestPreVote(try RequestPreVoteResponse(decoding: &reader))
    }
  }
}
