import Base

/// A whole state for a follower whose next entry is compacted away (type 02, raft.md 2.4). On the wire the object is
/// followed by exactly `state.count` raw bytes.
public struct InstallSnapshotRequest: Hashable, Sendable {
  public var header: RaftHeader
  /// 1 for every protocol version in use.
  public var snapshotVersion: Int64
  public var term: Term
  /// Address of the leader.
  public var leader: String
  public var lastIndex: LogIndex
  public var lastTerm: Term
  public var configuration: RaftConfiguration
  public var configurationIndex: LogIndex
  /// Empty after a decoder refused to keep it (`size` says what the sender announced).
  public var state: [UInt8]
  public var size: Int

  public init(
    header: RaftHeader, term: Term, leader: String, lastIndex: LogIndex, lastTerm: Term,
    configuration: RaftConfiguration, configurationIndex: LogIndex, state: [UInt8]
  ) {
    self.header = header
    self.snapshotVersion = 1
    self.term = term
    self.leader = leader
    self.lastIndex = lastIndex
    self.lastTerm = lastTerm
    self.configuration = configuration
    self.configurationIndex = configurationIndex
    self.state = state
    self.size = state.count
  }

  /// Decodes the object only; the state follows on the stream.
  init(decoding reader: inout MessagePackReader) throws(WireError) {
    self.init(
      header: RaftHeader(protocolVersion: 0), term: 0, leader: "", lastIndex: 0, lastTerm: 0,
      configuration: RaftConfiguration(), configurationIndex: 0, state: [])
    snapshotVersion = 0
    var peers = RaftConfiguration()
    var fields = RaftHeaderFields()
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "SnapshotVersion": snapshotVersion = try reader.readInt64()
      case "Term": term = try reader.readTerm()
      case "Leader": leader = try reader.readName()
      case "LastLogIndex": lastIndex = try reader.readIndex()
      case "LastLogTerm": lastTerm = try reader.readTerm()
      case "ConfigurationIndex": configurationIndex = try reader.readIndex()
      case "Configuration":
        let raw = try reader.readRaw()
        if raw.byteCount > 0 { configuration = try RaftConfiguration(decoding: raw) }
      case "Peers":
        let raw = try reader.readRaw()
        if raw.byteCount > 0 { peers = try RaftConfiguration(decodingPeers: raw) }
      case "Size":
        guard let count = Int(exactly: try reader.readInt64()), count >= 0 else { throw .outOfRange }
        size = count
      case let key:
        if try !fields.decode(key, &reader) { try reader.skip() }
      }
    }
    // Version 0 senders name only the peers.
    if configuration.isEmpty { configuration = peers }
    header = fields.header
  }

  func encode(into out: inout [UInt8]) {
    out.packMapHeader(9 + header.fieldCount)
    out.packAddress(header)
    out.pack("Configuration" as StaticString)
    out.pack(raw: configuration.encoded)
    out.pack("ConfigurationIndex", configurationIndex)
    out.packID(header)
    out.pack("LastLogIndex", lastIndex)
    out.pack("LastLogTerm", lastTerm)
    out.pack("Leader" as StaticString)
    out.pack(leader)
    out.pack("Peers" as StaticString)
    out.pack(raw: configuration.encodedPeers)
    out.packVersion(header)
    out.pack("Size" as StaticString)
    out.pack(signed: Int64(state.count))
    out.pack("SnapshotVersion" as StaticString)
    out.pack(signed: snapshotVersion)
    out.pack("Term", term)
    out.append(contentsOf: state)
  }
}

/// Answer to `InstallSnapshotRequest`; its header version is 0 on the wire of Go nodes, and nobody checks it.
public struct InstallSnapshotResponse: Hashable, Sendable {
  public var header: RaftHeader
  public var term: Term
  public var success: Bool

  public init(header: RaftHeader = RaftHeader(protocolVersion: 0), term: Term, success: Bool) {
    self.header = header
    self.term = term
    self.success = success
  }

  init(decoding reader: inout MessagePackReader) throws(WireError) {
    self.init(term: 0, success: false)
    var fields = RaftHeaderFields()
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "Term": term = try reader.readTerm()
      case "Success": success = try reader.readBool()
      case let key:
        if try !fields.decode(key, &reader) { try reader.skip() }
      }
    }
    header = fields.header
  }

  func encode(into out: inout [UInt8]) {
    out.packMapHeader(2 + header.fieldCount)
    out.packAddress(header)
    out.packID(header)
    out.packVersion(header)
    out.pack("Success", success)
    out.pack("Term", term)
  }
}
