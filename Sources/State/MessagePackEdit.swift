import Base
import Wire

// Small additions to the MessagePack vocabulary: values that are kept encoded, so that fields of newer peers survive
// (rpc.md 5.2: "keep every field a client sent, including unknown ones and nested unknown ones").

extension [UInt8] {
  /// Appends a value that is already encoded, or nil.
  mutating func pack(encoded value: [UInt8]?) {
    if let value { append(contentsOf: value) } else { packNil() }
  }

  /// An owned copy of one encoded map with some fields set.
  static func patched(
    _ map: RawSpan, _ set: (inout MessagePackPatch) -> Void
  ) throws(WireError) -> [UInt8] {
    var patch = MessagePackPatch()
    set(&patch)
    var bytes: [UInt8] = []
    try patch.apply(to: map, into: &bytes)
    return bytes
  }
}

extension MessagePackReader {
  /// The next value's bytes, owned; `nil` for nil.
  mutating func readEncoded() throws(WireError) -> [UInt8]? {
    if try readNil() { return nil }
    return try skip().copy()
  }

  /// The bytes of a map, owned; `nil` for nil.
  mutating func readEncodedMap() throws(WireError) -> [UInt8]? {
    if try readNil() { return nil }
    guard try peekKind() == .map else { throw .typeMismatch }
    return try skip().copy()
  }

  /// Walks the pairs of a map: `body` gets each key and must consume its value.
  mutating func readPairs(
    _ body: (RawSpan, inout MessagePackReader) throws(WireError) -> Void
  ) throws(WireError) {
    let count = try readMapHeader()
    for _ in 0..<count {
      let key = try readRaw()
      try body(key, &self)
    }
  }
}

extension MessagePackPatch {
  mutating func set(_ key: String, unsigned value: UInt64) { set(key) { $0.pack(unsigned: value) } }
  mutating func set(_ key: String, signed value: Int64) { set(key) { $0.pack(signed: value) } }
  mutating func set(_ key: String, text: String) { set(key) { $0.pack(text) } }
  mutating func set(_ key: String, encoded: [UInt8]) { set(key) { $0.append(contentsOf: encoded) } }
}
