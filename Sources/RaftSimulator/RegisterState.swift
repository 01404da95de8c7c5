import Base
import Wire

/// The replicated state of the simulation: a few registers, and a hash over everything that was ever applied.
struct RegisterState: Hashable {
  static let count = 6

  var values = [UInt32](repeating: 0, count: count)
  var hash: UInt64 = 0

  init() {}

  /// Of a snapshot; anything else is the state before the first entry.
  init(decoding bytes: [UInt8]) {
    guard bytes.count == 8 + 4 * Self.count else { return }
    hash = bytes.bytes.uint64(at: 0)
    for key in 0..<Self.count { values[key] = bytes.bytes.uint32(at: 8 + 4 * key) }
  }

  var encoded: [UInt8] {
    var out: [UInt8] = []
    out.append(bigEndian: hash)
    for value in values { out.append(bigEndian: value) }
    return out
  }

  /// Returns what a swap found. Data of any other form only counts for the hash.
  mutating func apply(_ entry: LogEntry) -> UInt32? {
    var result = hash ^ entry.index.value &* 0x9E37_79B9_7F4A_7C15 ^ entry.term.value << 32
    for byte in entry.data { result = (result ^ UInt64(byte)) &* 0x100_0000_01B3 }
    hash = result ^ result >> 29
    guard entry.kind == .command, let command = RegisterCommand(decoding: entry.data) else { return nil }
    let found = values[command.key]
    switch command.kind {
    case .write(let value): values[command.key] = value
    case .swap(let expected, let value): if found == expected { values[command.key] = value }
    case .read: break
    }
    return found
  }
}

struct RegisterCommand {
  static let size = 10

  var key: Int
  var kind: History.Kind

  init(key: Int, kind: History.Kind) {
    self.key = key
    self.kind = kind
  }

  init?(decoding data: [UInt8]) {
    guard data.count == Self.size, data[0] <= 1, data[1] < RegisterState.count else { return nil }
    key = Int(data[1])
    let value = data.bytes.uint32(at: 2)
    kind = data[0] == 0 ? .write(value) : .swap(expected: data.bytes.uint32(at: 6), value)
  }

  var encoded: [UInt8] {
    var out: [UInt8] = []
    switch kind {
    case .read: return out
    case .write(let value):
      out = [0, UInt8(key)]
      out.append(bigEndian: value)
      out.append(bigEndian: UInt32(0))
    case .swap(let expected, let value):
      out = [1, UInt8(key)]
      out.append(bigEndian: value)
      out.append(bigEndian: expected)
    }
    return out
  }
}
