import Base
import Wire

@testable import Raft

/// Watches from outside what must never happen.
struct Checker {
  private(set) var violations: [String] = []
  /// Every entry that anybody ever saw committed; position 0 is index 1.
  private(set) var committedEntries: [LogEntry] = []
  private var stateHashes: [UInt64] = []
  private var leaders: [Term: Int] = [:]

  mutating func violation(_ text: String) { violations.append(text) }

  var lastCommitted: LogIndex { LogIndex(UInt64(committedEntries.count)) }

  /// State machine safety and log matching: all servers see the same entry at an index, and no gaps.
  mutating func committed(_ entry: LogEntry, after applied: LogIndex, by server: Int) {
    if entry.index != applied.next { violation("server \(server) applied \(entry.index) after \(applied)") }
    let position = Int(entry.index.value) - 1
    if position < committedEntries.count {
      if committedEntries[position] != entry {
        violation("server \(server) committed another entry at \(entry.index): \(entry.term) \(entry.kind.value)")
      }
    } else if position == committedEntries.count {
      committedEntries.append(entry)
    } else {
      violation("server \(server) committed \(entry.index) before anybody committed what precedes it")
    }
  }

  mutating func state(_ hash: UInt64, at index: LogIndex, by server: Int) {
    let position = Int(index.value) - 1
    if position < stateHashes.count {
      if stateHashes[position] != hash { violation("server \(server) has another state at \(index)") }
    } else {
      stateHashes.append(hash)
    }
  }

  /// Election safety, and leader completeness: whatever was committed is in the log of every later leader.
  mutating func elected(_ server: Int, term: Term, node: RaftNode) {
    if let other = leaders[term], other != server { violation("servers \(other) and \(server) both lead term \(term)") }
    leaders[term] = server
    for entry in committedEntries where entry.term < term && entry.index > node.snapshotIndex {
      guard node.machine.log.term(at: entry.index) == entry.term else {
        return violation("leader \(server) of term \(term) lacks committed entry \(entry.index)")
      }
    }
  }

  // MARK: The replicated state: a hash over all entries

  static func combine(_ hash: UInt64, _ entry: LogEntry) -> UInt64 {
    var result = hash ^ entry.index.value &* 0x9E37_79B9_7F4A_7C15 ^ entry.term.value << 32
    for byte in entry.data { result = (result ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return result ^ result >> 29
  }

  static func bytes(of hash: UInt64) -> [UInt8] {
    var out: [UInt8] = []
    out.append(bigEndian: hash)
    return out
  }

  static func hash(of state: [UInt8]) -> UInt64 { state.isEmpty ? 0 : state.bytes.uint64(at: 0) }
}
