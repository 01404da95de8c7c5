import Base

/// The field names of a Go struct in declaration order, which is also their order in the array form.
struct StructFields: Sendable, ExpressibleByArrayLiteral {
  let names: [[UInt8]]
  init(arrayLiteral names: String...) { self.names = names.map { Array($0.utf8) } }

  func index(of key: RawSpan) -> Int {
    for index in names.indices where key.equals(names[index]) { return index }
    return -1
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
