import HTTP

/// What is wrong with a template; shown as `template: format:1: <text>`.
struct TemplateError: Error {
  var text: String
}

/// The part of Go's `text/template` that scripts use with `-t` (cli.md section 1.2): field chains, `range`, `if`,
/// `else`, `with`, the comparison and printing functions, literals and trim markers.
struct Template {
  indirect enum Node {
    case text(String)
    case value(Pipeline)
    /// Then-part and else-part.
    case choice(Pipeline, [Node], [Node])
    case with(Pipeline, [Node], [Node])
    case range(Pipeline, [Node], [Node])
  }

  /// Commands whose results become the last argument of the next one.
  struct Pipeline {
    var commands: [[Operand]]
  }

  indirect enum Operand {
    /// `.A.B`; no names is the dot itself. `isRoot` for `$`.
    case field([String], isRoot: Bool)
    case literal(JSONValue)
    case function(String)
    case group(Pipeline)
  }

  private let nodes: [Node]

  static let maximumDepth = 32

  init(_ text: String) throws(TemplateError) {
    var parser = TemplateParser(text)
    nodes = try parser.parse()
  }

  func text(_ value: JSONValue) throws(TemplateError) -> String {
    var output = ""
    try evaluate(nodes, dot: value, root: value, &output)
    return output
  }

  private func evaluate(
    _ nodes: [Node], dot: JSONValue, root: JSONValue, _ output: inout String
  ) throws(TemplateError) {
    for node in nodes {
      switch node {
      case .text(let text): output += text
      case .value(let pipeline): output += show(try evaluate(pipeline, dot, root))
      case .choice(let condition, let then, let otherwise):
        let branch = isTrue(try evaluate(condition, dot, root)) ? then : otherwise
        try evaluate(branch, dot: dot, root: root, &output)
      case .with(let pipeline, let then, let otherwise):
        let value = try evaluate(pipeline, dot, root)
        if isTrue(value) {
          try evaluate(then, dot: value, root: root, &output)
        } else {
          try evaluate(otherwise, dot: dot, root: root, &output)
        }
      case .range(let pipeline, let body, let otherwise):
        let elements = try elements(of: evaluate(pipeline, dot, root))
        if elements.isEmpty { try evaluate(otherwise, dot: dot, root: root, &output) }
        for element in elements { try evaluate(body, dot: element, root: root, &output) }
      }
    }
  }

  private func elements(of value: JSONValue) throws(TemplateError) -> [JSONValue] {
    switch value {
    case .null: return []
    case .array(let elements): return elements
    case .object(let object): return object.sorted.members.map(\.value)
    default: throw TemplateError(text: "range can't iterate over \(show(value))")
    }
  }

  private func evaluate(_ pipeline: Pipeline, _ dot: JSONValue, _ root: JSONValue) throws(TemplateError) -> JSONValue {
    var last: JSONValue?
    for command in pipeline.commands { last = try evaluate(command, last, dot, root) }
    return last ?? .null
  }

  private func evaluate(
    _ command: [Operand], _ piped: JSONValue?, _ dot: JSONValue, _ root: JSONValue
  ) throws(TemplateError) -> JSONValue {
    guard let first = command.first else { throw TemplateError(text: "missing value for command") }
    var arguments: [JSONValue] = []
    for operand in command.dropFirst() { arguments.append(try value(operand, dot, root)) }
    if let piped { arguments.append(piped) }
    if case .function(let name) = first { return try call(name, arguments) }
    guard arguments.isEmpty else { throw TemplateError(text: "can't give argument to non-function") }
    return try value(first, dot, root)
  }

  private func value(_ operand: Operand, _ dot: JSONValue, _ root: JSONValue) throws(TemplateError) -> JSONValue {
    switch operand {
    case .literal(let value): return value
    case .group(let pipeline): return try evaluate(pipeline, dot, root)
    case .function(let name): return try call(name, [])
    case .field(let names, let isRoot):
      var value = isRoot ? root : dot
      for name in names {
        switch value {
        case .object(let object): value = object[name] ?? .null
        case .null: return .null
        default: throw TemplateError(text: "can't evaluate field \(name)")
        }
      }
      return value
    }
  }

  // MARK: Functions

  private func call(_ name: String, _ arguments: [JSONValue]) throws(TemplateError) -> JSONValue {
    switch name {
    case "eq":
      guard let first = arguments.first else { break }
      return .bool(arguments.dropFirst().contains { same($0, first) })
    case "ne" where arguments.count == 2: return .bool(!same(arguments[0], arguments[1]))
    case "and" where !arguments.isEmpty: return arguments.first { !isTrue($0) } ?? arguments[arguments.count - 1]
    case "or" where !arguments.isEmpty: return arguments.first { isTrue($0) } ?? arguments[arguments.count - 1]
    case "not" where arguments.count == 1: return .bool(!isTrue(arguments[0]))
    case "len" where arguments.count == 1:
      switch arguments[0] {
      case .string(let text): return .integer(Int64(text.utf8.count))
      case .array(let elements): return .integer(Int64(elements.count))
      case .object(let object): return .integer(Int64(object.members.count))
      case .null: return 0
      default: break
      }
    case "index" where !arguments.isEmpty:
      var value = arguments[0]
      for key in arguments.dropFirst() { value = try element(key, of: value) }
      return value
    case "print": return .string(arguments.map(show).joined(separator: " "))
    case "println": return .string(arguments.map(show).joined(separator: " ") + "\n")
    case "printf":
      guard let format = arguments.first?.string else { break }
      return .string(formatted(format, Array(arguments.dropFirst())))
    default: throw TemplateError(text: "function \"\(name)\" not defined")
    }
    throw TemplateError(text: "wrong arguments for \(name)")
  }

  private func element(_ key: JSONValue, of value: JSONValue) throws(TemplateError) -> JSONValue {
    switch value {
    case .array(let elements):
      guard let index = key.integer, index >= 0, index < elements.count else {
        throw TemplateError(text: "error calling index: index out of range: \(show(key))")
      }
      return elements[Int(index)]
    case .object(let object): return object[key.string ?? ""] ?? .null
    case .null: return .null
    default: throw TemplateError(text: "error calling index: can't index \(show(value))")
    }
  }

  private func same(_ a: JSONValue, _ b: JSONValue) -> Bool {
    if let a = a.number, let b = b.number { return a == b }
    return a == b
  }

  /// `%s`, `%v`, `%d`, `%t`, `%q` and `%%`, with an optional width.
  private func formatted(_ format: String, _ arguments: [JSONValue]) -> String {
    var output = ""
    var rest = Substring(format)
    var next = arguments.makeIterator()
    while let mark = rest.firstIndex(of: "%") {
      output += rest[..<mark]
      rest = rest[rest.index(after: mark)...]
      let width = rest.prefix { $0 == "-" || $0.isNumber }
      rest = rest.dropFirst(width.count)
      guard let verb = rest.popFirst() else { return output + "%!(NOVERB)" }
      if verb == "%" {
        output += "%"
        continue
      }
      guard let argument = next.next() else {
        output += "%!\(verb)(MISSING)"
        continue
      }
      let text = verb == "q" ? JSONValue.string(show(argument)).text() : show(argument)
      let wanted = min(Int(width.drop { $0 == "-" }) ?? 0, 256)
      let padding = String(repeating: " ", count: max(0, wanted - text.count))
      output += width.hasPrefix("-") ? text + padding : padding + text
    }
    return output + rest
  }
}

private func isTrue(_ value: JSONValue) -> Bool {
  switch value {
  case .null: false
  case .bool(let flag): flag
  case .integer(let number): number != 0
  case .unsigned(let number): number != 0
  case .number(let number): number != 0
  case .string(let text): !text.isEmpty
  case .array(let elements): !elements.isEmpty
  case .object(let object): !object.members.isEmpty
  }
}

/// A value as Go prints it.
private func show(_ value: JSONValue) -> String {
  switch value {
  case .null: "<no value>"
  case .string(let text): text
  case .array(let elements): "[" + elements.map(show).joined(separator: " ") + "]"
  case .object(let object):
    "map[" + object.sorted.members.map { $0.name + ":" + show($0.value) }.joined(separator: " ") + "]"
  case .number(let number):
    number == number.rounded(.towardZero) ? value.integer.map { "\($0)" } ?? "\(number)" : "\(number)"
  default: value.text()
  }
}
