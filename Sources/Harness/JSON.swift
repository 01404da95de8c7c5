import FoundationEssentials

/// A JSON value, for looking into answers whose shape is the thing under test. Read by Foundation and not by the
/// product's own reader, which might forgive what the product's writer does wrong.
public enum JSON: Equatable, Sendable, Decodable {
  case null
  case bool(Bool)
  case number(Double)
  case string(String)
  case array([JSON])
  case object([String: JSON])

  /// Parses a whole document.
  public init(parsing bytes: [UInt8]) throws { self = try JSONDecoder().decode(JSON.self, from: Data(bytes)) }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .bool(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else if let value = try? container.decode(String.self) {
      self = .string(value)
    } else if let value = try? container.decode([JSON].self) {
      self = .array(value)
    } else {
      self = .object(try container.decode([String: JSON].self))
    }
  }

  /// The member of an object; `.null` when this is no object or has no such member.
  public subscript(_ key: String) -> JSON {
    if case .object(let members) = self { members[key] ?? .null } else { .null }
  }

  public var text: String? { if case .string(let value) = self { value } else { nil } }
  public var flag: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var number: Double? { if case .number(let value) = self { value } else { nil } }
  /// The elements of an array; empty for anything else.
  public var elements: [JSON] { if case .array(let value) = self { value } else { [] } }
  /// The member names of an object, sorted; empty for anything else.
  public var keys: [String] { if case .object(let value) = self { value.keys.sorted() } else { [] } }
}
