/// A table as the commands print it: a header, columns two blanks apart, padded to the widest cell, nothing after the
/// last column.
struct Table: Equatable {
  var header: [String]
  var rows: [[String]]

  /// `nil` unless printing the parsed cells again gives the same text, which is what makes this a test of the layout.
  init?(_ text: String, header: [String]) {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(Array.init)
    guard lines.last == [] else { return nil }
    lines.removeLast()
    guard let first = lines.first else { return nil }
    var starts: [Int] = []
    var position = 0
    for title in header {
      guard position < first.count, String(first[position...]).hasPrefix(title) else { return nil }
      starts.append(position)
      position += title.count
      while position < first.count, first[position] == " " { position += 1 }
    }
    guard position == first.count else { return nil }
    self.header = header
    rows = lines.dropFirst().map { line in
      starts.indices.map { column in
        let start = min(starts[column], line.count)
        let end = column + 1 < starts.count ? min(starts[column + 1], line.count) : line.count
        var cell = line[start..<end]
        while cell.last == " " { cell.removeLast() }
        return String(cell)
      }
    }
    guard printed == text else { return nil }
  }

  var printed: String {
    let all = [header] + rows
    let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    return all.map { row in
      let padded = row.indices.dropLast().map { column in
        row[column] + String(repeating: " ", count: widths[column] - row[column].count + 2)
      }
      return padded.joined() + (row.last ?? "") + "\n"
    }.joined()
  }

  /// The cells of one column.
  func column(_ title: String) -> [String] {
    guard let index = header.firstIndex(of: title) else { return [] }
    return rows.map { $0[index] }
  }

  /// The row whose first cell is this, by column title.
  func row(_ first: String) -> [String: String] {
    guard let row = rows.first(where: { $0.first == first }) else { return [:] }
    return Dictionary(uniqueKeysWithValues: zip(header, row))
  }
}
