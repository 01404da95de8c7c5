import Base
import Testing

@Suite struct BytesTests {
  private let bytes: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8, 9]

  @Test func `integers are big-endian and need no alignment`() {
    #expect(bytes.bytes.uint16(at: 1) == 0x0203)
    #expect(bytes.bytes.uint32(at: 1) == 0x0203_0405)
    #expect(bytes.bytes.uint64(at: 1) == 0x0203_0405_0607_0809)
    var written: [UInt8] = [0]
    written.append(bigEndian: UInt32(0x0102_0304))
    written.append(bigEndian: Int16(-2))
    #expect(written == [0, 1, 2, 3, 4, 0xFF, 0xFE])
    written.store(bigEndian: UInt16(0xABCD), at: 5)
    written.store(bigEndian: UInt8(9), at: 0)
    #expect(written == [9, 1, 2, 3, 4, 0xAB, 0xCD])
  }

  @Test func `copies, comparison and text`() {
    #expect(bytes.bytes.copy() == bytes)
    #expect(bytes.bytes(2..<4).copy() == [3, 4])
    #expect(bytes.bytes(4..<4).copy() == [])
    #expect(areEqual(bytes, bytes))
    #expect(!areEqual(bytes, Array(bytes[..<8])))
    #expect(!areEqual([1, 2, 3], [1, 2, 4]))
    let text = Array("Seq".utf8)
    #expect(isText(text, "Seq"))
    #expect(!isText(text, "Se"))
    #expect(!isText(text, "Sex"))
    #expect(!isText(text, "Seqq"))
    #expect(text.bytes.text() == "Seq")
    let empty: [UInt8] = []
    #expect(isText(empty, ""))
    #expect(empty.bytes.text() == "")
    switch text.bytes {
    case "Error": Issue.record("wrong case")
    case "Seq": break
    default: Issue.record("no case")
    }
  }

  @Test func `a reader walks and leaves its place when bytes are missing`() throws {
    var reader = ByteReader(bytes.bytes)
    #expect(try reader.readUInt8() == 1)
    #expect(try reader.readUInt16() == 0x0203)
    #expect(try reader.readUInt32() == 0x0405_0607)
    #expect(try reader.peekUInt8() == 8)
    #expect(try reader.readBytes(2) == [8, 9])
    let isAtEnd = reader.isAtEnd
    #expect(isAtEnd)
    var short = ByteReader(bytes.bytes, at: 8)
    for _ in 0..<2 {
      do throws(ByteError) {
        _ = try short.readUInt32()
        Issue.record("read past the end")
      } catch {
        let offset = short.offset
        #expect(offset == 8)
      }
    }
  }

  @Test func `a reader refuses impossible counts`() {
    for count in [-1, Int.min, 10, Int.max] {
      #expect(failure { r throws(ByteError) in try r.skip(count) } == .truncated)
      #expect(failure { r throws(ByteError) in _ = try r.readBytes(count) } == .truncated)
      #expect(failure { r throws(ByteError) in _ = try r.readSpan(count).byteCount } == .truncated)
    }
    #expect(failure { r throws(ByteError) in try r.skip(9) } == nil)
    #expect(failure { r throws(ByteError) in _ = try r.readSpan(9).byteCount } == nil)
  }

  private func isText(_ a: [UInt8], _ text: StaticString) -> Bool { a.bytes.equals(text) }
  private func areEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.bytes.equals(b.bytes) }

  /// The error of `body` on a reader of nine bytes.
  private func failure(_ body: (inout ByteReader) throws(ByteError) -> Void) -> ByteError? {
    let nine: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8, 9]
    var reader = ByteReader(nine.bytes)
    do throws(ByteError) { try body(&reader) } catch { return error }
    return nil
  }
}
