import Base

/// The field names of a Go struct in declaration order, which is also their order in the array form.
struct StructFields: Sendable, ExpressibleByArrayLiteral {
  let names: [FieldName]

  /// Precondition: names are 1 to 16 bytes long.
  init(arrayLiteral names: String...) {
    self.names = names.map { name in
      let bytes = Array(name.utf8)
      precondition((1...FieldName.maximumBytes).contains(bytes.count))
      return FieldName(bytes.bytes)
    }
  }

  func index(of key: RawSpan) -> Int {
    guard (1...FieldName.maximumBytes).contains(key.byteCount) else { return -1 }
    let wanted = FieldName(key)
    for index in names.indices where names[index] == wanted { return index }
    return -1
  }
}

/// A name of at most 16 bytes as three integers: its first and last eight bytes, which may overlap, and its length.
/// Equal integers mean equal names, so a key is recognised with three comparisons.
struct FieldName: Equatable, Sendable {
  private let first: UInt64
  private let last: UInt64
  private let count: Int

  static let maximumBytes = 16

  /// Precondition: at most 16 bytes.
  init(_ bytes: RawSpan) {
    count = bytes.byteCount
    precondition(count <= Self.maximumBytes)
    if count >= 8 {
      first = bytes.uint64(at: 0)
      last = bytes.uint64(at: count - 8)
    } else {
      var value: UInt64 = 0
      for offset in 0..<count { value = value << 8 | UInt64(bytes.byte(at: offset)) }
      first = value
      last = 0
    }
  }
}

/// Header of a struct value: a map with names, or the positional array that Go's codec accepts as well.
struct StructHeader {
  let count: Int
  let isPositional: Bool
}

extension MessagePackReader {
  /// A nil counts as a struct without fields.
  mutating func readStructHeader() throws(WireError) -> StructHeader {
    let isPositional = try peekKind() == .array
    let count = isPositional ? try readArrayHeader() : try readMapHeader()
    guard count <= GossipLimits.maximumStructFields else { throw .tooLarge }
    return StructHeader(count: count, isPositional: isPositional)
  }

  /// Index in `fields` of the value that comes next; -1 for one we do not know and must skip.
  mutating func readField(_ header: StructHeader, _ position: Int, _ fields: StructFields) throws(WireError) -> Int {
    if header.isPositional { return position < fields.names.count ? position : -1 }
    return fields.index(of: try readRaw())
  }
}
