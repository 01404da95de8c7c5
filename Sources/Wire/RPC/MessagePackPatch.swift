import Base

/// Changes fields of an encoded map without decoding it: the named fields are replaced or added, every other byte is
/// copied as it came. Requests are forwarded and stored this way, so that fields of newer peers survive.
public struct MessagePackPatch: Hashable, Sendable {
  private var keys: [[UInt8]] = []
  private var values: [Range<Int>] = []
  private var arena: [UInt8] = []

  static let maximumFields = 64

  /// `Forwarded = true`, what every hop sets (rpc.md section 7.1).
  public static let forwarded: MessagePackPatch = {
    var patch = MessagePackPatch()
    patch.set("Forwarded") { $0.pack(true) }
    return patch
  }()

  public init() {}

  /// Sets one field; `body` appends exactly one encoded value. A later call for the same key wins.
  public mutating func set(_ key: String, _ body: (inout [UInt8]) -> Void) {
    let start = arena.count
    body(&arena)
    let name = Array(key.utf8)
    if let index = keys.firstIndex(of: name) {
      values[index] = start..<arena.count
    } else {
      precondition(keys.count < Self.maximumFields)
      keys.append(name)
      values.append(start..<arena.count)
    }
  }

  /// Appends the patched copy of `map`, one complete encoded map; nil counts as an empty one. On an error nothing has
  /// been appended.
  public func apply(to map: RawSpan, into output: inout [UInt8]) throws(WireError) {
    let start = output.count
    do throws(WireError) {
      var reader = MessagePackReader(map)
      let count = try reader.readMapHeader()
      // How many keys are new is known at the end.
      output.packMapHeader(count + keys.count)
      let headerEnd = output.count
      // A bit for each key of the patch that the map holds.
      var found: UInt64 = 0
      for _ in 0..<count {
        let keyStart = reader.offset
        let index = keyIndex(try reader.skip())
        output.append(contentsOf: map.extracting(keyStart..<reader.offset))
        let value = try reader.skip()
        if let index {
          found |= 1 << UInt64(index)
          output.append(contentsOf: arena[values[index]])
        } else {
          output.append(contentsOf: value)
        }
      }
      guard reader.isAtEnd else { throw .trailingBytes }
      for index in keys.indices where found & (1 << UInt64(index)) == 0 {
        output.pack(raw: keys[index])
        output.append(contentsOf: arena[values[index]])
      }
      if found != 0 {
        var header: [UInt8] = []
        header.packMapHeader(count + keys.count - found.nonzeroBitCount)
        output.replaceSubrange(start..<headerEnd, with: header)
      }
    } catch {
      output.removeSubrange(start...)
      throw error
    }
  }

  /// `encoded` is a key as it stands in the map; only strings can match.
  private func keyIndex(_ encoded: RawSpan) -> Int? {
    var reader = MessagePackReader(encoded)
    guard let name = try? reader.readRaw() else { return nil }
    for (index, key) in keys.enumerated() where key.bytes.equals(name) { return index }
    return nil
  }
}
