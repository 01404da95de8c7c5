import Base

/// Replication, commit refresh and heartbeat (type 00, raft.md 2.1).
public struct AppendEntriesRequest: Hashable, Sendable {
  public var header: RaftHeader
  public var term: Term
  /// Address of the leader; senders of both generations fill it.
  public var leader: String
  public var previousIndex: LogIndex
  public var previousTerm: Term
  public var entries: [LogEntry]
  public var commitIndex: LogIndex

  public init(
    header: RaftHeader, term: Term, leader: String, previousIndex: LogIndex = 0, previousTerm: Term = 0,
    entries: [LogEntry] = [], commitIndex: LogIndex = 0
  ) {
    self.header = header
    self.term = term
    self.leader = leader
    self.previousIndex = previousIndex
    self.previousTerm = previousTerm
    self.entries = entries
    self.commitIndex = commitIndex
  }

  /// The fast path: answered at once, says nothing about the log.
  public var isHeartbeat: Bool {
    term != 0 && previousIndex == 0 && previousTerm == 0 && entries.isEmpty && commitIndex == 0 && !leader.isEmpty
  }

  init(decoding reader: inout MessagePackReader) throws(WireError) {
    self.init(header: RaftHeader(protocolVersion: 0), term: 0, leader: "")
    var fields = RaftHeaderFields()
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "Term": term = try reader.readTerm()
      case "Leader": leader = try reader.readName()
      case "PrevLogEntry": previousIndex = try reader.readIndex()
      case "PrevLogTerm": previousTerm = try reader.readTerm()
      case "LeaderCommitIndex": commitIndex = try reader.readIndex()
      case "Entries":
        let count = try reader.readArrayHeader()
        entries.reserveCapacity(min(count, 256))
        for _ in 0..<count { entries.append(try LogEntry(decoding: &reader)) }
      case let key:
        if try !fields.decode(key, &reader) { try reader.skip() }
      }
    }
    header = fields.header
  }

  func encode(into out: inout [UInt8]) {
    out.packMapHeader(6 + header.fieldCount)
    out.packAddress(header)
    out.pack("Entries" as StaticString)
    if isHeartbeat {
      out.packNil()
    } else {
      out.packArrayHeader(entries.count)
      for entry in entries { entry.encode(into: &out) }
    }
    out.packID(header)
    out.pack("Leader" as StaticString)
    out.pack(leader)
    out.pack("LeaderCommitIndex", commitIndex)
    out.pack("PrevLogEntry", previousIndex)
    out.pack("PrevLogTerm", previousTerm)
    out.packVersion(header)
    out.pack("Term", term)
  }
}

/// Answer to `AppendEntriesRequest`.
public struct AppendEntriesResponse: Hashable, Sendable {
  public var header: RaftHeader
  public var term: Term
  /// Last index of the receiver *before* this request was applied; a hint where to retry after a refusal.
  public var lastIndex: LogIndex
  public var success: Bool
  /// The refusal is about the log, not about load: retry at once.
  public var noRetryBackoff: Bool

  public init(header: RaftHeader, term: Term, lastIndex: LogIndex, success: Bool, noRetryBackoff: Bool = false) {
    self.header = header
    self.term = term
    self.lastIndex = lastIndex
    self.success = success
    self.noRetryBackoff = noRetryBackoff
  }

  init(decoding reader: inout MessagePackReader) throws(WireError) {
    self.init(header: RaftHeader(protocolVersion: 0), term: 0, lastIndex: 0, success: false)
    var fields = RaftHeaderFields()
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "Term": term = try reader.readTerm()
      case "LastLog": lastIndex = try reader.readIndex()
      case "Success": success = try reader.readBool()
      case "NoRetryBackoff": noRetryBackoff = try reader.readBool()
      case let key:
        if try !fields.decode(key, &reader) { try reader.skip() }
      }
    }
    header = fields.header
  }

  func encode(into out: inout [UInt8]) {
    out.packMapHeader(4 + header.fieldCount)
    out.packAddress(header)
    out.packID(header)
    out.pack("LastLog", lastIndex)
    out.pack("NoRetryBackoff", noRetryBackoff)
    out.packVersion(header)
    out.pack("Success", success)
    out.pack("Term", term)
  }
}
