extension IPAddress: CustomStringConvertible {
  /// Parses dotted IPv4 and every RFC 4291 spelling of IPv6, with a numeric zone (`fe80::1%2`) if any. No brackets.
  public init?(_ text: some StringProtocol) {
    if text.contains(":") {
      guard let value = Self.parse6(text) else { return nil }
      self = value
    } else {
      guard let value = Self.parse4(text) else { return nil }
      self = .v4(value)
    }
  }

  /// IPv6 in the canonical form of RFC 5952.
  public var description: String {
    switch self {
    case .v4(let v):
      return "\(v >> 24).\(v >> 16 & 255).\(v >> 8 & 255).\(v & 255)"
    case .v6(let high, let low, let zone):
      let groups = (0..<8).map { UInt16(truncatingIfNeeded: ($0 < 4 ? high : low) >> UInt64(48 - 16 * ($0 & 3))) }
      return Self.compressed(groups) + (zone == 0 ? "" : "%\(zone)")
    }
  }

  private static func compressed(_ groups: [UInt16]) -> String {
    var best = 0..<0
    var start = 0
    while start < groups.count {
      var end = start
      while end < groups.count, groups[end] == 0 { end += 1 }
      if end - start > max(best.count, 1) { best = start..<end }
      start = max(end, start + 1)
    }
    func hex(_ part: ArraySlice<UInt16>) -> String { part.map { String($0, radix: 16) }.joined(separator: ":") }
    return best.isEmpty ? hex(groups[...]) : hex(groups[..<best.lowerBound]) + "::" + hex(groups[best.upperBound...])
  }

  private static func parse4(_ text: some StringProtocol) -> UInt32? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var value: UInt32 = 0
    for part in parts {
      guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }),
        let octet = UInt8(part), part.utf8.count == 1 || part.utf8.first != 48
      else { return nil }
      value = value << 8 | UInt32(octet)
    }
    return value
  }

  private static func parse6(_ text: some StringProtocol) -> IPAddress? {
    var zone: UInt32 = 0
    var body = text[text.startIndex...]
    if let percent = body.firstIndex(of: "%") {
      let digits = body[body.index(after: percent)...]
      guard digits.first != "+", let number = UInt32(digits) else { return nil }
      zone = number
      body = body[..<percent]
    }
    let halves = splitAtDoubleColon(body)
    guard let head = groups(halves.head, isTail: halves.tail == nil) else { return nil }
    var all = head
    if let tailText = halves.tail {
      guard let tail = groups(tailText, isTail: true), head.count + tail.count <= 7 else { return nil }
      all += Array(repeating: 0, count: 8 - head.count - tail.count) + tail
    }
    guard all.count == 8 else { return nil }
    let high = all[..<4].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
    let low = all[4...].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
    return IPAddress(high: high, low: low, zone: zone)
  }

  private static func splitAtDoubleColon<S: StringProtocol>(_ text: S) -> (head: S.SubSequence, tail: S.SubSequence?) {
    var index = text.startIndex
    while index < text.endIndex {
      let next = text.index(after: index)
      if text[index] == ":", next < text.endIndex, text[next] == ":" {
        return (text[..<index], text[text.index(after: next)...])
      }
      index = next
    }
    return (text[...], nil)
  }

  /// `nil` when a group is malformed; an IPv4 tail counts as two groups and is allowed at the end of the address only.
  private static func groups(_ text: some StringProtocol, isTail: Bool) -> [UInt16]? {
    if text.isEmpty { return [] }
    var result: [UInt16] = []
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count <= 8 else { return nil }
    for (position, part) in parts.enumerated() {
      if part.contains(".") {
        guard isTail, position == parts.count - 1, let v4 = parse4(part) else { return nil }
        result.append(UInt16(truncatingIfNeeded: v4 >> 16))
        result.append(UInt16(truncatingIfNeeded: v4))
      } else {
        guard (1...4).contains(part.utf8.count), part.first != "+", let value = UInt16(part, radix: 16) else {
          return nil
        }
        result.append(value)
      }
    }
    return result
  }
}
