import Base
import Testing
import Wire

/// The objects of streaming RPCs, in the bytes of the original (rpc.md section 9).
@Suite struct StreamObjectsTests {
  static let payload = "82a54572726f72c0a75061796c6f6164a27b7d"
  static let failure =
    "82a54572726f7282a4436f6465d10190a74d657373616765b1556e6b6e6f776e206c6f67206c6576656ca75061796c6f6164c0"

  private func decode(_ hex: String) throws -> StreamPiece {
    try unpacked(hex) { (reader) throws(WireError) in try StreamPiece(&reader) }
  }

  @Test func aPieceWithBytes() throws {
    #expect(try decode(Self.payload) == StreamPiece(payload: Array("{}".utf8)))
    #expect(packedText { StreamPiece(payload: Array("{}".utf8)).encode(into: &$0) } == Self.payload)
  }

  @Test func aPieceWithAnError() throws {
    let piece = StreamPiece(error: .init(text: "Unknown log level", code: 400))
    #expect(try decode(Self.failure) == piece)
    #expect(try decode(packedText { piece.encode(into: &$0) }) == piece)
  }

  @Test func aSignOfLifeIsEmpty() throws {
    #expect(try decode("82a54572726f72c0a75061796c6f6164c0") == StreamPiece(payload: []))
    #expect(packedText { StreamPiece(payload: []).encode(into: &$0) } == "82a54572726f72c0a75061796c6f6164c0")
  }

  @Test(arguments: [0, 1, 32 << 10, (32 << 10) + 1, 100_000]) func aWholeInputEndsWithTheMark(count: Int) throws {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
    var out: [UInt8] = []
    StreamPiece.encode(whole: bytes, into: &out)
    var reader = MessagePackReader(out.bytes)
    var read: [UInt8] = []
    var mark: String?
    while mark == nil {
      let piece = try StreamPiece(&reader)
      read += piece.payload
      mark = piece.error?.text
    }
    let isAtEnd = reader.isAtEnd
    #expect(mark == "EOF" && isAtEnd && read == bytes)
  }

  /// As a Go agent sent it.
  @Test func theRequestOfAMonitor() throws {
    let hex =
      "8faa416c6c6f775374616c65c2a941757468546f6b656ea0a9466f72776172646564c2a74c6f674a534f4ec2a84c6f674c6576656c"
      + "a4696e666fac4d6178517565727954696d6500ad4d696e5175657279496e64657800a94e616d657370616365a0a94e657874546f"
      + "6b656ea0a64e6f64654944a0a75065725061676500a9506c61696e54657874c2a6507265666978a0a6526567696f6ea6676c6f62616c"
      + "a85365727665724944a66c6561646572"
    let request = try unpacked(hex) { (reader) throws(WireError) in try MonitorRequest(&reader) }
    #expect(request.serverID == "leader" && request.level == .info && request.options.region == "global")
    #expect(!request.isJSON && !request.isPlain && request.nodeID.isEmpty)
    let again = try unpacked(packedText { request.encode(into: &$0) }) { (reader) throws(WireError) in
      try MonitorRequest(&reader)
    }
    #expect(again == request)
  }

  @Test(arguments: [("", LogLevel.info), ("TRACE", .trace), ("warn", .warn), ("err", .error), ("bogus", nil)])
  func levels(name: String, level: LogLevel?) {
    var request = MonitorRequest()
    request.logLevel = name
    #expect(request.level == level)
  }

  @Test func theAnswerToASnapshotCarriesTheChecksumOrTheError() throws {
    var reply = SnapshotReply()
    reply.checksum = "sha-256=abc"
    reply.meta = QueryMeta(index: 7, knownLeader: true)
    for value in [reply, SnapshotReply(errorCode: 500, errorText: "No cluster leader")] {
      let again = try unpacked(packedText { value.encode(into: &$0) }) { (reader) throws(WireError) in
        try SnapshotReply(&reader)
      }
      #expect(again == value)
    }
  }

  @Test func everyTruncationIsTruncated() {
    for hex in [Self.payload, Self.failure] {
      for count in stride(from: 0, to: hex.count - 2, by: 2) {
        #expect(throws: WireError.truncated) { try decode(String(hex.prefix(count))) }
      }
    }
  }
}
