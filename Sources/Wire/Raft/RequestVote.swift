import Base

/// A real election (type 01, raft.md 2.2).
public struct RequestVoteRequest: Hashable, Sendable {
  public var header: RaftHeader
  public var term: Term
  /// Address of the candidate.
  public var candidate: String
  public var lastIndex: LogIndex
  public var lastTerm: Term
  /// The leader asked the candidate to take over: a known leader is no reason to refuse.
  public var leadershipTransfer: Bool

  public init(
    header: RaftHeader, term: Term, candidate: String, lastIndex: LogIndex, lastTerm: Term,
    leadershipTransfer: Bool = false
  ) {
    self.header = header
    self.term = term
    self.candidate = candidate
    self.lastIndex = lastIndex
    self.lastTerm = lastTerm
    self.leadershipTransfer = leadershipTransfer
  }

  init(decoding reader: inout MessagePackReader) throws(WireError) {
    self.init(header: RaftHeader(protocolVersion: 0), term: 0, candidate: "", lastIndex: 0, lastTerm: 0)
    var fields = RaftHeaderFields()
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "Term": term = try reader.readTerm()
      case "Candidate": candidate = try reader.readName()
      case "LastLogIndex": lastIndex = try reader.readIndex()
      case "LastLogTerm": lastTerm = try reader.readTerm()
      case "LeadershipTransfer": leadershipTransfer = try reader.readBool()
      case let key:
        if try !fields.decode(key, &reader) { try reader.skip() }
      }
    }
    header = fields.header
  }

  func encode(into out: inout [UInt8]) {
    out.packMapHeader(5 + header.fieldCount)
    out.packAddress(header)
    out.pack("Candidate" as StaticString)
    out.pack(candidate)
    out.packID(header)
    out.pack("LastLogIndex", lastIndex)
    out.pack("LastLogTerm", lastTerm)
    out.pack("LeadershipTransfer", leadershipTransfer)
    out.packVersion(header)
    out.pack("Term", term)
  }
}

/// Answer to `RequestVoteRequest`. The legacy field `Peers` is sent as nil and ignored.
public struct RequestVoteResponse: Hashable, Sendable {
  public var header: RaftHeader
  public var term: Term
  public var granted: Bool

  public init(header: RaftHeader, term: Term, granted: Bool) {
    self.header = header
    self.term = term
    self.granted = granted
  }

  init(decoding reader: inout MessagePackReader) throws(WireError) {
    self.init(header: RaftHeader(protocolVersion: 0), term: 0, granted: false)
    var fields = RaftHeaderFields()
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "Term": term = try reader.readTerm()
      case "Granted": granted = try reader.readBool()
      case let key:
        if try !fields.decode(key, &reader) { try reader.skip() }
      }
    }
    header = fields.header
  }

  func encode(into out: inout [UInt8]) {
    out.packMapHeader(3 + header.fieldCount)
    out.packAddress(header)
    out.pack("Granted", granted)
    out.packID(header)
    out.pack("Peers" as StaticString)
    out.packNil()
    out.packVersion(header)
    out.pack("Term", term)
  }
}
