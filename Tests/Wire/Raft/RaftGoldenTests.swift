import Base
import Testing

@testable import Wire

/// Frames recorded from peers of both generations of the library: decoded, compared, and encoded back to the same
/// bytes.
@Suite struct RaftGoldenTests {
  static let old = RaftHeader(protocolVersion: 3)
  static func new(_ id: String, _ address: String) -> RaftHeader {
    RaftHeader(protocolVersion: 3, identity: RaftHeader.Identity(id: id, address: address))
  }

  /// Every golden request with the value it stands for.
  static let requests: [(hex: String, request: RaftRequest)] = [
    (
      """
      00 87a7456e7472696573c0a64c6561646572af3132372e302e372e313a3134363437b14c6561646572436f6d6d6974496e64657800
      ac507265764c6f67456e74727900ab507265764c6f675465726d00af50726f746f636f6c56657273696f6e03a45465726d02
      """,
      .appendEntries(AppendEntriesRequest(header: old, term: 2, leader: "127.0.7.1:14647"))
    ),
    (
      """
      00 87a7456e74726965739185a444617461c0aa457874656e73696f6e73c0a5496e64657802a45465726d02a45479706501
      a64c6561646572af3132372e302e372e313a3134363437b14c6561646572436f6d6d6974496e64657800
      ac507265764c6f67456e74727901ab507265764c6f675465726d01af50726f746f636f6c56657273696f6e03a45465726d02
      """,
      .appendEntries(
        AppendEntriesRequest(
          header: old, term: 2, leader: "127.0.7.1:14647", previousIndex: 1, previousTerm: 1,
          entries: [LogEntry(index: 2, term: 2, kind: .noop)]))
    ),
    (
      """
      00 87a7456e747269657390a64c6561646572af3132372e302e382e313a3235303031b14c6561646572436f6d6d6974496e64657802
      ac507265764c6f67456e74727902ab507265764c6f675465726d02af50726f746f636f6c56657273696f6e02a45465726d02
      """,
      .appendEntries(
        AppendEntriesRequest(
          header: RaftHeader(protocolVersion: 2), term: 2, leader: "127.0.8.1:25001", previousIndex: 2,
          previousTerm: 2, commitIndex: 2))
    ),
    (
      """
      00 89a441646472af3132372e302e382e313a3235303031a7456e747269657390a24944a26e31
      a64c6561646572af3132372e302e382e313a3235303031b14c6561646572436f6d6d6974496e64657802
      ac507265764c6f67456e74727902ab507265764c6f675465726d02af50726f746f636f6c56657273696f6e03a45465726d02
      """,
      .appendEntries(
        AppendEntriesRequest(
          header: new("n1", "127.0.8.1:25001"), term: 2, leader: "127.0.8.1:25001", previousIndex: 2,
          previousTerm: 2, commitIndex: 2))
    ),
    (
      """
      01 86a943616e646964617465af3132372e302e372e313a3134363437ac4c6173744c6f67496e64657801ab4c6173744c6f675465726d01
      b24c6561646572736869705472616e73666572c2af50726f746f636f6c56657273696f6e03a45465726d02
      """,
      .requestVote(
        RequestVoteRequest(header: old, term: 2, candidate: "127.0.7.1:14647", lastIndex: 1, lastTerm: 1))
    ),
    (
      """
      01 88a441646472af3132372e302e382e313a3235303031a943616e646964617465af3132372e302e382e313a3235303031a24944a26e31
      ac4c6173744c6f67496e64657801ab4c6173744c6f675465726d01b24c6561646572736869705472616e73666572c2
      af50726f746f636f6c56657273696f6e03a45465726d02
      """,
      .requestVote(
        RequestVoteRequest(
          header: new("n1", "127.0.8.1:25001"), term: 2, candidate: "127.0.8.1:25001", lastIndex: 1, lastTerm: 1))
    ),
    (
      """
      04 86a441646472af3132372e302e382e313a3235303031a24944a26e31ac4c6173744c6f67496e64657801ab4c6173744c6f675465726d01
      af50726f746f636f6c56657273696f6e03a45465726d02
      """,
      .requestPreVote(
        RequestPreVoteRequest(header: new("n1", "127.0.8.1:25001"), term: 2, lastIndex: 1, lastTerm: 1))
    ),
    ("03 81af50726f746f636f6c56657273696f6e03", .timeoutNow(TimeoutNowRequest(header: old))),
    (
      "03 83a441646472af3132372e302e382e313a3235303031a24944a26e31af50726f746f636f6c56657273696f6e03",
      .timeoutNow(TimeoutNowRequest(header: new("n1", "127.0.8.1:25001")))
    ),
  ]

  @Test(arguments: requests.indices) func requestsMatchTheirBytesInBothDirections(_ index: Int) throws {
    let (hex, request) = Self.requests[index]
    let bytes = raftBytes(hex)
    var decoder = RaftRequestDecoder()
    decoder.append(bytes.bytes)
    #expect(try decoder.next() == request)
    #expect(try decoder.next() == nil)
    #expect(decoder.bufferedBytes == 0)
    var out: [UInt8] = []
    request.encode(into: &out)
    #expect(out == bytes)
  }

  static let replies: [(hex: String, kind: RaftRequestKind, reply: RaftReply)] = [
    (
      """
      a0 85a74c6173744c6f6706ae4e6f52657472794261636b6f6666c2af50726f746f636f6c5665727
      3696f6e03a753756363657373c3a45465726d02
      """,
      .appendEntries,
      RaftReply(.appendEntries(AppendEntriesResponse(header: old, term: 2, lastIndex: 6, success: true)))
    ),
    (
      """
      a0 85a74c6173744c6f6700ae4e6f52657472794261636b6f6666c3af50726f746f636f6c5665727
      3696f6e03a753756363657373c2a45465726d02
      """,
      .appendEntries,
      RaftReply(
        .appendEntries(
          AppendEntriesResponse(header: old, term: 2, lastIndex: 0, success: false, noRetryBackoff: true)))
    ),
    (
      """
      a0 87a441646472af3132372e302e382e323a3235303032a24944a26e32a74c6173744c6f6702ae4e6f52657472794261636b6f6666c2
      af50726f746f636f6c56657273696f6e03a753756363657373c3a45465726d02
      """,
      .appendEntries,
      RaftReply(
        .appendEntries(
          AppendEntriesResponse(header: new("n2", "127.0.8.2:25002"), term: 2, lastIndex: 2, success: true)))
    ),
    (
      "a0 84a74772616e746564c3a55065657273c0af50726f746f636f6c56657273696f6e03a45465726d02", .requestVote,
      RaftReply(.requestVote(RequestVoteResponse(header: old, term: 2, granted: true)))
    ),
    (
      """
      a0 85a441646472af3132372e302e382e323a3235303032a74772616e746564c3a24944a26e32
      af50726f746f636f6c56657273696f6e03a45465726d02
      """,
      .requestPreVote,
      RaftReply(
        .requestPreVote(RequestPreVoteResponse(header: new("n2", "127.0.8.2:25002"), term: 2, granted: true)))
    ),
    (
      "a0 83af50726f746f636f6c56657273696f6e00a753756363657373c3a45465726d02", .installSnapshot,
      RaftReply(.installSnapshot(InstallSnapshotResponse(term: 2, success: true)))
    ),
    ("a0 81af50726f746f636f6c56657273696f6e00", .timeoutNow, RaftReply(.timeoutNow(TimeoutNowResponse()))),
    (
      """
      da00356f7065726174696f6e206e6f7420737570706f7274656420776974682063757272656e7420
      70726f746f636f6c2076657273696f6e c0
      """,
      .appendEntries, .unsupportedVersion
    ),
  ]

  @Test(arguments: replies.indices) func repliesMatchTheirBytesInBothDirections(_ index: Int) throws {
    let (hex, kind, reply) = Self.replies[index]
    let bytes = raftBytes(hex)
    var decoder = RaftReplyDecoder()
    decoder.append(bytes.bytes)
    #expect(try decoder.next(to: kind) == reply)
    #expect(decoder.bufferedBytes == 0)
    var out: [UInt8] = []
    reply.encode(into: &out)
    #expect(out == bytes)
  }

  @Test func nilIdentityOfANewReplyCountsAsAbsent() throws {
    var decoder = RaftReplyDecoder()
    decoder.append(raftBytes("a0 83a441646472c0a24944c0af50726f746f636f6c56657273696f6e00").bytes)
    #expect(try decoder.next(to: .timeoutNow) == RaftReply(.timeoutNow(TimeoutNowResponse())))
  }

  @Test func configurationMatchesItsBytes() throws {
    let bytes = raftBytes(
      "81a75365727665727391 83a741646472657373af3132372e302e382e313a3235303031 a24944a26e31 a8537566667261676500")
    let configuration = try RaftConfiguration(decoding: bytes.bytes)
    #expect(configuration.servers == [RaftServer(id: "n1", address: "127.0.8.1:25001")])
    #expect(configuration.encoded == bytes)
  }

  @Test func legacyPeersMatchTheirBytes() throws {
    let bytes = raftBytes("92af3132372e302e382e313a3235303031af3132372e302e382e323a3235303032")
    let configuration = try RaftConfiguration(of: LogEntry(index: 1, term: 1, kind: .removePeer, data: bytes))
    #expect(configuration.servers.map(\.id) == ["127.0.8.1:25001", "127.0.8.2:25002"])
    #expect(configuration.servers.map(\.address) == configuration.servers.map(\.id))
    #expect(configuration.encodedPeers == bytes)
  }

  @Test func snapshotHeaderHasTheRecordedKeysAndTheStateFollows() throws {
    let servers = (1...3).map { RaftServer(id: "id-\($0)", address: "127.0.7.\($0):14647") }
    let request = InstallSnapshotRequest(
      header: Self.old, term: 2, leader: "127.0.7.1:14647", lastIndex: 9, lastTerm: 2,
      configuration: RaftConfiguration(servers), configurationIndex: 1, state: [UInt8](repeating: 7, count: 457))
    var out: [UInt8] = []
    RaftRequest.installSnapshot(request).encode(into: &out)
    #expect(out.starts(with: raftBytes("02 8aad436f6e66696775726174696f6e")))
    let tail = raftBytes(
      """
      b2436f6e66696775726174696f6e496e64657801ac4c6173744c6f67496e64657809
      ab4c6173744c6f675465726d02a64c6561646572af3132372e302e372e313a3134363437
      a55065657273da003193af3132372e302e372e313a3134363437af3132372e302e372e323a313436
      3437af3132372e302e372e333a3134363437
      af50726f746f636f6c56657273696f6e03a453697a65d101c9af536e617073686f7456657273696f6e01a45465726d02
      """)
    #expect(Array(out.dropLast(457).suffix(tail.count)) == tail)
    var decoder = RaftRequestDecoder()
    decoder.append(out.bytes)
    #expect(try decoder.next() == .installSnapshot(request))
  }

  @Test(
    arguments: [
      "a8212106706b02e16c", "af010000000ee294d8a918a0d9ff0000", "a400000000", "ac000000000000000000000000", "c0",
      "d60012345678",
    ]) func appendedAtOfNewerLeadersIsSkippedInEveryForm(_ time: String) throws
  {
    let bytes = raftBytes(
      "00 82a7456e74726965739186aa417070656e6465644174 \(time)"
        + "a444617461a3616263aa457874656e73696f6e73c0a5496e64657802a45465726d02a45479706500 a45465726d02")
    var decoder = RaftRequestDecoder()
    decoder.append(bytes.bytes)
    guard case .appendEntries(let request)? = try decoder.next() else { throw WireError.malformed }
    #expect(request.entries == [LogEntry(index: 2, term: 2, kind: .command, data: Array("abc".utf8))])
    #expect(request.header == RaftHeader(protocolVersion: 0))
  }
}
