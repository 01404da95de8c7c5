/// Any JSON value. Objects keep their order for printing; two objects with the same members in another order are equal.
public enum JSONValue: Hashable, Sendable {
  case null
  case bool(Bool)
  case integer(Int64)
  /// Whole numbers above `Int64.max`.
  case unsigned(UInt64)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)

  /// The member of an object with exactly this name; `nil` for other kinds.
  public subscript(name: String) -> JSONValue? {
    if case .object(let object) = self { object[name] } else { nil }
  }

  public var string: String? { if case .string(let text) = self { text } else { nil } }
  public var bool: Bool? { if case .bool(let flag) = self { flag } else { nil } }
  public var array: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }
  public var object: JSONObject? { if case .object(let object) = self { object } else { nil } }
  public var isNull: Bool { self == .null }

  /// A whole number; `nil` when it does not fit.
  public var integer: Int64? {
    switch self {
    case .integer(let value): value
    case .unsigned(let value): Int64(exactly: value)
    case .number(let value): Self.whole(value)
    default: nil
    }
  }

  public var unsigned: UInt64? {
    switch self {
    case .integer(let value): UInt64(exactly: value)
    case .unsigned(let value): value
    case .number(let value): Self.whole(value).flatMap { UInt64(exactly: $0) }
    default: nil
    }
  }

  /// Not `Int64(exactly:)`, which needs the mathematical library that a machine does not link.
  private static func whole(_ value: Double) -> Int64? {
    guard value > -0x1p63, value < 0x1p63 else { return nil }
    let whole = Int64(value)
    return Double(whole) == value ? whole : nil
  }

  public var number: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .unsigned(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }
}

/// The members of a JSON object in order.
public struct JSONObject: Hashable, Sendable {
  public struct Member: Hashable, Sendable {
    public var name: String
    public var value: JSONValue

    public init(name: String, value: JSONValue) {
      self.name = name
      self.value = value
    }
  }

  public var members: [Member] = []

  public init() {}
  public init(members: [Member]) { self.members = members }

  /// The last member with this name, as decoders do; setting replaces it or appends.
  public subscript(name: String) -> JSONValue? {
    get { members.last { $0.name == name }?.value }
    set {
      members.removeAll { $0.name == name }
      if let newValue { members.append(Member(name: name, value: newValue)) }
    }
  }

  /// Go matches field names without regard to case and prefers the exact spelling.
  public func member(ignoringCase name: String) -> JSONValue? {
    self[name] ?? members.last { $0.name.equalsIgnoringCase(name) }?.value
  }

  /// The same members in ascending byte order of their names.
  public var sorted: JSONObject {
    JSONObject(members: members.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) })
  }

  public static func == (a: JSONObject, b: JSONObject) -> Bool { a.sorted.members == b.sorted.members }
  public func hash(into hasher: inout Hasher) { hasher.combine(sorted.members) }
}

extension JSONValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  public init(nilLiteral: ()) { self = .null }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(integerLiteral value: Int64) { self = .integer(value) }
  public init(floatLiteral value: Double) { self = .number(value) }
  public init(stringLiteral value: String) { self = .string(value) }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(JSONObject(members: elements.map { JSONObject.Member(name: $0.0, value: $0.1) }))
  }
}
