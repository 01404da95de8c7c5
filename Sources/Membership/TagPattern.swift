/// A regular expression over a tag's value, for query filters (gossip.md 6.2): unanchored search in linear time.
///
/// The part of the RE2 syntax that filters are written in: literals, `.`, classes, groups, `|`, `*`, `+`, `?`, `^`, `$`
/// and the escapes `\d \w \s` with their opposites. Anything else makes the pattern unusable rather than misread, and
/// the query is then not answered, as peers do with a pattern that is invalid.
struct TagPattern {
  private indirect enum Node {
    case empty
    case set(ByteSet)
    case start
    case end
    case sequence([Node])
    case choice([Node])
    case `repeat`(Node, minimum: Int, isUnbounded: Bool)
  }

  /// 256 flags.
  private struct ByteSet {
    var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    func contains(_ byte: UInt8) -> Bool {
      let bit = UInt64(1) << UInt64(byte & 63)
      switch byte >> 6 {
      case 0: return words.0 & bit != 0
      case 1: return words.1 & bit != 0
      case 2: return words.2 & bit != 0
      default: return words.3 & bit != 0
      }
    }

    mutating func insert(_ byte: UInt8) {
      let bit = UInt64(1) << UInt64(byte & 63)
      switch byte >> 6 {
      case 0: words.0 |= bit
      case 1: words.1 |= bit
      case 2: words.2 |= bit
      default: words.3 |= bit
      }
    }

    mutating func insert(_ range: ClosedRange<UInt8>) { for byte in range { insert(byte) } }

    mutating func formUnion(_ other: ByteSet) {
      words.0 |= other.words.0
      words.1 |= other.words.1
      words.2 |= other.words.2
      words.3 |= other.words.3
    }

    var inverted: ByteSet { ByteSet(words: (~words.0, ~words.1, ~words.2, ~words.3)) }
  }

  /// The automaton: each instruction consumes a byte, tests a position, or branches.
  private enum Instruction {
    case set(ByteSet)
    case start
    case end
    case split(Int, Int)
    case jump(Int)
    case match
  }

  private var program: [Instruction] = []

  static let maximumInstructions = 4096
  static let maximumDepth = 32

  /// `nil` for a pattern that is invalid or beyond the supported syntax.
  init?(_ pattern: String) {
    var parser = Parser(bytes: Array(pattern.utf8))
    guard let tree = parser.choice(depth: 0), parser.isAtEnd else { return nil }
    guard compile(tree), program.count < Self.maximumInstructions else { return nil }
    program.append(.match)
  }

  /// True when the pattern is found anywhere in `text`. Time grows with the product of both lengths.
  func matches(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    var current = Threads(program.count)
    var next = Threads(program.count)
    for position in 0...bytes.count {
      if add(0, to: &current, at: position, of: bytes.count) { return true }
      guard position < bytes.count else { return false }
      next.removeAll()
      for index in current.list {
        if case .set(let set) = program[index], set.contains(bytes[position]),
          add(index + 1, to: &next, at: position + 1, of: bytes.count)
        {
          return true
        }
      }
      swap(&current, &next)
    }
    return false
  }

  private struct Threads {
    var list: [Int] = []
    var isListed: [Bool]
    init(_ count: Int) { isListed = Array(repeating: false, count: count) }
    mutating func removeAll() {
      for index in isListed.indices { isListed[index] = false }
      list.removeAll(keepingCapacity: true)
    }
  }

  /// Follows everything that consumes nothing; true when the match is complete.
  private func add(_ start: Int, to threads: inout Threads, at position: Int, of count: Int) -> Bool {
    var stack = [start]
    while let index = stack.popLast() {
      guard !threads.isListed[index] else { continue }
      threads.isListed[index] = true
      switch program[index] {
      case .set: threads.list.append(index)
      case .start: if position == 0 { stack.append(index + 1) }
      case .end: if position == count { stack.append(index + 1) }
      case .split(let a, let b): stack += [b, a]
      case .jump(let target): stack.append(target)
      case .match: return true
      }
    }
    return false
  }

  /// False when the program grows beyond its limit.
  private mutating func compile(_ node: Node) -> Bool {
    guard program.count < Self.maximumInstructions else { return false }
    switch node {
    case .empty: return true
    case .set(let set): program.append(.set(set))
    case .start: program.append(.start)
    case .end: program.append(.end)
    case .sequence(let nodes): for node in nodes where !compile(node) { return false }
    case .choice(let nodes):
      var exits: [Int] = []
      for (index, node) in nodes.enumerated() {
        let branch = program.count
        let isLast = index == nodes.count - 1
        if !isLast { program.append(.jump(0)) }
        guard compile(node) else { return false }
        if !isLast {
          exits.append(program.count)
          program.append(.jump(0))
          program[branch] = .split(branch + 1, program.count)
        }
      }
      for exit in exits { program[exit] = .jump(program.count) }
    case .repeat(let node, let minimum, let isUnbounded):
      let loop = program.count
      if minimum == 0 {
        program.append(.jump(0))
        guard compile(node) else { return false }
        if isUnbounded { program.append(.jump(loop)) }
        program[loop] = .split(loop + 1, program.count)
      } else {
        guard compile(node) else { return false }
        if isUnbounded { program.append(.split(loop, program.count + 1)) }
      }
    }
    return true
  }

  private struct Parser {
    let bytes: [UInt8]
    var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }
    var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func accept(_ character: Unicode.Scalar) -> Bool {
      guard peek == UInt8(ascii: character) else { return false }
      position += 1
      return true
    }

    mutating func choice(depth: Int) -> Node? {
      guard depth < TagPattern.maximumDepth, let first = sequence(depth: depth) else { return nil }
      var branches = [first]
      while accept("|") {
        guard let next = sequence(depth: depth) else { return nil }
        branches.append(next)
      }
      return branches.count == 1 ? first : .choice(branches)
    }

    mutating func sequence(depth: Int) -> Node? {
      var nodes: [Node] = []
      while let byte = peek, byte != UInt8(ascii: "|"), byte != UInt8(ascii: ")") {
        guard let atom = atom(depth: depth) else { return nil }
        if accept("*") {
          nodes.append(.repeat(atom, minimum: 0, isUnbounded: true))
        } else if accept("+") {
          nodes.append(.repeat(atom, minimum: 1, isUnbounded: true))
        } else if accept("?") {
          nodes.append(.repeat(atom, minimum: 0, isUnbounded: false))
        } else {
          nodes.append(atom)
          continue
        }
        // Laziness does not change whether there is a match; a second operator is an error.
        _ = accept("?")
        if let byte = peek, byte == UInt8(ascii: "*") || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "?") {
          return nil
        }
      }
      return .sequence(nodes)
    }

    mutating func atom(depth: Int) -> Node? {
      guard let byte = peek else { return nil }
      position += 1
      switch byte {
      case UInt8(ascii: "("):
        if accept("?") {
          guard accept(":") else { return nil }
        }
        guard let inner = choice(depth: depth + 1), accept(")") else { return nil }
        return inner
      case UInt8(ascii: "["): return characterClass().map { .set($0) }
      case UInt8(ascii: "."):
        var newline = ByteSet()
        newline.insert(10)
        return .set(newline.inverted)
      case UInt8(ascii: "^"): return .start
      case UInt8(ascii: "$"): return .end
      case UInt8(ascii: "\\"): return escape().map { .set($0) }
      case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"), UInt8(ascii: "{"): return nil
      default:
        // A brace that could be a counted repetition is refused; RE2's other uses of it are rare.
        if peek == UInt8(ascii: "{") { return nil }
        var set = ByteSet()
        set.insert(byte)
        return .set(set)
      }
    }

    mutating func escape() -> ByteSet? {
      guard let byte = peek else { return nil }
      position += 1
      var set = ByteSet()
      switch byte {
      case UInt8(ascii: "d"), UInt8(ascii: "D"): set.insert(48...57)
      case UInt8(ascii: "w"), UInt8(ascii: "W"):
        set.insert(48...57)
        set.insert(65...90)
        set.insert(97...122)
        set.insert(95)
      case UInt8(ascii: "s"), UInt8(ascii: "S"): for blank: UInt8 in [9, 10, 12, 13, 32] { set.insert(blank) }
      case UInt8(ascii: "n"): set.insert(10)
      case UInt8(ascii: "t"): set.insert(9)
      case 48...57, 65...90, 97...122: return nil
      default: set.insert(byte)
      }
      let isOpposite = byte == UInt8(ascii: "D") || byte == UInt8(ascii: "W") || byte == UInt8(ascii: "S")
      return isOpposite ? set.inverted : set
    }

    mutating func characterClass() -> ByteSet? {
      let isOpposite = accept("^")
      var set = ByteSet()
      var isFirst = true
      while let byte = peek {
        position += 1
        if byte == UInt8(ascii: "]"), !isFirst { return isOpposite ? set.inverted : set }
        isFirst = false
        if byte == UInt8(ascii: "["), peek == UInt8(ascii: ":") { return nil }
        if byte == UInt8(ascii: "\\") {
          guard let escaped = escape() else { return nil }
          set.formUnion(escaped)
          continue
        }
        if peek == UInt8(ascii: "-"), position + 1 < bytes.count, bytes[position + 1] != UInt8(ascii: "]") {
          let upper = bytes[position + 1]
          guard upper != UInt8(ascii: "\\"), upper >= byte else { return nil }
          position += 2
          set.insert(byte...upper)
        } else {
          set.insert(byte)
        }
      }
      return nil
    }
  }
}
