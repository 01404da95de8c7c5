import Base

/// A question to all members (gossip.md 6.2, type 4).
public struct SerfQuery: ~Escapable {
  public let lamportTime: UInt64
  public let id: UInt32
  /// Where answers go.
  public let address: RawSpan
  public let port: UInt16
  public let sourceNode: RawSpan
  /// The encoded array of filters; walk it with `forEachFilter`.
  public let filters: RawSpan
  public let flags: UInt32
  public let relayFactor: UInt8
  public let timeout: Int64
  public let name: RawSpan
  public let payload: RawSpan

  public static let wantsAck: UInt32 = 1
  public static let noBroadcast: UInt32 = 2

  static let fields: StructFields = [
    "LTime", "ID", "Addr", "Port", "SourceNode", "Filters", "Flags", "RelayFactor", "Timeout", "Name", "Payload",
  ]

  /// `bytes` starts after the type byte.
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) throws(WireError) {
    var reader = MessagePackReader(bytes)
    var time: UInt64 = 0
    var id: UInt32 = 0
    var flags: UInt32 = 0
    var port: UInt16 = 0
    var relay: UInt8 = 0
    var timeout: Int64 = 0
    let empty = bytes.extracting(0..<0)
    var address = empty
    var source = empty
    var filters = empty
    var name = empty
    var payload = empty
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, Self.fields) {
      case 0: time = try reader.readUInt64()
      case 1: id = try reader.readInteger(as: UInt32.self)
      case 2: address = try reader.readRaw()
      case 3: port = try reader.readInteger(as: UInt16.self)
      case 4: source = try reader.readRaw()
      case 5: filters = try reader.skip()
      case 6: flags = try reader.readInteger(as: UInt32.self)
      case 7: relay = try reader.readInteger(as: UInt8.self)
      case 8: timeout = try reader.readInt64()
      case 9: name = try reader.readRaw()
      case 10: payload = try reader.readRaw()
      default: try reader.skip()
      }
    }
    self.lamportTime = time
    self.id = id
    self.address = address
    self.port = port
    self.sourceNode = source
    self.filters = filters
    self.flags = flags
    self.relayFactor = relay
    self.timeout = timeout
    self.name = name
    self.payload = payload
  }

  /// Calls `body` with each filter until it answers false. Throws for an empty filter (which crashes peers), for too
  /// many of them, and for a value that is no array.
  public func forEachFilter(_ body: (RawSpan) -> Bool) throws(WireError) {
    if filters.byteCount == 0 { return }
    var reader = MessagePackReader(filters)
    let count = try reader.readArrayHeader()
    guard count <= SerfLimits.maximumFilters else { throw .tooLarge }
    for _ in 0..<count {
      let filter = try reader.readRaw()
      guard filter.byteCount > 0 else { throw .malformed }
      if !body(filter) { return }
    }
  }

  public static func encode(
    lamportTime: UInt64, id: UInt32, source: SocketAddress, sourceNode: [UInt8], filters: [[UInt8]], flags: UInt32,
    relayFactor: UInt8, timeout: Interval, name: [UInt8], payload: [UInt8]?, into out: inout [UInt8]
  ) {
    out.append(SerfMessageKind.query.rawValue)
    out.packMapHeader(11)
    out.pack("Addr" as StaticString)
    out.pack(source.host)
    out.pack("Filters" as StaticString)
    if filters.isEmpty { out.packNil() } else { out.packArrayHeader(filters.count) }
    for filter in filters { out.pack(raw: filter) }
    out.pack("Flags" as StaticString)
    out.pack(unsigned: UInt64(flags))
    out.pack("ID" as StaticString)
    out.pack(unsigned: UInt64(id))
    out.pack("LTime" as StaticString)
    out.pack(unsigned: lamportTime)
    out.pack("Name" as StaticString)
    out.pack(raw: name)
    out.pack("Payload" as StaticString)
    out.pack(raw: payload)
    out.pack("Port" as StaticString)
    out.pack(unsigned: UInt64(source.port))
    out.pack("RelayFactor" as StaticString)
    out.pack(unsigned: UInt64(relayFactor))
    out.pack("SourceNode" as StaticString)
    out.pack(raw: sourceNode)
    out.pack("Timeout" as StaticString)
    out.pack(timeout)
  }
}

/// Answer to a query, or its mere acknowledgement (gossip.md 6.2, type 5).
public struct SerfQueryResponse: ~Escapable {
  public let lamportTime: UInt64
  public let id: UInt32
  public let from: RawSpan
  public let flags: UInt32
  public let payload: RawSpan

  public static let isAck: UInt32 = 1

  static let fields: StructFields = ["LTime", "ID", "From", "Flags", "Payload"]

  /// `bytes` starts after the type byte.
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) throws(WireError) {
    var reader = MessagePackReader(bytes)
    var time: UInt64 = 0
    var id: UInt32 = 0
    var flags: UInt32 = 0
    var from = bytes.extracting(0..<0)
    var payload = bytes.extracting(0..<0)
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, Self.fields) {
      case 0: time = try reader.readUInt64()
      case 1: id = try reader.readInteger(as: UInt32.self)
      case 2: from = try reader.readRaw()
      case 3: flags = try reader.readInteger(as: UInt32.self)
      case 4: payload = try reader.readRaw()
      default: try reader.skip()
      }
    }
    self.lamportTime = time
    self.id = id
    self.from = from
    self.flags = flags
    self.payload = payload
  }

  public static func encode(
    lamportTime: UInt64, id: UInt32, from: [UInt8], flags: UInt32, payload: [UInt8]?, into out: inout [UInt8]
  ) {
    out.append(SerfMessageKind.queryResponse.rawValue)
    out.packMapHeader(5)
    out.pack("Flags" as StaticString)
    out.pack(unsigned: UInt64(flags))
    out.pack("From" as StaticString)
    out.pack(raw: from)
    out.pack("ID" as StaticString)
    out.pack(unsigned: UInt64(id))
    out.pack("LTime" as StaticString)
    out.pack(unsigned: lamportTime)
    out.pack("Payload" as StaticString)
    out.pack(raw: payload)
  }
}

/// A condition on the members that should answer a query (gossip.md 6.2).
public enum SerfFilter {
  public static let nodeKind: UInt8 = 0
  public static let tagKind: UInt8 = 1

  static let tagFields: StructFields = ["Tag", "Expr"]

  /// True when `name` is in the list of node names; `bytes` starts after the kind byte.
  public static func names(_ bytes: RawSpan, contain name: RawSpan) throws(WireError) -> Bool {
    var reader = MessagePackReader(bytes)
    var found = false
    for _ in 0..<(try reader.readArrayHeader()) where try reader.readRaw().equals(name) { found = true }
    return found
  }

  /// Tag name and regular expression; `bytes` starts after the kind byte.
  public static func tag(_ bytes: RawSpan) throws(WireError) -> (tag: String, pattern: String) {
    var reader = MessagePackReader(bytes)
    var tag = ""
    var pattern = ""
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, tagFields) {
      case 0: tag = try reader.readString()
      case 1: pattern = try reader.readString()
      default: try reader.skip()
      }
    }
    guard pattern.utf8.count <= SerfLimits.maximumPatternBytes else { throw .tooLarge }
    return (tag, pattern)
  }
}
