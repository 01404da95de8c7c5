import Base
import Testing
import Wire

/// Go's dialect as Nomad configures it (rpc.md section 3.2).
@Suite struct MessagePackWriterTests {
  @Test(arguments: [
    (0, "00"), (1, "01"), (127, "7f"), (128, "cc80"), (255, "ccff"), (256, "cd0100"), (65_535, "cdffff"),
    (65_536, "ce00010000"), (0xFFFF_FFFF, "ceffffffff"), (0x1_0000_0000, "cf0000000100000000"),
    (UInt64.max, "cfffffffffffffffff"),
  ])
  func `unsigned integers take the shortest unsigned form`(value: UInt64, bytes: String) {
    #expect(packedText { $0.pack(unsigned: value) } == bytes)
  }

  @Test(arguments: [
    (0, "00"), (127, "7f"), (128, "d10080"), (255, "d100ff"), (32_767, "d17fff"), (32_768, "d200008000"),
    (0x7FFF_FFFF, "d27fffffff"), (0x8000_0000, "d30000000080000000"), (-1, "ff"), (-32, "e0"), (-33, "d0df"),
    (-128, "d080"), (-129, "d1ff7f"), (-32_768, "d18000"), (-32_769, "d2ffff7fff"), (Int64.min, "d38000000000000000"),
    (10_000_000_000, "d300000002540be400"), (500_000_000, "d21dcd6500"), (Int64.max, "d37fffffffffffffff"),
    (-0x8000_0000, "d280000000"), (-0x8000_0001, "d3ffffffff7fffffff"),
  ])
  func `signed integers take the shortest signed form`(value: Int64, bytes: String) {
    #expect(packedText { $0.pack(signed: value) } == bytes)
    #expect(packedText { $0.pack(Interval(nanoseconds: value)) } == bytes)
  }

  @Test func `strings and bytes are raw, never str8 or bin`() {
    #expect(packedText { $0.pack("") } == "a0")
    #expect(packedText { $0.pack("Error") } == "a54572726f72")
    #expect(packedText { $0.pack("Error" as StaticString) } == "a54572726f72")
    #expect(packedText { $0.pack(String(repeating: "a", count: 31)) }.hasPrefix("bf61"))
    #expect(packedText { $0.pack(String(repeating: "a", count: 32)) }.hasPrefix("da002061"))
    #expect(packedText { $0.pack(raw: [UInt8](repeating: 0, count: 65_535)) }.hasPrefix("daffff00"))
    #expect(packedText { $0.pack(raw: [UInt8](repeating: 0, count: 65_536)) }.hasPrefix("db0001000000"))
    #expect(packedText { $0.pack("ä") } == "a2c3a4")
  }

  @Test func `nil and empty are different`() {
    #expect(packedText { $0.pack(raw: nil as [UInt8]?) } == "c0")
    #expect(packedText { $0.pack(raw: [] as [UInt8]?) } == "a0")
    #expect(packedText { $0.pack(nil as [String]?) } == "c0")
    #expect(packedText { $0.pack([] as [String]?) } == "90")
    #expect(packedText { $0.pack(["a", "b"] as [String]?) } == "92a161a162")
  }

  @Test func `bools and floats`() {
    #expect(packedText { $0.pack(true) } == "c3")
    #expect(packedText { $0.pack(false) } == "c2")
    #expect(packedText { $0.packNil() } == "c0")
    #expect(packedText { $0.pack(1.5 as Double) } == "cb3ff8000000000000")
    #expect(packedText { $0.pack(1.5 as Float) } == "ca3fc00000")
  }

  @Test(arguments: [
    (0, "80", "90"), (15, "8f", "9f"), (16, "de0010", "dc0010"), (28, "de001c", "dc001c"),
    (65_535, "deffff", "dcffff"), (65_536, "df00010000", "dd00010000"),
  ])
  func `container headers`(count: Int, map: String, array: String) {
    #expect(packedText { $0.packMapHeader(count) } == map)
    #expect(packedText { $0.packArrayHeader(count) } == array)
  }

  @Test func `what is written can be read again`() throws {
    var random = RandomSource(seed: 3)
    for _ in 0..<2000 {
      let shift = UInt64(random.below(64))
      let value = random.next() >> shift
      let signed = Int64(bitPattern: random.next()) >> Int64(shift)
      var bytes: [UInt8] = []
      bytes.pack(unsigned: value)
      bytes.pack(signed: signed)
      bytes.pack(Double(signed))
      let text = String(repeating: "x", count: random.below(70))
      bytes.pack(text)
      var reader = MessagePackReader(bytes.bytes)
      #expect(try reader.readUInt64() == value)
      #expect(try reader.readInt64() == signed)
      #expect(try reader.readDouble() == Double(signed))
      #expect(try reader.readString() == text)
      let left = reader.remaining
      #expect(left == 0)
    }
  }
}
