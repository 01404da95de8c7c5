import Base
import Testing

@testable import Wire

@Suite struct RaftStreamDecoderTests {
  private func stream() -> (bytes: [UInt8], requests: [RaftRequest]) {
    var requests = RaftGoldenTests.requests.map(\.request)
    requests.append(
      .installSnapshot(
        InstallSnapshotRequest(
          header: RaftGoldenTests.old, term: 4, leader: "a:1", lastIndex: 7, lastTerm: 3,
          configuration: RaftConfiguration([RaftServer(id: "x", address: "a:1")]), configurationIndex: 1,
          state: (0..<1000).map { UInt8(truncatingIfNeeded: $0) })))
    requests.append(requests[0])
    var bytes: [UInt8] = []
    for request in requests { request.encode(into: &bytes) }
    return (bytes, requests)
  }

  @Test(arguments: [1, 2, 3, 7, 64, 1000, 100_000]) func anyChunkingGivesTheSameRequests(_ size: Int) throws {
    let (bytes, expected) = stream()
    var decoder = RaftRequestDecoder()
    var requests: [RaftRequest] = []
    var offset = 0
    while offset < bytes.count {
      let end = min(offset + size, bytes.count)
      decoder.append(bytes.bytes(offset..<end))
      while let request = try decoder.next() { requests.append(request) }
      offset = end
    }
    #expect(requests == expected)
    #expect(decoder.bufferedBytes == 0)
  }

  @Test(arguments: [1, 5, 1000]) func anyChunkingGivesTheSameReplies(_ size: Int) throws {
    var bytes: [UInt8] = []
    for item in RaftGoldenTests.replies { item.reply.encode(into: &bytes) }
    var decoder = RaftReplyDecoder()
    var replies: [RaftReply] = []
    var offset = 0
    while offset < bytes.count {
      let end = min(offset + size, bytes.count)
      decoder.append(bytes.bytes(offset..<end))
      while replies.count < RaftGoldenTests.replies.count,
        let reply = try decoder.next(to: RaftGoldenTests.replies[replies.count].kind)
      {
        replies.append(reply)
      }
      offset = end
    }
    #expect(replies == RaftGoldenTests.replies.map(\.reply))
  }

  @Test func unknownKindIsRefused() {
    var decoder = RaftRequestDecoder()
    decoder.append(raftBytes("05").bytes)
    #expect(throws: WireError.malformed) { try decoder.next() }
  }

  @Test func anEntryThatAnnouncesMoreThanTheLimitIsRefusedBeforeItArrives() {
    var decoder = RaftRequestDecoder()
    decoder.append(raftBytes("00 81 a7456e7472696573 91 81 a444617461 db7fffffff").bytes)
    #expect(throws: WireError.tooLarge) { try decoder.next() }
  }

  /// Every announced value takes at least one byte, so the limit on the size is broken before anything is reserved.
  @Test func aHugeCountIsRefusedAtOnce() {
    var decoder = RaftRequestDecoder()
    decoder.append(raftBytes("00 81 a7456e7472696573 ddffffffff c0").bytes)
    #expect(throws: WireError.tooLarge) { try decoder.next() }
  }

  @Test func nestingIsBounded() {
    var decoder = RaftRequestDecoder()
    decoder.append(raftBytes("00 81 a161" + String(repeating: "91", count: 100) + "c0").bytes)
    #expect(throws: WireError.tooDeep) { try decoder.next() }
  }

  @Test func aSnapshotAboveTheLimitIsConsumedAndNotKept() throws {
    let (bytes, expected) = stream()
    var decoder = RaftRequestDecoder(maximumSnapshotBytes: 999)
    decoder.append(bytes.bytes)
    var requests: [RaftRequest] = []
    while let request = try decoder.next() { requests.append(request) }
    #expect(requests.count == expected.count)
    #expect(requests.last == expected.last)
    guard case .installSnapshot(let snapshot) = requests[requests.count - 2] else { throw WireError.malformed }
    #expect(snapshot.state.isEmpty && snapshot.size == 1000)
  }

  @Test func aNegativeSnapshotSizeIsRefused() {
    var decoder = RaftRequestDecoder()
    decoder.append(raftBytes("02 81 a453697a65 ff").bytes)
    #expect(throws: WireError.outOfRange) { try decoder.next() }
  }

  @Test func aReplyThatNeverEndsIsRefused() {
    var decoder = RaftReplyDecoder()
    decoder.append(raftBytes("db00ffffff").bytes)
    #expect(throws: WireError.tooLarge) { try decoder.next(to: .appendEntries) }
  }

  /// Random damage must never trap; decoding ends with an error, a request, or a wait.
  @Test func damagedStreamsNeverTrap() {
    let (bytes, _) = stream()
    var random = RandomSource(seed: 7)
    for _ in 0..<3000 {
      var damaged = bytes
      for _ in 0..<(1 + random.below(4)) { damaged[random.below(damaged.count)] = UInt8(random.below(256)) }
      var decoder = RaftRequestDecoder(maximumSnapshotBytes: 1 << 16)
      decoder.append(damaged.bytes)
      do throws(WireError) { while try decoder.next() != nil {} } catch {}
    }
  }
}
