import Base
import Wire

extension SnapshotMetadata {
  /// For the snapshot file: a map of our own, so that later versions can add to it.
  public var encoded: [UInt8] {
    var out: [UInt8] = []
    out.packMapHeader(4)
    out.pack("Index" as StaticString)
    out.pack(unsigned: index.value)
    out.pack("Term" as StaticString)
    out.pack(unsigned: term.value)
    out.pack("ConfigurationIndex" as StaticString)
    out.pack(unsigned: configurationIndex.value)
    out.pack("Configuration" as StaticString)
    out.pack(raw: configuration.encoded)
    return out
  }

  /// Unknown keys are skipped.
  public init(decoding bytes: RawSpan) throws(WireError) {
    self.init(index: 0, term: 0, configuration: RaftConfiguration(), configurationIndex: 0)
    var reader = MessagePackReader(bytes)
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "Index": index = LogIndex(try reader.readUInt64())
      case "Term": term = Term(try reader.readUInt64())
      case "ConfigurationIndex": configurationIndex = LogIndex(try reader.readUInt64())
      case "Configuration": configuration = try RaftConfiguration(decoding: try reader.readRaw())
      default: try reader.skip()
      }
    }
    guard reader.isAtEnd else { throw .trailingBytes }
  }
}
