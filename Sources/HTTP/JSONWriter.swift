/// Writes JSON text. The caller is responsible for the structure; commas, indentation and escapes are done here.
///
/// `<`, `>` and `&` are not escaped, floats always have a decimal point (http.md section 2).
public struct JSONWriter: Sendable {
  public private(set) var bytes: [UInt8]
  /// 4 spaces a level, `": "` between name and value; the caller ends the text with a newline.
  private let isPretty: Bool
  private var depth = 0
  private var isFirst = true
  private var followsName = false

  public init(pretty: Bool = false, reserving capacity: Int = 256) {
    isPretty = pretty
    bytes = []
    bytes.reserveCapacity(capacity)
  }

  /// The finished text; pretty text ends with a newline.
  public consuming func finish() -> [UInt8] {
    if isPretty { bytes.append(0x0A) }
    return bytes
  }

  // MARK: Structure

  public mutating func beginObject() { begin(0x7B) }
  public mutating func endObject() { end(0x7D) }
  public mutating func beginArray() { begin(0x5B) }
  public mutating func endArray() { end(0x5D) }

  /// The name of the next value; only inside an object.
  public mutating func name(_ text: String) {
    separate()
    quote(text.utf8)
    bytes.append(0x3A)
    if isPretty { bytes.append(0x20) }
    followsName = true
  }

  public mutating func name(_ text: StaticString) {
    separate()
    bytes.append(0x22)
    bytes.append(text)
    bytes.append(0x22)
    bytes.append(0x3A)
    if isPretty { bytes.append(0x20) }
    followsName = true
  }

  // MARK: Values

  public mutating func null() { literal("null") }
  public mutating func write(_ flag: Bool) { literal(flag ? "true" : "false") }

  public mutating func write(_ text: some StringProtocol) {
    separate()
    quote(text.utf8)
  }

  public mutating func write(_ value: some FixedWidthInteger) {
    separate()
    bytes.append(contentsOf: String(value).utf8)
  }

  /// Not a number and infinity, which JSON cannot say, become `0.0`.
  public mutating func write(_ value: Double) {
    separate()
    bytes.append(contentsOf: (value.isFinite ? value : 0).description.utf8)
  }

  public mutating func write(_ value: JSONValue) {
    switch value {
    case .null: null()
    case .bool(let flag): write(flag)
    case .integer(let number): write(number)
    case .unsigned(let number): write(number)
    case .number(let number): write(number)
    case .string(let text): write(text)
    case .array(let elements):
      beginArray()
      for element in elements { write(element) }
      endArray()
    case .object(let object):
      beginObject()
      for member in object.members {
        name(member.name)
        write(member.value)
      }
      endObject()
    }
  }

  // MARK: Helpers

  private mutating func literal(_ text: StaticString) {
    separate()
    bytes.append(text)
  }

  private mutating func begin(_ bracket: UInt8) {
    separate()
    bytes.append(bracket)
    depth += 1
    isFirst = true
  }

  private mutating func end(_ bracket: UInt8) {
    depth -= 1
    if isPretty, !isFirst { newLine() }
    bytes.append(bracket)
    isFirst = false
  }

  private mutating func separate() {
    if followsName {
      followsName = false
      isFirst = false
      return
    }
    if !isFirst { bytes.append(0x2C) }
    isFirst = false
    if isPretty, depth > 0 { newLine() }
  }

  private mutating func newLine() {
    bytes.append(0x0A)
    for _ in 0..<depth { bytes.append("    ") }
  }

  private mutating func quote(_ text: some Sequence<UInt8>) {
    bytes.append(0x22)
    for byte in text {
      switch byte {
      case 0x22: bytes.append("\\\"")
      case 0x5C: bytes.append("\\\\")
      case 0x0A: bytes.append("\\n")
      case 0x0D: bytes.append("\\r")
      case 0x09: bytes.append("\\t")
      case 0..<0x20:
        bytes.append("\\u00")
        bytes.append(byte < 0x10 ? 0x30 : 0x31)
        let low = byte & 15
        bytes.append(low < 10 ? 0x30 + low : 0x57 + low)
      default: bytes.append(byte)
      }
    }
    bytes.append(0x22)
  }
}

extension JSONValue {
  /// Compact text, or with 4 spaces of indentation and a newline at the end.
  public func text(pretty: Bool = false) -> String {
    var writer = JSONWriter(pretty: pretty)
    writer.write(self)
    return String(decoding: writer.finish(), as: UTF8.self)
  }

  /// The same value with the members of every object in ascending order.
  public var sorted: JSONValue {
    switch self {
    case .array(let elements): .array(elements.map(\.sorted))
    case .object(let object):
      .object(JSONObject(members: object.sorted.members.map { .init(name: $0.name, value: $0.value.sorted) }))
    default: self
    }
  }
}
