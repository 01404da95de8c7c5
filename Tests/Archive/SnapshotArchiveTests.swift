import Base
import HTTP
import Testing
import Wire

@testable import Archive

/// Operator snapshots: what is written, what is read, and what is refused.
@Suite struct SnapshotArchiveTests {
  static let configuration = RaftConfiguration([
    RaftServer(id: "4634ce77-a7fa-a653-692f-655c4bd2978f", address: "127.0.5.1:14647")
  ])

  private func archive(state: [UInt8] = Array("state of the region".utf8)) -> SnapshotArchive {
    SnapshotArchive(
      metadata: SnapshotArchiveMetadata(
        index: 40, term: 2, configuration: Self.configuration, configurationIndex: 1, size: state.count,
        unixMilliseconds: 1_795_351_479_315), state: state)
  }

  private func refusal(of bytes: [UInt8]) -> String {
    do {
      return "accepted \(try SnapshotArchive(decoding: bytes).metadata.id)"
    } catch {
      return error.text
    }
  }

  /// The files of an archive, put together anew after a change.
  private func changed(_ change: (inout [Tar.File]) -> Void) throws -> [UInt8] {
    let bytes = try archive().encoded(unixSeconds: 0)
    var files = try Tar.decode(try Gzip.expand(bytes, limit: 1 << 20))
    change(&files)
    return try #require(Gzip.compress(Tar.encode(files, unixSeconds: 0)))
  }

  /// The line that Nomad 1.1.2 wrote (raft.md 9.2).
  @Test func describesASnapshotAsNomadDoes() {
    let text =
      #"{"Version":1,"ID":"2-40-1795351479315","Index":40,"Term":2,"Peers":"ka8xMjcuMC41LjE6MTQ2NDc=","#
      + #""Configuration":{"Servers":[{"Suffrage":0,"ID":"4634ce77-a7fa-a653-692f-655c4bd2978f","#
      + #""Address":"127.0.5.1:14647"}]},"ConfigurationIndex":1,"Size":3817}"# + "\n"
    let metadata = SnapshotArchiveMetadata(
      index: 40, term: 2, configuration: Self.configuration, configurationIndex: 1, size: 3817,
      unixMilliseconds: 1_795_351_479_315)
    #expect(String(decoding: metadata.encoded, as: UTF8.self) == text)
  }

  @Test(arguments: [0, 1, 511, 512, 513, 700_000]) func whatIsWrittenIsReadBack(size: Int) throws {
    var random = RandomSource(seed: 7)
    let state = (0..<size).map { _ in UInt8(random.below(256)) }
    let whole = archive(state: state)
    #expect(try SnapshotArchive(decoding: whole.encoded(unixSeconds: 1_795_351_479)) == whole)
  }

  @Test func theFilesStandInNomadsOrderWithBothSums() throws {
    let files = try Tar.decode(try Gzip.expand(try archive().encoded(unixSeconds: 0), limit: 1 << 20))
    #expect(files.map(\.name) == ["meta.json", "state.bin", "SHA256SUMS"])
    let sums = String(decoding: files[2].content, as: UTF8.self).split(separator: "\n")
    #expect(sums.count == 2)
    #expect(sums[0].hasSuffix("  meta.json") && sums[1].hasSuffix("  state.bin"))
    #expect(sums.allSatisfy { $0.utf8.count == 64 + 2 + 9 })
  }

  @Test func digestsAreThoseOfTheHeader() throws {
    // FIPS 180-2, "abc".
    #expect(try SnapshotArchive.digest(of: Array("abc".utf8)) == "sha-256=ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=")
  }

  @Test func takesTheSumsOfGoWithOneBlank() throws {
    let bytes = try changed { files in
      let text = String(decoding: files[2].content, as: UTF8.self)
      files[2].content = Array(text.replacing("  ", with: " ").utf8)
    }
    #expect(refusal(of: bytes) == "accepted 2-40-1795351479315")
  }

  @Test func everyTruncationIsRefused() throws {
    let bytes = try archive().encoded(unixSeconds: 0)
    for count in 0..<bytes.count {
      let text = refusal(of: Array(bytes[..<count]))
      #expect(!text.hasPrefix("accepted"), "\(count) bytes")
    }
    #expect(refusal(of: []) == "failed to decompress snapshot: EOF")
    #expect(refusal(of: [0x1F]) == "failed to decompress snapshot: unexpected EOF")
    #expect(refusal(of: Array("this is no archive".utf8)) == "failed to decompress snapshot: gzip: invalid header")
    #expect(
      refusal(of: bytes.dropLast(9))
        == "failed to read snapshot file: failed to read or write snapshot data: unexpected EOF")
  }

  @Test func everyChangedBitIsRefusedOrChangesNothing() throws {
    let whole = archive()
    let bytes = try whole.encoded(unixSeconds: 0)
    for position in bytes.indices {
      var damaged = bytes
      damaged[position] ^= 0x10
      do {
        #expect(try SnapshotArchive(decoding: damaged) == whole, "byte \(position)")
      } catch {
        continue
      }
    }
  }

  @Test func bytesBehindTheArchiveAreRefused() throws {
    let bytes = try archive().encoded(unixSeconds: 0)
    #expect(refusal(of: bytes + [0]) == "failed to read snapshot file: gzip: invalid checksum")
    #expect(refusal(of: bytes + bytes) == "failed to read snapshot file: gzip: invalid checksum")
  }

  @Test func aChangedStateDoesNotMatchItsSum() throws {
    let bytes = try changed { $0[1].content[0] ^= 1 }
    #expect(refusal(of: bytes) == "failed checking integrity of snapshot: hash check failed for \"state.bin\"")
  }

  @Test func missingDoubledAndForeignFilesAreRefused() throws {
    #expect(refusal(of: try changed { $0.remove(at: 1) }) == "failed to read snapshot file: it has no state.bin")
    #expect(
      refusal(of: try changed { $0.append($0[1]) })
        == "failed to read snapshot file: it has more than one state.bin")
    #expect(refusal(of: try changed { $0.removeLast() }) == "failed to read snapshot file: it has no SHA256SUMS")
    #expect(
      refusal(of: try changed { $0.append(Tar.File(name: "../evil", content: [])) })
        == "failed to read snapshot file: unexpected file \"../evil\" in snapshot")
    #expect(
      refusal(of: try changed { $0[2].content += Array("00  other\n".utf8) })
        == "failed checking integrity of snapshot: list of hashes names \"other\", which is not there")
  }

  /// Small files that become large are stopped while they grow.
  @Test func aBombIsStopped() throws {
    let bomb = try #require(Gzip.compress([[UInt8](repeating: 0, count: 64 << 20)]))
    #expect(bomb.count < 100_000)
    #expect(refusal(of: bomb) == "failed to read snapshot file: the content is larger than allowed")
    do {
      _ = try Gzip.expand(bomb, limit: 1 << 20)
      Issue.record("expanded")
    } catch {
      #expect(error == .tooLarge)
    }
  }

  @Test(arguments: [
    ("7777777777\u{0}", "failed to read or write snapshot data: unexpected EOF"),
    ("77777777777", "failed to read or write snapshot data: unexpected EOF"),
    ("-0000000001", "archive/tar: invalid tar header (size)"),
    ("00000 00001", "archive/tar: invalid tar header (size)"),
    ("           ", "archive/tar: invalid tar header (size)"),
  ])
  func sizesThatLieAreRefused(size: String, text: String) throws {
    var block = Tar.encode([Tar.File(name: "state.bin", content: [])], unixSeconds: 0)[0]
    for (position, byte) in size.utf8.enumerated() { block[124 + position] = byte }
    for position in 148..<156 { block[position] = 0x20 }
    let sum = String(block.reduce(0) { $0 + Int($1) }, radix: 8)
    for (position, byte) in sum.utf8.enumerated() { block[148 + position] = byte }
    do {
      _ = try Tar.decode(block + [UInt8](repeating: 0, count: 1024))
      Issue.record("accepted")
    } catch {
      #expect(error.text == text)
    }
  }

  @Test func aBinarySizeThatIsTooLargeIsRefused() throws {
    var block = Tar.encode([Tar.File(name: "state.bin", content: [])], unixSeconds: 0)[0]
    for position in 124..<136 { block[position] = 0xFF }
    block[124] = 0x80
    for position in 148..<156 { block[position] = 0x20 }
    let sum = String(block.reduce(0) { $0 + Int($1) }, radix: 8)
    for (position, byte) in sum.utf8.enumerated() { block[148 + position] = byte }
    #expect(throws: Tar.Failure.badHeader("size")) { try Tar.decode(block) }
  }

  @Test func tooManyFilesAreRefused() {
    let files = (0..<17).map { Tar.File(name: "f\($0)", content: []) }
    #expect(throws: Tar.Failure.tooManyFiles) {
      try Tar.decode(Tar.encode(files, unixSeconds: 0).flatMap { $0 })
    }
  }

  @Test(arguments: [
    ("{}", "unknown Version"), ("", "EOF"), (#"{"Version":1}"#, "no ID"),
    (#"{"Version":2,"ID":"x"}"#, "unknown Version"),
    (#"{"Version":1,"ID":"x","Index":0}"#, "no Index"),
    (#"{"Version":1,"ID":"x","Index":18446744073709551615,"Term":1,"Size":0}"#, "no Index"),
    (#"{"Version":1,"ID":"x","Index":5,"Term":1,"Size":-1}"#, "no Size"),
  ])
  func badDescriptionsAreRefused(text: String, reason: String) {
    do {
      _ = try SnapshotArchiveMetadata(decoding: Array(text.utf8))
      Issue.record("accepted")
    } catch {
      #expect(error.text == "failed to read snapshot file: failed to decode snapshot metadata: " + reason)
    }
  }
}
