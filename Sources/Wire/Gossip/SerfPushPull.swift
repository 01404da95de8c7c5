import Base

/// Serf's part of a state exchange (gossip.md 6.2, 6.5). The lists stay encoded; they are walked when merged.
public struct SerfPushPull: ~Escapable {
  public let lamportTime: UInt64
  public let eventTime: UInt64
  public let queryTime: UInt64
  private let statusTimes: RawSpan
  private let leftMembers: RawSpan
  private let events: RawSpan

  static let fields: StructFields = [
    "LTime", "StatusLTimes", "LeftMembers", "EventLTime", "Events", "QueryLTime",
  ]
  static let slotFields: StructFields = ["LTime", "Events"]
  static let eventFields: StructFields = ["Name", "Payload"]

  /// `bytes` starts after the type byte. Checks the outer structure only.
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) throws(WireError) {
    var reader = MessagePackReader(bytes)
    var time: UInt64 = 0
    var eventTime: UInt64 = 0
    var queryTime: UInt64 = 0
    var statusTimes = bytes.extracting(0..<0)
    var leftMembers = bytes.extracting(0..<0)
    var events = bytes.extracting(0..<0)
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, Self.fields) {
      case 0: time = try reader.readUInt64()
      case 1: statusTimes = try reader.skip()
      case 2: leftMembers = try reader.skip()
      case 3: eventTime = try reader.readUInt64()
      case 4: events = try reader.skip()
      case 5: queryTime = try reader.readUInt64()
      default: try reader.skip()
      }
    }
    self.lamportTime = time
    self.eventTime = eventTime
    self.queryTime = queryTime
    self.statusTimes = statusTimes
    self.leftMembers = leftMembers
    self.events = events
  }

  /// Name and status time of every member the sender knows, departed ones included.
  public func forEachStatusTime(_ body: (RawSpan, UInt64) -> Void) throws(WireError) {
    if statusTimes.byteCount == 0 { return }
    var reader = MessagePackReader(statusTimes)
    for _ in 0..<(try reader.readMapHeader()) {
      let name = try reader.readRaw()
      body(name, try reader.readUInt64())
    }
  }

  /// Names of the members that left.
  public func forEachLeftMember(_ body: (RawSpan) -> Void) throws(WireError) {
    if leftMembers.byteCount == 0 { return }
    var reader = MessagePackReader(leftMembers)
    for _ in 0..<(try reader.readArrayHeader()) { body(try reader.readRaw()) }
  }

  /// Lamport time, name and payload of the events that the sender remembers.
  public func forEachEvent(_ body: (UInt64, RawSpan, RawSpan) -> Void) throws(WireError) {
    if events.byteCount == 0 { return }
    var reader = MessagePackReader(events)
    for _ in 0..<(try reader.readArrayHeader()) {
      if try reader.readNil() { continue }
      try readSlot(&reader, body)
    }
  }

  private func readSlot(
    _ reader: inout MessagePackReader, _ body: (UInt64, RawSpan, RawSpan) -> Void
  ) throws(WireError) {
    var time: UInt64 = 0
    var list = events.extracting(0..<0)
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, Self.slotFields) {
      case 0: time = try reader.readUInt64()
      case 1: list = try reader.skip()
      default: try reader.skip()
      }
    }
    if list.byteCount == 0 { return }
    var items = MessagePackReader(list)
    for _ in 0..<(try items.readArrayHeader()) {
      var name = list.extracting(0..<0)
      var payload = list.extracting(0..<0)
      let item = try items.readStructHeader()
      for position in 0..<item.count {
        switch try items.readField(item, position, Self.eventFields) {
        case 0: name = try items.readRaw()
        case 1: payload = try items.readRaw()
        default: try items.skip()
        }
      }
      body(time, name, payload)
    }
  }

  /// What `encode` needs; borrowed from the owner's tables for the call.
  public struct Content {
    public var lamportTime: UInt64 = 0
    public var eventTime: UInt64 = 0
    public var queryTime: UInt64 = 0
    public var statusTimes: [(name: [UInt8], time: UInt64)] = []
    public var leftMembers: [[UInt8]] = []
    public var events: [(time: UInt64, items: [(name: [UInt8], payload: [UInt8])])] = []

    public init() {}
  }

  /// Writes the type byte too. Only filled event slots are sent; peers accept any number.
  public static func encode(_ content: Content, into out: inout [UInt8]) {
    out.append(SerfMessageKind.pushPull.rawValue)
    out.packMapHeader(6)
    out.pack("EventLTime" as StaticString)
    out.pack(unsigned: content.eventTime)
    out.pack("Events" as StaticString)
    if content.events.isEmpty { out.packNil() } else { out.packArrayHeader(content.events.count) }
    for slot in content.events {
      out.packMapHeader(2)
      out.pack("Events" as StaticString)
      out.packArrayHeader(slot.items.count)
      for item in slot.items {
        out.packMapHeader(2)
        out.pack("Name" as StaticString)
        out.pack(raw: item.name)
        out.pack("Payload" as StaticString)
        out.pack(raw: item.payload)
      }
      out.pack("LTime" as StaticString)
      out.pack(unsigned: slot.time)
    }
    out.pack("LTime" as StaticString)
    out.pack(unsigned: content.lamportTime)
    out.pack("LeftMembers" as StaticString)
    out.packArrayHeader(content.leftMembers.count)
    for name in content.leftMembers { out.pack(raw: name) }
    out.pack("QueryLTime" as StaticString)
    out.pack(unsigned: content.queryTime)
    out.pack("StatusLTimes" as StaticString)
    out.packMapHeader(content.statusTimes.count)
    for entry in content.statusTimes {
      out.pack(raw: entry.name)
      out.pack(unsigned: entry.time)
    }
  }
}
