/// The part of regular expressions that interface names need: text, `.`, `*`, `+`, `?`, `[...]`, `^`, `$`, `\` and
/// alternatives. Like Go's it matches anywhere unless anchored. Groups and counts are refused.
struct NamePattern {
  private enum Atom {
    case any
    case byte(UInt8)
    case set([ClosedRange<UInt8>], inverted: Bool)
  }

  private struct Step {
    var atom: Atom
    var minimum = 1
    var repeats = false
  }

  private struct Branch {
    var steps: [Step] = []
    var anchoredStart = false
    var anchoredEnd = false
  }

  private var branches: [Branch] = []

  /// `nil` when `text` is longer than `maximumBytes` or uses more than the part above.
  init?(_ text: String) {
    guard text.utf8.count <= Self.maximumBytes else { return nil }
    for part in text.split(separator: "|", omittingEmptySubsequences: false) {
      guard let branch = Self.branch(Array(part.utf8)) else { return nil }
      branches.append(branch)
    }
  }

  /// Matching backtracks, so the pattern is kept short.
  static let maximumBytes = 64

  func matches(_ name: String) -> Bool {
    let bytes = Array(name.utf8)
    return branches.contains { branch in
      let starts = branch.anchoredStart ? 0...0 : 0...bytes.count
      return starts.contains { Self.matches(branch, step: 0, bytes, from: $0) }
    }
  }

  private static func branch(_ text: [UInt8]) -> Branch? {
    var branch = Branch()
    var index = 0
    while index < text.count {
      let byte = text[index]
      index += 1
      switch byte {
      case UInt8(ascii: "^") where index == 1:
        branch.anchoredStart = true
      case UInt8(ascii: "$") where index == text.count:
        branch.anchoredEnd = true
      case UInt8(ascii: "."):
        branch.steps.append(Step(atom: .any))
      case UInt8(ascii: "["):
        guard let end = text[index...].firstIndex(of: UInt8(ascii: "]")), let set = set(Array(text[index..<end])) else {
          return nil
        }
        branch.steps.append(Step(atom: set))
        index = end + 1
      case UInt8(ascii: "\\"):
        // A letter after a backslash is a class of characters, which is not supported.
        guard index < text.count, !text[index].isLetter, !text[index].isDigit else { return nil }
        branch.steps.append(Step(atom: .byte(text[index])))
        index += 1
      case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"):
        guard var last = branch.steps.popLast(), !last.repeats, last.minimum == 1 else { return nil }
        last.minimum = byte == UInt8(ascii: "+") ? 1 : 0
        last.repeats = byte != UInt8(ascii: "?")
        branch.steps.append(last)
      case UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: "^"),
        UInt8(ascii: "$"):
        return nil
      default:
        branch.steps.append(Step(atom: .byte(byte)))
      }
    }
    return branch
  }

  private static func set(_ text: [UInt8]) -> Atom? {
    var body = text[...]
    let inverted = body.first == UInt8(ascii: "^")
    if inverted { body = body.dropFirst() }
    guard !body.isEmpty, !body.contains(UInt8(ascii: "\\")), !body.contains(UInt8(ascii: "[")) else { return nil }
    var ranges: [ClosedRange<UInt8>] = []
    while let low = body.popFirst() {
      if body.count >= 2, body.first == UInt8(ascii: "-") {
        body = body.dropFirst()
        guard let high = body.popFirst(), low <= high else { return nil }
        ranges.append(low...high)
      } else {
        ranges.append(low...low)
      }
    }
    return .set(ranges, inverted: inverted)
  }

  private static func matches(_ branch: Branch, step: Int, _ bytes: [UInt8], from start: Int) -> Bool {
    guard step < branch.steps.count else { return !branch.anchoredEnd || start == bytes.count }
    let now = branch.steps[step]
    var end = start
    let longest = now.repeats ? bytes.count - start : min(1, bytes.count - start)
    while end - start < longest, accepts(now.atom, bytes[end]) { end += 1 }
    while end - start >= now.minimum {
      if matches(branch, step: step + 1, bytes, from: end) { return true }
      end -= 1
    }
    return false
  }

  private static func accepts(_ atom: Atom, _ byte: UInt8) -> Bool {
    switch atom {
    case .any: true
    case .byte(let wanted): wanted == byte
    case .set(let ranges, let inverted): ranges.contains { $0.contains(byte) } != inverted
    }
  }
}
