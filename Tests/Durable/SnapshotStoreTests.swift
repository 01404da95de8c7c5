import Base
import Foundation
import Testing

@testable import Durable

@Suite struct SnapshotStoreTests {
  private func snapshot(_ index: UInt64, term: UInt64 = 1) -> StoredSnapshot {
    StoredSnapshot(
      index: index, term: term, metadata: Array("meta \(index)".utf8),
      state: [UInt8](repeating: UInt8(index), count: 5000))
  }

  @Test func newestIsReadBackAndTwoAreKept() throws {
    let directory = try TemporaryDirectory()
    let store = try SnapshotStore(directory: directory.path + "/snapshots")
    #expect(try store.newest().snapshot == nil)
    for index in UInt64(9)...12 { try store.save(snapshot(index, term: index / 4)) }
    #expect(try store.newest().snapshot == snapshot(12, term: 3))
    #expect(try FileManager.default.contentsOfDirectory(atPath: store.directory).count == SnapshotStore.retained)
  }

  @Test(arguments: [0, 20, 40, 3000, -1]) func aDamagedSnapshotIsPassedOverForTheOneBefore(_ offset: Int) throws {
    let directory = try TemporaryDirectory()
    let store = try SnapshotStore(directory: directory.path)
    try store.save(snapshot(1))
    try store.save(snapshot(2))
    let name = try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted().last
    try directory.damage(try #require(name), at: offset)
    let result = try SnapshotStore(directory: directory.path).newest()
    #expect(result.snapshot == snapshot(1))
    #expect(result.skipped.count == 1)
  }

  @Test func aShortenedSnapshotIsPassedOver() throws {
    let directory = try TemporaryDirectory()
    let store = try SnapshotStore(directory: directory.path)
    try store.save(snapshot(1))
    let name = try #require(try FileManager.default.contentsOfDirectory(atPath: directory.path).first)
    let url = URL(fileURLWithPath: directory.path + "/" + name)
    for length in [0, 7, 35, 44, 2000] {
      try Data(contentsOf: url).prefix(length).write(to: url)
      #expect(try store.newest().snapshot == nil)
      try store.save(snapshot(1))
    }
  }

  @Test func leftoversOfAnInterruptedSaveAreRemoved() throws {
    let directory = try TemporaryDirectory()
    let leftover = directory.path + "/0000-0000.snapshot.tmp"
    try Data([1, 2, 3]).write(to: URL(fileURLWithPath: leftover))
    let store = try SnapshotStore(directory: directory.path)
    #expect(!FileManager.default.fileExists(atPath: leftover))
    #expect(try store.newest().snapshot == nil)
  }

  @Test func aFullDiskIsAnErrorAndLeavesNoLitter() throws {
    // /dev/full answers every write with "no space left".
    #expect {
      try Files.write([[1, 2, 3]], to: "/dev/full")
    } throws: { error in
      guard case .full("/dev/full", _)? = error as? DurableError else { return false }
      return true
    }
  }

  @Test func checksumIsTheStandardOne() {
    #expect(Checksum.of(Array("123456789".utf8).bytes) == 0x995d_c9bb_df19_39fa)
    let text = Array("the quick brown fox jumps over the lazy dog".utf8)
    var pieces = Checksum()
    pieces.add(text.bytes(0..<5))
    pieces.add(text.bytes(5..<text.count))
    #expect(pieces.value == Checksum.of(text.bytes))
  }
}
