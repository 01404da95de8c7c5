import Base

/// "Would you vote for me?" (type 04, raft.md 2.3). Changes nothing on the receiver.
public struct RequestPreVoteRequest: Hashable, Sendable {
  public var header: RaftHeader
  /// The term that the real election would have: the sender's current one plus 1.
  public var term: Term
  public var lastIndex: LogIndex
  public var lastTerm: Term

  public init(header: RaftHeader, term: Term, lastIndex: LogIndex, lastTerm: Term) {
    self.header = header
    self.term = term
    self.lastIndex = lastIndex
    self.lastTerm = lastTerm
  }

  init(decoding reader: inout MessagePackReader) throws(WireError) {
    self.init(header: RaftHeader(protocolVersion: 0), term: 0, lastIndex: 0, lastTerm: 0)
    var fields = RaftHeaderFields()
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "Term": term = try reader.readTerm()
      case "LastLogIndex": lastIndex = try reader.readIndex()
      case "LastLogTerm": lastTerm = try reader.readTerm()
      case let key:
        if try !fields.decode(key, &reader) { try reader.skip() }
      }
    }
    header = fields.header
  }

  func encode(into out: inout [UInt8]) {
    out.packMapHeader(3 + header.fieldCount)
    out.packAddress(header)
    out.packID(header)
    out.pack("LastLogIndex", lastIndex)
    out.pack("LastLogTerm", lastTerm)
    out.packVersion(header)
    out.pack("Term", term)
  }
}

/// Answer to `RequestPreVoteRequest`.
public struct RequestPreVoteResponse: Hashable, Sendable {
  public var header: RaftHeader
  public var term: Term
  public var granted: Bool

  public init(header: RaftHeader, term: Term, granted: Bool) {
    self.header = header
    self.term = term
    self.granted = granted
  }

  init(decoding reader: inout MessagePackReader) throws(WireError) {
    // The fields are those of a vote response without `Peers`.
    let vote = try RequestVoteResponse(decoding: &reader)
    self.init(header: vote.header, term: vote.term, granted: vote.granted)
  }

  func encode(into out: inout [UInt8]) {
    out.packMapHeader(2 + header.fieldCount)
    out.packAddress(header)
    out.pack("Granted", granted)
    out.packID(header)
    out.packVersion(header)
    out.pack("Term", term)
  }
}
