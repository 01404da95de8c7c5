import Base

/// A table of one experiment, and whether its figures are where they should be.
struct Report: Sendable {
  let title: String
  /// What was done, and what it stands for; Markdown.
  let words: String
  var header: [String]
  var rows: [[String]] = []
  /// Tables after the first.
  var more: [Table] = []
  var checks: [Check] = []

  struct Table: Sendable {
    let words: String
    let header: [String]
    var rows: [[String]] = []
  }

  struct Check: Sendable {
    let name: String
    let band: String
    let value: String
    /// nil: too few events to tell.
    let passes: Bool?

    var verdict: String {
      switch passes {
      case true: "pass"
      case false: "**FAIL**"
      case nil: "too few to tell"
      }
    }
  }

  /// `isTold`: whether there were enough events for the value to mean something.
  mutating func check(
    _ name: String, _ value: Double, _ band: ClosedRange<Double>, unit: String = "", isTold: Bool = true
  ) {
    checks.append(
      Check(
        name: name, band: "\(number(band.lowerBound)) to \(number(band.upperBound))\(unit)",
        value: number(value) + unit, passes: isTold ? band.contains(value) : nil))
  }

  var markdown: String {
    var lines = ["## \(title)"]
    for table in [Table(words: words, header: header, rows: rows)] + more {
      lines += ["", table.words, "", "| " + table.header.joined(separator: " | ") + " |"]
      lines.append("|" + table.header.indices.map { $0 == 0 ? "---" : "---:" }.joined(separator: "|") + "|")
      lines += table.rows.map { "| " + $0.joined(separator: " | ") + " |" }
    }
    if !checks.isEmpty {
      lines += ["", "| Check | Pass band | Measured | |", "|---|---:|---:|---|"]
      for check in checks {
        lines.append("| \(check.name) | \(check.band) | \(check.value) | \(check.verdict) |")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

/// Up to three significant digits after the point, without an exponent.
func number(_ value: Double, digits: Int = 2) -> String {
  guard value.isFinite else { return "-" }
  let magnitude = value.magnitude
  let places = magnitude >= 1000 ? 0 : magnitude >= 100 ? min(digits, 1) : digits
  var scale = 1.0
  for _ in 0..<places { scale *= 10 }
  let scaled = (value * scale).rounded()
  let whole = Int(scaled / scale)
  guard places > 0 else { return "\(Int(scaled))" }
  let fraction = Int(scaled.magnitude.truncatingRemainder(dividingBy: scale))
  let text = String(fraction)
  let sign = scaled < 0 && whole == 0 ? "-" : ""
  var tail = String(repeating: "0", count: places - text.count) + text
  while tail.hasSuffix("0") { tail.removeLast() }
  return tail.isEmpty ? "\(sign)\(whole)" : "\(sign)\(whole).\(tail)"
}

extension Array where Element == Double {
  var mean: Double { isEmpty ? .nan : reduce(0, +) / Double(count) }

  /// The value that `share` of all are not above.
  func quantile(_ share: Double) -> Double {
    guard !isEmpty else { return .nan }
    let ordered = sorted()
    let position = Int((share * Double(ordered.count)).rounded(.up)) - 1
    return ordered[Swift.min(Swift.max(position, 0), ordered.count - 1)]
  }

  var median: Double { quantile(0.5) }
}

/// Runs trials side by side and keeps their order.
func inParallel<Result: Sendable>(_ count: Int, _ body: @escaping @Sendable (Int) -> Result) async -> [Result] {
  await withTaskGroup(of: (Int, Result).self) { group in
    for index in 0..<count { group.addTask { (index, body(index)) } }
    var results: [(Int, Result)] = []
    for await result in group { results.append(result) }
    return results.sorted { $0.0 < $1.0 }.map(\.1)
  }
}
