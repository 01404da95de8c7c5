import Base
import Wire

/// The class that equal nodes share: opaque to peers, any stable function of the same facts will do (rpc.md 5.2).
enum ComputedClass {
  /// `v1:` and a decimal number from datacenter, class, attributes, meta and kinds of device; what is `unique.` to a
  /// node does not count.
  static func text(ofNode node: RawSpan) throws(WireError) -> String {
    var facts: [String] = []
    var reader = MessagePackReader(node)
    let count = try reader.readMapHeader()
    for _ in 0..<count {
      switch try reader.readRaw() {
      case "Datacenter": facts.append("dc=" + (try reader.readString()))
      case "NodeClass": facts.append("class=" + (try reader.readString()))
      case "NodePool": facts.append("pool=" + (try reader.readString()))
      case "Attributes": try readTexts("a:", &reader, &facts)
      case "Meta": try readTexts("m:", &reader, &facts)
      case "NodeResources": try readDevices(&reader, &facts)
      default: try reader.skip()
      }
    }
    facts.sort()
    // FNV-1a; a byte that is no text separates the facts.
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for fact in facts {
      for byte in fact.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
      hash = (hash ^ 0xFF) &* 0x0000_0100_0000_01B3
    }
    return "v1:\(hash)"
  }

  private static func readTexts(
    _ prefix: String, _ reader: inout MessagePackReader, _ facts: inout [String]
  ) throws(WireError) {
    for _ in 0..<(try reader.readMapHeader()) {
      let key = try reader.readString()
      let value = try reader.readString()
      if !key.hasPrefix("unique.") { facts.append(prefix + key + "=" + value) }
    }
  }

  private static func readDevices(_ reader: inout MessagePackReader, _ facts: inout [String]) throws(WireError) {
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
        facts.append("d:" + name.joined(separator: "/"))
      }
    }
  }
}
