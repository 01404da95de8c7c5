import Base
import State
import Testing
import Wire

/// Bytes from hexadecimal text; blanks and line ends are for reading.
func bytes(_ hex: String) -> [UInt8] {
  let digits = hex.compactMap(\.hexDigitValue)
  return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// A decoded MessagePack value, for comparisons in which the order of keys does not count.
indirect enum Value: Hashable {
  case null
  case bool(Bool)
  case number(Int64)
  case large(UInt64)
  case text([UInt8])
  case list([Value])
  case map([String: Value])

  init(_ bytes: [UInt8]) throws {
    var reader = MessagePackReader(bytes.bytes)
    self = try Value(&reader)
    let remaining = reader.remaining
    #expect(remaining == 0)
  }

  init(_ reader: inout MessagePackReader) throws {
    switch try reader.peekKind() {
    case .nil:
      _ = try reader.readNil()
      self = .null
    case .bool: self = .bool(try reader.readBool())
    case .integer:
      let start = try MessagePackReader.copy(reader.skip())
      var again = MessagePackReader(start.bytes)
      if let signed = try? again.readInt64() {
        self = .number(signed)
      } else {
        var wide = MessagePackReader(start.bytes)
        self = .large(try wide.readUInt64())
      }
    case .raw: self = .text(try reader.readByteArray())
    case .array:
      var list: [Value] = []
      for _ in 0..<(try reader.readArrayHeader()) { list.append(try Value(&reader)) }
      self = .list(list)
    case .map:
      var map: [String: Value] = [:]
      for _ in 0..<(try reader.readMapHeader()) {
        let key = try reader.readString()
        map[key] = try Value(&reader)
      }
      self = .map(map)
    case .float, .ext: throw WireError.typeMismatch
    }
  }

  subscript(key: String) -> Value? {
    get { if case .map(let map) = self { map[key] } else { nil } }
    set {
      guard case .map(var map) = self else { return }
      map[key] = newValue
      self = .map(map)
    }
  }

  var string: String? { if case .text(let bytes) = self { String(decoding: bytes, as: UTF8.self) } else { nil } }
  var number: Int64? { if case .number(let number) = self { number } else { nil } }
  var items: [Value] { if case .list(let items) = self { items } else { [] } }
}

extension MessagePackReader {
  static func copy(_ span: RawSpan) -> [UInt8] { span.copy() }
}

extension StateStore {
  /// Applies without waiters.
  @discardableResult
  mutating func apply(_ index: UInt64, _ data: [UInt8]) -> ApplyResult {
    var watches = WatchTable()
    return apply(index: index, data.bytes, waking: &watches)
  }

  static func recorded(upTo last: UInt64 = 13) -> StateStore {
    var state = StateStore()
    for (index, data) in Recorded.entries where index <= last { state.apply(index, data) }
    return state
  }

  func value(ofNode id: String) throws -> Value {
    var out: [UInt8] = []
    packGetNode(try NodeID(id), QueryMeta(index: 0, knownLeader: true), into: &out)
    return try #require(try Value(out)["Node"])
  }
}

/// A minimal node of a real client, as a registration carries it.
func encodedNode(
  id: String, secret: String = "66666666-7777-8888-9999-000000000000", status: String = "ready", name: String = "n1",
  more: (inout [UInt8]) -> Void = { _ in }, moreCount: Int = 0
) -> [UInt8] {
  var out: [UInt8] = []
  out.packMapHeader(8 + moreCount)
  for (key, value) in [
    ("ID", id), ("SecretID", secret), ("Name", name), ("Datacenter", "dc1"), ("Status", status),
    ("HTTPAddr", "127.0.0.1:4646"),
  ] {
    out.pack(key)
    out.pack(value)
  }
  out.pack("Attributes")
  out.packMapHeader(2)
  out.pack("nomad.version")
  out.pack("1.1.2")
  out.pack("os.name")
  out.pack("debian")
  out.pack("StatusUpdatedAt")
  out.pack(signed: 1_000_000)
  more(&out)
  return out
}

func registration(_ id: String, status: String = "ready") -> [UInt8] {
  StateMessage.nodeRegister(node: encodedNode(id: id, status: status).bytes, write: WriteRequest(region: "global"))
}

func identifier(_ number: Int) -> String {
  NodeID(high: UInt64(number) << 32, low: UInt64(number)).description
}
