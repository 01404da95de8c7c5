import Base

/// The tags of a member, in ascending order of their keys, so that equal tags have equal bytes (gossip.md 6.3).
public struct SerfTags: Hashable, Sendable {
  public struct Tag: Hashable, Sendable {
    public let key: String
    public let value: String
  }

  /// Ascending by key; keys are distinct.
  public private(set) var tags: [Tag] = []

  static let magic: UInt8 = 0xFF
  static let legacyRoleKey = "role"

  public init() {}

  public init(_ dictionary: [String: String]) {
    tags = dictionary.map { Tag(key: $0.key, value: $0.value) }.sorted { $0.key < $1.key }
  }

  /// Decodes node metadata. Metadata without the magic byte is an old peer's role. Damaged metadata gives what could
  /// be decoded before the damage.
  public init(metadata: RawSpan) {
    guard metadata.byteCount > 0, metadata.byte(at: 0) == Self.magic else {
      tags = [Tag(key: Self.legacyRoleKey, value: metadata.text())]
      return
    }
    var reader = MessagePackReader(metadata, at: 1)
    do throws(WireError) {
      for _ in 0..<(try reader.readMapHeader()) {
        let key = try reader.readString()
        self[key] = try reader.readString()
      }
    } catch {
      return
    }
  }

  public subscript(key: String) -> String? {
    get { tags.first { $0.key == key }?.value }
    set {
      tags.removeAll { $0.key == key }
      guard let newValue else { return }
      let position = tags.firstIndex { key < $0.key } ?? tags.endIndex
      tags.insert(Tag(key: key, value: newValue), at: position)
    }
  }

  /// The value of a tag, compared in place: no tags are built. For checks on the path of every alive message.
  public static func value(of key: [UInt8], in metadata: RawSpan, equals expected: [UInt8]) -> Bool {
    guard metadata.byteCount > 0, metadata.byte(at: 0) == magic else {
      return key.elementsEqual(legacyRoleKey.utf8) && metadata.equals(expected)
    }
    var reader = MessagePackReader(metadata, at: 1)
    var matches = false
    do throws(WireError) {
      for _ in 0..<(try reader.readMapHeader()) {
        let isKey = try reader.readRaw().equals(key)
        let value = try reader.readRaw()
        if isKey { matches = value.equals(expected) }
      }
      return matches
    } catch {
      return false
    }
  }

  public func encode(into out: inout [UInt8]) {
    out.append(Self.magic)
    encodeMap(into: &out)
  }

  /// Without the magic byte, as in a conflict response.
  public func encodeMap(into out: inout [UInt8]) {
    out.packMapHeader(tags.count)
    for tag in tags {
      out.pack(tag.key)
      out.pack(tag.value)
    }
  }

  /// The node metadata of these tags.
  public var metadata: [UInt8] {
    var out: [UInt8] = []
    encode(into: &out)
    return out
  }
}
