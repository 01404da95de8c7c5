import Base
import Wire

/// Namespaces by name, each kept encoded.
struct NamespaceTable: Hashable, Sendable {
  struct Row: Hashable, Sendable {
    var name: String
    var createIndex: UInt64
    /// The complete map.
    var encoded: [UInt8]
  }

  static let defaultName = "default"

  /// Ordered by name.
  private(set) var rows: [Row]

  /// Holds the namespace `default`, which exists without any log entry (rpc.md 8.4).
  init() {
    var bytes: [UInt8] = []
    bytes.packMapHeader(6)
    bytes.pack("CreateIndex")
    bytes.pack(unsigned: 1)
    bytes.pack("Description")
    bytes.pack("Default shared namespace")
    bytes.pack("Hash")
    bytes.pack(raw: Self.defaultHash)
    bytes.pack("ModifyIndex")
    bytes.pack(unsigned: 1)
    bytes.pack("Name")
    bytes.pack(Self.defaultName)
    bytes.pack("Quota")
    bytes.pack("")
    rows = [Row(name: Self.defaultName, createIndex: 1, encoded: bytes)]
  }

  private static let defaultHash: [UInt8] = [
    0x0B, 0xB5, 0x1B, 0x8C, 0x3C, 0x01, 0x2B, 0x47, 0x4A, 0xF3, 0x04, 0x2A, 0xEC, 0x8C, 0xE0, 0xED, 0x22, 0x48, 0xCD,
    0xA5, 0x7E, 0x94, 0x8A, 0x36, 0x5F, 0xBC, 0x11, 0xB7, 0x36, 0x37, 0xA5, 0x2C,
  ]

  subscript(name: String) -> Row? {
    rows.first { $0.name == name }
  }

  mutating func store(_ row: Row) {
    let position = rows.firstIndex { $0.name >= row.name } ?? rows.count
    if position < rows.count, rows[position].name == row.name {
      rows[position] = row
    } else {
      rows.insert(row, at: position)
    }
  }

  mutating func remove(_ name: String) { rows.removeAll { $0.name == name } }
}

extension NamespaceTable.Row {
  /// Keeps the map's bytes.
  init(_ map: RawSpan) throws(WireError) {
    var name = ""
    var create: UInt64 = 0
    var fields = MessagePackReader(map)
    try fields.readPairs { key, values throws(WireError) in
      switch key {
      case "Name": name = try values.readString()
      case "CreateIndex": create = try values.readUInt64()
      default: try values.skip()
      }
    }
    self.init(name: name, createIndex: create, encoded: map.copy())
  }
}
