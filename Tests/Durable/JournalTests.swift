import Base
import Foundation
import Testing

@testable import Durable

/// The journal in front of the database: what was made durable is there after any crash, and damage is not taken for a
/// crash.
@Suite struct JournalTests {
  private static func entries(_ range: ClosedRange<UInt64>, term: UInt64 = 1, bytes: Int = 10) -> [StoredEntry] {
    LogStoreTests.entries(range, term: term, bytes: bytes)
  }

  private static func url(_ directory: TemporaryDirectory) -> URL {
    URL(fileURLWithPath: directory.path + "/journal")
  }

  /// Small, so that it fills up and begins anew.
  private static func limits(journalBytes: Int = 1 << 16) -> LogStore.Limits {
    var limits = LogStore.Limits()
    limits.journalBytes = journalBytes
    return limits
  }

  @Test func batchesAreThereAfterReopening() throws {
    let directory = try TemporaryDirectory()
    do {
      let store = try LogStore(directory: directory.path)
      try store.perform([.append(Self.entries(1...3))])
      try store.perform([.hardState(StoredHardState(term: 7, vote: [9]))])
      for index in UInt64(4)...20 { try store.perform([.append(Self.entries(index...index))]) }
      #expect(try store.load() == StoredState(hardState: StoredHardState(term: 7, vote: [9]), bounds: 1...20))
    }
    for _ in 0..<2 {
      let store = try LogStore(directory: directory.path)
      #expect(try store.load() == StoredState(hardState: StoredHardState(term: 7, vote: [9]), bounds: 1...20))
      #expect(try store.entries(from: 1, through: 30, maximumBytes: .max) == Self.entries(1...20))
      #expect(try store.term(at: 20) == 1)
      #expect(try store.term(at: 21) == nil)
    }
    let store = try LogStore(directory: directory.path)
    try store.perform([.append(Self.entries(21...22))])
    #expect(try store.load().bounds == 1...22)
  }

  /// Many rounds through the file, and a restart in each of many places.
  @Test func aFullJournalGoesIntoTheDatabaseAndBeginsAnew() throws {
    let directory = try TemporaryDirectory()
    var last: UInt64 = 0
    for restart in 0..<40 {
      let store = try LogStore(directory: directory.path, limits: Self.limits())
      #expect(try store.load().bounds == (last == 0 ? nil : 1...last))
      for step in 0..<(3 + restart % 7) {
        let end = last + UInt64(1 + (restart * 5 + step) % 11)
        try store.perform([
          .hardState(StoredHardState(term: end)), .append(Self.entries((last + 1)...end, bytes: 700 + step * 13)),
        ])
        last = end
      }
      #expect(try store.load().hardState == StoredHardState(term: last))
    }
    let store = try LogStore(directory: directory.path, limits: Self.limits())
    #expect(try store.entries(from: 1, through: last, maximumBytes: .max).map(\.index) == Array(1...last))
  }

  @Test func cutsOfTheLogReachIntoTheJournal() throws {
    let directory = try TemporaryDirectory()
    do {
      let store = try LogStore(directory: directory.path)
      for index in UInt64(1)...20 { try store.perform([.append(Self.entries(index...index))]) }
      try store.perform([.truncate(from: 15), .append(Self.entries(15...16, term: 2))])
      #expect(try store.load().bounds == 1...16)
      try store.perform([.append(Self.entries(17...18, term: 2))])
      try store.perform([.compact(through: 10)])
      try store.perform([.append(Self.entries(19...19, term: 2))])
    }
    let store = try LogStore(directory: directory.path)
    #expect(try store.load().bounds == 11...19)
    #expect(try store.term(at: 14) == 1)
    #expect(try store.term(at: 15) == 2)
    #expect(try store.term(at: 10) == nil)
  }

  @Test func anEmptiedLogMayStartAnywhereInTheJournalToo() throws {
    let directory = try TemporaryDirectory()
    do {
      let store = try LogStore(directory: directory.path)
      try store.perform([.append(Self.entries(1...5))])
      try store.perform([.truncate(from: 1)])
      try store.perform([.append(Self.entries(900...901))])
    }
    #expect(try LogStore(directory: directory.path).load().bounds == 900...901)
  }

  @Test func aBatchThatDoesNotContinueTheLogChangesNothing() throws {
    let directory = try TemporaryDirectory()
    let store = try LogStore(directory: directory.path)
    try store.perform([.append(Self.entries(1...5))])
    try store.perform([.append(Self.entries(6...7))])
    #expect(throws: DurableError.self) {
      try store.perform([.hardState(StoredHardState(term: 9)), .append(Self.entries(6...6))])
    }
    #expect(try store.load() == StoredState(bounds: 1...7))
    try store.perform([.append(Self.entries(8...8))])
    #expect(try store.load().bounds == 1...8)
  }

  /// The last record cut short after each of its bytes: everything before it is there, nothing of it.
  @Test func aRecordWhoseWriteWasCutShortIsLeftOut() throws {
    let directory = try TemporaryDirectory()
    do {
      let store = try LogStore(directory: directory.path, limits: Self.limits())
      for index in UInt64(1)...4 { try store.perform([.append(Self.entries(index...index))]) }
    }
    let whole = try Data(contentsOf: Self.url(directory))
    let end = try #require(whole.lastIndex { $0 != 0 }) + 1
    // Entries 2 to 4 are in the journal; the last record is as long as the one before.
    let record = (end - Journal.headerBytes) / 3
    for cut in 1...record {
      var bytes = whole
      for position in (end - cut)..<end { bytes[position] = 0 }
      try bytes.write(to: Self.url(directory))
      let bounds = try LogStore(directory: directory.path, limits: Self.limits()).load().bounds
      #expect(bounds == 1...3 || (bounds == 1...4 && bytes == whole), "cut by \(cut): \(String(describing: bounds))")
    }
    do {
      let store = try LogStore(directory: directory.path, limits: Self.limits())
      try store.perform([.append(Self.entries(4...5, term: 2))])
    }
    #expect(try LogStore(directory: directory.path, limits: Self.limits()).load().bounds == 1...5)
  }

  @Test func aBadRecordBeforeAGoodOneIsDamage() throws {
    let directory = try TemporaryDirectory()
    do {
      let store = try LogStore(directory: directory.path, limits: Self.limits())
      for index in UInt64(1)...9 { try store.perform([.append(Self.entries(index...index))]) }
    }
    let whole = try Data(contentsOf: Self.url(directory))
    for position in [Journal.headerBytes, Journal.headerBytes + 9, Journal.headerBytes + 30, Journal.headerBytes + 90] {
      var bytes = whole
      bytes[position] ^= 0x10
      try bytes.write(to: Self.url(directory))
      #expect {
        try LogStore(directory: directory.path, limits: Self.limits())
      } throws: { error in
        "\(error)".contains("journal is damaged")
      }
    }
    try whole.write(to: Self.url(directory))
    #expect(try LogStore(directory: directory.path, limits: Self.limits()).load().bounds == 1...9)
  }

  @Test func aMissingOrForeignJournalIsDamage() throws {
    let directory = try TemporaryDirectory()
    do {
      let store = try LogStore(directory: directory.path, limits: Self.limits())
      for index in UInt64(1)...9 { try store.perform([.append(Self.entries(index...index))]) }
      try store.perform([.compact(through: 1)])
    }
    try Data(repeating: 0x41, count: 8192).write(to: Self.url(directory))
    #expect(throws: DurableError.self) { try LogStore(directory: directory.path, limits: Self.limits()) }
    try FileManager.default.removeItem(at: Self.url(directory))
    #expect {
      try LogStore(directory: directory.path, limits: Self.limits())
    } throws: { error in
      "\(error)".contains("missing")
    }
  }

  /// Entries that look like records of the journal must not become some.
  @Test func recordsPlantedInEntriesAreIgnored() throws {
    let directory = try TemporaryDirectory()
    do {
      let store = try LogStore(directory: directory.path, limits: Self.limits())
      try store.perform([.append(Self.entries(1...1))])
      var planted: [UInt8] = []
      for sequence in UInt64(1)...200 {
        planted.append(bigEndian: UInt64(0))
        planted.append(bigEndian: sequence)
        planted.append(bigEndian: UInt64(8))
        planted.append(bigEndian: sequence)
      }
      for index in UInt64(2)...40 {
        try store.perform([.append([StoredEntry(index: index, term: 1, kind: 0, data: planted)])])
      }
    }
    #expect(try LogStore(directory: directory.path, limits: Self.limits()).load().bounds == 1...40)
  }

  @Test func aLogOfTheVersionWithoutJournalIsTakenOver() throws {
    let directory = try TemporaryDirectory()
    var limits = LogStore.Limits()
    limits.journalBytes = 0
    do {
      let store = try LogStore(directory: directory.path, limits: limits)
      for index in UInt64(1)...5 { try store.perform([.append(Self.entries(index...index))]) }
      #expect(!FileManager.default.fileExists(atPath: directory.path + "/journal"))
    }
    let store = try LogStore(directory: directory.path)
    try store.perform([.append(Self.entries(6...6))])
    #expect(try store.load().bounds == 1...6)
    #expect(FileManager.default.fileExists(atPath: directory.path + "/journal"))
  }
}
