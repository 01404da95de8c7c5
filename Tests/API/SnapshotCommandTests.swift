import Archive
import Foundation
import HTTP
import Testing
import Wire

@testable import nomad

/// `nomad operator snapshot` and the help of `operator raft recover`.
@Suite struct SnapshotCommandTests {
  private func archive() throws -> [UInt8] {
    let state = [UInt8](repeating: 0x80, count: 4233)
    return try SnapshotArchive(
      metadata: SnapshotArchiveMetadata(
        index: 77, term: 2, configuration: RaftConfiguration(), configurationIndex: 1, size: state.count,
        unixMilliseconds: 1_795_350_595_847), state: state
    ).encoded(unixSeconds: 0)
  }

  /// Gives `body` a path that is removed afterwards.
  private func withFile(_ bytes: [UInt8]?, _ body: (String) throws -> Void) throws {
    let path = FileManager.default.temporaryDirectory.path + "/nomadd-\(UUID().uuidString).snap"
    if let bytes { try Data(bytes).write(to: URL(filePath: path)) }
    defer { try? FileManager.default.removeItem(atPath: path) }
    try body(path)
  }

  /// cli.md section 5.
  @Test func inspectHasTheLayoutOfTheOriginal() throws {
    try withFile(try archive()) { path in
      var bench = CommandBench()
      #expect(bench.run("operator snapshot inspect \(path)") == 0)
      #expect(
        bench.output == """
          ID       2-77-1795350595847
          Size     4233
          Index    77
          Term     2
          Version  1

          """)
      #expect(bench.sent.isEmpty)
      #expect(bench.run("operator snapshot inspect -json \(path)") == 0)
      #expect(bench.output.contains("\"Index\": 77"))
    }
  }

  @Test func inspectSaysWhatIsWrong() throws {
    var bench = CommandBench()
    #expect(bench.run("operator snapshot inspect") == 1)
    #expect(bench.errors.hasPrefix("This command takes one argument: <filename>\n"))
    #expect(bench.run("operator snapshot inspect /nowhere/x") == 1)
    #expect(bench.errors == "Error opening snapshot file: open /nowhere/x: no such file or directory\n")
    try withFile(Array("this is no archive".utf8)) { path in
      #expect(bench.run("operator snapshot inspect \(path)") == 1)
      #expect(
        bench.errors == "Error verifying snapshot: failed to decompress snapshot: gzip: invalid header\n")
    }
  }

  @Test func stateShowsEveryRecordAndNoSecret() throws {
    var state: [UInt8] = [0x80]
    state.append(2)
    state.packMapHeader(2)
    state.pack("Key")
    state.pack("nodes")
    state.pack("Value")
    state.pack(unsigned: 36)
    state.append(0)
    state.packMapHeader(3)
    state.pack("ID")
    state.pack("4634ce77-a7fa-a653-692f-655c4bd2978f")
    state.pack("SecretID")
    state.pack("5634ce77-a7fa-a653-692f-655c4bd2978f")
    state.pack("At")
    state.pack(GoTime(unixSeconds: 1_795_350_595))
    state += [200, 0x91, 0xFF]
    let archive = SnapshotArchive(
      metadata: SnapshotArchiveMetadata(
        index: 77, term: 2, configuration: RaftConfiguration(), configurationIndex: 1, size: state.count,
        unixMilliseconds: 0), state: state)
    try withFile(try archive.encoded(unixSeconds: 0)) { path in
      var bench = CommandBench()
      #expect(bench.run("operator snapshot state \(path)") == 0)
      let shown = try JSONValue(parsing: Array(bench.output.utf8))
      #expect(shown["SnapshotMeta"]?["Index"]?.integer == 77)
      #expect(shown["Indexes"] == [["Key": "nodes", "Value": 36]])
      #expect(shown["Nodes"]?.array?.first?["At"] == "2026-11-22T12:29:55Z")
      #expect(shown["Nodes"]?.array?.first?["SecretID"] == "<hidden>")
      #expect(shown["Type200"] == [[-1]])
      #expect(!bench.output.contains("5634ce77") && bench.sent.isEmpty)
    }
    let cut = SnapshotArchive(
      metadata: SnapshotArchiveMetadata(
        index: 77, term: 2, configuration: RaftConfiguration(), configurationIndex: 1, size: 3, unixMilliseconds: 0),
      state: [0x80, 0, 0x82])
    try withFile(try cut.encoded(unixSeconds: 0)) { path in
      var bench = CommandBench()
      #expect(bench.run("operator snapshot state \(path)") == 1)
      #expect(bench.errors == "Error reading snapshot: the state is malformed at byte 2\n")
    }
    try withFile(Array(try archive.encoded(unixSeconds: 0).dropLast(9))) { path in
      var bench = CommandBench()
      #expect(bench.run("operator snapshot state \(path)") == 1)
      #expect(bench.errors.hasPrefix("Error verifying snapshot: "))
    }
  }

  /// The bench's agent sends no digest, as a proxy in between might lose it.
  @Test func nothingUncheckedIsKept() throws {
    try withFile(nil) { path in
      var bench = CommandBench(["GET /v1/operator/snapshot": "cut off"])
      #expect(bench.run("operator snapshot save \(path)") == 1)
      #expect(bench.errors == "Failed to get snapshot file: missing or duplicate digest header\n")
      #expect(!FileManager.default.fileExists(atPath: path))
    }
  }

  @Test func restoreShowsTheServersReason() throws {
    try withFile(Array("x".utf8)) { path in
      var bench = CommandBench()
      let reason = "failed to restore from snapshot: failed to decompress snapshot: gzip: invalid header"
      bench.answers = ["PUT /v1/operator/snapshot": (500, reason)]
      #expect(bench.run("operator snapshot restore \(path)") == 1)
      #expect(bench.errors == "Failed to get restore snapshot: Unexpected response code: 500 (\(reason))\n")
    }
  }

  @Test func recoverIsListedAndNeedsItsNeighbour() {
    var bench = CommandBench()
    #expect(bench.run("operator raft recover -help") == 0)
    #expect(bench.output.contains("-dry-run") && bench.output.contains("-data-dir=<dir>"))
    #expect(bench.run("operator raft recover -data-dir x") == 1)
    #expect(bench.errors.contains("nomadd"))
  }
}
