/// An HTTP answer, complete.
public struct HTTPAnswer: Equatable, Sendable {
  public var status: Int
  /// In order of arrival; names in lower case.
  public var headers: [(name: String, value: String)]
  public var body: [UInt8]
  /// Whether the connection can carry another request.
  public var keepsAlive: Bool

  /// The body as UTF-8.
  public var text: String { String(decoding: body, as: UTF8.self) }

  /// The first value of the header, whose name is given in lower case.
  public func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

  public static func == (a: HTTPAnswer, b: HTTPAnswer) -> Bool {
    a.status == b.status && a.body == b.body && a.headers.elementsEqual(b.headers, by: ==)
  }
}

/// Reads one HTTP/1.1 answer from any chunking: with a length, chunked, or up to the end of the connection.
struct HTTPAnswerReader {
  static let maximumHeadBytes = 65_536
  static let maximumBodyBytes = 64 << 20

  private enum State {
    /// Legal successors: `sized`, `chunkSize`, `untilEnd`, done.
    case head
    /// `remaining` bytes of body; then done.
    case sized(remaining: Int)
    /// A chunk's size line; then `chunk` or `trailer`.
    case chunkSize
    /// A chunk's bytes with the line end after them; then `chunkSize`.
    case chunk(remaining: Int)
    /// Lines after the last chunk up to an empty one; then done.
    case trailer
    /// Up to the end of the connection.
    case untilEnd
  }

  private var state = State.head
  private var pending: [UInt8] = []
  private var answer = HTTPAnswer(status: 0, headers: [], body: [], keepsAlive: false)

  /// Returns the answer once it is complete. Bytes after it are dropped: the harness sends one request at a time.
  mutating func receive(_ bytes: ArraySlice<UInt8>) throws(HarnessError) -> HTTPAnswer? {
    pending += bytes
    while true {
      switch state {
      case .head:
        guard let end = pending.indexOfHeadEnd else {
          guard pending.count <= Self.maximumHeadBytes else { throw .badAnswer("head over 64 KiB") }
          return nil
        }
        try readHead(pending[..<end])
        pending.removeFirst(end)
        // 100 Continue and other interim answers precede the real one.
        if (100..<200).contains(answer.status) { continue }
        state = try bodyState()
      case .sized(let remaining):
        take(min(remaining, pending.count))
        guard remaining == answer.body.count else { return nil }
        return answer
      case .chunkSize:
        guard let line = pending.takeLine() else { return nil }
        guard let size = Int(line.prefix { $0 != ";" }.trimmingBlanks(), radix: 16), size >= 0,
          size <= Self.maximumBodyBytes - answer.body.count
        else { throw .badAnswer("chunk size \"\(line)\"") }
        state = size == 0 ? .trailer : .chunk(remaining: size)
      case .chunk(let remaining):
        guard pending.count >= remaining + 2 else { return nil }
        take(remaining)
        pending.removeFirst(2)
        state = .chunkSize
      case .trailer:
        guard let line = pending.takeLine() else { return nil }
        if line.isEmpty { return answer }
      case .untilEnd:
        guard answer.body.count + pending.count <= Self.maximumBodyBytes else { throw .badAnswer("body over 64 MiB") }
        take(pending.count)
        return nil
      }
    }
  }

  /// The connection ended: the answer, if its body was to last until the end.
  mutating func receiveEnd() throws(HarnessError) -> HTTPAnswer {
    if case .untilEnd = state { return answer }
    throw .badAnswer("the connection ended before the answer was complete")
  }

  private mutating func take(_ count: Int) {
    answer.body += pending[..<count]
    pending.removeFirst(count)
  }

  private mutating func readHead(_ head: ArraySlice<UInt8>) throws(HarnessError) {
    let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n")
    guard let first = lines.first else { throw .badAnswer("empty head") }
    let words = first.split(separator: " ", maxSplits: 2)
    guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
      throw .badAnswer("first line \"\(first)\"")
    }
    answer.status = status
    answer.headers = lines.dropFirst().compactMap { line in
      guard let colon = line.firstIndex(of: ":") else { return nil }
      return (line[..<colon].lowercased(), String(line[line.index(after: colon)...].trimmingBlanks()))
    }
    let connection = answer.header("connection")?.lowercased()
    answer.keepsAlive = words[0] == "HTTP/1.0" ? connection == "keep-alive" : connection != "close"
  }

  private mutating func bodyState() throws(HarnessError) -> State {
    if answer.header("transfer-encoding")?.lowercased() == "chunked" { return .chunkSize }
    if answer.status == 204 || answer.status == 304 { return .sized(remaining: 0) }
    guard let length = answer.header("content-length") else {
      answer.keepsAlive = false
      return .untilEnd
    }
    guard let count = Int(length), (0...Self.maximumBodyBytes).contains(count) else {
      throw .badAnswer("content-length \"\(length)\"")
    }
    return .sized(remaining: count)
  }
}

extension [UInt8] {
  /// Index after the empty line that ends a head.
  fileprivate var indexOfHeadEnd: Int? {
    guard count >= 4 else { return nil }
    for index in 0...(count - 4)
    where self[index] == 13 && self[index + 1] == 10 && self[index + 2] == 13 && self[index + 3] == 10 {
      return index + 4
    }
    return nil
  }

  /// Removes the first line with its end and returns it without.
  fileprivate mutating func takeLine() -> String? {
    guard let end = firstIndex(of: 10) else { return nil }
    let line = String(decoding: self[..<end], as: UTF8.self)
    removeFirst(end + 1)
    return line.hasSuffix("\r") ? String(line.dropLast()) : line
  }
}

extension StringProtocol {
  fileprivate func trimmingBlanks() -> SubSequence {
    var part = self[...]
    while let first = part.first, first == " " || first == "\t" { part = part.dropFirst() }
    while let last = part.last, last == " " || last == "\t" { part = part.dropLast() }
    return part
  }
}
