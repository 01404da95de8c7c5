/// The layout of lists: columns padded to their widest cell, two spaces between them, nothing after the last one.
///
/// - Parameter emptyCell: what stands for an empty cell.
func table(_ rows: [[String]], emptyCell: String = "<none>") -> String {
  let cells = rows.map { row in row.map { $0.isEmpty ? emptyCell : $0 } }
  var widths: [Int] = []
  for row in cells {
    for (column, cell) in row.enumerated() {
      if column == widths.count { widths.append(0) }
      widths[column] = max(widths[column], cell.count)
    }
  }
  return cells.map { row in
    row.enumerated().map { column, cell in
      column == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
    }.joined(separator: "  ")
  }.joined(separator: "\n")
}

/// The layout of one object: `Key = value` with the keys padded to the widest one.
func keyValues(_ pairs: [(key: String, value: String)]) -> String {
  let width = pairs.map(\.key.count).max() ?? 0
  return pairs.map { pair in
    pair.key + String(repeating: " ", count: width - pair.key.count) + " = "
      + (pair.value.isEmpty ? "<none>" : pair.value)
  }.joined(separator: "\n")
}

/// Breaks a text at blanks so that no line is longer than `width`, unless a word is.
func wrapped(_ text: String, at width: Int) -> String {
  var lines: [String] = []
  var line = ""
  for word in text.split(separator: " ") {
    if line.isEmpty {
      line = String(word)
    } else if line.count + 1 + word.count <= width {
      line += " " + word
    } else {
      lines.append(line)
      line = String(word)
    }
  }
  lines.append(line)
  return lines.joined(separator: "\n")
}

/// Powers of 1024 with one decimal below ten: `391 MiB`, `1.5 GiB`, `0 B`.
func binarySize(_ bytes: UInt64) -> String {
  if bytes < 10 { return "\(bytes) B" }
  var unit = 0
  var divisor: UInt64 = 1
  let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
  while unit < 6, bytes / divisor >= 1024 {
    divisor *= 1024
    unit += 1
  }
  let tenths = UInt64(Double(bytes) / Double(divisor) * 10 + 0.5)
  if tenths < 100 { return "\(tenths / 10).\(tenths % 10) \(units[unit])" }
  return "\(UInt64(Double(bytes) / Double(divisor) + 0.5)) \(units[unit])"
}
