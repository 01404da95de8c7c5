import Base
import HTTP
import Wire

/// Turns a MessagePack answer into JSON under a `ReplyShape`, without an intermediate tree.
struct ReplyConverter {
  private(set) var json: JSONWriter

  init(pretty: Bool, reserving capacity: Int) { json = JSONWriter(pretty: pretty, reserving: capacity) }

  consuming func finish() -> [UInt8] { json.finish() }

  /// Writes the value at `offset` and returns the offset behind it.
  @discardableResult
  mutating func convert(
    _ bytes: RawSpan, at offset: Int, as shape: ReplyShape, depth: Int = 0
  ) throws(WireError) -> Int {
    guard depth < MessagePack.maximumDepth else { throw .tooDeep }
    var reader = MessagePackReader(bytes, at: offset)
    if try reader.readNil() {
      writeZero(shape)
      return reader.offset
    }
    switch shape {
    case .any: return try convertAny(bytes, at: offset, depth: depth)
    case .string: json.write(try reader.readString())
    case .bool: json.write(try reader.readBool())
    case .integer: try writeInteger(&reader)
    case .float: json.write(try reader.readDouble())
    case .time, .timeOrNull:
      let time = GoTime(try reader.readRaw())
      if case .timeOrNull = shape, time?.isZero == true { json.null() } else { write(time) }
    case .base64: json.write(Base64.encode(try reader.readRaw()))
    case .duration: json.write(GoDuration.text(.nanoseconds(try reader.readInt64())))
    case .address: json.write(addressText(try reader.readRaw()))
    case .serfStatus: json.write(serfStatus(try reader.readInt64()))
    case .blank:
      try reader.skip()
      json.write("")
    case .optional(let inner): return try convert(bytes, at: offset, as: inner, depth: depth)
    case .list(let element), .rows(let element):
      let count = try reader.readArrayHeader()
      var next = reader.offset
      json.beginArray()
      for _ in 0..<count { next = try convert(bytes, at: next, as: element, depth: depth + 1) }
      json.endArray()
      return next
    case .map(let value): return try convertMap(bytes, at: offset, as: value, depth: depth)
    case .structure(let fields): return try convertStructure(bytes, at: offset, fields, depth: depth)
    }
    return reader.offset
  }

  /// What a missing field of this shape looks like.
  mutating func writeZero(_ shape: ReplyShape) {
    switch shape {
    case .any, .timeOrNull, .base64, .list, .map, .optional: json.null()
    case .string, .blank, .address: json.write("")
    case .bool: json.write(false)
    case .integer: json.write(0)
    case .float: json.write(0.0)
    case .time: write(GoTime.zero)
    case .duration: json.write("0s")
    case .serfStatus: json.write("none")
    case .rows:
      json.beginArray()
      json.endArray()
    case .structure(let fields):
      json.beginObject()
      for field in fields.sorted where !field.omitsNil {
        json.name(field.name)
        writeZero(field.shape)
      }
      json.endObject()
    }
  }

  // MARK: Containers

  private mutating func convertStructure(
    _ bytes: RawSpan, at offset: Int, _ fields: ReplyShape.Fields, depth: Int
  ) throws(WireError) -> Int {
    var reader = MessagePackReader(bytes, at: offset)
    let count = try reader.readMapHeader()
    var offsets = [Int](repeating: -1, count: fields.sorted.count)
    var unknown: [(name: String, offset: Int)] = []
    var expected = 0
    for _ in 0..<count {
      let name = try reader.readRaw()
      if let index = index(of: name, in: fields.sorted, startingAt: expected) {
        offsets[index] = reader.offset
        expected = index + 1
      } else if try !isNil(bytes, at: reader.offset) {
        unknown.append((name.text(), reader.offset))
      }
      try reader.skip()
    }
    unknown.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    json.beginObject()
    var nextUnknown = 0
    for (index, field) in fields.sorted.enumerated() {
      while nextUnknown < unknown.count, unknown[nextUnknown].name.utf8.lexicographicallyPrecedes(field.utf8) {
        json.name(unknown[nextUnknown].name)
        try convert(bytes, at: unknown[nextUnknown].offset, as: .any, depth: depth + 1)
        nextUnknown += 1
      }
      if field.omitsNil {
        if offsets[index] < 0 { continue }
        if try isNil(bytes, at: offsets[index]) { continue }
      }
      json.name(field.name)
      if offsets[index] < 0 {
        writeZero(field.shape)
      } else {
        try convert(bytes, at: offsets[index], as: field.shape, depth: depth + 1)
      }
    }
    for rest in unknown[nextUnknown...] {
      json.name(rest.name)
      try convert(bytes, at: rest.offset, as: .any, depth: depth + 1)
    }
    json.endObject()
    return reader.offset
  }

  private mutating func convertMap(
    _ bytes: RawSpan, at offset: Int, as value: ReplyShape, depth: Int
  ) throws(WireError) -> Int {
    var reader = MessagePackReader(bytes, at: offset)
    let count = try reader.readMapHeader()
    var entries: [(name: String, offset: Int)] = []
    entries.reserveCapacity(count)
    for _ in 0..<count {
      switch try reader.peekKind() {
      case .raw: entries.append((try reader.readString(), reader.offset))
      case .integer: entries.append((String(try reader.readInt64()), reader.offset))
      default: try reader.skip()  // A struct as key has no JSON form.
      }
      try reader.skip()
    }
    entries.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    json.beginObject()
    for entry in entries {
      json.name(entry.name)
      try convert(bytes, at: entry.offset, as: value, depth: depth + 1)
    }
    json.endObject()
    return reader.offset
  }

  private mutating func convertAny(_ bytes: RawSpan, at offset: Int, depth: Int) throws(WireError) -> Int {
    var reader = MessagePackReader(bytes, at: offset)
    switch try reader.peekKind() {
    case .map: return try convertMap(bytes, at: offset, as: .any, depth: depth)
    case .array: return try convert(bytes, at: offset, as: .list(.any), depth: depth)
    case .bool: json.write(try reader.readBool())
    case .integer: try writeInteger(&reader)
    case .float: json.write(try reader.readDouble())
    case .raw:
      let raw = try reader.readRaw()
      // No text begins with these control bytes at exactly these lengths.
      if raw.byteCount >= 15, raw.byteCount <= 16, let time = GoTime(raw) {
        write(time)
      } else {
        json.write(raw.text())
      }
    case .nil, .ext:
      try reader.skip()
      json.null()
    }
    return reader.offset
  }

  // MARK: Scalars

  private mutating func writeInteger(_ reader: inout MessagePackReader) throws(WireError) {
    do throws(WireError) {
      json.write(try reader.readInt64())
    } catch {
      json.write(try reader.readUInt64())
    }
  }

  private mutating func write(_ time: GoTime?) {
    if let text = time?.text { json.write(text) } else { json.null() }
  }
}

private func isNil(_ bytes: RawSpan, at offset: Int) throws(WireError) -> Bool {
  var reader = MessagePackReader(bytes, at: offset)
  return try reader.readNil()
}

/// Sorted answers hit the expected field at once; others search from there around.
private func index(of name: RawSpan, in fields: [ReplyShape.Field], startingAt expected: Int) -> Int? {
  for step in 0..<fields.count {
    let index = (expected + step) % fields.count
    let candidate = fields[index].utf8
    if name.equals(candidate.borrowedBytes) { return index }
  }
  return nil
}

private func serfStatus(_ number: Int64) -> String {
  switch number {
  case 1: "alive"
  case 2: "leaving"
  case 3: "left"
  case 4: "failed"
  default: "none"
  }
}

private func addressText(_ bytes: RawSpan) -> String {
  IPAddress(networkBytes: bytes.copy()).map(String.init(describing:)) ?? ""
}
