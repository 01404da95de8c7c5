import Base
import Foundation
import Testing

@testable import Durable

@Suite struct LogStoreTests {
  static func entries(_ range: ClosedRange<UInt64>, term: UInt64 = 1, bytes: Int = 10) -> [StoredEntry] {
    range.map {
      StoredEntry(
        index: $0, term: term, kind: UInt8($0 % 6),
        data: [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: bytes))
    }
  }

  @Test func emptyStoreHoldsNothingAndWritesNothing() throws {
    let directory = try TemporaryDirectory()
    let store = try LogStore(directory: directory.path + "/a/b")
    #expect(try store.load() == StoredState())
    #expect(try store.entries(from: 1, through: 10, maximumBytes: 1000).isEmpty)
    #expect(try store.term(at: 1) == nil)
  }

  @Test func whatWasPerformedIsThereAfterReopening() throws {
    let directory = try TemporaryDirectory()
    let entries = Self.entries(1...100)
    do {
      let store = try LogStore(directory: directory.path)
      try store.perform([.hardState(StoredHardState(term: 3, vote: Array("127.0.0.1:4647".utf8))), .append(entries)])
    }
    let store = try LogStore(directory: directory.path)
    let state = try store.load()
    #expect(state.hardState == StoredHardState(term: 3, vote: Array("127.0.0.1:4647".utf8)))
    #expect(state.bounds == 1...100)
    #expect(try store.entries(from: 1, through: 100, maximumBytes: .max) == entries)
    #expect(try store.term(at: 100) == 1)
    #expect(try store.term(at: 101) == nil)
  }

  @Test func readingStopsAtTheLimitButGivesAtLeastOne() throws {
    let directory = try TemporaryDirectory()
    let store = try LogStore(directory: directory.path)
    try store.perform([.append(Self.entries(1...10, bytes: 1000))])
    #expect(try store.entries(from: 3, through: 10, maximumBytes: 1).map(\.index) == [3])
    #expect(try store.entries(from: 3, through: 10, maximumBytes: 2500).map(\.index) == [3, 4, 5])
    #expect(try store.entries(from: 9, through: 20, maximumBytes: .max).map(\.index) == [9, 10])
  }

  @Test func truncationAndAppendInOneBatchReplaceTheTail() throws {
    let directory = try TemporaryDirectory()
    let store = try LogStore(directory: directory.path)
    try store.perform([.append(Self.entries(1...20))])
    try store.perform([.truncate(from: 11), .append(Self.entries(11...12, term: 2))])
    #expect(try store.load().bounds == 1...12)
    #expect(try store.term(at: 10) == 1)
    #expect(try store.term(at: 11) == 2)
  }

  @Test func compactionKeepsTheRest() throws {
    let directory = try TemporaryDirectory()
    let store = try LogStore(directory: directory.path)
    try store.perform([.hardState(StoredHardState(term: 1)), .append(Self.entries(1...3000))])
    try store.perform([.compact(through: 2000)])
    #expect(try store.load() == StoredState(hardState: StoredHardState(term: 1), bounds: 2001...3000))
    #expect(try store.term(at: 2000) == nil)
  }

  @Test func anEmptiedLogMayStartAnywhere() throws {
    let directory = try TemporaryDirectory()
    let store = try LogStore(directory: directory.path)
    try store.perform([.append(Self.entries(1...5))])
    try store.perform([.truncate(from: 1), .append(Self.entries(900...901))])
    #expect(try store.load().bounds == 900...901)
  }

  @Test func aBatchThatCannotBeAppliedChangesNothing() throws {
    let directory = try TemporaryDirectory()
    let store = try LogStore(directory: directory.path)
    try store.perform([.append(Self.entries(1...5))])
    // Index 3 is not after 5: the whole batch is refused, the hard state with it.
    #expect(throws: DurableError.self) {
      try store.perform([.hardState(StoredHardState(term: 9)), .append(Self.entries(3...3))])
    }
    #expect(try store.load() == StoredState(bounds: 1...5))
    try store.perform([.append(Self.entries(6...6))])
    #expect(try store.load().bounds == 1...6)
  }

  @Test func theMapGrowsWithTheLog() throws {
    let directory = try TemporaryDirectory()
    var limits = LogStore.Limits()
    limits.initialMapBytes = 1 << 16
    limits.journalBytes = 1 << 20
    let store = try LogStore(directory: directory.path, limits: limits)
    for start in stride(from: UInt64(1), to: 401, by: 100) {
      try store.perform([.append(Self.entries(start...(start + 99), bytes: 5000))])
    }
    #expect(try store.load().bounds == 1...400)
    #expect(store.usedBytes > 1 << 20)
  }

  @Test func theMaximumIsAnErrorThatNamesThePathAndSparesTheRest() throws {
    let directory = try TemporaryDirectory()
    var limits = LogStore.Limits()
    limits.initialMapBytes = 1 << 16
    limits.maximumMapBytes = 1 << 18
    let store = try LogStore(directory: directory.path, limits: limits)
    try store.perform([.append(Self.entries(1...2))])
    do {
      try store.perform([.append(Self.entries(3...400, bytes: 5000))])
      Issue.record("the write must fail")
    } catch DurableError.full(let path, _) {
      #expect(path == directory.path)
    }
    #expect(try store.load().bounds == 1...2)
    try store.perform([.append(Self.entries(3...4))])
  }

  @Test func aSecondProcessIsRefused() throws {
    let directory = try TemporaryDirectory()
    let first = try LogStore(directory: directory.path)
    #expect(throws: DurableError.inUse(path: directory.path)) { try LogStore(directory: directory.path) }
    _ = first
  }

  @Test func anUnusableDirectoryIsAnErrorThatNamesIt() throws {
    #expect {
      try LogStore(directory: "/proc/nothing/here")
    } throws: { error in
      "\(error)".contains("/proc/nothing")
    }
  }

  @Test func aDamagedEntryIsFoundWhenRead() throws {
    let directory = try TemporaryDirectory()
    do {
      let store = try LogStore(directory: directory.path)
      try store.perform([
        .append(Self.entries(1...3, bytes: 1)),
        .append([StoredEntry(index: 4, term: 1, kind: 0, data: Array("find me in the file".utf8))]),
        .append(Self.entries(5...5)),
      ])
    }
    let url = URL(fileURLWithPath: directory.path + "/data.mdb")
    var bytes = try Data(contentsOf: url)
    while let range = bytes.range(of: Data("find me".utf8)) { bytes[range.lowerBound] = 0 }
    try bytes.write(to: url)
    let store = try LogStore(directory: directory.path)
    #expect(try store.load().bounds == 1...5)
    #expect(try store.term(at: 3) == 1)
    #expect {
      try store.term(at: 4)
    } throws: { error in
      "\(error)".contains(directory.path) && "\(error)".contains("entry 4")
    }
  }

  @Test func aForeignFileIsRefused() throws {
    let directory = try TemporaryDirectory()
    try Data(repeating: 0x55, count: 16384).write(to: URL(fileURLWithPath: directory.path + "/data.mdb"))
    #expect {
      try LogStore(directory: directory.path)
    } throws: { error in
      "\(error)".contains(directory.path) && "\(error)".contains("damaged")
    }
  }

  /// The loop reads while a worker writes and grows the map.
  @Test func readersAndTheWriterDoNotDisturbEachOther() async throws {
    let directory = try TemporaryDirectory()
    var limits = LogStore.Limits()
    limits.initialMapBytes = 1 << 16
    let store = try LogStore(directory: directory.path, limits: limits)
    try store.perform([.append(Self.entries(1...1))])
    let writing = Task.detached {
      for index in UInt64(2)...300 { try store.perform([.append(LogStoreTests.entries(index...index, bytes: 3000))]) }
    }
    var last: UInt64 = 1
    while last < 300 {
      let read = try store.entries(from: last, through: 300, maximumBytes: 1 << 20)
      #expect(read.first?.index == last)
      last = read.last?.index ?? last
      await Task.yield()
    }
    try await writing.value
  }

  /// Formation waits for this: a new store, the bootstrap entry, a vote.
  @Test func firstWritesTakeMilliseconds() throws {
    let directory = try TemporaryDirectory()
    let clock = ContinuousClock()
    let time = try clock.measure {
      let store = try LogStore(directory: directory.path)
      _ = try store.load()
      try store.perform([.hardState(StoredHardState(term: 1)), .append(Self.entries(1...1))])
      try store.perform([.hardState(StoredHardState(term: 2, vote: [1]))])
    }
    // A generous bound: the disk of a build machine is shared.
    #expect(time < .seconds(2))
    print("first writes took \(time)")
  }
}
