import Base
import Wire

/// The class that equal nodes share: opaque to peers, any stable function of the same facts will do (rpc.md 5.2).
enum ComputedClass {
  /// `v1:` and a decimal number from datacenter, class, attributes, meta and kinds of device; what is `unique.` to a
  /// node does not count.
  static func text(ofNode node: RawSpan) throws(WireError) -> String {
    var facts = Facts()
    var reader = MessagePackReader(node)
    let count = try reader.readMapHeader()
    for _ in 0..<count {
      switch try reader.readRaw() {
      case "Datacenter": facts.add(.datacenter, try reader.readRaw())
      case "NodeClass": facts.add(.nodeClass, try reader.readRaw())
      case "NodePool": facts.add(.nodePool, try reader.readRaw())
      case "Attributes": try readTexts(.attribute, &reader, &facts)
      case "Meta": try readTexts(.meta, &reader, &facts)
      case "NodeResources": try readDevices(&reader, &facts)
      default: try reader.skip()
      }
    }
    return "v1:\(facts.hash)"
  }

  private enum Kind: UInt8 {
    case datacenter = 1
    case nodeClass, nodePool, attribute, meta, device
  }

  /// Facts in any order: each is hashed alone (FNV-1a), and what counts is the sum.
  private struct Facts {
    private(set) var hash: UInt64 = 0
    private static let prime: UInt64 = 0x0000_0100_0000_01B3

    mutating func add(_ kind: Kind, _ name: RawSpan) { hash &+= Self.hash(kind, name) }

    mutating func add(_ kind: Kind, _ name: RawSpan, _ value: RawSpan) {
      // A byte that is no text separates the two.
      var fact = (Self.hash(kind, name) ^ 0xFF) &* Self.prime
      Self.mix(value, into: &fact)
      hash &+= fact
    }

    private static func hash(_ kind: Kind, _ name: RawSpan) -> UInt64 {
      var fact = (0xCBF2_9CE4_8422_2325 ^ UInt64(kind.rawValue)) &* prime
      mix(name, into: &fact)
      return fact
    }

    private static func mix(_ bytes: RawSpan, into fact: inout UInt64) {
      for offset in 0..<bytes.byteCount { fact = (fact ^ UInt64(bytes.byte(at: offset))) &* prime }
    }
  }

  private static func readTexts(
    _ kind: Kind, _ reader: inout MessagePackReader, _ facts: inout Facts
  ) throws(WireError) {
    for _ in 0..<(try reader.readMapHeader()) {
      let key = try reader.readRaw()
      let value = try reader.readRaw()
      if key.byteCount < 7 || !key.extracting(0..<7).equals("unique.") { facts.add(kind, key, value) }
    }
  }

  private static func readDevices(_ reader: inout MessagePackReader, _ facts: inout Facts) throws(WireError) {
    try reader.readPairs { key, values throws(WireError) in
      guard key.equals("Devices") else { return _ = try values.skip() }
      for _ in 0..<(try values.readArrayHeader()) {
        var name = ["", "", ""]
        try values.readPairs { key, fields throws(WireError) in
          switch key {
          case "Vendor": name[0] = try fields.readString()
          case "Type": name[1] = try fields.readString()
          case "Name": name[2] = try fields.readString()
          default: try fields.skip()
          }
        }
        facts.add(.device, Array(name.joined(separator: "/").utf8).bytes)
      }
    }
  }
}
