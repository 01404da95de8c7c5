import Base
import Testing
import Wire

/// The tolerance of Go's decoder (rpc.md section 3.3), and no more.
@Suite struct MessagePackReaderTests {
  @Test(arguments: [
    "07", "cc07", "cd0007", "ce00000007", "cf0000000000000007", "d007", "d10007", "d200000007", "d30000000000000007",
  ])
  func `any integer width and signedness counts`(text: String) throws {
    #expect(try unpacked(text) { r throws(WireError) in try r.readUInt64() } == 7)
    #expect(try unpacked(text) { r throws(WireError) in try r.readInt64() } == 7)
    #expect(try unpacked(text) { r throws(WireError) in try r.readInteger(as: UInt8.self) } == 7)
    #expect(try unpacked(text) { r throws(WireError) in try r.readDouble() } == 7)
  }

  @Test func `integers that do not fit are refused`() {
    #expect(unpackFailure("ff") { r throws(WireError) in try r.readUInt64() }.error == .outOfRange)
    #expect(unpackFailure("cfffffffffffffffff") { r throws(WireError) in try r.readInt64() }.error == .outOfRange)
    #expect(unpackFailure("cd0100") { r throws(WireError) in try r.readInteger(as: UInt8.self) }.error == .outOfRange)
    #expect(
      unpackFailure("d200008000") { r throws(WireError) in try r.readInteger(as: Int16.self) }.error == .outOfRange)
    #expect(unpackFailure("ff") { r throws(WireError) in try r.readInteger(as: UInt16.self) }.error == .outOfRange)
  }

  @Test(arguments: ["a0", "80", "90", "c3", "cb0000000000000000", "ca00000000", "d400ff"])
  func `other kinds are no integers`(text: String) {
    #expect(unpackFailure(text) { r throws(WireError) in try r.readUInt64() } == (.typeMismatch, 0))
  }

  @Test func `nil is the zero of every kind`() throws {
    #expect(try unpacked("c0") { r throws(WireError) in try r.readUInt64() } == 0)
    #expect(try unpacked("c0") { r throws(WireError) in try r.readInt64() } == 0)
    #expect(try unpacked("c0") { r throws(WireError) in try r.readBool() } == false)
    #expect(try unpacked("c0") { r throws(WireError) in try r.readDouble() } == 0)
    #expect(try unpacked("c0") { r throws(WireError) in try r.readString() } == "")
    #expect(try unpacked("c0") { r throws(WireError) in try r.readMapHeader() } == 0)
    #expect(try unpacked("c0") { r throws(WireError) in try r.readArrayHeader() } == 0)
    #expect(try unpacked("c0") { r throws(WireError) in try r.readNil() })
  }

  @Test(arguments: ["a161", "d90161", "da000161", "db0000000161", "c40161", "c5000161", "c60000000161"])
  func `every string and bin form is a string`(text: String) throws {
    #expect(try unpacked(text) { r throws(WireError) in try r.readString() } == "a")
    #expect(try unpacked(text) { r throws(WireError) in try r.readByteArray() } == [0x61])
  }

  @Test func `malformed text can be shown`() throws {
    #expect(try unpacked("a2ff61") { r throws(WireError) in try r.readString() } == "\u{FFFD}a")
  }

  @Test func `bools are strict except for 0 and 1`() throws {
    #expect(try unpacked("c3") { r throws(WireError) in try r.readBool() })
    #expect(try unpacked("01") { r throws(WireError) in try r.readBool() })
    #expect(try !unpacked("00") { r throws(WireError) in try r.readBool() })
    #expect(unpackFailure("02") { r throws(WireError) in try r.readBool() }.error == .typeMismatch)
  }

  @Test func `floats of both widths`() throws {
    #expect(try unpacked("ca3fc00000") { r throws(WireError) in try r.readDouble() } == 1.5)
    #expect(try unpacked("cb3ff8000000000000") { r throws(WireError) in try r.readDouble() } == 1.5)
    #expect(try unpacked("fe") { r throws(WireError) in try r.readDouble() } == -2)
  }

  @Test func `an array is no map, since the two count differently`() {
    #expect(unpackFailure("90") { r throws(WireError) in try r.readMapHeader() }.error == .typeMismatch)
    #expect(unpackFailure("81c0c0") { r throws(WireError) in try r.readArrayHeader() }.error == .typeMismatch)
  }

  @Test func `an empty map is an empty array`() throws {
    #expect(try unpacked("80") { r throws(WireError) in try r.readArrayHeader() } == 0)
    #expect(try unpacked("de0000") { r throws(WireError) in try r.readArrayHeader() } == 0)
    #expect(try unpacked("df00000000") { r throws(WireError) in try r.readArrayHeader() } == 0)
  }

  @Test(arguments: ["dfffffffff", "ddffffffff", "8f", "9f", "de0001c0", "dc000400"])
  func `a container's count is bounded by the bytes that are present`(text: String) {
    let failure = unpackFailure(text) { r throws(WireError) in
      try r.peekKind() == .map ? try r.readMapHeader() : try r.readArrayHeader()
    }
    #expect(failure == (.truncated, 0))
  }

  @Test(arguments: [
    "00", "ff", "c0", "c2", "c3", "ca00000000", "cb0000000000000000", "cc00", "cd0000", "ce00000000",
    "cf0000000000000000",
    "d000", "d10000", "d200000000", "d30000000000000000", "a0", "a161", "d90161", "da000161", "db0000000161", "c40161",
    "c5000161", "c60000000161", "d4ff00", "d5ff0000", "d6ff00000000", "d7ff0000000000000000",
    "d8ff00000000000000000000000000000000", "c70101ff", "c8000101ff", "c90000000101ff", "80", "8100a161", "de000101c0",
    "df0000000101c0", "90", "920190", "dc00029190c0", "dd0000000101", "82a16181a16291c0a16301",
  ])
  func `skip and scanner step over exactly one value, whole or in parts`(text: String) throws {
    let value = packedBytes(text)
    let bytes = value + [0xC1, 0xC1]
    var reader = MessagePackReader(bytes.bytes)
    #expect(try reader.skip().copy() == value)
    #expect(reader.offset == value.count)
    var scanner = MessagePackScanner(values: 1)
    #expect(try scanner.advance(over: bytes.bytes, limit: 100))
    #expect(scanner.offset == value.count)
    var growing = MessagePackScanner(values: 1)
    for count in 0..<value.count {
      #expect(skipFailure(Array(value[..<count])) == .truncated)
      #expect(try !growing.advance(over: value.bytes(0..<count), limit: 100))
    }
    #expect(try growing.advance(over: bytes.bytes, limit: 100))
    #expect(growing.offset == value.count)
  }

  @Test func `skip refuses nesting beyond the limit and the byte that starts nothing`() throws {
    for (depth, fits) in [(MessagePack.maximumDepth - 1, true), (MessagePack.maximumDepth, false), (100_000, false)] {
      let bytes = [UInt8](repeating: 0x91, count: depth) + [0]
      #expect(skipFailure(bytes) == (fits ? nil : .tooDeep))
    }
    #expect(unpackFailure("92c0c1") { r throws(WireError) in _ = try r.skip() }.error == .malformed)
    #expect(unpackFailure("c1") { r throws(WireError) in _ = try r.peekKind() }.error == .malformed)
  }

  @Test func `the scanner refuses what is too large before it arrives`() {
    func failure(_ text: String) -> WireError? {
      var scanner = MessagePackScanner(values: 1)
      let bytes = packedBytes(text)
      do throws(WireError) { _ = try scanner.advance(over: bytes.bytes, limit: 255) } catch { return error }
      return nil
    }
    for text in ["db00000100", "dd00000101", "de0080", "c900000100", "98a0a0a0a0a0a0a0dbffffffff"] {
      #expect(failure(text) == .tooLarge)
    }
    #expect(failure("d9fa") == nil)
  }

  @Test func `the scanner finds several values`() throws {
    var scanner = MessagePackScanner(values: 2)
    let bytes = packedBytes("82a14101a14202 92c0c0 00")
    #expect(try scanner.advance(over: bytes.bytes, limit: 100))
    #expect(scanner.offset == 10)
  }

  private func skipFailure(_ bytes: [UInt8]) -> WireError? {
    var reader = MessagePackReader(bytes.bytes)
    do throws(WireError) { try reader.skip() } catch { return error }
    return nil
  }

  @Test func `kinds`() throws {
    let expected: [(String, MessagePackKind)] = [
      ("00", .integer), ("e0", .integer), ("cf", .integer), ("d3", .integer), ("80", .map), ("df", .map),
      ("90", .array),
      ("dc", .array), ("a0", .raw), ("d9", .raw), ("c6", .raw), ("c0", .nil), ("c2", .bool), ("cb", .float),
      ("c7", .ext),
      ("d8", .ext),
    ]
    for (text, kind) in expected {
      let bytes = packedBytes(text)
      #expect(try MessagePackReader(bytes.bytes).peekKind() == kind)
    }
  }

  @Test func `random bytes never trap and never read past the end`() {
    var random = RandomSource(seed: 11)
    for _ in 0..<20_000 {
      let bytes = (0..<random.below(40)).map { _ in UInt8(random.below(256)) }
      var reader = MessagePackReader(bytes.bytes)
      var scanner = MessagePackScanner(values: 1)
      let scanned = try? scanner.advance(over: bytes.bytes, limit: 64)
      if let count = try? reader.skip().byteCount {
        #expect(scanned == true)
        #expect(scanner.offset == count)
      }
      var typed = MessagePackReader(bytes.bytes)
      while !typed.isAtEnd {
        do throws(WireError) {
          switch random.below(7) {
          case 0: _ = try typed.readUInt64()
          case 1: _ = try typed.readString()
          case 2: _ = try typed.readMapHeader()
          case 3: _ = try typed.readArrayHeader()
          case 4: _ = try typed.readDouble()
          case 5: _ = try typed.readGoTime()
          default: _ = try typed.readBool()
          }
        } catch {
          break
        }
      }
    }
  }

  @Test func `scalars that cannot be read leave the reader in place`() {
    for text in ["cd00", "d3000000", "cb00000000", "ca0000", "da0002", "a261", "df0000"] {
      let failure = unpackFailure(text) { r throws(WireError) in
        switch try r.peekKind() {
        case .float: _ = try r.readDouble()
        case .raw: _ = try r.readRaw().byteCount
        case .map: _ = try r.readMapHeader()
        default: _ = try r.readInt64()
        }
      }
      #expect(failure == (.truncated, 0))
    }
  }
}
