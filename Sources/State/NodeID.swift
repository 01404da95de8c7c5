import Base

/// The key of a client node: a UUID as 16 bytes. Text in either case and with hyphens anywhere names the same node, as
/// in Nomad's own index; the spelling that the client registered stays in its record.
public struct NodeID: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let high: UInt64
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// Characters of a UUID with its hyphens; an id of any other length is refused.
  public static let textLength = 36

  /// Errors: `.length` unless the text has 36 characters, `.notHexadecimal` with the first other character.
  public init(_ text: String) throws(NodeIDError) {
    guard text.utf8.count == Self.textLength else { throw .length }
    if let id = Self.canonical(text) {
      self = id
      return
    }
    let prefix = try NodeIDPrefix(text)
    guard prefix.digits == 32 else { throw .length }
    self = prefix.first
  }

  /// The usual spelling, without a detour over characters; nil for all others.
  private static func canonical(_ text: String) -> NodeID? {
    var high: UInt64 = 0
    var low: UInt64 = 0
    var position = 0
    for byte in text.utf8 {
      if position == 8 || position == 13 || position == 18 || position == 23 {
        guard byte == UInt8(ascii: "-") else { return nil }
      } else {
        guard let digit = NodeIDPrefix.value(of: byte) else { return nil }
        if position < 18 { high = high << 4 | digit } else { low = low << 4 | digit }
      }
      position += 1
    }
    return NodeID(high: high, low: low)
  }

  public static func < (a: NodeID, b: NodeID) -> Bool { a.high != b.high ? a.high < b.high : a.low < b.low }

  /// Canonical lower-case form with hyphens.
  public var description: String {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Self.textLength)
    for position in 0..<32 {
      if position == 8 || position == 12 || position == 16 || position == 20 { bytes.append(UInt8(ascii: "-")) }
      let word = position < 16 ? high : low
      let nibble = UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * (position & 15))) & 15
      bytes.append(nibble < 10 ? 48 + nibble : 87 + nibble)
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

/// Why a text names no node; `text` is what Nomad answers (http.md 7.1, 7.2).
public enum NodeIDError: Error, Hashable, Sendable {
  case length
  case notHexadecimal(Unicode.Scalar)

  public var text: String {
    switch self {
    case .length:
      return "node lookup failed: index error: UUID must be 36 characters"
    case .notHexadecimal(let scalar):
      let hex = String(scalar.value, radix: 16, uppercase: true)
      let padded = String(repeating: "0", count: max(0, 4 - hex.count)) + hex
      return "node lookup failed: index error: Invalid UUID: encoding/hex: invalid byte: U+\(padded) '\(scalar)'"
    }
  }
}

/// The ids that begin with some hexadecimal digits, as a closed range. Hyphens are ignored and any number of digits is
/// accepted: Nomad 1.1 asks for an even number, later versions do not (http.md 7.1).
public struct NodeIDPrefix: Hashable, Sendable {
  public let first: NodeID
  public let last: NodeID
  /// Number of digits given; 0 matches every node.
  public let digits: Int

  public static let all = NodeIDPrefix()

  private init() {
    first = NodeID(high: 0, low: 0)
    last = NodeID(high: .max, low: .max)
    digits = 0
  }

  public init(_ text: String) throws(NodeIDError) {
    var high: UInt64 = 0
    var low: UInt64 = 0
    var count = 0
    for scalar in text.unicodeScalars where scalar != "-" {
      guard scalar.isASCII, let digit = Self.value(of: UInt8(truncatingIfNeeded: scalar.value)) else {
        throw .notHexadecimal(scalar)
      }
      guard count < 32 else { throw .length }
      let shift = UInt64(60 - 4 * (count & 15))
      if count < 16 { high |= digit << shift } else { low |= digit << shift }
      count += 1
    }
    let highMask: UInt64 = count >= 16 ? 0 : .max >> UInt64(4 * count)
    let lowMask: UInt64 = count <= 16 ? .max : count == 32 ? 0 : .max >> UInt64(4 * (count - 16))
    first = NodeID(high: high, low: low)
    last = NodeID(high: high | highMask, low: low | lowMask)
    digits = count
  }

  fileprivate static func value(of character: UInt8) -> UInt64? {
    switch character {
    case 48...57: UInt64(character - 48)
    case 65...70: UInt64(character - 55)
    case 97...102: UInt64(character - 87)
    default: nil
    }
  }
}
