import Base
import State
import Testing
import Wire

@Suite struct SnapshotTests {
  func populated(_ count: Int) -> StateStore {
    var state = StateStore.recorded()
    for number in 0..<count { state.apply(UInt64(100 + number), registration(identifier(number * 7919 % 100_003))) }
    state.apply(9_000_000, Recorded.autopilotChecked)
    return state
  }

  @Test func everythingComesBack() throws {
    let state = populated(500)
    let restored = try StateStore(snapshot: state.encodedSnapshot(), at: state.lastIndex)
    #expect(restored == state)
    #expect(restored.autopilot?.maxTrailingLogs == 300)
  }

  @Test func piecesMakeTheWholeInAnyChunking() throws {
    let state = populated(40)
    let whole = state.encodedSnapshot()
    var encoder = SnapshotEncoder(state)
    var pieces: [UInt8] = []
    while encoder.next(into: &pieces, about: 100) {}
    #expect(pieces == whole)
    var random = RandomSource(seed: 7)
    for _ in 0..<20 {
      var decoder = SnapshotDecoder(index: state.lastIndex)
      var start = 0
      while start < whole.count {
        let end = min(whole.count, start + 1 + random.below(3000))
        try decoder.feed(whole.bytes(start..<end))
        start = end
      }
      #expect(try decoder.finish() == state)
    }
  }

  @Test func copyInProgressIsNotDisturbed() {
    var state = populated(10)
    let expected = state.encodedSnapshot()
    var encoder = SnapshotEncoder(state)
    var bytes: [UInt8] = []
    _ = encoder.next(into: &bytes, about: 1)
    state.apply(9_999_999, registration(identifier(1)))
    while encoder.next(into: &bytes, about: 1000) {}
    #expect(bytes == expected)
  }

  @Test func foreignRecordsAreGivenBackInTheirOrder() throws {
    var bytes: [UInt8] = [0x80]
    for type in [UInt8(1), 3, 31, 200, 1] { bytes += [type, 0x81, 0xA1, 0x41, type & 0x7F] }
    let state = try StateStore(snapshot: bytes, at: 5)
    #expect(state.hasForeignData && state.canSnapshot)
    let again = state.encodedSnapshot()
    #expect(Array(again.suffix(bytes.count - 1)) == Array(bytes.dropFirst()))
  }

  @Test func headerWithFieldsOfOthersIsAccepted() throws {
    var bytes: [UInt8] = []
    bytes.packMapHeader(1)
    bytes.pack("Version")
    bytes.pack(unsigned: 3)
    #expect(try StateStore(snapshot: bytes, at: 1).nodeCount == 0)
  }

  @Test func everyTruncationIsRefused() {
    let whole = populated(3).encodedSnapshot()
    var borders = 0
    for count in 0..<whole.count where (try? StateStore(snapshot: Array(whole.prefix(count)), at: 1)) != nil {
      borders += 1
    }
    // Only cuts between records cannot be told from a shorter snapshot.
    #expect(borders < 20, "\(borders)")
  }

  @Test func damagedBytesNeverTrap() {
    let whole = Recorded.snapshot
    var random = RandomSource(seed: 99)
    for _ in 0..<3000 {
      var damaged = whole
      for _ in 0...random.below(4) { damaged[random.below(damaged.count)] = UInt8(random.below(256)) }
      guard let state = try? StateStore(snapshot: damaged, at: 1) else { continue }
      if state.canSnapshot { _ = state.encodedSnapshot() }
      state.forEachNode { node in
        var out: [UInt8] = []
        node.packStub(into: &out, fields: [.resources, .os])
        node.pack(into: &out, blankingSecret: true)
      }
    }
  }

  @Test(arguments: [
    [], [0xC1], [0x90, 0x01], [0x80, 0x00], [0x80, 0x00, 0x80], [0x80, 0x00, 0xC0], [0x80, 0x02, 0x90, 0x01],
    [0x80, 0x0D, 0x05], [0x80, 0x05, 0xDF, 0xFF, 0xFF, 0xFF, 0xFF], [0x80, 0x05, 0xDB, 0xFF, 0xFF, 0xFF, 0xFF, 0x41],
    [0x80, 0x05] + [UInt8](repeating: 0x91, count: 100_000),
  ] as [[UInt8]])
  func hostileSnapshotsAreRefused(_ bytes: [UInt8]) {
    #expect(throws: SnapshotError.self) { _ = try StateStore(snapshot: bytes, at: 1) }
  }
}
