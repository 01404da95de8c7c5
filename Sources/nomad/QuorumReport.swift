import HTTP

/// Shows the quorum report. Its fields may grow, so the layout follows the value: the sentences first, then scalars,
/// then one table for each list of objects.
enum QuorumReport {
  static func text(_ report: JSONValue) -> String {
    guard let members = report.object?.members else { return report.text() }
    var sentences: [String] = []
    var pairs: [(key: String, value: String)] = []
    var sections: [String] = []
    for member in members {
      switch member.value {
      case .string(let text) where ["Summary", "Explanation", "Remedy"].contains(member.name):
        if !text.isEmpty { sentences.append(text) }
      case .array(let rows) where rows.contains { $0.object != nil }:
        sections.append(title(member.name) + "\n" + table(rows))
      case .array(let rows):
        if !rows.isEmpty {
          sections.append(title(member.name) + "\n" + rows.map { "  " + scalar($0) }.joined(separator: "\n"))
        }
      case .object(let object):
        sections.append(
          title(member.name) + "\n" + keyValues(object.members.map { (key: title($0.name), value: scalar($0.value)) }))
      default: pairs.append((key: title(member.name), value: scalar(member.value)))
      }
    }
    return (sentences + (pairs.isEmpty ? [] : [keyValues(pairs)]) + sections).joined(separator: "\n\n")
  }

  private static func table(_ rows: [JSONValue]) -> String {
    var columns: [String] = []
    for row in rows {
      for member in row.object?.members ?? [] where !columns.contains(member.name) { columns.append(member.name) }
    }
    return nomad.table([columns.map(title)] + rows.map { row in columns.map { scalar(row[$0] ?? nil) } })
  }

  private static func scalar(_ value: JSONValue) -> String {
    switch value {
    case .null: ""
    case .string(let text): text
    default: value.text()
    }
  }

  /// `LastContact` -> `Last Contact`.
  private static func title(_ name: String) -> String {
    var text = ""
    var wasLower = false
    for character in name {
      if character.isUppercase, wasLower { text += " " }
      wasLower = character.isLowercase
      text.append(character)
    }
    return text
  }
}
