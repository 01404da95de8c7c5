import Base
import HTTP

/// A JSON request body, read as Go reads it into a struct: names match without regard to case, unknown ones are
/// ignored, a wrong kind is an error in Go's words.
struct RequestBody {
  private let object: JSONObject
  /// `NodeUpdateEligibilityRequest`, or with the path of outer fields: `DrainSpec.DrainSpec`.
  private let type: String

  /// Throws the bare decoder message; callers add their prefix and status.
  init(_ bytes: [UInt8], type: String) throws(APIFailure) {
    guard !bytes.isEmpty else { throw APIFailure("Request body is empty", status: 400) }
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONValue(parsing: bytes)
    } catch {
      throw APIFailure(error.text, status: 400)
    }
    self.type = type
    switch value {
    case .object(let object): self.object = object
    case .null: object = JSONObject()
    default: throw APIFailure("json: cannot unmarshal \(kind(value)) into Go value of type \(type)", status: 400)
    }
  }

  private init(_ object: JSONObject, type: String) {
    self.object = object
    self.type = type
  }

  /// `nil` when the field is missing or null.
  private func value(_ name: String) -> JSONValue? {
    let value = object.member(ignoringCase: name)
    return value == .null ? nil : value
  }

  private func mismatch(_ value: JSONValue, _ name: String, _ goType: String) -> APIFailure {
    APIFailure(
      "json: cannot unmarshal \(kind(value)) into Go struct field \(type).\(name) of type \(goType)", status: 400)
  }

  func has(_ name: String) -> Bool { value(name) != nil }

  func string(_ name: String) throws(APIFailure) -> String {
    guard let value = value(name) else { return "" }
    guard let text = value.string else { throw mismatch(value, name, "string") }
    return text
  }

  func bool(_ name: String) throws(APIFailure) -> Bool {
    guard let value = value(name) else { return false }
    guard let flag = value.bool else { throw mismatch(value, name, "bool") }
    return flag
  }

  func integer(_ name: String, goType: String = "int64") throws(APIFailure) -> Int64 {
    guard let value = value(name) else { return 0 }
    guard let number = value.integer else { throw mismatch(value, name, goType) }
    return number
  }

  func unsigned(_ name: String, goType: String = "uint64") throws(APIFailure) -> UInt64 {
    guard let value = value(name) else { return 0 }
    guard let number = value.unsigned else { throw mismatch(value, name, goType) }
    return number
  }

  /// A Go duration text; null and the empty text are zero.
  func duration(_ name: String) throws(APIFailure) -> Interval {
    let text = try string(name)
    if text.isEmpty { return .zero }
    guard let interval = GoDuration.parse(text) else {
      throw APIFailure("time: invalid duration \(goQuoted(text))", status: 400)
    }
    return interval
  }

  func strings(_ name: String) throws(APIFailure) -> [(key: String, value: String)]? {
    guard let value = value(name) else { return nil }
    guard let map = value.object else { throw mismatch(value, name, "map[string]string") }
    var entries: [(key: String, value: String)] = []
    for member in map.sorted.members {
      guard let text = member.value.string ?? (member.value.isNull ? "" : nil) else {
        throw mismatch(member.value, name, "string")
      }
      entries.append((member.name, text))
    }
    return entries
  }

  /// `nil` when the field is missing or null.
  func structure(_ name: String, type inner: String, goType: String) throws(APIFailure) -> RequestBody? {
    guard let value = value(name) else { return nil }
    guard let object = value.object else { throw mismatch(value, name, goType) }
    return RequestBody(object, type: inner)
  }
}

private func kind(_ value: JSONValue) -> String {
  switch value {
  case .null: "null"
  case .bool: "bool"
  case .integer, .unsigned, .number: "number"
  case .string: "string"
  case .array: "array"
  case .object: "object"
  }
}

/// Go's `%q` for the texts that occur here.
func goQuoted(_ text: String) -> String {
  var quoted = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": quoted += "\\\""
    case "\\": quoted += "\\\\"
    case "\n": quoted += "\\n"
    case "\r": quoted += "\\r"
    case "\t": quoted += "\\t"
    default: quoted.unicodeScalars.append(scalar)
    }
  }
  return quoted + "\""
}
